package testenv

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// NeedVM skips the test where no kernel can be booted: without QEMU, or without
// the packages of the kernels of these names, as `make kernels` brings them. It
// returns their paths, by kernel. Boots of other tests are waited for: they would
// make each other slow.
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
	own(t, "netns-verify-vm-tests.lock")
	return packages
}

// NeedFile skips the test where a file is missing that boots of kernels need.
func NeedFile(t testing.TB, path string) {
	t.Helper()
	_, err := os.Stat(path)
	need(t, "vm", "make test-vm prepares that", err)
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
