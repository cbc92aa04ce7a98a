package simkernel

import (
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"time"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// The sizes of generated kernels.
const (
	minKeys  = 4
	maxKeys  = 60
	maxLeaks = 4

	// One kernel of largeEvery has this many keys: a pass is several batches of 256.
	largeEvery = 100
	largeKeys  = 400
)

// Generate draws a kernel and the truth about it. Equal seeds give equal kernels.
func Generate(seed uint64) (*Kernel, Truth) {
	return generate(seed, func(g *generator) {
		g.needDevices(seed)
		for range g.leaks() {
			kind := Kind(g.rng.IntN(len(kinds)))
			kinds[kind].plant(g, kind)
		}
		for seed%largeEvery == largeEvery-1 && len(g.keys) < largeKeys {
			g.add(g.anyKey()) // no restless ones: where there are dozens, they use up the replays
		}
	})
}

// GenerateKind draws a kernel with one leak of a kind.
func GenerateKind(seed uint64, kind Kind) (*Kernel, Truth) {
	return generate(seed, func(g *generator) {
		g.needDevices(seed)
		kinds[kind].plant(g, kind)
	})
}

// needDevices has children of most kernels get the host's devices on request only. In
// the others all namespaces have them from the start, as some kernels have it with tunl0.
func (g *generator) needDevices(seed uint64) {
	if seed%5 < 3 {
		g.devices = devices
	}
}

func generate(seed uint64, plant func(*generator)) (*Kernel, Truth) {
	draw := func(c clock) (*Kernel, *builder) {
		g := &generator{
			builder:   newBuilder(),
			keyDrawer: keyDrawer{rng: rand.New(rand.NewPCG(seed, 0x6e65746e73)), taken: map[sysctl.Key]bool{}},
		}
		spread := maxKeys - minKeys + 1
		size := minKeys + min(g.rng.IntN(spread), g.rng.IntN(spread), g.rng.IntN(spread)) // mostly small: there are many
		plant(g)
		for len(g.keys) < size {
			g.bystander()
		}
		return g.finish(seed, c), g.builder
	}
	k, b := draw(realClock{})
	t := Truth{Seed: seed, Plants: k.plants, Keys: b.truth(k)}
	t.again = func() *Kernel {
		k, _ := draw(&manualClock{time.Unix(0, 0)})
		return k
	}
	return k, t
}

// generator draws the parts of a kernel.
type generator struct {
	*builder
	keyDrawer
}

func (g *generator) leaks() int {
	switch n := g.rng.IntN(100); {
	case n < 12:
		return 0
	case n < 45:
		return 1
	case n < 70:
		return 2
	case n < 88:
		return 3
	}
	return maxLeaks
}

// bystander adds a key, or a few, that leaks nothing.
func (g *generator) bystander() {
	switch n := g.rng.IntN(100); {
	case n < 40:
		g.add(g.anyKey())
	case n < 50:
		g.sideEffects()
	case n < 60:
		m := g.anyKey()
		m.inherit = true
		m.child.value = m.host.value
		if g.chance(30) {
			m.child.mode = 0o444
		}
		g.add(m)
	case n < 68:
		m := g.anyKey()
		if g.chance(25) {
			m.ignore = true
		} else {
			m.refuse = pick(g.rng, refusals...)
		}
		g.add(m)
	case n < 74:
		m := g.anyKey()
		m.child.mode = pick(g.rng, modeNone, modeRead)
		g.add(m)
	case n < 78:
		g.sharedReadOnly()
	case n < 81:
		m := g.anyKey()
		m.host.mode = modeNone
		g.add(m)
	case n < 84:
		m := g.integer()
		m.host.mode, m.child.mode = modeWrite, modeWrite
		g.add(m)
	case n < 86:
		m := g.anyKey()
		m.hidden = true
		g.add(m)
	case n < 89:
		m := g.anyKey()
		m.host.mode, m.child.mode = modeSecret, modeSecret
		g.add(m)
	case n < 92:
		g.words()
	default:
		g.add(g.restlessKey())
	}
}

// sharedReadOnly adds a key that children see live and may not write.
func (g *generator) sharedReadOnly() {
	m := g.anyKey()
	m.global = true
	m.child.mode = modeRead
	g.add(m)
}

// sideEffects adds a key that moves one or two others of its own namespace.
func (g *generator) sideEffects() {
	if g.chance(50) {
		a := g.add(g.boolean())
		for range 1 + g.rng.IntN(2) {
			m := g.boolean()
			m.host.value, m.child.value = g.keys[a].host.value, g.keys[a].child.value
			g.side(a, sameNS{key: g.add(m), value: func(value, _ string) string { return value }})
		}
		return
	}
	a, b := g.add(g.integer()), g.add(g.integer())
	constant := g.other(b)
	switch g.rng.IntN(3) {
	case 0:
		g.side(a, sameNS{key: b, value: func(_, _ string) string { return constant }})
	case 1: // each of the two follows the other, in another unit
		g.side(a, sameNS{key: b, value: func(value, _ string) string { return decimal(integer(value) * 4) }})
		g.side(b, sameNS{key: a, value: func(value, _ string) string { return decimal(integer(value) / 4) }})
	default:
		original := g.keys[b].child.value
		g.side(a, sameNS{key: b, value: func(_, now string) string {
			if now == original {
				return constant
			}
			return original
		}})
	}
}

// words adds a key that takes one word out of a list that a key beside it publishes.
func (g *generator) words() int {
	vocabulary := []string{"reno", "cubic", "bbr", "vegas"}[:2+g.rng.IntN(3)]
	dir := path.Dir(string(g.name()))
	suffix := fmt.Sprintf("%03x", g.rng.IntN(1<<12))
	list := g.model(format{shape: shapeText}, strings.Join(vocabulary, " "))
	list.host.mode, list.child.mode = modeRead, modeRead
	m := g.model(format{shape: shapeWord, words: vocabulary}, pick(g.rng, vocabulary...))
	list.name = sysctl.Key(dir + "/words" + suffix + "/available_policies")
	m.name = sysctl.Key(dir + "/words" + suffix + "/policy")
	if g.taken[m.name] {
		return g.add(g.boolean())
	}
	g.taken[m.name] = true
	g.add(list)
	return g.add(m)
}

// other draws a value that a key has neither on the host nor in a child.
func (g *generator) other(key int) string {
	m := &g.keys[key]
	used := func(v string) bool { return v == m.host.value || v == m.child.value }
	switch {
	case m.format.isBool():
		for _, v := range []string{"0", "1"} {
			if !used(v) {
				return v
			}
		}
		return "2" // both are taken: what no write could give
	case m.format.shape == shapeInt:
		for {
			if v := decimal(integer(m.host.value) + pick[int64](g.rng, 1, 2, 7, 100) + g.rng.Int64N(1000)); !used(v) {
				return v
			}
		}
	case m.format.shape == shapeVector:
		fields := strings.Fields(m.host.value)
		fields[len(fields)-1] = decimal(integer(fields[len(fields)-1]) + 1 + g.rng.Int64N(100))
		if v := strings.Join(fields, "\t"); !used(v) {
			return v
		}
	}
	return m.host.value + "x"
}
