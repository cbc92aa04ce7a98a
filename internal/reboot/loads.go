package reboot

import (
	"slices"

	"github.com/netns-verify/netns-verify/internal/report"
)

// OnlyLoads leaves in the report of a run without most modules only what loaded some, and
// is not in the first report yet: all else that one knows better.
func OnlyLoads(lean, first *report.Report) {
	lean.Leaks = slices.DeleteFunc(lean.Leaks, func(l report.Leak) bool {
		return !slices.ContainsFunc(l.Effects, loaded) || slices.ContainsFunc(first.Leaks, func(o report.Leak) bool { return covers(o, l) })
	})
	lean.Unconfirmed = slices.DeleteFunc(lean.Unconfirmed, func(e report.Effect) bool { return !loaded(e) || has(first.Unconfirmed, e) })
}

func loaded(e report.Effect) bool { return e.What == report.WhatModule }

// covers tells that a leak has another one's causes, by the same writer or anybody, and
// loads all that it does.
func covers(o, l report.Leak) bool {
	return len(l.Cause) > 0 && same(o, l) && (o.Cause[0].Writer == l.Cause[0].Writer || o.Unprivileged) &&
		!slices.ContainsFunc(l.Effects, func(e report.Effect) bool { return loaded(e) && !has(o.Effects, e) })
}

// AddLoads takes the leaks over that are left, after their proof, and what could not be done.
func AddLoads(r, lean *report.Report) {
	addGaps(r, lean)
	if len(lean.Leaks)+len(lean.Unconfirmed) == 0 {
		return
	}
	r.Leaks = append(r.Leaks, lean.Leaks...)
	r.Unconfirmed = append(r.Unconfirmed, lean.Unconfirmed...)
	settle(r)
	r.Normalize()
}
