package simkernel

import (
	"fmt"
	"io"
	"slices"
	"syscall"
	"time"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/netns"
)

// Log is what the kernel saw happen in a run.
type Log struct {
	Writes  []Write
	Firings []Firing
	// visible is, by plant, the effects of planned writes that an observer read,
	// or that were there when the host was swept.
	visible []map[Effect]bool
	// stood is the plants that had changed, by a planned write, what later
	// namespaces start with, when the host was swept.
	stood []bool
	// planned is, by key, the observers for whom a planned write took effect
	// with a value that they did not have; any is the same for every write.
	planned, any map[sysctl.Key]tellers
	live         int
}

// tellers is a set of observers who could tell a leak from none.
type tellers uint8

const (
	hostTells tellers = 1 << iota
	siblingTells
	everybodyTells = hostTells | siblingTells
)

// proven tells that planned writes to the key could have shown a leak to everybody.
func (l *Log) proven(k sysctl.Key) bool { return l.planned[k] == everybodyTells }

// replayed is the same for every write.
func (l *Log) replayed(k sysctl.Key) bool { return l.any[k] == everybodyTells }

// Write is one write in a child that reached its handler.
type Write struct {
	At     time.Time
	Role   netns.Role
	Number int // which of the role's children
	// Planned tells that it was asked for by a perturb request, not by a replay.
	Planned  bool
	Key      sysctl.Key
	Value    string
	Errno    syscall.Errno
	Old, New string
}

// Firing is one time that a rule was carried out.
type Firing struct {
	At time.Time
	// Plant is the leak's index in Truth.Plants, -1 for a mask.
	Plant int
	Rule  string
	// Write is the index of the write in Log.Writes.
	Write int
	// Changed is what it changed for observers, at the moment.
	Changed []Effect
}

// Log returns what happened so far.
func (k *Kernel) Log() *Log {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.log
	l.Writes, l.Firings = slices.Clone(l.Writes), slices.Clone(l.Firings)
	l.live = len(k.children)
	return &l
}

func (k *Kernel) logWrite(e *event) {
	m := &k.keys[e.key]
	e.number = len(k.log.Writes)
	k.log.Writes = append(k.log.Writes, Write{
		At: k.clock.now(), Role: e.ns.role, Number: e.ns.number, Planned: e.planned,
		Key: m.name, Value: e.in, Errno: e.errno, Old: e.old, New: e.new,
	})
	if e.new != e.old && !k.log.proven(m.name) {
		who := k.whoTells(e)
		k.log.any[m.name] |= who
		if e.planned {
			k.log.planned[m.name] |= who
		}
	}
}

// whoTells is those of the host and the newest sibling (an older one is not
// asked any more) who do not read what the writer now reads.
func (k *Kernel) whoTells(e *event) (who tellers) {
	if !k.readable(e.ns, e.key) {
		return 0
	}
	if k.differs(e, k.host) {
		who |= hostTells
	}
	for _, ns := range slices.Backward(k.children) {
		if ns.role == netns.RoleSibling {
			if k.differs(e, ns) {
				who |= siblingTells
			}
			return who
		}
	}
	return who | siblingTells
}

func (k *Kernel) differs(e *event, ns *namespace) bool {
	st := k.state(ns, e.key)
	return !st.present || k.readable(ns, e.key) && st.value != e.new
}

func (l *Log) fired(e *event, plant int, name string, changed []Effect) {
	l.Firings = append(l.Firings, Firing{At: e.k.clock.now(), Plant: plant - 1, Rule: name, Write: e.number, Changed: changed})
}

// notice records that an observer can see a leak's effect at this moment.
func (k *Kernel) notice(ns *namespace, key int) {
	from := k.cell(ns, key).from
	if from.plant == 0 || !from.planned || k.state(ns, key) == ns.base[key] || !k.readable(ns, key) {
		return
	}
	// A sibling that started with a leaked value may also see it put right.
	if ns == k.host || ns.role == netns.RoleSibling && k.state(ns, key) != k.pristine[key] {
		k.log.see(from, Effect{ns.observer(), k.keys[key].name})
	}
}

func (l *Log) see(from origin, e Effect) { l.visible[from.plant-1][e] = true }

// noticeAll looks at everything that leaks have set in the observers.
func (k *Kernel) noticeAll() {
	look := func(ns *namespace) {
		for _, i := range ns.touched {
			k.notice(ns, i)
		}
		for _, i := range k.globals {
			k.notice(ns, i)
		}
	}
	look(k.host)
	for _, ns := range k.children {
		look(ns)
	}
	for _, i := range k.templated {
		c := &k.template[i]
		if from := c.from; from.plant != 0 && from.planned && c.base() != k.original[i] {
			k.log.stood[from.plant-1] = true
		}
	}
}

// noticeLater looks at what a later namespace starts with.
func (k *Kernel) noticeLater(ns *namespace, key int) {
	from := ns.cells[key].from
	if k.keys[key].global {
		from = k.host.cells[key].from
	}
	if from.plant != 0 && from.planned && k.state(ns, key) != k.pristine[key] && k.readable(ns, key) {
		k.log.see(from, Effect{report.ObserverLater, k.keys[key].name})
	}
}

// seen tells that a run could have noticed a plant.
func (l *Log) seen(plant int) bool { return l.stood[plant] || len(l.visible[plant]) > 0 }

// Print writes the log for people.
func (l *Log) Print(w io.Writer, t Truth) {
	var start time.Time
	if len(l.Writes) > 0 {
		start = l.Writes[0].At
	}
	firings := l.Firings
	tell := func(until int, at time.Time) {
		for len(firings) > 0 && firings[0].Write <= until && !firings[0].At.After(at) {
			if f := firings[0]; len(f.Changed) > 0 {
				fmt.Fprintf(w, "%9v    plant %d: %s, by %s: %v\n", f.At.Sub(start), f.Plant, f.Rule, l.Writes[f.Write].Key, f.Changed)
			}
			firings = firings[1:]
		}
	}
	for n, e := range l.Writes {
		kind := "replayed"
		if e.Planned {
			kind = "planned"
		}
		tell(n-1, e.At)
		fmt.Fprintf(w, "%9v %s %d %s %s = %q: %q -> %q errno %d\n",
			e.At.Sub(start), e.Role, e.Number, kind, e.Key, e.Value, e.Old, e.New, int(e.Errno))
	}
	tell(len(l.Writes), start.Add(1<<62))
	for p, plant := range t.Plants {
		fmt.Fprintf(w, "plant %d %v: visible %v\n", p, plant, sortedEffects(l.visible[p]))
	}
}
