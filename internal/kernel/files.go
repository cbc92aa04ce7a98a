package kernel

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/netns-verify/netns-verify/internal/unpack"
)

// FromFiles takes a kernel from a file (bzImage, vmlinuz) and its modules from a
// directory: /lib/modules/RELEASE, one that has RELEASE or lib/modules/RELEASE in
// it, or any directory of .ko files. "" means no modules.
func FromFiles(image, modulesDir string) (*Kernel, error) {
	data, err := readRegular(image)
	if err != nil {
		return nil, err
	}
	k, err := newKernel(image, filepath.Base(image), data)
	if err != nil || modulesDir == "" {
		return k, err
	}
	dir, err := findModules(modulesDir, k.Release)
	if err != nil {
		return nil, err
	}
	if err := k.Modules.AddDir(os.DirFS(dir), dir); err != nil {
		return nil, err
	}
	if k.Modules.Len() == 0 {
		return nil, fmt.Errorf("%s: no modules in it", dir)
	}
	return k, nil
}

// findModules is the directory with the modules of a release.
func findModules(dir, release string) (string, error) {
	if release != "" {
		for _, below := range []string{".", "lib/modules", "usr/lib/modules"} {
			d := filepath.Join(dir, below, release)
			if info, err := os.Stat(d); err == nil && info.IsDir() {
				return d, nil
			}
		}
	}
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s: not a directory", dir)
	}
	return dir, err
}

// readRegular reads a file that must not be a device or a pipe, which may not end.
func readRegular(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w: not a regular file", name, ErrNotKernel)
	}
	if info.Size() > MaxImage {
		return nil, fmt.Errorf("%s: %w: %w", name, ErrNotKernel, unpack.ErrTooLarge)
	}
	return os.ReadFile(name)
}
