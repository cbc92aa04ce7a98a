package parent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/protocol"
)

// via is how a write reaches its key.
type via int

const (
	viaPath via = iota
	// viaDescriptor is a write of ours, from the host's namespace, through a
	// descriptor that the writer opened.
	viaDescriptor
	// viaGone is the same after the writer's namespace has gone.
	viaGone
	// viaRead is no write: the child only read the key.
	viaRead
)

func (w write) passed() bool { return w.via == viaDescriptor || w.via == viaGone }

// passed is a key as a child has opened it.
type passed struct {
	handle sysctl.Handle // nil where it could not be opened
	err    error         // why
	own    sysctl.State  // what the child itself read through it
}

func closeAll(ps []passed) {
	for _, p := range ps {
		if p.handle != nil {
			_ = p.handle.Close() // what was written is written
		}
	}
}

// errNoPassing is the error of a machine whose children cannot pass descriptors.
var errNoPassing = errors.New("no descriptors can be passed here")

// pass has keys opened in the child and takes their descriptors, one for each,
// a key may be asked for twice. The caller closes them.
func (c *client) pass(keys []sysctl.Key) (all []passed, err error) {
	if c.proc.Receive == nil {
		return nil, errNoPassing
	}
	for some := range slices.Chunk(keys, protocol.MaxPass) {
		m := &protocol.Pass{}
		for _, k := range some {
			m.Keys = append(m.Keys, protocol.Bytes(k))
		}
		got := 0
		err := c.call("pass", protocol.Request{Pass: m}, func(r protocol.Reply) error {
			if r.Passed == nil || got == len(some) || sysctl.Key(r.Passed.Key) != some[got] {
				return errors.New("an answer that is not the descriptor that was asked for")
			}
			got++
			p := passed{err: r.Passed.Error.Err(), own: r.Passed.State.State()}
			if p.err == nil {
				var err error
				if p.handle, err = c.proc.Receive(); err != nil {
					return err
				}
			}
			all = append(all, p)
			return nil
		})
		if err == nil && got != len(some) {
			err = c.fail("pass", fmt.Errorf("%s to a request for %d", report.Plural(got, "answer"), len(some)))
		}
		if err != nil {
			closeAll(all)
			return nil, err
		}
	}
	return all, nil
}

// writeThrough makes one write through a descriptor of ours. What is read before
// and after it is read through that, too.
func (r *run) writeThrough(p passed, again write) write {
	w := write{key: again.key, value: again.value, via: again.via, at: time.Now()}
	if p.handle == nil {
		w.errno = sysctl.Errno(p.err)
		w.before, w.after = sysctl.State{Errno: w.errno}, sysctl.State{Errno: w.errno}
		return w
	}
	if r.o.Writing != nil {
		r.o.Writing([]sysctl.Key{w.key})
	}
	w.before = p.handle.Read()
	w.errno = sysctl.Errno(p.handle.Write(w.value))
	w.after = p.handle.Read()
	return w
}

// through makes writes through descriptors that a writer opens for them, and
// watches the host meanwhile. Where its namespace is to be gone, it ends the writer.
func (r *run) through(ctx context.Context, w *client, again []write) (ws []write, seen []effect, err error) {
	if err := r.announceWrites(w, again); err != nil {
		return nil, nil, err
	}
	return r.throughAnnounced(ctx, w, again)
}

func (r *run) throughAnnounced(ctx context.Context, w *client, again []write) (ws []write, seen []effect, err error) {
	all, err := r.handedOver(ctx, w, again)
	if err != nil {
		return nil, nil, err
	}
	defer closeAll(all)
	for i := range again {
		err = r.watch([]sysctl.Key{again[i].key}, &ws, &seen, func() ([]write, error) {
			return []write{r.writeThrough(all[i], again[i])}, nil
		})
		if err != nil {
			return ws, seen, err
		}
	}
	return ws, seen, nil
}

// handedOver is the descriptors that some writes need, as they need them.
func (r *run) handedOver(ctx context.Context, w *client, ws []write) ([]passed, error) {
	keys := make([]sysctl.Key, len(ws))
	for i := range ws {
		keys[i] = ws[i].key
	}
	all, err := w.pass(keys)
	if err != nil || len(ws) == 0 || ws[0].via != viaGone {
		return all, err
	}
	if err = w.quit(); err == nil {
		err = r.drained(ctx)
	}
	if err != nil {
		closeAll(all)
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
	return errors.Is(err, errNoPassing) || errors.Is(err, errUndrained) || errors.Is(err, unix.EMFILE)
}

// byWay splits writes where the way changes.
func byWay(ws []write) [][]write {
	var groups [][]write
	for i, w := range ws {
		if i == 0 || w.via != ws[i-1].via {
			groups = append(groups, nil)
		}
		last := len(groups) - 1
		groups[last] = append(groups[last], w)
	}
	return groups
}

// byPath is the same writes as the writer itself makes them.
func byPath(ws []write) []write {
	ws = slices.Clone(ws)
	for i := range ws {
		ws[i].via = viaPath
	}
	return ws
}

// handOver has keys opened and passed on as their writes would need it, and writes
// nothing.
func (r *run) handOver(ctx context.Context, w *client, ws []write) error {
	for _, group := range byWay(ws) {
		if !group[0].passed() {
			continue
		}
		all, err := r.handedOver(ctx, w, group)
		if err != nil {
			return err
		}
		closeAll(all)
	}
	return nil
}

// wayOf says where a cause's writes were made.
func wayOf(ws []write) string {
	switch {
	case len(ws) > 0 && ws[0].via == viaDescriptor:
		return "by the host through a descriptor that was opened in a fresh namespace"
	case len(ws) > 0 && ws[0].via == viaGone:
		return "by the host through a descriptor that was opened in a fresh namespace, which was gone by then"
	}
	return "in a fresh namespace"
}
