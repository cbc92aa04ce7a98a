package kmod_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/kmod"
)

// TestLoadRefused: the kernel takes neither what is no module nor one from
// somebody who may not load any; its errno is kept.
func TestLoadRefused(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.ko")
	if err := os.WriteFile(name, []byte("not a module at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := kmod.Load(name, "")
	if !errors.Is(err, unix.ENOEXEC) && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.ENOSYS) {
		t.Errorf("loading text: %v", err)
	}
	if err := kmod.Load(name+"x", ""); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("loading nothing: %v", err)
	}
}
