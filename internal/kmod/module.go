package kmod

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/netns-verify/netns-verify/internal/unpack"
)

// MaxModule is the most that one module may have, in bytes, uncompressed.
const MaxModule = 128 << 20

// What a module may say of itself, in bytes, and how many others it may need: some
// ten times what any in Debian's full kernel does.
const (
	maxInfo  = 4 << 20
	maxNeeds = 1000
)

// ErrNotModule says that a file is no kernel module.
var ErrNotModule = errors.New("not a kernel module")

// Module is one kernel module.
type Module struct {
	// Name is what lsmod calls it.
	Name string
	// File says where it came from.
	File string
	// Release is the kernel that it was built for; "" if it does not say.
	Release string
	// Depends are the modules whose symbols it uses, by name.
	Depends []string
	// Pre and Post are softdeps, names or aliases: wanted before and after it,
	// but it loads without them.
	Pre, Post []string
	// Aliases are the other names it answers to, as glob patterns.
	Aliases []string
	// Uses is what it registers, as far as that matters here: functions of the
	// kernel that it calls.
	Uses []string

	content func() ([]byte, error)
}

// Content is the module as the kernel takes it, uncompressed.
func (m *Module) Content() ([]byte, error) {
	packed, err := m.content()
	if err != nil {
		return nil, err
	}
	data, err := unpack.Bytes(packed, MaxModule)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.File, err)
	}
	return data, nil
}

// keep keeps the module's content in memory; plain, if there is room for that, else
// compressed.
func (m *Module) keep(data []byte, room *atomic.Int64) {
	if unpack.Compressed(data) || room.Add(-int64(len(data))) >= 0 {
		data = slices.Clone(data) // nothing but the content
	} else {
		data = compress(data)
	}
	m.content = func() ([]byte, error) { return data, nil }
}

// packed is the module as it is kept, compressed.
func (m *Module) packed() ([]byte, error) {
	data, err := m.content()
	if err == nil && !unpack.Compressed(data) {
		data = compress(data)
	}
	return data, err
}

// Normal is a module's name as lsmod has it: files and requests write - for _.
func Normal(name string) string { return strings.ReplaceAll(name, "-", "_") }

// IsModule tells by a file's name whether it is a module, compressed or not.
func IsModule(file string) bool { return nameOf(file) != "" }

// nameOf is the module's name that a file's name tells, or "".
func nameOf(file string) string {
	name, packed, ok := strings.Cut(path.Base(file), ".ko")
	if !ok || !slices.Contains([]string{"", ".gz", ".xz", ".zst"}, packed) {
		return ""
	}
	return Normal(name)
}

// Parse reads what a module says of itself. Data may be compressed; it is not
// kept. The error names the file.
func Parse(file string, data []byte) (*Module, error) {
	m := &Module{Name: nameOf(file), File: file}
	plain, err := unpack.Bytes(data, MaxModule)
	if err == nil {
		err = m.readELF(plain)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return m, nil
}

func (m *Module) readELF(data []byte) error {
	o, err := newObject(data)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotModule, err)
	}
	text, err := o.section(".modinfo")
	switch {
	case err != nil:
		return fmt.Errorf("%w: .modinfo: %w", ErrNotModule, err)
	case text == nil:
		return fmt.Errorf("%w: an ELF file without .modinfo", ErrNotModule)
	case len(text) > maxInfo:
		return fmt.Errorf("%w: .modinfo: %d bytes", ErrNotModule, len(text))
	}
	m.readInfo(text)
	if !validName(m.Name) {
		return fmt.Errorf("%w: its name is %.80q", ErrNotModule, m.Name)
	}
	if needs := len(m.Depends) + len(m.Pre) + len(m.Post); needs > maxNeeds {
		return fmt.Errorf("%w: it needs %d others", ErrNotModule, needs)
	}
	err = o.wanted(telling, func(name string) {
		if !m.uses(name) {
			m.Uses = append(m.Uses, name)
		}
	})
	if err != nil {
		return fmt.Errorf("%w: its symbols: %w", ErrNotModule, err)
	}
	slices.Sort(m.Uses)
	return nil
}

// readInfo takes the key=value strings of .modinfo.
func (m *Module) readInfo(text []byte) {
	for entry := range strings.SplitSeq(string(text), "\x00") {
		key, value, _ := strings.Cut(entry, "=")
		switch key {
		case "name":
			m.Name = Normal(value)
		case "vermagic":
			m.Release, _, _ = strings.Cut(value, " ")
		case "depends":
			for d := range strings.SplitSeq(value, ",") {
				if d != "" {
					m.Depends = append(m.Depends, Normal(d))
				}
			}
		case "softdep":
			m.readSoftdep(value)
		case "alias":
			m.Aliases = append(m.Aliases, value)
		}
	}
}

// readSoftdep takes "pre: a b post: c".
func (m *Module) readSoftdep(value string) {
	var to *[]string
	for _, word := range strings.Fields(value) {
		switch {
		case word == "pre:":
			to = &m.Pre
		case word == "post:":
			to = &m.Post
		case to != nil:
			*to = append(*to, word)
		}
	}
}

// validName keeps out what no module is called, so that names can be used as
// file names in a guest.
func validName(name string) bool {
	return name != "" && len(name) < 64 && strings.Trim(name, "_+abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}
