package kmod

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Limits of a manifest: a full kernel has about 4,000 modules, of which a guest
// gets a few hundred.
const (
	MaxManifest = 16 << 20 // bytes
	maxEntries  = 20_000
)

// ErrManifest says that a manifest is not one, or not sound.
var ErrManifest = errors.New("not a manifest of modules")

// Manifest tells a guest what its modules are for. They are in an order in which
// they load.
type Manifest struct {
	// Release is the kernel that they are for; "" if not known.
	Release string   `json:"release"`
	Modules []*Entry `json:"modules"`
}

// Entry is one module of a guest.
type Entry struct {
	Name string `json:"name"`
	// File is its name in the directory of modules.
	File string `json:"file"`
	// Load says that it is to be loaded at boot, at its place in the order.
	Load bool `json:"load"`
	// Extra says that it was added by hand.
	Extra bool `json:"extra,omitempty"`
	// NetSysctl says that it registers sysctls below net.
	NetSysctl bool `json:"net_sysctl,omitempty"`
	// Depends must be loaded before it; Pre and Post should be, before and after.
	// All are names of other entries.
	Depends []string `json:"depends,omitempty"`
	Pre     []string `json:"pre,omitempty"`
	Post    []string `json:"post,omitempty"`
	// Aliases are the globs of other names to which it answers.
	Aliases []string `json:"aliases,omitempty"`
	// Problems say what is wrong with it: something it needs is missing, or needs it.
	Problems []string `json:"problems,omitempty"`
}

// Boot is what to load at boot, in order.
func (m *Manifest) Boot() []*Entry {
	return slices.DeleteFunc(slices.Clone(m.Modules), func(e *Entry) bool { return !e.Load })
}

// Lean is as little as can be loaded at boot, in order: what has network sysctls or was
// added by hand, and what that cannot do without.
func (m *Manifest) Lean() []*Entry {
	needed := map[string]bool{}
	for _, e := range slices.Backward(m.Modules) { // what an entry needs is before it
		if e.Extra || e.Load && e.NetSysctl || needed[e.Name] {
			needed[e.Name] = true
			for _, name := range e.Depends {
				needed[name] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(m.Modules), func(e *Entry) bool { return !needed[e.Name] })
}

// Request is what to load, in order, when the kernel asks for a module by its name
// or by an alias: every module that answers, and what it needs. Loaded ones are in
// it too. It is empty if none answers.
func (m *Manifest) Request(name string) []*Entry {
	by := map[string]*Entry{}
	var roots []string
	for _, e := range m.Modules {
		by[e.Name] = e
		if slices.ContainsFunc(e.Aliases, func(alias string) bool { return matches(alias, name) }) {
			roots = append(roots, e.Name)
		}
	}
	// As for modprobe, a module's own name is before others' aliases.
	if own := Normal(name); by[own] != nil {
		roots = []string{own}
	}
	o := newOrdering(func(name string) *Entry { return by[name] })
	o.add(roots)
	return o.done
}

// Encode writes the manifest.
func (m *Manifest) Encode() ([]byte, error) { return json.MarshalIndent(m, "", " ") }

// DecodeManifest reads a manifest and checks that it is sound: what it refers to
// is in it, files are plain names.
func DecodeManifest(data []byte) (*Manifest, error) {
	if len(data) > MaxManifest {
		return nil, fmt.Errorf("%w: %d bytes", ErrManifest, len(data))
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	m := &Manifest{}
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something follows it", ErrManifest)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	return m, nil
}

func (m *Manifest) check() error {
	if len(m.Modules) > maxEntries {
		return fmt.Errorf("%d modules", len(m.Modules))
	}
	known := map[string]bool{}
	for _, e := range m.Modules {
		switch {
		case e == nil:
			return errors.New("a module is null")
		case !validName(e.Name) || known[e.Name]:
			return fmt.Errorf("module %q: not a name, or twice", e.Name)
		case e.File != fileName(e.Name, true) && e.File != fileName(e.Name, false):
			return fmt.Errorf("module %s: not a file of it: %q", e.Name, e.File)
		}
		known[e.Name] = true
	}
	for _, e := range m.Modules {
		for _, other := range slices.Concat(e.Depends, e.Pre, e.Post) {
			if !known[other] {
				return fmt.Errorf("module %s: %q is not in it", e.Name, other)
			}
		}
	}
	return nil
}

// fileName is the name of a module's file in a guest.
func fileName(name string, plain bool) string {
	if plain {
		return name + ".ko"
	}
	return name + ".ko.packed"
}
