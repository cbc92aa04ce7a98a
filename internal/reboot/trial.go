package reboot

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netns-verify/netns-verify/internal/report"
)

// phase is where unconfirmed effects were seen last.
const phase = "reboot"

// trial is one leak that is put to the proof.
type trial struct {
	leak  *report.Leak
	index int // among the report's leaks
	// write says, by round, whether its writes are made.
	write []bool
	// rounds with the writes, those of them that showed it, rounds without, and
	// those of them that showed it all the same.
	rounds, matched, shams, alone int
	// missed is effects that some round with the writes did not show.
	missed []report.Effect
}

// judge takes note of one round.
func (t *trial) judge(written bool, effects []report.Effect) {
	shown := has(effects, t.leak.Effects[0])
	if !written {
		t.shams++
		if shown {
			t.alone++
		}
		return
	}
	t.rounds++
	if shown {
		t.matched++
	}
	for _, e := range t.leak.Effects {
		if !has(effects, e) {
			t.missed = append(t.missed, e)
		}
	}
}

// conclude makes the rounds the leak's evidence, and tells whether they prove it.
func (t *trial) conclude() bool {
	ev := &t.leak.Evidence
	ev.Rounds, ev.Matched, ev.Shams = t.rounds, t.matched, t.shams
	if t.matched < t.rounds || t.alone > 0 {
		ev.Why = fmt.Sprintf("in other boots it came with %d of %d writes, and in %d of %d without one", t.matched, t.rounds, t.alone, t.shams)
		return false
	}
	ev.Candidates = nil
	ev.Why = fmt.Sprintf("it cannot be put back until reboot; it came in each of %d fresh boots with the write, and in none of %d without", t.rounds, t.shams)
	t.leak.Effects = slices.DeleteFunc(t.leak.Effects, func(e report.Effect) bool { return has(t.missed, e) })
	return true
}

// apart puts leaks into groups that can share boots: no two of a group show in
// the same place or write the same key.
func apart(trials []*trial) [][]*trial {
	var groups [][]*trial
next:
	for _, t := range trials {
		for i, g := range groups {
			if !slices.ContainsFunc(g, t.meets) {
				groups[i] = append(g, t)
				continue next
			}
		}
		groups = append(groups, []*trial{t})
	}
	return groups
}

func (t *trial) meets(o *trial) bool {
	return slices.ContainsFunc(t.leak.Effects, func(e report.Effect) bool { return has(o.leak.Effects, e) }) ||
		slices.ContainsFunc(t.leak.Cause, func(c report.Cause) bool {
			return slices.ContainsFunc(o.leak.Cause, func(d report.Cause) bool { return c.Key == d.Key })
		})
}

// has tells whether there is an effect in the same place.
func has(effects []report.Effect, e report.Effect) bool {
	return slices.ContainsFunc(effects, func(o report.Effect) bool { return o.Observer == e.Observer && o.Key == e.Key && o.What == e.What })
}

// secret tells that a write cannot be repeated, because its value is not known here.
func secret(c report.Cause) bool {
	return c.Value == nil || c.ValueB64 == nil && strings.HasPrefix(*c.Value, "secret:")
}

// doubt makes a leak's effects unconfirmed, and its cause no leak.
func doubt(r *report.Report, l report.Leak) {
	for _, e := range l.Effects {
		e.Phase, e.Why = phase, l.Evidence.Why
		r.Unconfirmed = append(r.Unconfirmed, e)
	}
	for i := range r.Keys {
		k := &r.Keys[i]
		if k.Verdict != report.VerdictLeak || !slices.ContainsFunc(l.Cause, func(c report.Cause) bool { return c.Key == k.Key }) {
			continue
		}
		r.Counts.Verdicts[k.Verdict]--
		r.Counts.Verdicts[report.VerdictUntested]++
		k.Verdict, k.UntestedReason, k.Note = report.VerdictUntested, report.ReasonUnresolved, l.Evidence.Why
	}
}
