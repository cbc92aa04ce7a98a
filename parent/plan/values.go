package plan

import (
	"math/rand/v2"
	"slices"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// NextValues chooses, for each key, a value that was not written yet, and tells whether
// there was any. Without is keys that are left out: what leaks has shown it, and would hide
// others' leaks. Of devices' keys it is those of the sample.
func (p *Plan) NextValues(writes []trace.Write, without map[sysctl.Key]bool) (any bool) {
	type attempt struct {
		key   sysctl.Key
		value string
	}
	tried := map[attempt]bool{}
	for _, w := range writes {
		tried[attempt{w.Key, w.Value}] = true
	}
	p.exactly(without, func(k Key) []string {
		for _, v := range k.All {
			if !tried[attempt{k.Entry.Key, v}] {
				any = true
				return []string{v}
			}
		}
		return nil
	})
	return any
}

// FirstValues chooses the value that took effect in the first pass, but for keys that would
// move the others, or end them.
func (p *Plan) FirstValues(without map[sysctl.Key]bool) {
	p.exactly(without, func(k Key) []string {
		if k.Disruptive || k.Effective == "" {
			return nil
		}
		return []string{k.Effective}
	})
}

// SecondValues chooses, twice, another value that took effect, or else what a fresh writer has.
func (p *Plan) SecondValues(writes []trace.Write, without map[sysctl.Key]bool) {
	took := map[sysctl.Key]string{}
	effective := map[sysctl.Key]string{}
	for _, k := range p.Keys {
		effective[k.Entry.Key] = k.Effective
	}
	for _, w := range slices.Backward(writes) {
		if w.Perturbed() && w.Value != effective[w.Key] {
			took[w.Key] = w.Value
		}
	}
	p.exactly(without, func(k Key) []string {
		v, ok := took[k.Entry.Key]
		if !ok {
			v = k.Entry.State.Value
		}
		if v == "" {
			return nil
		}
		return []string{v, v}
	})
}

func (p *Plan) exactly(without map[sysctl.Key]bool, values func(Key) []string) {
	for i, k := range p.Keys {
		p.Keys[i].exact = nil
		if k.Skip == "" && !k.Latch && !without[k.Entry.Key] && p.Sampled(i) {
			p.Keys[i].exact = values(k)
		}
	}
}

// ValuesOrder is the keys that were given a value by one of these, in a new order.
func (p *Plan) ValuesOrder(rng *rand.Rand) Order {
	o := p.Order(rng).Only(func(i int) bool { return len(p.Keys[i].exact) > 0 })
	o.Latches = nil
	return o
}
