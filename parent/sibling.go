package parent

import (
	"context"
	"slices"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// renewSibling replaces the sibling: it is never written.
func (r *run) renewSibling(ctx context.Context) error {
	s, err := r.startSurveyed(context.WithoutCancel(ctx), RoleSibling)
	if err != nil {
		return err
	}
	old := r.sibling
	r.sibling, r.siblingBase = s[0].client, s[0].base.Map()
	if old == nil {
		return nil
	}
	if err := r.lastSweep(old); err != nil {
		return err
	}
	return old.quit()
}

// lastSweep sees what a sibling that is about to end has noticed meanwhile.
func (r *run) lastSweep(sibling *client) error {
	changes, err := sibling.sweep()
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
