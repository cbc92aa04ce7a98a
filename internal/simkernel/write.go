package simkernel

import (
	"syscall"

	"github.com/netns-verify/netns-verify/internal/report"
)

// event is one write that reached its handler.
type event struct {
	k   *Kernel
	ns  *namespace
	key int
	// in is what was written, old and new what the writer read before and after.
	in, old, new string
	errno        syscall.Errno
	planned      bool
	// number is the write's place in the log.
	number int
}

// sameNS is a side effect on another key of the writing namespace: no leak,
// unless that key is everybody's.
type sameNS struct {
	key   int
	value func(new, now string) string
	// plant is the leak that this makes, by its number from 1.
	plant int
}

// write is the handler of every key. The caller holds the lock.
func (k *Kernel) write(ns *namespace, key int, in string) syscall.Errno {
	m, c := &k.keys[key], k.cell(ns, key)
	child := ns != k.host
	e := &event{k: k, ns: ns, key: key, in: in, old: c.value, new: c.value, planned: child && ns.planned}
	switch {
	case c.latched:
		e.errno = syscall.EBUSY
	case child && m.refuse != 0:
		e.errno = m.refuse
	case child && m.ignore:
	default:
		e.new, e.errno = m.format.parse(c.value, in)
	}
	if e.new != c.value {
		c.value = e.new
		c.from = origin{}
		if child && m.global {
			c.from = origin{m.plant, e.planned}
		}
		c.latched = m.latch
	}
	if child {
		k.logWrite(e)
	}
	if e.errno == 0 {
		k.sideEffects(e)
	}
	if child {
		if m.global && e.new != e.old {
			k.log.fired(e, m.plant, "everybody's variable", []Effect{{report.ObserverHost, m.name}})
		}
		for _, r := range k.byKey[key] {
			switch rule := &k.rules[r]; {
			case rule.exit:
				ns.remember(e)
			case !rule.read:
				k.fire(e, rule)
			}
		}
	}
	return e.errno
}

// remember keeps a write for the namespace's end, if it moved the value.
func (ns *namespace) remember(e *event) {
	if ns.last == nil {
		ns.last = map[int]*event{}
	}
	if e.new != e.old {
		ns.last[e.key] = e
	}
}

func (k *Kernel) sideEffects(e *event) {
	for _, s := range k.effects[e.key] {
		c := k.cell(e.ns, s.key)
		now := s.value(e.new, c.value)
		if c.latched || now == c.value {
			continue
		}
		c.value, c.from = now, origin{}
		if e.ns != k.host && k.keys[s.key].global {
			c.from = origin{s.plant, e.planned}
			k.log.fired(e, s.plant, "side effect on everybody's variable", []Effect{{report.ObserverHost, k.keys[s.key].name}})
		}
	}
}
