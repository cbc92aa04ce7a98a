package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/initramfs"
	"github.com/netns-verify/netns-verify/internal/kmod"
	"github.com/netns-verify/netns-verify/internal/report"
)

// modules loads what the initramfs brought, and keeps account of it.
type modules struct {
	manifest *kmod.Manifest
	time     *timeline
	on       func(report.Module)
	load     func(file, parameters string) error // kmod.Load

	mu      sync.Mutex
	known   map[string]bool // loaded, or tried
	account []loading
}

// loading is one module with the moment that somebody asked for it.
type loading struct {
	report.Module
	asked time.Duration
}

// newModules reads the manifest; a guest without one has no modules.
func newModules(t *timeline, on func(report.Module)) (*modules, error) {
	m := &modules{manifest: &kmod.Manifest{}, time: t, on: on, load: kmod.Load, known: map[string]bool{}}
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

// boot loads what is to be there before the first write. A module that cannot be
// loaded is part of the account and no error: the rest is worth a run.
func (m *modules) boot(progress func(done, total int)) {
	entries := m.manifest.Boot()
	for i, e := range entries {
		progress(i, len(entries))
		_ = m.one(e, report.LoadedByUs, 0)
	}
	progress(len(entries), len(entries))
}

// request loads what answers to a name, at the kernel's request.
func (m *modules) request(name string, asked time.Duration) error {
	entries := m.manifest.Request(name)
	if len(entries) == 0 {
		return fmt.Errorf("no module answers to %q", name)
	}
	var last error
	for _, e := range entries {
		last = m.one(e, report.LoadedByKernel, asked)
	}
	return last // of the one that was asked for
}

// one loads a module, and takes it into the account the first time. While one is
// being loaded the kernel may ask for others, so nothing is locked then.
func (m *modules) one(e *kmod.Entry, by string, asked time.Duration) error {
	m.mu.Lock()
	known := m.known[e.Name]
	m.known[e.Name] = true
	m.mu.Unlock()
	err := m.load(initramfs.ModulesDir+"/"+e.File, "")
	if known {
		return err
	}
	l := loading{Module: report.Module{Name: e.Name, LoadedBy: by, Error: failure(e, err)}, asked: asked}
	m.mu.Lock()
	m.account = append(m.account, l)
	m.mu.Unlock()
	m.on(m.judged(l))
	return err
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

// judged adds the write that the kernel's request came after, as far as is known now.
func (m *modules) judged(l loading) report.Module {
	if l.LoadedBy == report.LoadedByKernel {
		_, l.AfterWrite = m.time.at(l.asked)
	}
	return l.Module
}

// report is the account, by name.
func (m *modules) report() []report.Module {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []report.Module
	for _, l := range m.account {
		all = append(all, m.judged(l))
	}
	slices.SortFunc(all, func(a, b report.Module) int { return strings.Compare(a.Name, b.Name) })
	return all
}
