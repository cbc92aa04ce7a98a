package kmod

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/unpack"
)

// Load loads a module from a file, compressed or not, with parameters as on a
// command line ("" for none). One that is there already counts as loaded. The
// error has the kernel's errno.
func Load(file, parameters string) error {
	data, err := os.ReadFile(file)
	if err == nil {
		data, err = unpack.Bytes(data, MaxModule)
	}
	if err != nil {
		return fmt.Errorf("load module: %w", err)
	}
	if err := unix.InitModule(data, parameters); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("load module %s: %w", file, err)
	}
	return nil
}
