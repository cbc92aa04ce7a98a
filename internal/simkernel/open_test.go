package simkernel

import (
	"testing"
	"testing/synctest"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// A leak that dries up is seen once, and no replay brings it back: its key is not
// isolated, and the effect names the write that it looks like.
func TestDriedUp(t *testing.T) {
	for seed := range uint64(12) {
		for observer, to := range map[string]targets{report.ObserverHost: toHost, report.ObserverSibling: toOthers} {
			synctest.Test(t, func(t *testing.T) {
				var key sysctl.Key
				times := 0
				k, _ := generate(seed, func(g *generator) {
					at := g.add(even(g.integer()))
					key = g.keys[at].name
					g.rule(rule{
						plant: g.plant(SameKeyHost, at), name: "leaks while there is something left",
						when:    func(e *event) bool { times++; return accepted(e) && times <= 1 },
						actions: []action{{to: to, key: at, value: written}},
					}, at)
					for range 5 {
						g.add(g.integer())
					}
				})
				r := runOn(t, k, seed, []int{1, 4, 64}[seed%3])
				if len(r.Unconfirmed) != 1 || len(r.Leaks) > 0 {
					t.Fatalf("seed %d, %s: %d unconfirmed, %d leaks", seed, observer, len(r.Unconfirmed), len(r.Leaks))
				}
				e := r.Unconfirmed[0]
				if w := e.LooksLike; e.Observer != observer || e.Key != string(key) || w == nil || w.Key != e.Key || *w.Value != *e.After || w.Writer != "root" {
					t.Errorf("seed %d: the %s's effect is %+v, like %+v", seed, observer, e, e.LooksLike)
				}
				for _, v := range r.Keys {
					open := v.Verdict == report.VerdictUntested && v.UntestedReason == report.ReasonUnconfirmed
					if open != (v.Key == string(key)) {
						t.Errorf("seed %d, %s: %s is %s (%s)", seed, observer, v.Key, v.Verdict, v.UntestedReason)
					}
				}
				r.Conclude(report.Ending{})
				if r.Run.ExitStatus != report.ExitClean || r.Run.Complete {
					t.Errorf("exit status %d, complete: %v", r.Run.ExitStatus, r.Run.Complete)
				}
				r.Conclude(report.Ending{Strict: true})
				if r.Run.ExitStatus != report.ExitUnverified {
					t.Errorf("--strict: exit status %d", r.Run.ExitStatus)
				}
			})
		}
	}
}
