package simkernel

// plantConjunctive plants a leak that needs two keys off their defaults.
func plantConjunctive(g *generator, kind Kind) {
	a, b := g.add(g.numeric()), g.add(g.numeric())
	off := func(e *event) bool {
		return e.ns.cells[a].value != e.ns.base[a].value && e.ns.cells[b].value != e.ns.base[b].value
	}
	n := g.plant(kind, a, b)
	to := pick(g.rng, toHost, toHost, toOthers, toHost|toOthers)
	victim := g.victim(to)
	set := g.other(victim)
	original := g.keys[victim].child.value
	r := rule{
		plant: n, name: "both are off their defaults",
		when:    func(e *event) bool { return accepted(e) && off(e) },
		actions: []action{{to: to, key: victim, value: constant(set)}},
	}
	if g.chance(50) { // and goes back with either
		r.when = accepted
		r.actions[0].value = func(e *event) string {
			if off(e) {
				return set
			}
			return original
		}
	}
	g.rule(r, a, b)
}

// plantLatchTwo plants a latch that looks like the doing of one key alone.
func plantLatchTwo(g *generator, kind Kind) {
	a, b := g.add(g.numeric()), g.add(g.numeric())
	n := g.plant(kind, a, b)
	g.plants[n-1].oneWay = true
	g.rule(rule{
		plant: n, name: "both are off their defaults",
		when: func(e *event) bool {
			return accepted(e) && e.key == b && e.ns.cells[a].value != e.ns.base[a].value && e.new != e.ns.base[b].value
		},
		actions: []action{{to: toHost, key: b, value: written, latch: true}},
	}, b)
}

// plantLatchLate plants a latch of another key that comes when the write is long
// over, with a value that the key is likely to be given itself.
func plantLatchLate(g *generator, kind Kind) {
	cause, victim := g.add(g.numeric()), g.add(g.numeric())
	n := g.plant(kind, cause)
	g.plants[n-1].oneWay = true
	g.rule(rule{
		plant: n, name: "latches another key later", when: accepted, delay: g.delay(),
		actions: []action{{to: toHost, key: victim, value: constant(g.likely(victim)), latch: true}},
	}, cause)
}

// plantMasked plants a leak that any write to another key undoes; now and then
// that key undoes two.
func plantMasked(g *generator, kind Kind) {
	mask := g.add(g.anyKey())
	undo := rule{name: "puts another key back", when: func(*event) bool { return true }}
	for range 1 + g.rng.IntN(2) {
		var victim int
		switch g.rng.IntN(3) {
		case 0:
			victim = g.globalLeak(kind)
		case 1:
			cause := g.add(g.cause())
			victim = g.victim(toHost)
			g.rule(rule{
				plant: g.plant(kind, cause), name: "sets another key", when: accepted,
				actions: []action{{to: toHost, key: victim, value: constant(g.other(victim))}},
			}, cause)
		default:
			var cause int
			var value func(*event) string
			cause, victim, value = g.follower()
			g.rule(rule{
				plant: g.plant(kind, cause), name: "another key follows", when: accepted,
				actions: []action{{to: toHost, key: victim, value: value}},
			}, cause)
		}
		undo.actions = append(undo.actions, action{to: toHost, key: victim, value: constant(g.keys[victim].host.value)})
	}
	g.rule(undo, mask)
}

// plantShared plants two causes of one effect: two keys that set a third one, to
// different values or the same, or a variable of everybody that another key sets.
func plantShared(g *generator, kind Kind) {
	to := pick(g.rng, toHost, toHost|toOthers)
	if g.chance(35) {
		victim := g.globalLeak(kind)
		cause := g.add(g.cause())
		g.rule(rule{
			plant: g.plant(kind, cause), name: "sets another key", when: accepted,
			actions: []action{{to: toHost, key: victim, value: constant(g.other(victim))}},
		}, cause)
		return
	}
	cause, victim, value := g.follower()
	set := g.other(victim)
	if g.chance(50) {
		value = constant(set)
	}
	g.rule(rule{
		plant: g.plant(kind, cause), name: "sets another key", when: accepted,
		actions: []action{{to: to, key: victim, value: value}},
	}, cause)
	second := set
	for i := 0; i < 10 && second == set && g.chance(80); i++ {
		second = g.other(victim)
	}
	also := g.add(g.cause())
	g.rule(rule{
		plant: g.plant(kind, also), name: "sets the same key", when: accepted,
		actions: []action{{to: to, key: victim, value: constant(second)}},
	}, also)
}

// plantChain plants a side effect on a variable of everybody (as ip_forward on
// forwarding), or a key that is an effect here and a cause there.
func plantChain(g *generator, kind Kind) {
	if g.chance(50) {
		a, b := g.boolean(), g.boolean()
		a.host.value, a.child.value = b.host.value, b.child.value
		b.global = true
		first, second := g.add(a), g.add(b)
		n := g.plant(kind, first)
		g.plants[n-1].viaSide = second
		g.side(first, sameNS{key: second, value: func(value, _ string) string { return value }, plant: n})
		g.keys[second].plant = g.plant(kind, second)
		return
	}
	first, second, value := g.follower()
	g.keys[second].child.mode = modeBoth
	g.rule(rule{
		plant: g.plant(kind, first), name: "another key follows", when: accepted,
		actions: []action{{to: toHost, key: second, value: value}},
	}, first)
	to := pick(g.rng, toHost, toOthers, toHost|toOthers)
	third := g.victim(to)
	g.rule(rule{
		plant: g.plant(kind, second), name: "sets another key", when: accepted,
		actions: []action{{to: to, key: third, value: constant(g.other(third))}},
	}, second)
}
