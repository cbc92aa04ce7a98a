package simkernel

import (
	"testing"
	"testing/synctest"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// A key that nobody may read goes: that is an effect like others, also where only
// single keys are looked at.
func TestWriteOnlyGoes(t *testing.T) {
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			var cause, victim sysctl.Key
			k, _ := generate(seed, func(g *generator) {
				m := g.integer()
				m.host.mode, m.child.mode = modeWrite, modeNone
				from, to := g.add(even(g.integer())), g.add(m)
				cause, victim = g.keys[from].name, g.keys[to].name
				original := g.keys[from].child.value
				g.rule(rule{plant: g.plant(Disappear, from), name: "another key goes", when: accepted,
					actions: []action{{to: toHost, key: to, exists: func(e *event) bool { return e.new == original }}}}, from)
			})
			if r := runOn(t, k, seed, 16); !leaksBy(r, cause, Effect{report.ObserverHost, victim}) {
				t.Errorf("seed %d: %s is not the cause of a leak; %d leaks, unconfirmed %+v", seed, cause, len(r.Leaks), r.Unconfirmed)
			}
		})
	}
}
