package parent

import (
	"slices"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// order is the indices of the plan's keys in the order of a pass: latches are
// written first, each by a writer that writes nothing else, because what they
// do must be certain without a replay.
type order struct {
	latches []int
	parts   []part
}

// part is the keys of devices, or all others. Each unit is one key; the same key
// of several devices is one unit, too: it is the same code, at work on its own
// device only.
type part struct{ normal, disruptive [][]int }

// order shuffles the plan. The keys of devices come first, and in both parts those
// that disrupt last.
func (r *run) order() order {
	var o order
	var devices, others part
	at := map[sysctl.Key]int{}
	var units [][]int
	for i, p := range r.plan {
		_, of := p.entry.Key.Device()
		n, known := at[of]
		if p.skip == "" && p.loads && !p.latch {
			o.latches = append(o.latches, i) // and once more when the module is there
		}
		switch {
		case p.skip != "":
		case p.latch:
			o.latches = append(o.latches, i)
		case known && of != "":
			units[n] = append(units[n], i)
		default:
			at[of] = len(units)
			units = append(units, []int{i})
		}
	}
	for _, unit := range units {
		to, p := &others, r.plan[unit[0]]
		if name, _ := p.entry.Key.Device(); name != "" {
			to = &devices
		}
		if p.disruptive {
			to.disruptive = append(to.disruptive, unit)
		} else {
			to.normal = append(to.normal, unit)
		}
	}
	o.parts = []part{devices, others}
	for _, p := range o.parts {
		for _, s := range [][][]int{p.normal, p.disruptive} {
			r.rng.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
		}
	}
	return o
}

// reversed is the order of the second pass: a leak that one key causes and
// another undoes shows in one of the two. Keys that disrupt stay last: each is
// swept alone, so that nothing can hide it.
func (o order) reversed() order {
	out := order{} // a latch has shown what it does
	for _, p := range backwards(o.parts) {
		out.parts = append(out.parts, part{backwardsUnits(p.normal), backwardsUnits(p.disruptive)})
	}
	return out
}

func backwardsUnits(units [][]int) [][]int {
	out := backwards(units)
	for i := range out {
		out[i] = backwards(out[i])
	}
	return out
}

func backwards[T any](s []T) []T {
	s = slices.Clone(s)
	slices.Reverse(s)
	return s
}

// sampled tells that a key is not one of a device, or of the one that stands for
// all where much is done with each key: the keys of all are of the same code.
func (r *run) sampled(index int) bool {
	name, _ := r.plan[index].entry.Key.Device()
	return name == "" || name == r.sample
}

// sampleOf chooses that device: lo, or where lo is excluded the first; none where
// no key of a device is to be written.
func sampleOf(plan []planned) (first string) {
	for _, p := range plan {
		name, _ := p.entry.Key.Device()
		switch {
		case name == "" || p.skip != "":
		case name == loopback:
			return loopback
		case first == "":
			first = name
		}
	}
	return first
}

// only is the order of fewer keys.
func (o order) only(keep func(index int) bool) order {
	some := func(units [][]int) (out [][]int) {
		for _, u := range units {
			if u = slices.DeleteFunc(slices.Clone(u), func(i int) bool { return !keep(i) }); len(u) > 0 {
				out = append(out, u)
			}
		}
		return out
	}
	out := order{latches: slices.Concat(some([][]int{o.latches})...)}
	for _, p := range o.parts {
		out.parts = append(out.parts, part{some(p.normal), some(p.disruptive)})
	}
	return out
}

// batches cuts an order into what is written between two sweeps: so many units, or
// one that disrupts. By one, it is a single write even where devices share a key.
func (o order) batches(size int) [][]int {
	var all [][]int
	add := func(units [][]int, n int) {
		for some := range slices.Chunk(units, n) {
			all = append(all, slices.Concat(some...))
		}
	}
	for _, p := range o.parts {
		add(p.normal, size)
		add(p.disruptive, 1)
	}
	if size > 1 {
		return all
	}
	var single [][]int
	for _, batch := range all {
		single = slices.AppendSeq(single, slices.Chunk(batch, 1))
	}
	return single
}
