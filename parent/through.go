package parent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/client"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// writeThrough makes one write through a descriptor of ours. What is read before
// and after it is read through that, too.
func (r *run) writeThrough(p client.Passed, again trace.Write) trace.Write {
	w := trace.Write{Key: again.Key, Value: again.Value, Via: again.Via, At: time.Now()}
	if p.Handle == nil {
		w.Errno = sysctl.Errno(p.Err)
		w.Before, w.After = sysctl.State{Errno: w.Errno}, sysctl.State{Errno: w.Errno}
		return w
	}
	if r.o.Writing != nil {
		r.o.Writing([]sysctl.Key{w.Key})
	}
	w.Before = p.Handle.Read()
	w.Errno = sysctl.Errno(p.Handle.Write(w.Value))
	w.After = p.Handle.Read()
	return w
}

// through makes writes through descriptors that a writer opens for them, and
// watches the host meanwhile. Where its namespace is to be gone, it ends the writer.
func (r *run) through(ctx context.Context, w *client.Client, again []trace.Write) (ws []trace.Write, seen []trace.Effect, err error) {
	if err := r.announceThrough(again); err != nil {
		return nil, nil, err
	}
	all, err := r.handedOver(ctx, w, again)
	if err != nil {
		return nil, nil, err
	}
	defer client.CloseAll(all)
	for i := range again {
		err = r.watch([]sysctl.Key{again[i].Key}, &ws, &seen, func() ([]trace.Write, error) {
			return []trace.Write{r.writeThrough(all[i], again[i])}, nil
		})
		if err != nil {
			return ws, seen, err
		}
	}
	return ws, seen, nil
}

// handedOver is the descriptors that some writes need, as they need them.
func (r *run) handedOver(ctx context.Context, w *client.Client, ws []trace.Write) ([]client.Passed, error) {
	keys := make([]sysctl.Key, len(ws))
	for i := range ws {
		keys[i] = ws[i].Key
	}
	all, err := w.Pass(keys)
	if err != nil || len(ws) == 0 || ws[0].Via != trace.ViaGone {
		return all, err
	}
	if err = w.Quit(); err == nil {
		err = r.drained(ctx)
	}
	if err != nil {
		client.CloseAll(all)
		return nil, err
	}
	return all, nil
}

// drained is awaitDrain for those who cannot go on without.
func (r *run) drained(ctx context.Context) error {
	if err := r.awaitDrain(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("%w: %w", errUndrained, err)
	}
	return nil
}

// errUndrained is that a namespace's end could not be observed.
var errUndrained = errors.New("could not observe the end of a namespace")

// cannotPass tells errors for which descriptors are left untested from those that
// end the run.
func cannotPass(err error) bool {
	return errors.Is(err, client.ErrNoPassing) || errors.Is(err, errUndrained) || errors.Is(err, unix.EMFILE)
}

// handOver has keys opened and passed on as their writes would need it, and writes
// nothing.
func (r *run) handOver(ctx context.Context, w *client.Client, ws []trace.Write) error {
	for _, group := range trace.ByWay(ws) {
		if !group[0].Passed() {
			continue
		}
		all, err := r.handedOver(ctx, w, group)
		if err != nil {
			return err
		}
		client.CloseAll(all)
	}
	return nil
}
