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

// Resolve takes over what another run has found out about such keys: one that
// wrote the causes known by now first and alone, so that they are no candidates.
func Resolve(r, again *report.Report) {
	found := map[string]report.Key{}
	for _, k := range again.Keys {
		found[k.Key] = k
	}
	for i, k := range r.Keys {
		if n, ok := found[k.Key]; ok && k.UntestedReason == report.ReasonUnresolved && n.UntestedReason != report.ReasonExcluded {
			r.Counts.Verdicts[k.Verdict]--
			r.Counts.Verdicts[n.Verdict]++
			r.Keys[i] = n
		}
	}
	for _, l := range again.Leaks {
		known := func(o report.Leak) bool {
			return slices.EqualFunc(o.Cause, l.Cause, func(a, b report.Cause) bool { return a.Key == b.Key })
		}
		if !slices.ContainsFunc(r.Leaks, known) {
			r.Leaks = append(r.Leaks, l)
		}
	}
	for _, e := range again.Unconfirmed {
		if !has(r.Unconfirmed, e) {
			r.Unconfirmed = append(r.Unconfirmed, e)
		}
	}
	r.Run.Passes += again.Run.Passes
	r.Run.Batches += again.Run.Batches
	r.Run.Replays += again.Run.Replays
	r.Normalize()
}
