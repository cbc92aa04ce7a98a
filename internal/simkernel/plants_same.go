package simkernel

import (
	"strings"
	"time"
)

// accepted is a write that the handler took.
func accepted(e *event) bool {
	return e.errno == 0 && (e.new != e.old || strings.TrimSpace(e.in) != "")
}

func rejected(e *event) bool { return e.errno != 0 }

// written is an effect's value that is the one written.
func written(e *event) string { return e.new }

func constant(v string) func(*event) string { return func(*event) string { return v } }

// plantGlobal plants one variable for everybody.
func plantGlobal(g *generator, kind Kind) { g.globalLeak(kind) }

func (g *generator) globalLeak(kind Kind) (key int) {
	m := even(g.anyKey())
	m.global = true
	key = g.add(m)
	g.keys[key].plant = g.plant(kind, key)
	return key
}

// plantSameHost plants a handler that also sets the host's value.
func plantSameHost(g *generator, kind Kind) {
	key := g.add(g.cause())
	g.setsHost(g.plant(kind, key), key, accepted, written, 0)
}

// plantRestless plants a leak that hides in a key of the host that moves by
// itself. It may be missed, but the key must not be called isolated.
func plantRestless(g *generator, kind Kind) {
	m := g.restlessKey()
	m.host.mode, m.child.mode, m.inherit = modeBoth, modeBoth, false
	m.restless.onHost, m.restless.blink = true, false
	key := g.add(m)
	g.rule(rule{
		plant: g.plant(kind, key), name: "sets the host's", when: accepted,
		actions: []action{{to: toHost, key: key, value: written}},
	}, key)
}

// setsHost adds the rule of a leak to the host's key of the same name. Now and
// then the host's handler has a side effect, so that putting the value back
// moves another key of the host.
func (g *generator) setsHost(plant, key int, when func(*event) bool, value func(*event) string, delay time.Duration) {
	g.rule(rule{
		plant: plant, name: "sets the host's", when: when, delay: delay,
		actions: []action{{to: toHost, key: key, value: value}},
	}, key)
	if m := g.keys[key]; g.chance(10) && m.format.isBool() {
		follower := g.boolean()
		follower.host.value, follower.child.value = m.host.value, m.child.value
		if g.chance(30) { // the administrator set it apart
			follower.host.value = flip(follower.host.value)
		}
		g.side(key, sameNS{key: g.add(follower), value: func(value, _ string) string { return value }})
	}
}

func flip(v string) string {
	if v == "0" {
		return "1"
	}
	return "0"
}

func plantSetOnly(g *generator, kind Kind) {
	m := g.numeric()
	m.host.value, m.child.value = "0", "0"
	key := g.add(m)
	value := written
	if g.chance(50) {
		value = constant("1")
	}
	g.setsHost(g.plant(kind, key), key, func(e *event) bool { return accepted(e) && e.new != "0" }, value, 0)
}

// plantLatchSame plants what can be changed once, by anybody, for everybody; or
// once on the host by its children.
func plantLatchSame(g *generator, kind Kind) {
	m := g.numeric()
	if g.chance(60) {
		m.global, m.latch = true, true
		key := g.add(m)
		n := g.plant(kind, key)
		g.keys[key].plant = n
		g.plants[n-1].oneWay = true
		return
	}
	key := g.add(m)
	n := g.plant(kind, key)
	g.plants[n-1].oneWay = true
	original := m.child.value
	g.rule(rule{
		plant: n, name: "latches the host's", when: func(e *event) bool { return accepted(e) && e.new != original },
		actions: []action{{to: toHost, key: key, value: written, latch: true}},
	}, key)
}

// plantDecrease plants a leak that only going down shows. Half of these keys
// cannot go up, so that every run finds it.
func plantDecrease(g *generator, kind Kind) {
	m := g.numeric()
	if g.chance(50) {
		if m.format.isBool() {
			m.host.value, m.child.value = "1", "1"
		} else {
			m.format.step, m.format.clamp = 0, false
			m.host.value = decimal(integer(m.host.value) + 10)
			m = even(keyModel{name: m.name, format: m.format, host: m.host, child: m.host})
			m.format.max = integer(m.host.value)
		}
	}
	key := g.add(m)
	g.effectOf(g.plant(kind, key), key, func(e *event) bool {
		return accepted(e) && integer(e.new) < integer(e.old)
	})
}

