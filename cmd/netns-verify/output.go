package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

// output is where the report goes.
type output interface {
	io.Writer
	// CloseAtomicallyReplace makes what was written count; without it, Cleanup
	// throws it away.
	CloseAtomicallyReplace() error
	Cleanup() error
}

// openOutput opens a file that appears at path whole or not at all; an empty
// path means stdout. It is called before a run, so that a run is not in vain.
func openOutput(path string, stdout io.Writer) (output, error) {
	if path == "" {
		return direct{stdout}, nil
	}
	if to, err := filepath.EvalSymlinks(path); err == nil {
		path = to // the link stays, what it leads to is replaced
	}
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("open report file: %w", err)
	case !st.Mode().IsRegular():
		return nil, fmt.Errorf("open report file: %s is not a regular file, and would be replaced: redirect stdout to it instead", path)
	}
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)),
		renameio.WithPermissions(0o644), renameio.WithExistingPermissions())
	if err != nil {
		return nil, fmt.Errorf("open report file: %w", err)
	}
	return f, nil
}

// direct is an output that cannot be taken back.
type direct struct{ io.Writer }

func (direct) CloseAtomicallyReplace() error { return nil }
func (direct) Cleanup() error                { return nil }

// createConsole creates or empties the file for guests' consoles. A pipe is refused:
// its reader could keep a guest, and us, waiting for ever.
func createConsole(path string) (io.Writer, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|unix.O_NONBLOCK, 0o666)
	if errors.Is(err, unix.ENXIO) { // a pipe without a reader (open(2))
		return nil, fmt.Errorf("%s is a pipe: %w", path, err)
	}
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	switch {
	case err != nil:
	case st.Mode()&(fs.ModeNamedPipe|fs.ModeSocket) != 0:
		err = fmt.Errorf("%s is a pipe", path)
	case st.Mode().IsRegular():
		err = f.Truncate(0)
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return f, nil
}
