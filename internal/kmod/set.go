package kmod

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/netns-verify/netns-verify/internal/unpack"
)

// ErrRelease says that a module was built for another kernel.
var ErrRelease = errors.New("is for another kernel")

// Set is the modules of one kernel.
type Set struct {
	// Release is the kernel's, and every module must be for it; "" takes any.
	Release string

	modules map[string]*Module
	// extra are the modules that were added by hand, in that order.
	extra []string
	// room is for modules that are kept in memory as they are.
	room atomic.Int64
	// What there is in all: aliases and softdeps of modules.
	aliases, soft int
}

// What a set may have: each softdep is compared with each alias. Debian's full kernel
// has 4,000 modules with 26,000 aliases and 50 softdeps.
const (
	maxAliases = 200_000
	maxSoft    = 500
)

// ErrTooMany says that there is more than any kernel has.
var ErrTooMany = errors.New("more modules, aliases or softdeps than any kernel has")

// maxPlain is how many bytes of modules are kept in memory as they are: those of a
// cloud kernel, since compressing them takes longer than all else that is done with
// them. A full kernel has 400 MB.
const maxPlain = 128 << 20

// NewSet makes an empty set for the kernel of a release ("" if not known).
func NewSet(release string) *Set {
	s := &Set{Release: release, modules: map[string]*Module{}}
	s.room.Store(maxPlain)
	return s
}

// Len is the number of modules.
func (s *Set) Len() int { return len(s.modules) }

// All is the modules, sorted by name.
func (s *Set) All() []*Module {
	return slices.SortedFunc(maps.Values(s.modules), func(a, b *Module) int { return strings.Compare(a.Name, b.Name) })
}

// AddExtra adds a module that is always loaded, after all others; it replaces
// the kernel's own of that name.
func (s *Set) AddExtra(file string, data []byte) error {
	m, err := Parse(file, data)
	if err != nil {
		return err
	}
	if slices.Contains(s.extra, m.Name) {
		return fmt.Errorf("%s: a module %s was added before", file, m.Name)
	}
	m.keep(data, &s.room)
	replaced := s.modules[m.Name]
	delete(s.modules, m.Name)
	if err := s.add(m); err != nil {
		if replaced != nil {
			s.modules[m.Name] = replaced
		}
		return err
	}
	s.extra = append(s.extra, m.Name)
	return nil
}

// AddDir adds the modules in and below a directory. The files are read again when
// their content is wanted. ctx ends it early, with its cause.
func (s *Set) AddDir(ctx context.Context, dir fs.FS, name string) error {
	var files []string
	err := fs.WalkDir(dir, ".", func(at string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && IsModule(at) {
			files = append(files, at)
		}
		return cmp.Or(err, context.Cause(ctx))
	})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	a := s.Adder()
	for _, at := range files {
		if ctx.Err() != nil {
			break
		}
		a.add(path.Join(name, at), func() ([]byte, error) { return readFile(dir, at) }, false)
	}
	return cmp.Or(a.Wait(), context.Cause(ctx))
}

func (s *Set) add(m *Module) error {
	if s.Release != "" && m.Release != "" && s.Release != m.Release {
		return fmt.Errorf("%s: %w: %.80q, not %s", m.File, ErrRelease, m.Release, s.Release)
	}
	s.aliases += len(m.Aliases)
	s.soft += len(m.Pre) + len(m.Post)
	if len(s.modules) >= maxEntries || s.aliases > maxAliases || s.soft > maxSoft {
		return fmt.Errorf("%s: %w", m.File, ErrTooMany)
	}
	if _, known := s.modules[m.Name]; !known || strings.Contains(m.File, "/updates/") {
		s.modules[m.Name] = m
	}
	return nil
}

// readFile reads a file that must not be a device or a pipe, which may not end.
func readFile(dir fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(dir, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", name)
	}
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxModule+1))
	if len(data) > MaxModule {
		return nil, fmt.Errorf("%s: %w", name, unpack.ErrTooLarge)
	}
	return data, err
}
