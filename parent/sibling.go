package parent

import (
	"context"
	"slices"
	"time"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/client"
	"github.com/netns-verify/netns-verify/parent/netns"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// renewSibling replaces the sibling: it is never written.
func (r *run) renewSibling(ctx context.Context) error {
	s, err := r.startSurveyed(context.WithoutCancel(ctx), everything, r.furnished, netns.RoleSibling)
	if err != nil {
		return err
	}
	old := r.sibling
	r.sibling, r.siblingBase = s[0].client, s[0].base.Map()
	if old == nil {
		return nil
	}
	r.retired = append(r.retired, retired{old, time.Now()})
	return r.dismiss()
}

// retired is a sibling that has been replaced. What was written until then may
// come to it late, and to none that was made since.
type retired struct {
	*client.Client
	since time.Time
}

// dismiss ends the retired siblings that nothing can come to any more, with a last look.
func (r *run) dismiss() error {
	for len(r.retired) > 0 && time.Since(r.retired[0].since) >= r.o.Settle {
		old := r.retired[0]
		r.retired = r.retired[1:]
		err := r.lastSweep(old.Client)
		if err == nil {
			err = old.Quit()
		}
		if err != nil {
			old.Abandon()
			return err
		}
	}
	return nil
}

// dismissAll waits until that is so for all of them.
func (r *run) dismissAll() error {
	if err := r.pause(r.untilDismissed()); err != nil {
		return err
	}
	return r.dismiss()
}

func (r *run) untilDismissed() time.Duration {
	if n := len(r.retired); n > 0 {
		return r.o.Settle - time.Since(r.retired[n-1].since)
	}
	return 0
}

// lastSweep sees what a sibling that is about to end has noticed meanwhile.
func (r *run) lastSweep(sibling *client.Client) error {
	changes, err := sibling.Sweep(false)
	if err == nil {
		r.strayed(r.steady(trace.EffectsOf(trace.Sibling, changes)), nil)
	}
	return err
}

// persistent is those effects on the sibling with which its successors are
// born: they cannot be replayed, unlike those that a fresh sibling is free of.
func (r *run) persistent(ctx context.Context, effects []trace.Effect) ([]trace.Effect, error) {
	var born []trace.Effect
	for _, e := range effects {
		if e.Observer == trace.Sibling && stateIn(r.siblingBase, e.Key) == e.After && !r.varies[e.Key] {
			born = append(born, e)
		}
	}
	if len(born) == 0 {
		return nil, nil
	}
	// Anew: a key that moves by itself may have come to the same value.
	if err := r.renewSibling(ctx); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(born, func(e trace.Effect) bool { return stateIn(r.siblingBase, e.Key) != e.After }), nil
}

func stateIn(base map[sysctl.Key]sysctl.Entry, k sysctl.Key) sysctl.State {
	if e, ok := base[k]; ok {
		return e.State
	}
	return sysctl.Absent
}
