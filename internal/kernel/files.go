package kernel

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/kmod"
	"github.com/netns-verify/netns-verify/internal/unpack"
)

// FromFiles takes a kernel from a file (bzImage, vmlinuz) and its modules from a
// directory: /lib/modules/RELEASE, one that has RELEASE or lib/modules/RELEASE in
// it, or any directory of .ko files. "" means no modules. ctx ends it early, with its
// cause.
func FromFiles(ctx context.Context, image, modulesDir string) (*Kernel, error) {
	data, err := readRegular(ctx, image, MaxImage, ErrNotKernel)
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
	if err := k.Modules.AddDir(ctx, os.DirFS(dir), dir); err != nil {
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

// AddModule adds a module that is always loaded, after all others.
func (k *Kernel) AddModule(ctx context.Context, file string) error {
	data, err := readRegular(ctx, file, kmod.MaxModule, kmod.ErrNotModule)
	if err != nil {
		return err
	}
	return k.Modules.AddExtra(file, data)
}

// readRegular reads all of a file (openRegular).
func readRegular(ctx context.Context, name string, limit int64, otherwise error) ([]byte, error) {
	f, err := openRegular(name, limit, otherwise)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(reader{ctx, f}, limit+1))
	if int64(len(data)) > limit { // files in /proc have no size
		return nil, fmt.Errorf("%s: %w: %w", name, otherwise, unpack.ErrTooLarge)
	}
	return data, err
}

// openRegular opens a file that must not be a device or a pipe, which may not end,
// and not be larger than a limit: otherwise it is no such thing as is wanted, which
// is the error.
func openRegular(name string, limit int64, otherwise error) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0) // opening a pipe may take forever
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s: %w: not a regular file", name, otherwise)
	case info.Size() > limit:
		err = fmt.Errorf("%s: %w: %w", name, otherwise, unpack.ErrTooLarge)
	default:
		return f, nil
	}
	_ = f.Close() // nothing was read
	return nil, err
}

// reader reads until its context ends, whose cause is the error then.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(p)
}
