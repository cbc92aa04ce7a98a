package parent

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// planOf is a run with n keys planned; of each ten, one is skipped and two disrupt.
func planOf(n int, seed uint64) *run {
	r := &run{rng: rand.New(rand.NewPCG(seed, 0)), writing: &writing{}}
	for i := range n {
		p := planned{entry: sysctl.Entry{Key: sysctl.Key(fmt.Sprintf("net/%03d", i))}, disruptive: i%10 < 2}
		if i%10 == 5 {
			p.skip = report.ReasonExcluded
		}
		r.plan = append(r.plan, p)
	}
	return r
}

func TestOrder(t *testing.T) {
	for _, n := range []int{0, 1, 2, 9, 64, 65, 200} {
		for _, size := range []int{1, 7, 64, 1000} {
			r := planOf(n, uint64(n))
			o := r.order()
			for name, o := range map[string]order{"forward": o, "reversed": o.reversed()} {
				seen := map[int]int{}
				alone := 0
				for i, batch := range o.batches(size) {
					if len(batch) == 0 || len(batch) > size {
						t.Errorf("%d keys by %d, %s: batch %d has %d keys", n, size, name, i, len(batch))
					}
					for _, index := range batch {
						seen[index]++
						switch p := r.plan[index]; {
						case p.skip != "":
							t.Errorf("%s is skipped and in batch %d", p.entry.Key, i)
						case p.disruptive && len(batch) > 1:
							t.Errorf("%s disrupts and is not alone", p.entry.Key)
						case p.disruptive:
							alone++
						case alone > 0:
							t.Errorf("%s comes after keys that disrupt", p.entry.Key)
						}
					}
				}
				for i, p := range r.plan {
					want := 1
					if p.skip != "" {
						want = 0
					}
					if seen[i] != want {
						t.Errorf("%d keys by %d, %s: %s is written %d times, want %d", n, size, name, p.entry.Key, seen[i], want)
					}
				}
			}
			again := o.reversed().reversed()
			if !slices.Equal(again.normal, o.normal) || !slices.Equal(again.disruptive, o.disruptive) {
				t.Error("reversed twice is another order")
			}
			back := o.reversed()
			for i, index := range o.normal {
				if back.normal[len(o.normal)-1-i] != index {
					t.Fatalf("not reversed: %v of %v", back.normal, o.normal)
				}
			}
			for i, index := range o.disruptive {
				if back.disruptive[len(o.disruptive)-1-i] != index {
					t.Fatalf("not reversed: %v of %v", back.disruptive, o.disruptive)
				}
			}
		}
	}
}

func TestOrderFollowsTheSeed(t *testing.T) {
	a, b, other := planOf(100, 1).order(), planOf(100, 1).order(), planOf(100, 2).order()
	if !slices.Equal(a.normal, b.normal) || !slices.Equal(a.disruptive, b.disruptive) {
		t.Error("one seed gives two orders")
	}
	if slices.Equal(a.normal, other.normal) {
		t.Error("two seeds give one order")
	}
	if slices.IsSorted(a.normal) {
		t.Error("not shuffled")
	}
}

func TestMovedBetween(t *testing.T) {
	at := func(key, value string) effect {
		return effect{place{observerHost, sysctl.Key(key)}, sysctl.State{Value: "0"}, sysctl.State{Value: value}}
	}
	for _, tt := range []struct {
		name string
		a, b []effect
		want []string
	}{
		{"nothing", nil, nil, nil},
		{"still off", []effect{at("a", "1")}, []effect{at("a", "1")}, nil},
		{"moved on", []effect{at("a", "1"), at("b", "1")}, []effect{at("a", "2"), at("b", "1")}, []string{"a"}},
		{"new", nil, []effect{at("a", "1")}, []string{"a"}},
		{"came back", []effect{at("a", "1")}, nil, []string{"a"}},
		{"all kinds", []effect{at("a", "1"), at("b", "1"), at("c", "1")}, []effect{at("b", "2"), at("c", "1"), at("d", "1")}, []string{"a", "b", "d"}},
	} {
		var got []string
		for _, p := range movedBetween(tt.a, tt.b) {
			got = append(got, string(p.key))
		}
		slices.Sort(got)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	host, sibling := at("a", "1"), at("a", "1")
	sibling.observer = observerSibling
	if got := movedBetween([]effect{host}, []effect{sibling}); len(got) != 2 {
		t.Errorf("two observers are taken for one: %v", got)
	}
}
