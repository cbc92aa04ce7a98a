package parent

import (
	"context"
	"slices"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/client"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// A sweep of everything takes most of a replay's time. Once it has been seen whole
// what a cause changes and what comes without it, the further rounds that confirm it
// look at those keys only; what else came meanwhile shows when they are over.

// focusOn makes all looks at observers see these effects' keys only. Those of
// something else than network sysctls cannot be looked at alone: then nothing changes.
func (r *run) focusOn(effects []trace.Effect) error {
	keys := make([]sysctl.Key, len(effects))
	for i, e := range effects {
		if keys[i] = e.Key; !e.Key.Network() {
			return nil
		}
	}
	defer r.having(r.spare != nil && r.spare.Made() != nil)()
	spare, err := r.takeSpare()
	if err == nil && spare != nil {
		err = spare.Quit() // it cannot tell what single keys were
	}
	slices.Sort(keys)
	r.focus = slices.Compact(keys)
	return err
}

// seeAll ends that, and puts right what else has changed on the host.
func (r *run) seeAll(ctx context.Context, suspects []trace.Write) error {
	if r.focus == nil {
		return nil
	}
	r.unfocus()
	if r.spare != nil {
		spare := r.spare
		r.spare = nil
		if err := spare.Quit(); err != nil {
			return err
		}
	}
	off, err := r.reset(ctx, suspects)
	for _, e := range off {
		r.giveUp(e, suspects)
	}
	return err
}

// unfocus makes looks see everything, until back is called.
func (r *run) unfocus() (back func()) {
	was := r.focus
	r.focus = nil
	return func() { r.focus = was }
}

// wholly is for what may move any key of the host, where it is known what is off: all
// looks see everything from then on, until back is called, and what else is off
// already is no work of what comes.
func (r *run) wholly(off []trace.Effect) (all []trace.Effect, back func(), err error) {
	focused := r.focus != nil
	back = r.unfocus()
	if !focused || len(off) == 0 {
		return off, back, nil
	}
	if off, err = r.hostOff(); err == nil {
		r.strayed(off, nil)
	}
	return off, back, err
}

// sweepHost is what is not as expected on the host.
func (r *run) sweepHost() ([]sysctl.Change, error) {
	switch {
	case r.focus == nil && r.brief:
		return r.host.SweepKnown(), nil
	case r.focus == nil:
		return r.host.Sweep()
	}
	return r.host.Check(r.focus), nil
}

// surveyChild makes what a child has now its baseline.
func (r *run) surveyChild(c *client.Client) (base sysctl.Snapshot, err error) {
	if r.focus == nil {
		return c.Survey()
	}
	c.Base, err = c.Look(r.focus)
	return c.Base, err
}

// sweepChild is what changed in a child since then.
func (r *run) sweepChild(c *client.Client) ([]sysctl.Change, error) {
	if r.focus == nil {
		return c.Sweep(r.brief)
	}
	now, err := c.Look(r.focus)
	var changes []sysctl.Change
	for i, e := range now {
		if was := c.Base[i].State; e.State != was {
			changes = append(changes, sysctl.Change{Key: e.Key, Before: was, After: e.State})
		}
	}
	return changes, err
}
