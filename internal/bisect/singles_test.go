package bisect

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// Whatever causes the effects: those with one cause are found, with it, and no
// other is said to have one.
func TestSingles(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 0))
		items := rng.Perm(1 + rng.IntN(300))
		type cause struct {
			items []int
			all   bool // it takes all of them; else each does it
		}
		causes := map[int]cause{}
		want := map[int]int{}
		var effects []int
		for e := range rng.IntN(40) {
			c := cause{items: items[:min(1+rng.IntN(3), len(items))], all: rng.IntN(2) == 0}
			at := rng.IntN(len(items) - len(c.items) + 1)
			c.items = items[at : at+len(c.items)]
			causes[e] = c
			effects = append(effects, e)
			if len(c.items) == 1 {
				want[e] = at
			}
		}
		tests := 0
		got, err := Singles(items, effects, func(some []int) ([]int, error) {
			tests++
			shown := []int{-1} // nobody asked
			for e, c := range causes {
				n := 0
				for _, i := range c.items {
					if slices.Contains(some, i) {
						n++
					}
				}
				if n == len(c.items) || n > 0 && !c.all {
					shown = append(shown, e)
				}
			}
			return shown, nil
		})
		if err != nil || !maps.Equal(got, want) {
			t.Fatalf("seed %d, %d items: %v, %v, want %v", seed, len(items), got, err, want)
		}
		if tests > 12 || len(items) == 1 && tests > 0 || len(items) <= 70 && tests > 8 {
			t.Errorf("%d tests of %d items", tests, len(items))
		}
	}
}

func TestSinglesEnds(t *testing.T) {
	broken := errors.New("broken")
	if _, err := Singles([]int{1, 2}, []int{1}, func([]int) ([]int, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if got, err := Singles(nil, []int{1}, func([]int) ([]int, error) { return nil, nil }); err != nil || len(got) > 0 {
		t.Errorf("without items: %v, %v", got, err)
	}
}
