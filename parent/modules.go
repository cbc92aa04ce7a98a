package parent

import (
	"slices"
	"strings"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// A module that the kernel loads because of a write stays, and so does what comes
// with it. Nothing of that can be replayed: all there is to go by is that the
// module was not there just before the write and was just after it.

// arrival is modules that came with a write, and what else of the host was not
// as expected at that moment.
type arrival struct {
	modules []sysctl.Key
	with    []effect
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
func (r *run) sawLoading(done []write, came []sysctl.Key) []effect {
	a := arrival{modules: came}
	named := slices.IndexFunc(done, func(w write) bool {
		return slices.ContainsFunc(came, func(k sysctl.Key) bool { return strings.HasSuffix(string(k), "_"+w.value) })
	})
	for i := range done {
		if i == named || named < 0 && r.o.Private {
			done[i].loaded = came
		}
	}
	changes, err := r.host.Sweep()
	if err != nil {
		r.warn("%v", err) // the next sweep will not be better
	}
	var effects []effect
	for _, e := range effectsOf(observerHost, changes) {
		if slices.Contains(came, e.key) {
			effects = append(effects, e)
		} else if !r.restless[e.place] {
			a.with = append(a.with, e)
		}
	}
	r.arrivals = append(r.arrivals, a)
	return effects
}

// giveUpModule records a module that came as a one-way leak of the write that it
// came with. One that came otherwise may be anybody's.
func (r *run) giveUpModule(e effect, suspects []write) {
	l := &leak{effects: []effect{e}, status: statusOneWay}
	for _, w := range suspects {
		if slices.Contains(w.loaded, e.key) {
			l.cause = append(l.cause, w)
		}
	}
	if slices.ContainsFunc(l.cause, func(w write) bool { return w.key != l.cause[0].key }) {
		l.cause = nil // which of them it was, only a reboot tells
	} else if l.cause == nil {
		r.unexplained(e, "modules are loaded for many reasons, and this one is not named after anything written in that moment")
		return
	}
	r.stuck[e.key] = true
	r.recordOneWay(l, suspects, "the module was loaded")
}

// cameWithModule lists an effect that no replay shows under the leak of the
// module that it came with, if there is one: the same key in a sibling, too.
func (r *run) cameWithModule(e effect) bool {
	for _, a := range r.arrivals {
		if !slices.ContainsFunc(a.with, func(o effect) bool { return o.key == e.key && o.after == e.after }) {
			continue
		}
		for _, l := range r.leaks {
			if hasPlace(l.effects, place{observerHost, a.modules[0]}) {
				l.addEffects([]effect{e})
				r.stuck[e.key] = r.stuck[e.key] || e.observer == observerHost
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

// ofNetwork is the keys of a network namespace: the only ones that have verdicts.
func ofNetwork(s sysctl.Snapshot) sysctl.Snapshot {
	return slices.DeleteFunc(slices.Clone(s), func(e sysctl.Entry) bool { return !e.Key.Network() })
}
