package simkernel

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/internal/perturb"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent"
	"github.com/netns-verify/netns-verify/parent/netns"
)

// A probe shows just what the same writes show on a fresh kernel, and nothing
// without them.
func TestProbe(t *testing.T) {
	shown := 0
	for seed := range uint64(300) {
		for _, kind := range []Kind{LatchSame, LatchCross, SameKeyHost, LaterConstant, Delayed, Conjunctive} {
			synctest.Test(t, func(t *testing.T) {
				_, truth := GenerateKind(seed, kind)
				if slices.ContainsFunc(truth.Keys, func(k KeyTruth) bool { return k.Restless }) {
					return // what moves by itself may show or not
				}
				for _, writes := range [][]assignment{nil, causeWrites(t, truth)} {
					var planned []parent.Assignment
					for _, w := range writes {
						planned = append(planned, parent.Assignment{Key: w.key, Value: w.value})
					}
					k, _ := GenerateKind(seed, kind)
					got, err := parent.Probe(context.Background(), k, parent.Options{Devices: hostDevices(k), Logger: zerolog.Nop()}, planned)
					if err != nil {
						t.Fatal(err)
					}
					seen := effectsOf(&report.Leak{Effects: got})
					slices.SortFunc(seen, compareEffects)
					if want := sortedEffects(truth.replay(writes)); !slices.Equal(seen, want) {
						t.Errorf("seed %d: %v shows %v, want %v: %v", seed, writes, seen, want, truth.Plants)
					}
					shown += len(seen)
				}
			})
		}
	}
	if shown < 500 {
		t.Errorf("only %d effects were there to be shown", shown)
	}
}

// causeWrites gives each key of the plants' causes a likely value.
func causeWrites(t *testing.T, truth Truth) []assignment {
	k := truth.again()
	tree := view{k, k.furnished(netns.RoleWriter)}
	base, err := sysctl.Survey(tree, tree.Keep())
	if err != nil {
		t.Fatal(err)
	}
	var out []assignment
	for _, p := range truth.Plants {
		for _, e := range base {
			if !slices.Contains(p.Cause, e.Key) {
				continue
			}
			if c := candidates(e, base, k.Host(), perturb.Up); len(c) > 0 {
				out = append(out, assignment{e.Key, c[0]})
			}
		}
	}
	return out
}
