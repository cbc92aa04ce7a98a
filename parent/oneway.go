package parent

import (
	"slices"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// giveUp takes note of a host key that cannot be put back: a one-way leak, or,
// where other programs are at work, perhaps their change. Sweeps expect the
// new state from now on.
func (r *run) giveUp(e effect, suspects []write) {
	r.host.Expect(e.key, e.after)
	if !r.confirmedAt(e.place) && !r.quiet() {
		r.foreign = append(r.foreign, foreign{e, r.phase, "other programs are writing sysctls, and no replay can tell whether it was one of them"})
		return
	}
	delete(r.forced, e.key)
	r.stuck[e.key] = true
	r.oneWay(e, suspects)
}

// oneWay records a leak that cannot be replayed, because its effect cannot be
// undone. The write of the same value to the same key is its cause; without
// one, the writes of the batch, and those that may have come late, are candidates.
func (r *run) oneWay(e effect, suspects []write) {
	for _, l := range r.leaks {
		if l.status == statusOneWay && slices.ContainsFunc(l.effects, func(o effect) bool { return o.key == e.key }) {
			l.addEffects([]effect{e})
			return
		}
	}
	l := &leak{effects: []effect{e}, status: statusOneWay}
	for _, w := range suspects {
		if w.key == e.key && (w.after == e.after || e.after.OK() && w.value == e.after.Value) {
			l.cause = []write{w}
		}
	}
	if l.cause != nil {
		l.why = "the same key took on the value written, and cannot be put back until reboot; that it cannot be replayed is why there are no rounds"
		l.candidates = nil
	} else {
		l.why = "it cannot be put back until reboot, so it cannot be replayed: one of the candidates did it"
		l.candidates = r.recent(suspects)
	}
	r.add(l)
}

// recent is the writes since the last sweep and those before them whose effect
// may have come late.
func (r *run) recent(suspects []write) []write {
	if len(suspects) == 0 {
		return nil
	}
	from := suspects[0].at.Add(-r.o.Settle)
	i := slices.IndexFunc(r.writes, func(w write) bool { return !w.at.Before(from) })
	if i < 0 {
		return suspects
	}
	j := slices.IndexFunc(r.writes, func(w write) bool { return w.at.After(suspects[len(suspects)-1].at) })
	if j < 0 {
		j = len(r.writes)
	}
	if i >= j {
		return suspects
	}
	return r.writes[i:j]
}

// candidateKeys is the keys that may be the cause of a leak whose cause is not known.
func (r *run) candidateKeys() map[sysctl.Key]bool {
	keys := map[sysctl.Key]bool{}
	for _, l := range r.leaks {
		for _, w := range l.candidates {
			keys[w.key] = true
		}
	}
	return keys
}
