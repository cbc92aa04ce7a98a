package kmod

import "slices"

// ordering puts modules into an order in which they load: what a module needs is
// before it, in the order in which the module names it.
type ordering struct {
	find func(name string) *Entry
	// begun has what was met; the value turns true when it is in done.
	begun map[string]bool
	done  []*Entry
	// onCycle is told of a module that another needs and that itself needs that
	// other one, and that is therefore loaded too late for it.
	onCycle func(from *Entry, to string)
}

func newOrdering(find func(string) *Entry) *ordering {
	return &ordering{find: find, begun: map[string]bool{}, onCycle: func(*Entry, string) {}}
}

// add appends modules that are not in yet, each after what it needs. Names that
// are not found are left out.
func (o *ordering) add(names []string) {
	for _, name := range names {
		o.visit(name)
	}
}

func (o *ordering) visit(name string) {
	e := o.find(name)
	if _, begun := o.begun[name]; begun || e == nil {
		return
	}
	o.begun[name] = false
	for _, needed := range slices.Concat(e.Pre, e.Depends) {
		if done, begun := o.begun[needed]; begun && !done {
			o.onCycle(e, needed)
		}
		o.visit(needed)
	}
	o.begun[name] = true
	o.done = append(o.done, e)
	o.add(e.Post)
}
