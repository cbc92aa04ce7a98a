package sysctl

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestOfKernel: a directory is what is in it, by whatever name.
func TestOfKernel(t *testing.T) {
	dir := t.TempDir()
	link, files, empty := filepath.Join(dir, "link"), filepath.Join(dir, "files"), filepath.Join(dir, "empty")
	if err := errors.Join(os.Symlink("/proc/sys", link), os.MkdirAll(filepath.Join(files, "net/core"), 0o755), os.Mkdir(empty, 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		root      string
		kernel    bool
		err       error
		canonical string
	}{
		{"/proc/sys", true, nil, ProcRoot},
		{"/proc/sys/", true, nil, ProcRoot},
		{"/proc/./sys", true, nil, ProcRoot},
		{"/proc/self/root/proc/sys", true, nil, ProcRoot},
		{"/proc/sys/net/..", true, nil, ProcRoot},
		{link, true, nil, ProcRoot},
		{files, false, nil, files},
		{empty, false, ErrNoTree, empty},
		{"/proc", false, ErrNoTree, "/proc"},
		{"/proc/self", false, ErrNoTree, "/proc/self"},
		{"/proc/sys/kernel", false, ErrNoTree, "/proc/sys/kernel"},
		{"/proc/sys/kernel/ostype", false, ErrNoTree, "/proc/sys/kernel/ostype"},
		{filepath.Join(dir, "missing"), false, ErrNoTree, filepath.Join(dir, "missing")},
	} {
		kernel, err := OfKernel(tt.root)
		if kernel != tt.kernel || !errors.Is(err, tt.err) {
			t.Errorf("OfKernel(%s): %v, %v; want %v, %v", tt.root, kernel, err, tt.kernel, tt.err)
		}
		if got := Canonical(tt.root); got != tt.canonical {
			t.Errorf("Canonical(%s): %s, want %s", tt.root, got, tt.canonical)
		}
	}
}
