package simkernel

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"time"
)

// restless says how a key changes without any write.
type restless struct {
	onHost, inChildren bool
	// every is the mean time between changes; 0 means with every read.
	every time.Duration
	// blink comes and goes; else count grows and the rest jumps about.
	blink, count bool
}

// drift is one restless key in one namespace.
type drift struct {
	rng  *rand.Rand
	next time.Time
}

// manyTicks bounds how many changes are caught up with at one access.
const manyTicks = 16

func newDrift(r *restless, now time.Time, seed uint64, ns *namespace, key int) *drift {
	h := fnv.New64a() // neighbours must not drift alike
	_, _ = fmt.Fprint(h, ns.role, " ", ns.number, " ", key)
	d := &drift{rng: rand.New(rand.NewPCG(seed, h.Sum64()))}
	d.next = now.Add(d.wait(r))
	return d
}

func (d *drift) wait(r *restless) time.Duration {
	return time.Duration(float64(r.every) * d.rng.ExpFloat64())
}

// drifted brings a restless key up to date.
func (k *Kernel) drifted(ns *namespace, key int, reading bool) {
	d := ns.drift[key]
	if d == nil {
		return
	}
	r, c := k.keys[key].restless, &ns.cells[key]
	if r.every == 0 {
		if reading {
			d.step(r, c)
		}
		return
	}
	now := k.clock.now()
	for range manyTicks {
		if d.next.After(now) {
			return
		}
		d.step(r, c)
		d.next = d.next.Add(d.wait(r))
	}
	d.next = now.Add(d.wait(r))
}

func (d *drift) step(r *restless, c *cell) {
	switch n := integer(c.value); {
	case r.blink:
		c.present = !c.present
	case r.count:
		c.value = strconv.FormatInt(n+1+d.rng.Int64N(5), 10)
	default:
		c.value = strconv.FormatInt(d.rng.Int64N(1000), 10)
	}
}
