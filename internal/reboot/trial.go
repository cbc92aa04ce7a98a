package reboot

import (
	"fmt"
	"slices"

	"github.com/netns-verify/netns-verify/internal/known"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// phase is where unconfirmed effects were seen last.
const phase = "reboot"

// trial is one leak that is put to the proof.
type trial struct {
	leak  *report.Leak
	index int // among the report's leaks
	// write says, by round, whether its writes are made.
	write         []bool
	rounds, shams int
	// with and without count, by effect, in how many of them it came.
	with, without []int
}

func newTrial(l *report.Leak, index int) *trial {
	return &trial{leak: l, index: index, with: make([]int, len(l.Effects)), without: make([]int, len(l.Effects))}
}

// judge takes note of one round.
func (t *trial) judge(written bool, effects []report.Effect) {
	count := t.without
	if written {
		t.rounds++
		count = t.with
	} else {
		t.shams++
	}
	for i, e := range t.leak.Effects {
		if has(effects, e) {
			count[i]++
		}
	}
}

// conclude makes the rounds the leak's evidence, and tells whether they bear it out. Fewer
// may have been made than were wanted.
func (t *trial) conclude(wanted int) bool {
	if t.rounds+t.shams == 0 {
		return true // nothing has been learnt
	}
	var proved []report.Effect
	for i, e := range t.leak.Effects {
		if t.with[i] == t.rounds && t.without[i] == 0 {
			proved = append(proved, e)
		}
	}
	ev := &t.leak.Evidence
	ev.Rounds, ev.Shams = t.rounds, t.shams
	if len(proved) == 0 {
		ev.Matched = t.with[0]
		ev.Why = fmt.Sprintf("in other boots it came with %d of %s, and in %d of %d without one", t.with[0], report.Plural(t.rounds, "write"), t.without[0], t.shams)
		return false
	}
	if ev.Matched = t.rounds; t.rounds > 0 {
		ev.Candidates = nil
	}
	ev.Why = fmt.Sprintf("it cannot be put back until reboot; it came in each of %d fresh boots with the write, and in none of %d without", t.rounds, t.shams)
	if missing := wanted - t.rounds - t.shams; missing > 0 {
		ev.Why += fmt.Sprintf("; %d of %d boots could not be made", missing, wanted)
	}
	if len(proved) < len(t.leak.Effects) {
		t.leak.Effects = proved
		describe(t.leak)
	}
	return true
}

// describe says again what follows from a leak's cause and effects.
func describe(l *report.Leak) {
	var causes, effects []sysctl.Key
	for _, c := range l.Cause {
		causes = append(causes, sysctl.Key(c.Key))
	}
	for _, e := range l.Effects {
		effects = append(effects, sysctl.Key(e.Key))
	}
	l.Known, l.Reproducer = known.Match(causes, effects), l.Reproduction()
}

// apart puts leaks into groups that can share boots: no two of a group show in
// the same place, write the same key, or write as somebody else; and no more of
// them than there are orders to tell them apart by.
func apart(trials []*trial, rounds int) [][]*trial {
	most := 1
	if rounds >= 6 {
		most = 8
	}
	var groups [][]*trial
next:
	for _, t := range trials {
		for i, g := range groups {
			if len(g) < most && !slices.ContainsFunc(g, t.meets) {
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
			return slices.ContainsFunc(o.leak.Cause, func(d report.Cause) bool { return c.Key == d.Key || c.Writer != d.Writer })
		})
}

// has tells whether there is an effect in the same place.
func has(effects []report.Effect, e report.Effect) bool {
	return slices.ContainsFunc(effects, func(o report.Effect) bool { return o.Observer == e.Observer && o.Key == e.Key && o.What == e.What })
}

// secret tells that a write cannot be repeated, because its value is not known here.
func secret(c report.Cause) bool {
	return c.Value == nil || c.Secret()
}

// doubt makes a leak's effects unconfirmed.
func doubt(r *report.Report, l report.Leak) {
	for _, e := range l.Effects {
		e.Phase, e.Why = phase, l.Evidence.Why
		r.Unconfirmed = append(r.Unconfirmed, e)
	}
}

// settle makes the verdicts agree with the leaks: their causes leak, and a key
// that is no cause any more is open, as is one with an effect that nothing explains.
func settle(r *report.Report) {
	by := map[string]string{} // writers, by cause
	for _, l := range r.Leaks {
		for _, c := range l.Cause {
			if l.Evidence.Status != report.StatusUnresolved {
				by[c.Key] = c.Writer
			}
		}
	}
	unconfirmed := map[string]bool{}
	for _, e := range r.Unconfirmed {
		unconfirmed[e.Key] = unconfirmed[e.Key] || e.What == report.WhatSysctl
	}
	passed := func(v report.Verdict) bool { return v == report.VerdictIsolated || v == report.VerdictWriteOnly }
	reopen := func(k *report.Key, was func(report.Verdict) bool) {
		for name, w := range k.Writers {
			if was(w.Verdict) {
				w.Verdict = report.VerdictUntested
				k.Writers[name] = w
			}
		}
	}
	for i := range r.Keys {
		k := &r.Keys[i]
		writer, cause := by[k.Key]
		switch {
		case unconfirmed[k.Key] && passed(k.Verdict) && !cause:
			judge(r, k, report.VerdictUntested, report.ReasonUnconfirmed, "")
			reopen(k, passed)
		case cause == (k.Verdict == report.VerdictLeak):
			continue
		case cause:
			judge(r, k, report.VerdictLeak, "", "")
			if w, ok := k.Writers[writer]; ok {
				w.Verdict = report.VerdictLeak
				k.Writers[writer] = w
			}
		default:
			judge(r, k, report.VerdictUntested, report.ReasonUnresolved, "a leak that it seemed to be the cause of was not confirmed over reboots")
			reopen(k, func(v report.Verdict) bool { return v == report.VerdictLeak })
		}
	}
}

// judge gives a key another verdict.
func judge(r *report.Report, k *report.Key, v report.Verdict, why report.Reason, note string) {
	if r.Counts.Verdicts == nil {
		r.Counts.Verdicts = map[report.Verdict]int{}
	}
	r.Counts.Verdicts[k.Verdict]--
	r.Counts.Verdicts[v]++
	k.Verdict, k.UntestedReason, k.Note = v, why, note
}
