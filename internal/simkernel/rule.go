package simkernel

import (
	"maps"
	"slices"
	"time"

	"github.com/netns-verify/netns-verify/internal/report"
)

// rule is a planted behaviour: what a write in a child does to others. The
// host's own writes never trigger one.
type rule struct {
	// plant is the leak it makes, by its number from 1; 0 where it makes none (a mask).
	plant   int
	name    string
	when    func(*event) bool
	actions []action
	// read is for reading the key in a child, whatever when says.
	read bool
	// exit is for the end of a namespace in which the key is not as it was at first.
	exit bool
	// delay is constant, so that effects come in the order of their writes.
	delay time.Duration
}

// targets is whose key an action sets.
type targets int

const (
	toHost targets = 1 << iota
	// toOthers is all existing children but the writer.
	toOthers
	// toLater is what new namespaces start with.
	toLater
)

// action sets one key of others.
type action struct {
	to  targets
	key int
	// value is what is set; nil where exists says whether the key is there.
	value  func(*event) string
	exists func(*event) bool
	// latch makes it final.
	latch bool
}

// pending is an effect that is still to come.
type pending struct {
	due    time.Time
	e      *event
	rule   *rule
	others []*namespace
}

// fire starts a rule's actions if the write triggers it. It reaches whom it
// finds when the write is made, however long it takes.
func (k *Kernel) fire(e *event, r *rule) {
	if !r.when(e) {
		return
	}
	p := pending{e: e, rule: r}
	for _, ns := range k.children {
		if ns != e.ns {
			p.others = append(p.others, ns)
		}
	}
	if r.delay == 0 {
		k.act(p)
		return
	}
	p.due = k.clock.now().Add(r.delay)
	at, _ := slices.BinarySearchFunc(k.pending, p, func(a, b pending) int {
		if a.due.After(b.due) {
			return 1
		}
		return -1 // behind those that are due at the same time
	})
	k.pending = slices.Insert(k.pending, at, p)
}

// reads fires the rules for the reading of a key.
func (k *Kernel) reads(ns *namespace, key int) {
	for _, r := range k.byKey[key] {
		if rule := &k.rules[r]; rule.read && ns != k.host {
			k.fire(&event{k: k, ns: ns, key: key, number: len(k.log.Writes)}, rule)
		}
	}
}

// exits fires the rules for the end of a namespace. The writes of a key's last
// value are what did it.
func (k *Kernel) exits(ns *namespace) {
	for _, key := range slices.Sorted(maps.Keys(ns.last)) {
		last := ns.last[key]
		for _, r := range k.byKey[last.key] {
			if rule := &k.rules[r]; rule.exit && k.state(ns, last.key) != ns.base[last.key] {
				last.new = k.cell(ns, last.key).value
				k.fire(last, rule)
			}
		}
	}
}

// advance applies the effects that have come due. Every access begins with it.
func (k *Kernel) advance() {
	if len(k.pending) == 0 {
		return
	}
	now := k.clock.now()
	for len(k.pending) > 0 && !k.pending[0].due.After(now) {
		p := k.pending[0]
		k.pending = k.pending[1:]
		k.act(p)
	}
}

// act carries out a rule.
func (k *Kernel) act(p pending) {
	from := origin{p.rule.plant, p.e.planned}
	var changed []Effect
	set := func(ns *namespace, observer string, a *action, c *cell) {
		if !a.set(p.e, c, from) {
			return
		}
		if ns != nil && !slices.Contains(ns.touched, a.key) {
			ns.touched = append(ns.touched, a.key)
		}
		if observer != "" {
			changed = append(changed, Effect{observer, k.keys[a.key].name})
		}
	}
	for i := range p.rule.actions {
		a := &p.rule.actions[i]
		if a.to&toHost != 0 || k.keys[a.key].global {
			set(k.host, report.ObserverHost, a, &k.host.cells[a.key])
		}
		if k.keys[a.key].global {
			continue
		}
		if a.to&toOthers != 0 {
			for _, ns := range p.others {
				if slices.Contains(ns.devices, k.keys[a.key].device) {
					set(ns, ns.observer(), a, &ns.cells[a.key])
				}
			}
		}
		if a.to&toLater != 0 {
			set(nil, report.ObserverLater, a, &k.template[a.key])
		}
	}
	k.log.fired(p.e, p.rule.plant, p.rule.name, changed)
}

// set does an action to one cell and tells whether that changed it.
func (a *action) set(e *event, c *cell, from origin) bool {
	was := c.base()
	switch {
	case c.latched:
	case a.exists != nil:
		c.present = a.exists(e)
	default:
		c.value = a.value(e)
		c.latched = a.latch
	}
	if c.base() == was {
		return false
	}
	c.from = from
	return true
}
