package simkernel

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent"
)

// A leak by reading alone is found by thorough runs, with the key that is read,
// and the host is put back although every look of a child brings it about again.
func TestReads(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			var cause, victim sysctl.Key
			k, _ := generate(seed, func(g *generator) {
				from := g.add(g.integer())
				to := from
				if g.chance(70) {
					to = g.add(g.integer())
				}
				cause, victim = g.keys[from].name, g.keys[to].name
				g.rule(rule{
					plant: g.plant(OnRead, from), name: "reading sets the host's", when: func(*event) bool { return true }, read: true,
					actions: []action{{to: toHost, key: to, value: constant(g.other(to))}},
				}, from)
			})
			before := k.Snapshot().Map()
			r, err := parent.Run(context.Background(), k, parent.Options{Seed: seed, Thorough: true, Logger: zerolog.Nop()})
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(r.Leaks, func(l report.Leak) bool { return l.Via == report.ViaRead })
			if i < 0 || len(r.Leaks) != 1 || !slices.Equal(causeOf(&r.Leaks[i]), []sysctl.Key{cause}) ||
				!slices.Equal(effectsOf(&r.Leaks[i]), []Effect{{report.ObserverHost, victim}}) {
				t.Errorf("seed %d: %s to %s: %+v", seed, cause, victim, r.Leaks)
			}
			if after := k.Snapshot().Map(); after[victim].State != before[victim].State {
				t.Errorf("seed %d: %s was %v and is %v", seed, victim, before[victim].State, after[victim].State)
			}
		})
	}
}
