package parent

import (
	"slices"
	"strings"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/finding"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// A module that the kernel loads because of a write stays, and so does what comes
// with it. Nothing of that can be replayed: all there is to go by is that the
// module was not there just before the write and was just after it.

// arrival is modules that came with a write, and what else of the host was not
// as expected at that moment.
type arrival struct {
	modules []sysctl.Key
	with    []trace.Effect
}

// lister is a host that tells quickly which modules there are (observe.Tree).
type lister interface{ Modules() []sysctl.Key }

// arrived is the modules that are not expected to be there.
func (r *run) arrived() []sysctl.Key {
	l, ok := r.watched.(lister)
	if !ok {
		return nil
	}
	return slices.DeleteFunc(l.Modules(), func(k sysctl.Key) bool { return r.host.Expected(k) != sysctl.Absent })
}

// sawLoading marks the write after which modules came and returns them as
// effects. That is the one whose value the module is named after (the kernel asks
// for PREFIX_VALUE). Without such a one it may be chance, unless nobody else is there.
func (r *run) sawLoading(done []trace.Write, came []sysctl.Key) []trace.Effect {
	a := arrival{modules: came}
	named := slices.IndexFunc(done, func(w trace.Write) bool {
		return slices.ContainsFunc(came, func(k sysctl.Key) bool { return strings.HasSuffix(string(k), "_"+w.Value) })
	})
	for i := range done {
		if i == named || named < 0 && r.o.Private {
			done[i].Loaded = came
		}
	}
	changes, err := r.host.Sweep()
	if err != nil {
		r.warn("%v", err) // the next sweep will not be better
	}
	var effects []trace.Effect
	for _, e := range trace.EffectsOf(trace.Host, changes) {
		if slices.Contains(came, e.Key) {
			effects = append(effects, e)
		} else if !r.restless[e.Place] {
			a.with = append(a.with, e)
		}
	}
	r.arrivals = append(r.arrivals, a)
	return effects
}

// giveUpModule records a module that came as a one-way leak of the write that it
// came with. One that came otherwise may be anybody's.
func (r *run) giveUpModule(e trace.Effect, suspects []trace.Write) {
	l := &finding.Leak{Effects: []trace.Effect{e}, Status: finding.OneWay}
	for _, w := range suspects {
		if slices.Contains(w.Loaded, e.Key) {
			l.Cause = append(l.Cause, w)
		}
	}
	if slices.ContainsFunc(l.Cause, func(w trace.Write) bool { return w.Key != l.Cause[0].Key }) {
		l.Cause = nil // which of them it was, only a reboot tells
	} else if l.Cause == nil {
		r.unexplained(e, "modules are loaded for many reasons, and this one is not named after anything written in that moment")
		return
	}
	r.stuck[e.Key] = true
	r.recordOneWay(l, suspects, "the module was loaded")
}

// cameWithModule lists an effect that no replay shows under the leak of the
// module that it came with, if there is one: the same key in a sibling, too.
func (r *run) cameWithModule(e trace.Effect) bool {
	for _, a := range r.arrivals {
		if !slices.ContainsFunc(a.with, func(o trace.Effect) bool { return o.Key == e.Key && o.After == e.After }) {
			continue
		}
		for _, l := range r.leaks {
			if trace.HasPlace(l.Effects, trace.Place{Observer: trace.Host, Key: a.modules[0]}) {
				l.AddEffects([]trace.Effect{e})
				r.stuck[e.Key] = r.stuck[e.Key] || e.Observer == trace.Host
				return true
			}
		}
	}
	return false
}

// keysWithout is a list without what is in another.
func keysWithout(list, drop []sysctl.Key) []sysctl.Key {
	return slices.DeleteFunc(list, func(k sysctl.Key) bool { return slices.Contains(drop, k) })
}
