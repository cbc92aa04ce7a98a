package parent

import (
	"slices"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/client"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// scope is what a look covers: everything, where nothing else is said.
type scope struct {
	// keys is all that is looked at, sorted; nil: everything.
	keys []sysctl.Key
	// known leaves out keys that were not there before.
	known bool
}

// everything is the scope of most looks.
var everything scope

// scopeOf covers the keys of some effects. What is no network sysctl cannot be looked at
// alone: then everything is.
func scopeOf(effects []trace.Effect) scope {
	keys := make([]sysctl.Key, len(effects))
	for i, e := range effects {
		if keys[i] = e.Key; !e.Key.Network() {
			return everything
		}
	}
	slices.Sort(keys)
	return scope{keys: slices.Compact(keys)}
}

func (s scope) all() bool { return s.keys == nil }

// sweepHost is what is not as expected on the host.
func (r *run) sweepHost(s scope) ([]sysctl.Change, error) {
	switch {
	case !s.all():
		return r.host.Check(s.keys), nil
	case s.known:
		return r.host.SweepKnown(), nil
	}
	return r.host.Sweep()
}

// surveyChild makes what a child has now its baseline.
func surveyChild(c *client.Client, s scope) (base sysctl.Snapshot, err error) {
	if s.all() {
		return c.Survey()
	}
	c.Base, err = c.Look(s.keys)
	return c.Base, err
}

// sweepChild is what changed in a child since then.
func sweepChild(c *client.Client, s scope) ([]sysctl.Change, error) {
	if s.all() {
		return c.Sweep(s.known)
	}
	now, err := c.Look(s.keys)
	var changes []sysctl.Change
	for i, e := range now {
		if was := c.Base[i].State; e.State != was {
			changes = append(changes, sysctl.Change{Key: e.Key, Before: was, After: e.State})
		}
	}
	return changes, err
}
