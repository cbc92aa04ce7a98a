package parent

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// leakTo says what a write of a child's key does to one of the host's: that gets a value,
// or nothing.
type leakTo struct {
	from, to sysctl.Key
	value    func(opener *space, v string) string
}

// drawLeak draws one of the kinds of leaks that there are.
func drawLeak(rng *rand.Rand, keys []sysctl.Key) leakTo {
	n := 7000
	pick := func() sysctl.Key { return keys[rng.IntN(len(keys))] }
	l, with := leakTo{from: pick(), to: pick()}, pick()
	moved := func(f func(opener *space, v string) string) func(*space, string) string {
		return func(opener *space, v string) string {
			if v == "10" {
				return ""
			}
			return f(opener, v)
		}
	}
	switch rng.IntN(5) {
	case 0:
		l.to, l.value = l.from, func(_ *space, v string) string { return v }
	case 1:
		l.value = func(_ *space, v string) string { return v }
	case 2:
		l.value = moved(func(*space, string) string { return "99" })
	case 3: // it takes two keys, maybe of two batches
		l.value = moved(func(opener *space, _ string) string {
			if with == l.from || opener.values[with] == "10" {
				return ""
			}
			return "98"
		})
	default: // another value each time
		l.value = moved(func(*space, string) string {
			n++
			return strconv.Itoa(n)
		})
	}
	return l
}

// Random leaks, and somebody else who sets a key that none of them reaches: whenever the
// run is killed, no leak is left on the host, and what somebody else had set is there.
func TestKilledAnywhere(t *testing.T) {
	keys := make([]sysctl.Key, 8)
	for i := range keys {
		keys[i] = sysctl.Key(fmt.Sprintf("net/core/key%d", i))
	}
	died, leaked, foreign := 0, 0, 0
	for seed := range uint64(300) {
		path := filepath.Join(t.TempDir(), "own", "journal")
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			hs := map[sysctl.Key]handler{}
			for _, key := range keys {
				hs[key] = handler{}
			}
			k := newFake(hs)
			d := &dyingGuard{t: t, path: path}
			var leaks []leakTo
			for range rng.IntN(3) {
				leaks = append(leaks, drawLeak(rng, keys[1:]))
			}
			theirs := keys[0]
			sets, dies, writes := 1+rng.IntN(120), 1+rng.IntN(160), 0
			var then map[sysctl.Key]string
			write := func(opener, _ *space, key sysctl.Key, v string) error {
				opener.values[key] = v
				for _, l := range leaks {
					if opener == k.host || l.from != key {
						continue
					}
					if to := l.value(opener, v); to != "" {
						k.host.values[l.to] = to
					}
				}
				if d.dead.Load() {
					return nil
				}
				if writes++; writes == sets {
					k.host.values[theirs] = "4242"
				}
				if writes >= dies && !d.dead.Swap(true) {
					then = maps.Clone(k.host.values)
				}
				return nil
			}
			for _, key := range keys {
				hs[key] = handler{write: write}
			}
			o := Options{Guard: d, Logger: zerolog.Nop(), Seed: seed, BatchSize: []int{1, 3, 64}[rng.IntN(3)], Thorough: rng.IntN(4) == 0}
			_, _ = Run(context.Background(), k, o) // what it finds is not asked for here
			if d.dead.Load() {
				died++
				k.host.values = maps.Clone(then)
				if err := d.g.putBack(context.Background(), k); err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
				for _, key := range keys {
					want := "10"
					if key == theirs && sets <= dies {
						want = "4242"
						foreign++
					}
					if got := k.host.values[key]; got != want {
						t.Errorf("seed %d: %s is %s, want %s; was %v; %s", seed, key, got, want, then, &d.log)
					}
				}
				if slices.ContainsFunc(keys[1:], func(key sysctl.Key) bool { return then[key] != "10" }) {
					leaked++
				}
			}
			synctest.Wait()
		})
	}
	t.Logf("killed %d times, %d times with a leak on the host, %d times after somebody else had set a key", died, leaked, foreign)
	if died < 100 || leaked < 20 || foreign < 20 {
		t.Error("too few to tell")
	}
}
