package initramfs_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/u-root/u-root/pkg/cpio"

	"github.com/netns-verify/netns-verify/internal/initramfs"
	"github.com/netns-verify/netns-verify/internal/kmod"
	"github.com/netns-verify/netns-verify/internal/kmod/kmodtest"
)

// executable is a real one, static or not.
func executable(t *testing.T, arguments ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/main.go", []byte("package main\nfunc main() {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", append(append([]string{"build", "-o", dir + "/main"}, arguments...), dir+"/main.go")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	data, err := os.ReadFile(dir + "/main")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func modules(t *testing.T) *kmod.Set {
	t.Helper()
	s := kmod.NewSet("6.1")
	a := s.Adder()
	a.Add("vrf.ko", kmodtest.Module([]string{"name=vrf"}, "register_net_sysctl"))
	a.Add("tcp_bbr.ko", kmodtest.Module([]string{"name=tcp_bbr"}, "tcp_register_congestion_control"))
	if err := a.Wait(); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWrite(t *testing.T) {
	init := executable(t)
	var first, second bytes.Buffer
	for _, b := range []*bytes.Buffer{&first, &second} {
		in := initramfs.Contents{Executable: init, Names: []string{"/sbin/b", "/sbin/a"}, Modules: modules(t)}
		if err := initramfs.Write(b, in); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the same contents make other bytes")
	}
	records, err := cpio.ReadAllRecords(cpio.Newc.Reader(bytes.NewReader(first.Bytes())))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]cpio.Record{}
	inodes := map[uint64]bool{}
	for _, r := range records {
		if parent := filepath.Dir(r.Name); parent != "." && got[parent].Mode&cpio.S_IFMT != cpio.S_IFDIR {
			t.Errorf("%s comes before its directory, and the kernel would leave it out", r.Name)
		}
		if r.UID != 0 || r.GID != 0 || r.MTime != 0 || r.NLink != 1 || inodes[r.Ino] {
			t.Errorf("%s: %+v", r.Name, r.Info)
		}
		got[r.Name], inodes[r.Ino] = r, true
	}
	for name, mode := range map[string]uint64{
		"init": cpio.S_IFREG | 0o755, "proc": cpio.S_IFDIR | 0o755, "sbin/a": cpio.S_IFLNK | 0o777,
		"dev/console": cpio.S_IFCHR | 0o600, "modules/vrf.ko": cpio.S_IFREG | 0o644, "modules/tcp_bbr.ko.packed": cpio.S_IFREG | 0o644,
	} {
		if got[name].Mode != mode {
			t.Errorf("%s has mode %o", name, got[name].Mode)
		}
	}
	content := func(name string) []byte {
		r := got[strings.TrimPrefix(name, "/")]
		data, err := io.ReadAll(io.NewSectionReader(r, 0, int64(r.FileSize)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return data
	}
	if !bytes.Equal(content(initramfs.Init), init) {
		t.Error("init is not the executable")
	}
	if c := got["dev/console"]; c.Rmajor != 5 || c.Rminor != 1 {
		t.Errorf("the console is %d, %d", c.Rmajor, c.Rminor)
	}
	m, err := kmod.DecodeManifest(content(initramfs.Manifest))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Modules) != 2 || len(m.Boot()) != 1 {
		t.Errorf("the manifest has %d modules, %d for boot", len(m.Modules), len(m.Boot()))
	}
	for _, e := range m.Modules {
		if _, err := kmod.Parse(e.Name+".ko", content(initramfs.ModulesDir+"/"+e.File)); err != nil {
			t.Error(err)
		}
	}
}

func TestRefusesExecutables(t *testing.T) {
	for name, data := range map[string][]byte{
		"text":           []byte("#!/bin/sh\n"),
		"a module":       kmodtest.Module([]string{"name=x"}),
		"not static":     executable(t, "-buildmode=pie", "-ldflags=-linkmode=internal"),
		"nothing at all": nil,
	} {
		var b bytes.Buffer
		if err := initramfs.Write(&b, initramfs.Contents{Executable: data}); !errors.Is(err, initramfs.ErrExecutable) || b.Len() > 0 {
			t.Errorf("%s: %v, %d bytes written", name, err, b.Len())
		}
	}
}

// TestWriteFails: the writer's error comes back.
func TestWriteFails(t *testing.T) {
	full := errors.New("full")
	w := writerFunc(func(p []byte) (int, error) { return 0, full })
	if err := initramfs.Write(w, initramfs.Contents{Executable: executable(t)}); !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
