package kernel

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/netns-verify/netns-verify/internal/kmod"
)

// Limits of what is read, in bytes, uncompressed. Debian's full kernel has 8 MB and
// 400 MB of modules, 20 MB at most in one.
const (
	MaxImage   = 256 << 20 // a kernel
	MaxPackage = 2 << 30   // everything in a package
)

// Errors of files that are not what is needed.
var (
	ErrNotKernel = errors.New("not a kernel")
	ErrNoKernel  = errors.New("no kernel in it")
	ErrPackage   = errors.New("not a Debian package")
)

// Kernel is a kernel to boot.
type Kernel struct {
	// Name is the release, or the file's name where that is not known.
	Name string
	// Release is what uname -r will say; "" if the image does not tell.
	Release string
	// Version is the image's own words about itself: release, builder, build date.
	Version string
	// Arch is what it runs on, in Go's words: amd64, 386 or arm64.
	Arch string
	// Modules is never nil; it is empty for a kernel without modules.
	Modules *kmod.Set

	image []byte
}

// Image is the kernel's image; it is not to be changed.
func (k *Kernel) Image() []byte { return k.image }

// WriteImage writes the image into a directory, for programs that want a path.
func (k *Kernel) WriteImage(dir string) (path string, err error) {
	path = filepath.Join(dir, "vmlinuz")
	return path, os.WriteFile(path, k.image, 0o600)
}
