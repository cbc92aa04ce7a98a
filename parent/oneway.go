package parent

import (
	"slices"

	"github.com/netns-verify/netns-verify/internal/observe"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/finding"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// giveUp takes note of a host key that is not put back. Sweeps expect the new
// state from now on. Where the host refused its old value, that is a one-way
// leak; but others may have changed it, or it is no key that can be written.
func (r *run) giveUp(e trace.Effect, suspects []trace.Write) {
	r.host.Expect(e.Key, e.After)
	switch {
	case r.restless[e.Place]:
		return
	case observe.IsModule(e.Key):
		r.giveUpModule(e, suspects)
		return
	case !e.Key.Network() && !r.leaks.ConfirmedAt(e.Place):
		return // it was not written, so only a replay can tell
	case !r.host.Found(e.Key).Writable() || !e.Before.OK() || e.After == sysctl.Absent:
		return // perhaps a replay shows it again
	case !r.leaks.ConfirmedAt(e.Place) && !r.quiet():
		r.unexplained(e, "other programs are writing sysctls, and no replay can tell whether it was one of them")
		return
	}
	switch {
	case r.foreign.Has(e.Place):
		r.unexplained(e, "")
		return
	case r.restless[e.Place]:
		return // that is what watching for quiet has shown
	case !r.refused[e.Key]:
		r.unexplained(e, "it took its old value back, and changed again with nothing written")
		r.seemsRestless(e)
		return
	}
	delete(r.forced, e.Key)
	r.stuck[e.Key] = true
	r.oneWay(e, suspects)
}

// oneWay records a leak that cannot be replayed, because its effect cannot be
// undone. The write during which the host's key of the same name took on the
// value written is its cause. Whatever else may have to do with it is a candidate.
func (r *run) oneWay(e trace.Effect, suspects []trace.Write) {
	for _, l := range r.leaks {
		if l.Status == finding.OneWay && slices.ContainsFunc(l.Effects, func(o trace.Effect) bool { return o.Key == e.Key }) {
			l.AddEffects([]trace.Effect{e})
			return
		}
	}
	if e.Before == sysctl.Absent || e.After == sysctl.Absent {
		r.unexplained(e, "a key that comes or goes has no value to put back, so no replay can tell")
		return
	}
	l := &finding.Leak{Effects: []trace.Effect{e}, Status: finding.OneWay}
	for _, w := range suspects {
		if e.Observer == trace.Host && w.Key == e.Key && w.Moved && w.After == e.After {
			l.Cause = []trace.Write{w}
		}
	}
	r.recordOneWay(l, suspects, "the host's key changed")
}

// recordOneWay adds what may have to do with a leak that cannot be replayed;
// seen is what was seen to happen with its cause.
func (r *run) recordOneWay(l *finding.Leak, suspects []trace.Write, seen string) {
	causes := map[sysctl.Key]bool{}
	for _, w := range l.Cause {
		causes[w.Key] = true
	}
	l.Candidates = trace.Without(r.suspected(suspects), causes)
	switch {
	case l.Cause == nil:
		l.Why = "it cannot be put back, so it cannot be replayed: one of the candidates did it, or several together"
	case len(l.Candidates) == 0:
		l.Why = seen + " between two looks, just before and just after this write, and nothing else had been written; it cannot be put back, so there are no rounds"
	default:
		l.Why = seen + " between two looks, just before and just after this write; it cannot be put back, so there are no rounds to tell whether it takes one of the candidates, too"
	}
	r.add(l)
}

// suspected is every write that may have to do with what has just been found
// changed: all since the host was last known to be at rest, and what undoing wrote.
func (r *run) suspected(suspects []trace.Write) []trace.Write {
	all := slices.Concat(suspects, r.undone)
	for _, w := range r.writings {
		all = append(all, w.writes[w.atRest:]...)
	}
	type assignment struct {
		by    trace.Writer
		key   sysctl.Key
		value string
	}
	seen := map[assignment]bool{}
	return slices.DeleteFunc(all, func(w trace.Write) bool {
		a := assignment{w.By, w.Key, w.Value}
		twice := seen[a]
		seen[a] = true
		return twice
	})
}
