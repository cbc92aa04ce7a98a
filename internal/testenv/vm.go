package testenv

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// NeedVM skips the test where no kernel can be booted: without QEMU, or without
// the packages of the kernels of these names, as `make kernels` brings them. It
// returns their paths, by kernel.
func NeedVM(t testing.TB, kernels ...string) (packages [][]string) {
	t.Helper()
	_, err := exec.LookPath("qemu-system-x86_64")
	for _, k := range kernels {
		var paths []string
		if err == nil {
			paths, err = kernelPackages(k)
		}
		packages = append(packages, paths)
	}
	need(t, "vm", "no kernel can be booted", err)
	return packages
}

// NeedFiles is NeedVM for a kernel as files: its image, and the directory with its modules.
// dpkg-deb unpacks it, in a second; with the race detector we would take a minute.
func NeedFiles(t testing.TB, kernel string) (image, modules string) {
	t.Helper()
	packages := NeedVM(t, kernel)[0]
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, ".cache", "unpacked", kernel)
	if err := unpack(packages, dir); err != nil {
		t.Fatalf("unpack %s: %v", kernel, err)
	}
	images, err := filepath.Glob(filepath.Join(dir, "boot", "vmlinuz-*"))
	if err != nil || len(images) != 1 {
		t.Fatalf("%d images in %s: %v", len(images), dir, err)
	}
	return images[0], dir
}

// unpack unpacks packages into a directory, unless that has been done: what is there is
// told by the sums that `make kernels` left beside the packages.
func unpack(packages []string, dir string) error {
	const sums = "SHA256SUMS"
	want, err := os.ReadFile(filepath.Join(filepath.Dir(packages[0]), sums))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(dir+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	if have, err := os.ReadFile(filepath.Join(dir, sums)); err == nil && bytes.Equal(have, want) {
		return nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	for _, p := range packages {
		if out, err := exec.Command("dpkg-deb", "-x", p, dir).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
	}
	return os.WriteFile(filepath.Join(dir, sums), want, 0o644)
}

// NeedFile skips the test where a file is missing that boots of kernels need.
func NeedFile(t testing.TB, path string) {
	t.Helper()
	_, err := os.Stat(path)
	need(t, "vm", "`make leaky` brings it", err)
}

func kernelPackages(name string) ([]string, error) {
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(root, ".cache", "kernels", name)
	packages, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err == nil && len(packages) == 0 {
		err = errors.New("no packages in " + dir + ": `make kernels` brings them")
	}
	return packages, err
}

// moduleRoot is the directory of go.mod: tests run in that of their package.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, serr := os.Stat(filepath.Join(dir, "go.mod")); serr == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.mod above the test")
		}
		dir = up
	}
	return "", err
}
