package plan

import (
	"fmt"
	"math/rand/v2"
	"path"
	"reflect"
	"slices"
	"testing"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// planOf is a plan of n keys; of each ten, one is skipped and two disrupt.
func planOf(n int) *Plan {
	r := &Plan{}
	for i := range n {
		p := Key{Entry: sysctl.Entry{Key: sysctl.Key(fmt.Sprintf("net/%03d", i))}, Disruptive: i%10 < 2}
		if i%10 == 5 {
			p.Skip = report.ReasonExcluded
		}
		r.Keys = append(r.Keys, p)
	}
	return r
}

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

func TestOrder(t *testing.T) {
	for _, n := range []int{0, 1, 2, 9, 64, 65, 200} {
		for _, size := range []int{1, 7, 64, 1000} {
			r := planOf(n)
			o := r.Order(seeded(uint64(n)))
			for name, o := range map[string]Order{"forward": o, "reversed": o.Reversed()} {
				seen := map[int]int{}
				alone := 0
				for i, batch := range o.Batches(size) {
					if len(batch) == 0 || len(batch) > size {
						t.Errorf("%d keys by %d, %s: batch %d has %d keys", n, size, name, i, len(batch))
					}
					for _, index := range batch {
						seen[index]++
						switch p := r.Keys[index]; {
						case p.Skip != "":
							t.Errorf("%s is skipped and in batch %d", p.Entry.Key, i)
						case p.Disruptive && len(batch) > 1:
							t.Errorf("%s disrupts and is not alone", p.Entry.Key)
						case p.Disruptive:
							alone++
						case alone > 0:
							t.Errorf("%s comes after keys that disrupt", p.Entry.Key)
						}
					}
				}
				for i, p := range r.Keys {
					want := 1
					if p.Skip != "" {
						want = 0
					}
					if seen[i] != want {
						t.Errorf("%d keys by %d, %s: %s is written %d times, want %d", n, size, name, p.Entry.Key, seen[i], want)
					}
				}
			}
			if again := o.Reversed().Reversed(); !reflect.DeepEqual(again.parts, o.parts) {
				t.Error("reversed twice is another order")
			}
			back := o.Reversed()
			for i, p := range o.parts {
				of := back.parts[len(o.parts)-1-i]
				if !slices.Equal(slices.Concat(of.normal...), backwards(slices.Concat(p.normal...))) ||
					!slices.Equal(slices.Concat(of.disruptive...), backwards(slices.Concat(p.disruptive...))) {
					t.Fatalf("not reversed: %v of %v", of, p)
				}
			}
		}
	}
}

func TestOrderFollowsTheSeed(t *testing.T) {
	a, b, other := planOf(100).Order(seeded(1)), planOf(100).Order(seeded(1)), planOf(100).Order(seeded(2))
	if !reflect.DeepEqual(a, b) {
		t.Error("one seed gives two orders")
	}
	normal := slices.Concat(a.parts[1].normal...)
	if slices.Equal(normal, slices.Concat(other.parts[1].normal...)) {
		t.Error("two seeds give one order")
	}
	if slices.IsSorted(normal) {
		t.Error("not shuffled")
	}
}

// TestDevicesTogether: the same key of several devices is written in one batch, a
// key that disrupts with nothing but itself, and all of them apart from other keys.
func TestDevicesTogether(t *testing.T) {
	r := &Plan{}
	for _, dev := range []string{"all", "default", "lo", "nv-vlan.100", "eth0"} {
		for _, name := range []string{"forwarding", "rp_filter", "tag"} {
			k := sysctl.Key("net/ipv4/conf/" + dev + "/" + name)
			r.Keys = append(r.Keys, Key{Entry: sysctl.Entry{Key: k}, Disruptive: name == "forwarding"})
		}
	}
	of := func(batch []int) (names []string, devices int) {
		for _, i := range batch {
			k := r.Keys[i].Entry.Key
			names = append(names, path.Base(string(k)))
			if name, _ := k.Device(); name != "" {
				devices++
			}
		}
		slices.Sort(names)
		return slices.Compact(names), devices
	}
	for _, o := range []Order{r.Order(seeded(1)), r.Order(seeded(1)).Reversed()} {
		var got []string
		for _, batch := range o.Batches(64) {
			names, devices := of(batch)
			if devices > 0 && devices < len(batch) {
				t.Errorf("keys of devices are mixed with others: %v", batch)
			}
			got = append(got, fmt.Sprint(names, len(batch), devices))
		}
		slices.Sort(got)
		want := []string{"[forwarding] 1 0", "[forwarding] 1 0", "[forwarding] 3 3", "[rp_filter tag] 4 0", "[rp_filter tag] 6 6"}
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		for _, batch := range o.Batches(1) {
			if len(batch) != 1 {
				t.Errorf("by one, %d keys are written together", len(batch))
			}
		}
	}
}
