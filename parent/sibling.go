package parent

import (
	"context"
	"slices"
	"time"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// renewSibling replaces the sibling: it is never written.
func (r *run) renewSibling(ctx context.Context) error {
	back := r.having(r.furnished())
	s, err := r.startSurveyed(context.WithoutCancel(ctx), RoleSibling)
	back()
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
	*client
	since time.Time
}

// dismiss ends the retired siblings that nothing can come to any more, with a last look.
func (r *run) dismiss() error {
	for len(r.retired) > 0 && time.Since(r.retired[0].since) >= r.o.Settle {
		old := r.retired[0]
		r.retired = r.retired[1:]
		err := r.lastSweep(old.client)
		if err == nil {
			err = old.quit()
		}
		if err != nil {
			old.abandon()
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
func (r *run) lastSweep(sibling *client) error {
	changes, err := sibling.sweep(false)
	if err == nil {
		r.strayed(r.steady(effectsOf(observerSibling, changes)), nil)
	}
	return err
}

// persistent is those effects on the sibling with which its successors are
// born: they cannot be replayed, unlike those that a fresh sibling is free of.
func (r *run) persistent(ctx context.Context, effects []effect) ([]effect, error) {
	var born []effect
	for _, e := range effects {
		if e.observer == observerSibling && stateIn(r.siblingBase, e.key) == e.after && !r.varies[e.key] {
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
	return slices.DeleteFunc(born, func(e effect) bool { return stateIn(r.siblingBase, e.key) != e.after }), nil
}

func stateIn(base map[sysctl.Key]sysctl.Entry, k sysctl.Key) sysctl.State {
	if e, ok := base[k]; ok {
		return e.State
	}
	return sysctl.Absent
}
