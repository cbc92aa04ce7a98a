package parent

import (
	"fmt"
	"math/rand/v2"
	"path"
	"reflect"
	"slices"
	"testing"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/trace"
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
			if again := o.reversed().reversed(); !reflect.DeepEqual(again.parts, o.parts) {
				t.Error("reversed twice is another order")
			}
			back := o.reversed()
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
	a, b, other := planOf(100, 1).order(), planOf(100, 1).order(), planOf(100, 2).order()
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

func TestMovedBetween(t *testing.T) {
	at := func(key, value string) trace.Effect {
		return trace.Effect{Place: trace.Place{Observer: trace.Host, Key: sysctl.Key(key)}, Before: sysctl.State{Value: "0"}, After: sysctl.State{Value: value}}
	}
	for _, tt := range []struct {
		name string
		a, b []trace.Effect
		want []string
	}{
		{"nothing", nil, nil, nil},
		{"still off", []trace.Effect{at("a", "1")}, []trace.Effect{at("a", "1")}, nil},
		{"moved on", []trace.Effect{at("a", "1"), at("b", "1")}, []trace.Effect{at("a", "2"), at("b", "1")}, []string{"a"}},
		{"new", nil, []trace.Effect{at("a", "1")}, []string{"a"}},
		{"came back", []trace.Effect{at("a", "1")}, nil, []string{"a"}},
		{"all kinds", []trace.Effect{at("a", "1"), at("b", "1"), at("c", "1")}, []trace.Effect{at("b", "2"), at("c", "1"), at("d", "1")}, []string{"a", "b", "d"}},
	} {
		var got []string
		for _, p := range movedBetween(tt.a, tt.b) {
			got = append(got, string(p.Key))
		}
		slices.Sort(got)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	host, sibling := at("a", "1"), at("a", "1")
	sibling.Observer = trace.Sibling
	if got := movedBetween([]trace.Effect{host}, []trace.Effect{sibling}); len(got) != 2 {
		t.Errorf("two observers are taken for one: %v", got)
	}
}

// TestDevicesTogether: the same key of several devices is written in one batch, a
// key that disrupts with nothing but itself, and all of them apart from other keys.
func TestDevicesTogether(t *testing.T) {
	r := &run{rng: rand.New(rand.NewPCG(1, 0)), writing: &writing{}}
	for _, dev := range []string{"all", "default", "lo", "nv-vlan.100", "eth0"} {
		for _, name := range []string{"forwarding", "rp_filter", "tag"} {
			k := sysctl.Key("net/ipv4/conf/" + dev + "/" + name)
			r.plan = append(r.plan, planned{entry: sysctl.Entry{Key: k}, disruptive: name == "forwarding"})
		}
	}
	of := func(batch []int) (names []string, devices int) {
		for _, i := range batch {
			k := r.plan[i].entry.Key
			names = append(names, path.Base(string(k)))
			if name, _ := k.Device(); name != "" {
				devices++
			}
		}
		slices.Sort(names)
		return slices.Compact(names), devices
	}
	for _, o := range []order{r.order(), r.order().reversed()} {
		var got []string
		for _, batch := range o.batches(64) {
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
		for _, batch := range o.batches(1) {
			if len(batch) != 1 {
				t.Errorf("by one, %d keys are written together", len(batch))
			}
		}
	}
}
