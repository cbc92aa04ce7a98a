package plan

import (
	"math/rand/v2"
	"slices"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// Order is the indices of a plan's keys in the order of a pass.
type Order struct {
	// Latches are written first, each by a writer that writes nothing else, because what
	// they do must be certain without a replay.
	Latches []int
	parts   []part
}

// part is the keys of devices, or all others. Each unit is one key; the same key
// of several devices is one unit, too: it is the same code, at work on its own
// device only.
type part struct{ normal, disruptive [][]int }

// Order shuffles the plan. The keys of devices come first, and in both parts those
// that disrupt last.
func (p *Plan) Order(rng *rand.Rand) Order {
	var o Order
	var devices, others part
	at := map[sysctl.Key]int{}
	var units [][]int
	for i, k := range p.Keys {
		_, of := k.Entry.Key.Device()
		n, known := at[of]
		if k.Skip == "" && k.loads && !k.Latch {
			o.Latches = append(o.Latches, i) // and once more when the module is there
		}
		switch {
		case k.Skip != "":
		case k.Latch:
			o.Latches = append(o.Latches, i)
		case known && of != "":
			units[n] = append(units[n], i)
		default:
			at[of] = len(units)
			units = append(units, []int{i})
		}
	}
	for _, unit := range units {
		to, k := &others, p.Keys[unit[0]]
		if name, _ := k.Entry.Key.Device(); name != "" {
			to = &devices
		}
		if k.Disruptive {
			to.disruptive = append(to.disruptive, unit)
		} else {
			to.normal = append(to.normal, unit)
		}
	}
	o.parts = []part{devices, others}
	for _, p := range o.parts {
		for _, s := range [][][]int{p.normal, p.disruptive} {
			rng.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
		}
	}
	return o
}

// Reversed is the order of the second pass: a leak that one key causes and
// another undoes shows in one of the two. Keys that disrupt stay last: each is
// swept alone, so that nothing can hide it.
func (o Order) Reversed() Order {
	out := Order{} // a latch has shown what it does
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

// Only is the order of fewer keys.
func (o Order) Only(keep func(index int) bool) Order {
	some := func(units [][]int) (out [][]int) {
		for _, u := range units {
			if u = slices.DeleteFunc(slices.Clone(u), func(i int) bool { return !keep(i) }); len(u) > 0 {
				out = append(out, u)
			}
		}
		return out
	}
	out := Order{Latches: slices.Concat(some([][]int{o.Latches})...)}
	for _, p := range o.parts {
		out.parts = append(out.parts, part{some(p.normal), some(p.disruptive)})
	}
	return out
}

// Batches cuts an order into what is written between two sweeps: so many units, or
// one that disrupts. By one, it is a single write even where devices share a key.
func (o Order) Batches(size int) [][]int {
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

// Together is an order's batches where keys that disrupt need not be alone: by path
// each has been.
func (o Order) Together(size int) [][]int {
	all := slices.Collect(slices.Chunk(o.Latches, 1))
	for _, p := range o.parts {
		for _, units := range [][][]int{p.normal, p.disruptive} {
			all = slices.AppendSeq(all, slices.Chunk(slices.Concat(units...), size))
		}
	}
	return all
}
