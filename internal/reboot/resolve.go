package reboot

import (
	"slices"

	"github.com/netns-verify/netns-verify/internal/report"
)

// Unresolved is the keys that a report leaves open because they might have been
// the cause of a leak.
func Unresolved(r *report.Report) []string {
	var keys []string
	for _, k := range r.Keys {
		if k.UntestedReason == report.ReasonUnresolved {
			keys = append(keys, k.Key)
		}
	}
	return keys
}

// Known takes the one-way leaks out of a report that show only what those of
// another one, which are proved, show too.
func Known(again, r *report.Report) {
	proved := func(e report.Effect) bool {
		return slices.ContainsFunc(r.Leaks, func(l report.Leak) bool {
			return l.Evidence.Status == report.StatusOneWay && l.Evidence.Rounds > 0 && has(l.Effects, e)
		})
	}
	again.Leaks = slices.DeleteFunc(again.Leaks, func(l report.Leak) bool {
		return l.Evidence.Status == report.StatusOneWay &&
			!slices.ContainsFunc(l.Effects, func(e report.Effect) bool { return !proved(e) })
	})
}

// Resolve takes over what another run has found out about keys that a report
// leaves open: one that wrote the causes known by now first and alone, so that
// they are no candidates, and whose own leaks are proved.
func Resolve(r, again *report.Report) {
	found := map[string]report.Key{}
	for _, k := range again.Keys {
		found[k.Key] = k
	}
	for i := range r.Keys {
		k := &r.Keys[i]
		if n, ok := found[k.Key]; ok && k.UntestedReason == report.ReasonUnresolved && n.UntestedReason != report.ReasonExcluded {
			judge(r, k, n.Verdict, n.UntestedReason, n.Note)
			k.Writers = n.Writers
		}
	}
	for _, l := range again.Leaks {
		if !slices.ContainsFunc(r.Leaks, func(o report.Leak) bool { return same(o, l) }) {
			r.Leaks = append(r.Leaks, l)
		}
	}
	for _, e := range again.Unconfirmed {
		if !has(r.Unconfirmed, e) {
			r.Unconfirmed = append(r.Unconfirmed, e)
		}
	}
	for _, n := range again.Run.NotRestored {
		if !slices.ContainsFunc(r.Run.NotRestored, func(o report.NotRestored) bool { return o.What == n.What && o.Key == n.Key }) {
			r.Run.NotRestored = append(r.Run.NotRestored, n)
		}
	}
	addGaps(r, again)
	for _, m := range again.KernelMessages {
		if !slices.ContainsFunc(r.KernelMessages, func(o report.KernelMessage) bool { return o.Text == m.Text && o.AfterWrite == m.AfterWrite }) {
			r.KernelMessages = append(r.KernelMessages, m)
		}
	}
	for _, w := range again.Warnings {
		if !slices.Contains(r.Warnings, w) {
			r.Warnings = append(r.Warnings, w)
		}
	}
	for _, m := range again.Host.Modules {
		if !slices.ContainsFunc(r.Host.Modules, func(o report.Module) bool { return o.Name == m.Name }) {
			r.Host.Modules = append(r.Host.Modules, m)
		}
	}
	r.Run.Passes += again.Run.Passes
	r.Run.Batches += again.Run.Batches
	r.Run.Replays += again.Run.Replays
	settle(r)
	r.Normalize()
}

// same tells that two leaks have the same causes, or without a cause show in the
// same places.
func same(a, b report.Leak) bool {
	if len(a.Cause)+len(b.Cause) == 0 {
		return !slices.ContainsFunc(b.Effects, func(e report.Effect) bool { return !has(a.Effects, e) })
	}
	return slices.EqualFunc(a.Cause, b.Cause, func(c, d report.Cause) bool { return c.Key == d.Key })
}

// addGaps takes over what a further run could not do.
func addGaps(r, again *report.Report) {
	for _, s := range again.Run.Skipped {
		if !slices.Contains(r.Run.Skipped, s) {
			r.Run.Skipped = append(r.Run.Skipped, s)
		}
	}
	r.Run.ReplaysExhausted = r.Run.ReplaysExhausted || again.Run.ReplaysExhausted
}
