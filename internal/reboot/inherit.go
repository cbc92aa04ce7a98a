package reboot

import (
	"slices"

	"github.com/netns-verify/netns-verify/internal/report"
)

// Inherit gives the one-way leaks of a report the evidence that those of an
// earlier one have, where cause and effects are the same, and adds what the
// earlier one had to leave unconfirmed.
func Inherit(r, earlier *report.Report) {
	for i := range r.Leaks {
		l := &r.Leaks[i]
		for _, e := range earlier.Leaks {
			if e.Evidence.Status == report.StatusOneWay && e.Evidence.Rounds > 0 && l.Evidence.Status == report.StatusOneWay && sameLeak(*l, e) {
				l.Evidence, l.Effects = e.Evidence, e.Effects
			}
		}
	}
	for _, e := range earlier.Unconfirmed {
		if e.Phase == phase && !has(r.Unconfirmed, e) {
			r.Unconfirmed = append(r.Unconfirmed, e)
		}
	}
	r.Normalize()
}

func sameLeak(a, b report.Leak) bool {
	return has(a.Effects, b.Effects[0]) && slices.EqualFunc(a.Cause, b.Cause, func(c, d report.Cause) bool { return c.Key == d.Key })
}
