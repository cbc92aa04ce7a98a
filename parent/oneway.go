package parent

import (
	"cmp"
	"slices"

	"github.com/netns-verify/netns-verify/internal/observe"
	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// giveUp takes note of a host key that is not put back. Sweeps expect the new
// state from now on. Where the host refused its old value, that is a one-way
// leak; but others may have changed it, or it is no key that can be written.
func (r *run) giveUp(e effect, suspects []write) {
	r.host.Expect(e.key, e.after)
	switch {
	case r.restless[e.place]:
		return
	case observe.IsModule(e.key):
		r.giveUpModule(e, suspects)
		return
	case !e.key.Network() && !r.confirmedAt(e.place):
		return // it was not written, so only a replay can tell
	case !r.atFirst(e.key).Writable() || !e.before.OK() || e.after == sysctl.Absent:
		return // perhaps a replay shows it again
	case !r.confirmedAt(e.place) && !r.quiet():
		r.unexplained(e, "other programs are writing sysctls, and no replay can tell whether it was one of them")
		return
	}
	switch {
	case slices.ContainsFunc(r.foreign, func(f foreign) bool { return f.place == e.place }):
		r.unexplained(e, "")
		return
	case r.restless[e.place]:
		return // that is what watching for quiet has shown
	case !r.refused[e.key]:
		r.unexplained(e, "it took its old value back, and changed again with nothing written")
		r.seemsRestless(e)
		return
	}
	delete(r.forced, e.key)
	r.stuck[e.key] = true
	r.oneWay(e, suspects)
}

// atFirst is the host's key as it was found.
func (r *run) atFirst(k sysctl.Key) sysctl.Entry {
	base := r.host.Baseline()
	if i, ok := slices.BinarySearchFunc(base, k, func(e sysctl.Entry, k sysctl.Key) int { return cmp.Compare(e.Key, k) }); ok {
		return base[i]
	}
	return sysctl.Entry{}
}

// oneWay records a leak that cannot be replayed, because its effect cannot be
// undone. The write during which the host's key of the same name took on the
// value written is its cause. Whatever else may have to do with it is a candidate.
func (r *run) oneWay(e effect, suspects []write) {
	for _, l := range r.leaks {
		if l.status == statusOneWay && slices.ContainsFunc(l.effects, func(o effect) bool { return o.key == e.key }) {
			l.addEffects([]effect{e})
			return
		}
	}
	if e.before == sysctl.Absent || e.after == sysctl.Absent {
		r.unexplained(e, "a key that comes or goes has no value to put back, so no replay can tell")
		return
	}
	l := &leak{effects: []effect{e}, status: statusOneWay}
	for _, w := range suspects {
		if e.observer == observerHost && w.key == e.key && w.moved && w.after == e.after {
			l.cause = []write{w}
		}
	}
	r.recordOneWay(l, suspects, "the host's key changed")
}

// recordOneWay adds what may have to do with a leak that cannot be replayed;
// seen is what was seen to happen with its cause.
func (r *run) recordOneWay(l *leak, suspects []write, seen string) {
	causes := map[sysctl.Key]bool{}
	for _, w := range l.cause {
		causes[w.key] = true
	}
	l.candidates = without(r.suspected(suspects), causes)
	switch {
	case l.cause == nil:
		l.why = "it cannot be put back, so it cannot be replayed: one of the candidates did it, or several together"
	case len(l.candidates) == 0:
		l.why = seen + " between two looks, just before and just after this write, and nothing else had been written; it cannot be put back, so there are no rounds"
	default:
		l.why = seen + " between two looks, just before and just after this write; it cannot be put back, so there are no rounds to tell whether it takes one of the candidates, too"
	}
	r.add(l)
}

// suspected is every write that may have to do with what has just been found
// changed: all since the host was last known to be at rest, and what undoing wrote.
func (r *run) suspected(suspects []write) []write {
	all := slices.Concat(suspects, r.undone)
	for _, w := range r.writings {
		all = append(all, w.writes[w.atRest:]...)
	}
	type assignment struct {
		by    Writer
		key   sysctl.Key
		value string
	}
	seen := map[assignment]bool{}
	return slices.DeleteFunc(all, func(w write) bool {
		a := assignment{w.by, w.key, w.value}
		twice := seen[a]
		seen[a] = true
		return twice
	})
}

// candidateKeys is the keys that may be the cause of a leak whose cause is not known.
func (r *run) candidateKeys(by Writer) map[sysctl.Key]bool {
	keys := map[sysctl.Key]bool{}
	for _, l := range r.leaks {
		for _, w := range l.candidates {
			if w.by == by {
				keys[w.key] = true
			}
		}
	}
	return keys
}
