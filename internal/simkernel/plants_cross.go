package simkernel

// victim draws the key that a leak to others sets. To the host only, it may be a
// key that children see read-only or not at all.
func (g *generator) victim(to targets) int {
	var m keyModel
	switch n := g.rng.IntN(100); {
	case n < 50:
		m = g.integer()
	case n < 75:
		m = g.boolean()
	case n < 90:
		m = g.vector()
	default:
		m = g.text()
	}
	switch n := g.rng.IntN(100); {
	case n < 20:
		m.child.mode = modeRead
	case n < 35 && to == toHost:
		m.child.mode = modeNone
	case n < 45 && to == toHost:
		m.inherit = true
	case n < 50:
		m.host.mode, m.child.mode = modeSecret, modeSecret
	}
	return g.add(m)
}

func plantCrossFollow(g *generator, kind Kind) {
	plantFollow(g, kind, pick(g.rng, toHost, toHost|toOthers, toHost|toOthers|toLater))
}

func plantCrossConstant(g *generator, kind Kind) { plantConstant(g, kind, toHost|toOthers, false) }
func plantCrossHost(g *generator, kind Kind)     { plantConstant(g, kind, toHost, false) }

func plantSiblingOnly(g *generator, kind Kind) {
	if g.chance(50) {
		plantFollow(g, kind, toOthers)
		return
	}
	plantConstant(g, kind, toOthers, false)
}

func plantLaterFollow(g *generator, kind Kind)   { plantFollow(g, kind, toLater) }
func plantLaterConstant(g *generator, kind Kind) { plantConstant(g, kind, toLater, true) }

func plantLatchCross(g *generator, kind Kind) {
	plantConstant(g, kind, pick(g.rng, toHost, toHost|toOthers|toLater), true)
}

// plantFollow plants a key that follows another one's value. With the cause's
// original it is as it was.
func plantFollow(g *generator, kind Kind, to targets) {
	cause, victim, value := g.follower()
	g.rule(rule{
		plant: g.plant(kind, cause), name: "another key follows", when: accepted,
		actions: []action{{to: to, key: victim, value: value}},
	}, cause)
}

// follower draws a cause, a key that follows it, and how.
func (g *generator) follower() (cause, victim int, value func(*event) string) {
	if g.chance(30) {
		cause, victim = g.add(g.boolean()), g.add(g.boolean())
	} else {
		cause, victim = g.add(g.integer()), g.add(g.integer())
	}
	if g.chance(20) {
		g.keys[victim].child.mode = modeRead
	}
	return cause, victim, g.follows(cause, victim)
}

// follows says which value a key gets from another one's.
func (g *generator) follows(cause, victim int) func(*event) string {
	d, h := g.keys[cause].child.value, g.keys[victim].child.value
	if g.keys[cause].format.isBool() && g.keys[victim].format.isBool() {
		return func(e *event) string {
			if e.new == d {
				return h
			}
			return flip(h)
		}
	}
	return func(e *event) string { return decimal(integer(h) + integer(e.new) - integer(d)) }
}

// plantConstant plants a key that any accepted write to another one sets.
func plantConstant(g *generator, kind Kind, to targets, oneWay bool) {
	m := g.cause()
	if g.chance(10) {
		m = g.integer()
		m.host.mode, m.child.mode = modeWrite, modeWrite
	}
	cause := g.add(m)
	var victim int
	switch {
	case to&toLater != 0: // what is inherited has no template
		victim = g.add(g.numeric())
	case kind == CrossConstant && g.chance(30): // as tcp_allowed_congestion_control was
		g.sharedReadOnly()
		victim = len(g.keys) - 1
	default:
		victim = g.victim(to)
	}
	value := g.other(victim)
	if oneWay && g.chance(50) {
		value = g.likely(victim)
	}
	n := g.plant(kind, cause)
	g.plants[n-1].oneWay = oneWay
	g.rule(rule{
		plant: n, name: "sets another key", when: accepted,
		actions: []action{{to: to, key: victim, value: constant(value), latch: oneWay && to&toHost != 0}},
	}, cause)
}

// likely draws a value that a key may well be given itself: what a latch sets
// must not look like the key's own doing.
func (g *generator) likely(key int) string {
	v := &g.keys[key]
	if v.format.shape == shapeInt {
		if n, errno := v.format.number(decimal(integer(v.host.value) + pick[int64](g.rng, 1, -1))); errno == 0 && decimal(n) != v.host.value {
			return decimal(n)
		}
	}
	return g.other(key)
}

// plantExistence plants a key that comes or goes with another one's value.
func plantExistence(g *generator, kind Kind) {
	cause := g.add(g.numeric())
	m := g.numeric()
	to := pick(g.rng, toHost, toOthers, toHost|toOthers, toHost|toOthers|toLater)
	if kind == Appear {
		m.host.absent = to&toHost != 0
		m.child.absent = to&(toOthers|toLater) != 0
		if to == toHost && g.chance(50) {
			m.child.mode = modeNone
		}
	}
	if g.chance(50) {
		m.host.mode = modeRead
		if m.child.mode != modeNone {
			m.child.mode = modeRead
		}
	}
	victim := g.add(m)
	original, appear := g.keys[cause].child.value, kind == Appear
	g.rule(rule{
		plant: g.plant(kind, cause), name: "another key comes or goes", when: accepted,
		actions: []action{{to: to, key: victim, exists: func(e *event) bool {
			return (e.new != original) == appear
		}}},
	}, cause)
}

// plantMulti plants one cause of several effects.
func plantMulti(g *generator, kind Kind) {
	cause, victim, value := g.follower()
	r := rule{
		plant: g.plant(kind, cause), name: "sets several keys", when: accepted,
		actions: []action{{to: pick(g.rng, toHost, toOthers, toLater, toHost|toLater), key: victim, value: value}},
	}
	for range 1 + g.rng.IntN(2) {
		if g.chance(50) {
			to := pick(g.rng, toHost, toOthers, toHost|toOthers)
			key := g.victim(to)
			r.actions = append(r.actions, action{to: to, key: key, value: constant(g.other(key))})
			continue
		}
		m := g.integer()
		if g.keys[cause].format.isBool() {
			m = g.boolean()
		}
		key := g.add(m)
		r.actions = append(r.actions, action{
			to: pick(g.rng, toHost, toOthers, toLater, toHost|toOthers|toLater), key: key, value: g.follows(cause, key),
		})
	}
	g.rule(r, cause)
}
