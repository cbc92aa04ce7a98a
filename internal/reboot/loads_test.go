package reboot

import (
	"slices"
	"testing"

	"github.com/netns-verify/netns-verify/internal/report"
)

// Of a run without most modules only what loads some is taken over, once.
func TestLoads(t *testing.T) {
	by := func(writer string, l report.Leak) report.Leak {
		l.Cause[0].Writer, l.Unprivileged = writer, writer == report.WriterUserNS
		return l
	}
	loading := func(cause string, modules ...string) report.Leak {
		l := leak([]report.Cause{write(cause)}, nil, "x")
		for _, m := range modules {
			l.Effects = append(l.Effects, report.Effect{Observer: report.ObserverHost, Kind: report.KindAppeared, What: report.WhatModule, Key: m})
		}
		return l
	}
	for name, tc := range map[string]struct {
		first, lean report.Leak
		more        int
	}{
		"no module":                      {loading("a", "m"), loading("b"), 0},
		"the same":                       {loading("a", "m"), loading("a", "m"), 0},
		"another cause":                  {loading("a", "m"), loading("b", "m"), 1},
		"another module":                 {loading("a", "m"), loading("a", "n"), 1},
		"an ordinary user can do it too": {by("root", loading("a", "m")), by(report.WriterUserNS, loading("a", "m")), 1},
		"root can do it too":             {by(report.WriterUserNS, loading("a", "m")), by("root", loading("a", "m")), 0},
		"it is not known what did it":    {loading("a", "m"), leakOf(loading("a", "m")), 1},
	} {
		r, lean := reportOf(1, tc.first), reportOf(1, tc.lean)
		lean.Unconfirmed = []report.Effect{effect("y")}
		lean.Run.Skipped, lean.Run.ReplaysExhausted = []report.Skipped{{Phase: "reversed", Why: "?"}}, true
		OnlyLoads(lean, r)
		AddLoads(r, lean)
		if !slices.Equal(r.Run.Skipped, lean.Run.Skipped) || !r.Run.ReplaysExhausted {
			t.Errorf("%s: skipped %v, budget used up %t", name, r.Run.Skipped, r.Run.ReplaysExhausted)
		}
		if len(r.Leaks) != 1+tc.more || len(r.Unconfirmed) != 0 {
			t.Errorf("%s: %d leaks, %d unconfirmed", name, len(r.Leaks), len(r.Unconfirmed))
		}
		for _, l := range r.Leaks {
			for _, c := range l.Cause {
				if i := c.Key[0] - 'a'; r.Keys[i].Verdict != report.VerdictLeak {
					t.Errorf("%s: %s leaks and has the verdict %s", name, c.Key, r.Keys[i].Verdict)
				}
			}
		}
	}
}

// leakOf is a leak of which only candidates are known.
func leakOf(l report.Leak) report.Leak {
	l.Cause, l.Evidence.Candidates = nil, l.Cause
	return l
}