// plantValueDependent plants a leak of some values: above a threshold, or one.
func plantValueDependent(g *generator, kind Kind) {
	if g.chance(15) {
		key := g.words()
		m := &g.keys[key]
		word := g.keys[key].child.value
		for m.format.shape == shapeWord && word == m.child.value {
			word = pick(g.rng, m.format.words...)
		}
		g.effectOf(g.plant(kind, key), key, func(e *event) bool {
			return accepted(e) && e.new == word && e.new != e.old
		})
		return
	}
	key := g.add(g.integer())
	d := integer(g.keys[key].child.value)
	var fits func(int64) bool
	switch t := pick[int64](g.rng, 0, 0, 0, 1, 5, 100); g.rng.IntN(10) { // most runs try the next value only
	case 0, 1, 2, 3, 4:
		fits = func(n int64) bool { return n > d+t }
	case 5:
		fits = func(n int64) bool { return n >= 2*d+2 }
	default:
		exact := pick(g.rng, d+1, d+1, d-1, d-1, d+10, 2*d, 70000)
		fits = func(n int64) bool { return n == exact && n != d }
	}
	g.effectOf(g.plant(kind, key), key, func(e *event) bool { return accepted(e) && fits(integer(e.new)) })
}

// effectOf gives a leak with a condition of its own one of the usual effects.
func (g *generator) effectOf(plant, key int, when func(*event) bool) {
	if g.chance(40) && g.keys[key].format.shape == shapeInt {
		g.setsHost(plant, key, when, written, 0)
		return
	}
	to := pick(g.rng, toHost, toHost|toOthers)
	victim := g.victim(to)
	g.rule(rule{
		plant: plant, name: "sets another key", when: when,
		actions: []action{{to: to, key: victim, value: constant(g.other(victim))}},
	}, key)
}

// plantRejected plants a leak by a write that is refused: always, or because the
// default is at the end of the range and the next value is past it.
func plantRejected(g *generator, kind Kind) {
	m := even(g.integer())
	if g.chance(50) {
		m.refuse = pick(g.rng, refusals...)
	} else {
		m.format = format{max: integer(m.host.value)}
		if g.chance(30) {
			m.format = format{max: 1 << 30, step: 1000, multiple: true}
			m.host.value = "5000"
			m.child.value = "5000"
		}
	}
	key := g.add(m)
	g.effectOf2(g.plant(kind, key), key, rejected)
}

// effectOf2 is effectOf for a write that leaves the writer's value alone: the
// host's key of the same name is set to something else.
func (g *generator) effectOf2(plant, key int, when func(*event) bool) {
	if g.chance(60) {
		to := pick(g.rng, toHost, toHost|toOthers, toOthers)
		victim := g.victim(to)
		g.rule(rule{
			plant: plant, name: "sets another key", when: when,
			actions: []action{{to: to, key: victim, value: constant(g.other(victim))}},
		}, key)
		return
	}
	value := "0"
	if g.keys[key].host.value == "0" {
		value = "1"
	}
	g.rule(rule{
		plant: plant, name: "sets the host's", when: when,
		actions: []action{{to: toHost, key: key, value: constant(value)}},
	}, key)
}

// plantAtExit plants a host's value that is taken from the writer's when that is gone.
func plantAtExit(g *generator, kind Kind) {
	key := g.add(even(g.numeric()))
	g.rule(rule{
		plant: g.plant(kind, key), name: "sets the host's at the end", when: func(*event) bool { return true }, exit: true,
		delay: g.shortDelay(), actions: []action{{to: toHost, key: key, value: written}},
	}, key)
}

func plantDelayed(g *generator, kind Kind) {
	delay := g.delay()
	same := g.chance(40)
	key := g.add(g.cause())
	n := g.plant(kind, key)
	if same {
		g.setsHost(n, key, accepted, written, delay)
		return
	}
	to := pick(g.rng, toHost, toHost|toOthers, toOthers)
	victim := g.victim(to)
	g.rule(rule{
		plant: n, name: "sets another key later", when: accepted, delay: delay,
		actions: []action{{to: to, key: victim, value: constant(g.other(victim))}},
	}, key)
}
