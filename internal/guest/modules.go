package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/initramfs"
	"github.com/netns-verify/netns-verify/internal/kmod"
	"github.com/netns-verify/netns-verify/internal/report"
)

// modules loads what the initramfs brought, and keeps account of it.
type modules struct {
	manifest *kmod.Manifest
	on       func(report.Module)
	mark     func(name string)                   // puts the name into the kernel's log
	load     func(file, parameters string) error // kmod.Load

	mu      sync.Mutex
	account map[string]*report.Module // loaded, or tried
}

// newModules reads the manifest; a guest without one has no modules.
func newModules(on func(report.Module), mark func(string)) (*modules, error) {
	m := &modules{manifest: &kmod.Manifest{}, on: on, mark: mark, load: kmod.Load, account: map[string]*report.Module{}}
	b, err := os.ReadFile(initramfs.Manifest)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err == nil {
		m.manifest, err = kmod.DecodeManifest(b)
	}
	if err != nil {
		return nil, fmt.Errorf("read the list of modules: %w", err)
	}
	return m, nil
}

// boot loads what is to be there before the first write, or as little of it as can be. A
// module that cannot be loaded is part of the account and no error: the rest is worth a run.
func (m *modules) boot(lean bool, progress func(done, total int)) {
	entries := m.manifest.Boot()
	if lean {
		entries = m.manifest.Lean()
	}
	for i, e := range entries {
		progress(i, len(entries))
		_ = m.one(e, report.LoadedByUs)
	}
	progress(len(entries), len(entries))
}

// request loads what answers to a name, at the kernel's request.
func (m *modules) request(name string) error {
	entries := m.manifest.Request(name)
	if len(entries) == 0 {
		return fmt.Errorf("no module answers to %q", name)
	}
	var last error
	for _, e := range entries {
		last = m.one(e, report.LoadedByKernel)
	}
	return last // of the one that was asked for
}

// one loads a module, and takes it into the account the first time. While one is
// being loaded the kernel may ask for others, so nothing is locked then.
func (m *modules) one(e *kmod.Entry, by string) error {
	m.mu.Lock()
	first := m.account[e.Name] == nil
	if first {
		m.account[e.Name] = &report.Module{Name: e.Name, LoadedBy: by}
	}
	m.mu.Unlock()
	if first && by == report.LoadedByKernel {
		m.mark(e.Name)
	}
	err := m.load(initramfs.ModulesDir+"/"+e.File, "")
	if first {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.account[e.Name].Error = failure(e, err)
		m.on(*m.account[e.Name])
	}
	return err
}

// followed notes the write that a module was asked for after.
func (m *modules) followed(name, key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a := m.account[name]; a != nil {
		a.AfterWrite = key
	}
}

// failure says why a module is not there, in few words.
func failure(e *kmod.Entry, err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	if n := unix.Errno(0); errors.As(err, &n) && unix.ErrnoName(n) != "" {
		text = unix.ErrnoName(n)
	}
	return strings.Join(append([]string{text}, e.Problems...), "; ")
}

// unloaded is what was brought and nobody has asked for yet.
func (m *modules) unloaded() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for _, e := range m.manifest.Modules {
		if m.account[e.Name] == nil {
			names = append(names, e.Name)
		}
	}
	return names
}

// report is the account, by name.
func (m *modules) report() []report.Module {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []report.Module
	for _, name := range slices.Sorted(maps.Keys(m.account)) {
		all = append(all, *m.account[name])
	}
	return all
}
