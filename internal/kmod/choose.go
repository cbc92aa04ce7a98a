package kmod

import (
	"fmt"
	"slices"
)

// Lookup is the modules that answer to a name: the one that has it, else all that
// have it as an alias, sorted.
func (s *Set) Lookup(name string) []*Module {
	if m := s.modules[Normal(name)]; m != nil {
		return []*Module{m}
	}
	return slices.DeleteFunc(s.All(), func(m *Module) bool {
		return !slices.ContainsFunc(m.Aliases, func(alias string) bool { return matches(alias, name) })
	})
}

// Manifest chooses what a guest gets, in an order in which it loads: first what is
// loaded at boot, then the modules added by hand, then what comes along unloaded.
// Of the same set it is always the same.
func (s *Set) Manifest() *Manifest {
	var boot, along []string
	for _, m := range s.All() {
		switch {
		case slices.Contains(s.extra, m.Name):
		case m.bootWanted():
			boot = append(boot, m.Name)
		case m.requestWanted():
			along = append(along, m.Name)
		}
	}
	entries := map[string]*Entry{}
	o := newOrdering(func(name string) *Entry {
		if entries[name] == nil && s.modules[name] != nil {
			entries[name] = s.entry(s.modules[name])
		}
		return entries[name]
	})
	o.onCycle = func(from *Entry, to string) {
		from.Problems = append(from.Problems, fmt.Sprintf("needs %s, which needs it", to))
	}
	o.add(boot)
	o.add(s.extra)
	for _, e := range o.done {
		e.Load = true
	}
	o.add(along)
	for _, e := range o.done {
		e.File = fileName(e.Name, e.Load)
	}
	return &Manifest{Release: s.Release, Modules: o.done}
}

// entry is a module with its references resolved to modules of the set. Missing
// ones are its problems.
func (s *Set) entry(m *Module) *Entry {
	e := &Entry{Name: m.Name, NetSysctl: m.NetSysctl(), Aliases: m.Aliases, Extra: slices.Contains(s.extra, m.Name)}
	for _, name := range m.Depends {
		if s.modules[name] == nil {
			e.Problems = append(e.Problems, fmt.Sprintf("needs %s, which is missing", name))
			continue
		}
		e.Depends = append(e.Depends, name)
	}
	// Like modprobe: of those that are not there, or built in, nothing is said.
	soft := func(names []string) (found []string) {
		for _, name := range names {
			for _, other := range s.Lookup(name) {
				if other.Name != m.Name && !slices.Contains(found, other.Name) {
					found = append(found, other.Name)
				}
			}
		}
		return found
	}
	e.Pre, e.Post = soft(m.Pre), soft(m.Post)
	return e
}

// Content is what a guest's file for an entry of the set's manifest has in it:
// plain if it is loaded at boot, since unpacking is slow in an emulated machine,
// else compressed. Load takes both.
func (s *Set) Content(e *Entry) ([]byte, error) {
	m := s.modules[e.Name]
	if m == nil {
		return nil, fmt.Errorf("module %s is not in the set", e.Name)
	}
	if e.Load {
		return m.Content()
	}
	return m.packed()
}
