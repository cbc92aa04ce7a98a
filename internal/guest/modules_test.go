package guest

import (
	"errors"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/kmod"
	"github.com/netns-verify/netns-verify/internal/report"
)

// kernelOf is modules of a made-up kernel, and what happens, in order.
func kernelOf(t *testing.T) (m *modules, happened *[]string) {
	t.Helper()
	happened = &[]string{}
	note := func(s string) { *happened = append(*happened, s) }
	m = &modules{
		account: map[string]*report.Module{},
		manifest: &kmod.Manifest{Modules: []*kmod.Entry{
			{Name: "base", File: "base.ko", Load: true},
			{Name: "broken", File: "broken.ko", Load: true, Depends: []string{"base"}, Problems: []string{"needs z, which is missing"}},
			{Name: "helper", File: "helper.ko.packed"},
			{Name: "vegas", File: "vegas.ko.packed", Depends: []string{"base", "helper"}, Aliases: []string{"tcp_*"}},
		}},
		on:   func(r report.Module) { note(r.Name + " by " + r.LoadedBy) },
		mark: func(name string) { note("mark " + name) },
	}
	m.load = func(file, _ string) error {
		note("load " + filepath.Base(file))
		if strings.Contains(file, "broken") {
			return &fs.PathError{Op: "load", Path: file, Err: unix.ENOENT}
		}
		return nil
	}
	return m, happened
}

func TestModulesAccount(t *testing.T) {
	m, happened := kernelOf(t)
	m.boot(false, func(int, int) {})
	if err := m.request("tcp_vegas"); err != nil {
		t.Error(err)
	}
	m.followed("vegas", "net/ipv4/tcp_congestion_control")
	if err := m.request("vegas"); err != nil { // the kernel may ask again
		t.Error(err)
	}
	if err := m.request("broken"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("a request for what cannot be loaded: %v", err)
	}
	if err := m.request("unheard-of"); err == nil {
		t.Error("something answered to an unknown name")
	}
	want := []report.Module{
		{Name: "base", LoadedBy: report.LoadedByUs},
		{Name: "broken", LoadedBy: report.LoadedByUs, Error: "ENOENT; needs z, which is missing"},
		{Name: "helper", LoadedBy: report.LoadedByKernel},
		{Name: "vegas", LoadedBy: report.LoadedByKernel, AfterWrite: "net/ipv4/tcp_congestion_control"},
	}
	if got := m.report(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	// The mark stands in the log before what the module does.
	if i, j := slices.Index(*happened, "mark vegas"), slices.Index(*happened, "load vegas.ko.packed"); i < 0 || i > j {
		t.Errorf("happened: %q", *happened)
	}
}

// While a module is being loaded the kernel may ask for another, and waits for it.
func TestModulesAskForModules(t *testing.T) {
	m, _ := kernelOf(t)
	plain := m.load
	m.load = func(file, parameters string) error {
		if filepath.Base(file) == "base.ko" {
			if err := m.request("helper"); err != nil {
				return err
			}
		}
		return plain(file, parameters)
	}
	m.boot(false, func(int, int) {})
	if got := m.report(); got[2].Name != "helper" || got[2].LoadedBy != report.LoadedByKernel {
		t.Errorf("got %+v", got)
	}
}

func TestModprobe(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	asked := make(chan string, 1)
	err := serveModprobe(socket, func(name string) error {
		asked <- name
		if name == "none" {
			return errors.New("no such module")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := askModprobe(socket, []string{ModprobePath, "-q", "--", "net-pf-38"}); err != nil || <-asked != "net-pf-38" {
		t.Errorf("a request: %v", err)
	}
	if err := askModprobe(socket, []string{ModprobePath, "-q", "--", "none"}); err == nil || err.Error() != "no such module" {
		t.Errorf("a request in vain: %v", err)
	}
	if err := askModprobe(socket, []string{ModprobePath, "x"}); err == nil {
		t.Error("took what the kernel would not say")
	}
	if Modprobe([]string{ModprobePath, "-q", "--", "x"}) == 0 {
		t.Error("said that it had loaded a module on a machine that is no guest")
	}
}

func TestOnCmdline(t *testing.T) {
	for line, want := range map[string]bool{
		"quiet " + Word: true, Word + "\n": true, "quiet": false, "x" + Word: false, Word + "=1": false, "": false,
	} {
		if onCmdline(line) != want {
			t.Errorf("%q: %v", line, !want)
		}
	}
	if Selected([]string{"/init", Word}) {
		t.Error("a test is not PID 1")
	}
}
