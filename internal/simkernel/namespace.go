package simkernel

import (
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/netns"
	"github.com/netns-verify/netns-verify/protocol"
)

// roleHost marks the host's namespace; parent has no role for it.
const roleHost netns.Role = ""

// namespace is one network namespace. Everything in it is guarded by Kernel.mu.
type namespace struct {
	role netns.Role
	// number counts the namespaces of a role, so that draws do not depend on the
	// order in which children start at the same moment.
	number int
	cells  []cell
	// devices is those whose keys are here; the empty name is for all other keys.
	devices []string
	// base is what an observer compares with: the state at creation, but for a
	// later namespace what it would have been had nobody leaked.
	base []base
	// drift is the state of restless keys, by key.
	drift map[int]*drift
	// touched is the keys that a leak has set here.
	touched []int
	// last is the last write of each key that has a rule for the namespace's end.
	last map[int]*event
	// planned tells that the writes of the moment are the plan's.
	planned bool
	// handled tells the same of a descriptor in the hands of another.
	handled bool
	dead    bool
	// passed is the keys that were opened for the parent.
	passed chan sysctl.Handle
}

// observer is what the namespace is in a report, empty for who is not asked.
func (ns *namespace) observer() string {
	switch ns.role {
	case roleHost:
		return report.ObserverHost
	case netns.RoleSibling:
		return report.ObserverSibling
	}
	return ""
}

// cell is where a key's value is stored, as seen from the namespace.
func (k *Kernel) cell(ns *namespace, key int) *cell {
	if k.keys[key].global {
		return &k.host.cells[key]
	}
	return &ns.cells[key]
}

// state is what a reader of the namespace sees.
func (k *Kernel) state(ns *namespace, key int) base {
	if !ns.cells[key].present {
		return base{}
	}
	return base{k.cell(ns, key).value, true}
}

// makeHost makes the namespace that the run is started in, and the template of
// all others.
func (k *Kernel) makeHost() {
	k.host = &namespace{role: roleHost, cells: make([]cell, len(k.keys)), base: make([]base, len(k.keys))}
	k.template = make([]cell, len(k.keys))
	k.original = make([]base, len(k.keys))
	k.pristine = make([]base, len(k.keys))
	for i := range k.keys {
		m := &k.keys[i]
		k.host.cells[i] = cell{value: m.host.value, present: m.host.present()}
		k.host.base[i] = k.state(k.host, i)
		k.template[i] = cell{value: m.child.value, present: m.child.present()}
		k.original[i] = k.template[i].base()
		switch {
		case !m.child.present():
		case m.inherit || m.global:
			k.pristine[i] = base{m.host.value, true}
		default:
			k.pristine[i] = base{m.child.value, true}
		}
		k.startDrift(k.host, i)
	}
}

// enter makes a fresh namespace from the host at this moment, without the devices
// that are made on request.
func (k *Kernel) enter(role netns.Role) *namespace {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.advance()
	k.started[role]++
	ns := &namespace{
		role: role, number: k.started[role], cells: make([]cell, len(k.keys)), base: make([]base, len(k.keys)),
		passed: make(chan sysctl.Handle, protocol.MaxPass),
	}
	k.bear(ns, "")
	k.children = append(k.children, ns)
	return ns
}

// bear gives a namespace the keys of a device, or with no name all others, as they
// are there at first.
func (k *Kernel) bear(ns *namespace, device string) {
	ns.devices = append(ns.devices, device)
	for i := range ns.cells {
		m, c := &k.keys[i], &ns.cells[i]
		if m.device != device {
			continue
		}
		*c = k.template[i]
		if m.inherit {
			k.drifted(k.host, i, false)
			c.value, c.from = k.host.cells[i].value, k.host.cells[i].from
		}
		if ns.role == netns.RoleLater {
			ns.base[i] = k.pristine[i]
			k.noticeLater(ns, i)
		} else {
			ns.base[i] = k.state(ns, i)
		}
		c.from = origin{} // seen from inside it was always so
		k.startDrift(ns, i)
	}
}

// leave ends a namespace.
func (k *Kernel) leave(ns *namespace) {
	k.mu.Lock()
	defer k.mu.Unlock()
	ns.dead = true
	for i, other := range k.children {
		if other == ns {
			k.children = append(k.children[:i:i], k.children[i+1:]...)
			k.exits(ns)
			return
		}
	}
}

// startDrift begins the life of a key in a namespace, if it is a restless one there.
func (k *Kernel) startDrift(ns *namespace, key int) {
	r := k.keys[key].restless
	if r == nil || ns == k.host && !r.onHost || ns != k.host && !r.inChildren {
		return
	}
	if ns.drift == nil {
		ns.drift = map[int]*drift{}
	}
	ns.drift[key] = newDrift(r, k.clock.now(), k.seed, ns, key)
}
