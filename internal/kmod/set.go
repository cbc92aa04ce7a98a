package kmod

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/netns-verify/netns-verify/internal/unpack"
)

// ErrRelease says that a module was built for another kernel.
var ErrRelease = errors.New("is for another kernel")

// Set is the modules of one kernel.
type Set struct {
	// Release is the kernel's, and every module must be for it; "" takes any.
	Release string

	modules map[string]*Module
	// builtin is what the kernel has in itself, with aliases; nil if not known.
	builtin map[string][]string
	// extra are the modules that were added by hand, in that order.
	extra []string
}

// NewSet makes an empty set for the kernel of a release ("" if not known).
func NewSet(release string) *Set {
	return &Set{Release: release, modules: map[string]*Module{}}
}

// Len is the number of modules.
func (s *Set) Len() int { return len(s.modules) }

// All is the modules, sorted by name.
func (s *Set) All() []*Module {
	return slices.SortedFunc(maps.Values(s.modules), func(a, b *Module) int { return strings.Compare(a.Name, b.Name) })
}

// Add adds a module. Data, compressed or not, is kept compressed. Of two files
// with the same module the one below updates/ counts, as for depmod, else the first.
func (s *Set) Add(file string, data []byte) error {
	m, err := Parse(file, data)
	if err != nil {
		return err
	}
	return s.keep(m, data)
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
	delete(s.modules, m.Name)
	if err := s.keep(m, data); err != nil {
		return err
	}
	s.extra = append(s.extra, m.Name)
	return nil
}

// AddDir adds the modules in and below a directory, and what it says of
// built-in ones. The files are read again when their content is wanted.
func (s *Set) AddDir(dir fs.FS, name string) error {
	var files []string
	err := fs.WalkDir(dir, ".", func(at string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && IsModule(at) {
			files = append(files, at)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	read := func(at string) ([]byte, error) { return readFile(dir, at) }
	// Unpacking is nearly all of the work.
	modules, errs := make([]*Module, len(files)), make([]error, len(files))
	var wg sync.WaitGroup
	for w := range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := w; i < len(files); i += runtime.GOMAXPROCS(0) {
				var data []byte
				if data, errs[i] = read(files[i]); errs[i] == nil {
					modules[i], errs[i] = Parse(path.Join(name, files[i]), data)
				}
			}
		})
	}
	wg.Wait()
	for i, m := range modules {
		if errs[i] != nil {
			return errs[i]
		}
		m.content = func() ([]byte, error) { return read(files[i]) }
		if err := s.add(m); err != nil {
			return err
		}
	}
	for _, f := range []string{BuiltinFile, BuiltinInfoFile} {
		data, err := readFile(dir, f)
		if err == nil {
			s.AddBuiltin(f, data)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// Files of a directory of modules that say what is in the kernel itself.
const (
	BuiltinFile     = "modules.builtin"
	BuiltinInfoFile = "modules.builtin.modinfo"
)

// AddBuiltin takes one of the two files, by base name.
func (s *Set) AddBuiltin(file string, data []byte) {
	if s.builtin == nil {
		s.builtin = map[string][]string{}
	}
	switch path.Base(file) {
	case BuiltinFile:
		for line := range strings.Lines(string(data)) {
			if name := nameOf(strings.TrimSpace(line)); name != "" {
				s.builtin[name] = append(s.builtin[name], name)
			}
		}
	case BuiltinInfoFile:
		for entry := range strings.SplitSeq(string(data), "\x00") {
			key, value, _ := strings.Cut(entry, "=")
			if name, ok := strings.CutSuffix(key, ".alias"); ok {
				name = Normal(name)
				s.builtin[name] = append(s.builtin[name], value)
			}
		}
	}
}

// keep adds a module with its content in memory. A full kernel has 400 MB of
// modules: those that are not compressed become so.
func (s *Set) keep(m *Module, data []byte) error {
	if !unpack.Compressed(data) {
		data = compress(data)
	} else {
		data = slices.Clone(data)
	}
	m.content = func() ([]byte, error) { return data, nil }
	return s.add(m)
}

func (s *Set) add(m *Module) error {
	if s.Release != "" && m.Release != "" && s.Release != m.Release {
		return fmt.Errorf("%s: %w: %s, not %s", m.File, ErrRelease, m.Release, s.Release)
	}
	if _, known := s.modules[m.Name]; !known || strings.Contains(m.File, "/updates/") {
		s.modules[m.Name] = m
	}
	return nil
}

var encoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err) // the options above are sound
	}
	return e
})

func compress(data []byte) []byte { return slices.Clone(encoder().EncodeAll(data, nil)) }

func readFile(dir fs.FS, name string) ([]byte, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > MaxModule {
		return nil, fmt.Errorf("%s: %w", name, unpack.ErrTooLarge)
	}
	return fs.ReadFile(dir, name)
}
