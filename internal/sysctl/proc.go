package sysctl

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// ProcRoot is where the kernel shows its sysctls.
const ProcRoot = "/proc/sys"

// errWriteOnly is what opening a write-only key for reading gives, root
// included (sysctl_perm, fs/proc/proc_sysctl.c: no CAP_DAC_OVERRIDE there).
const errWriteOnly = unix.EACCES

// maxValue bounds a value in bytes. Handlers of sysctls take no more than a page
// (kernel/sysctl.c): what is longer is none, or could not be put back.
const maxValue = 4096

// Proc is the tree below a directory, normally /proc/sys. It shows the network
// namespace of the calling thread: whoever uses it must stay in one namespace.
// Its lists are not for concurrent use.
type Proc struct {
	root   string
	all    bool     // list more than net/
	hidden []string // what lists leave out, by path from root
	lister *lister
	listed int
}

// firstRead is the size of the first buffer, in bytes: small, because the
// kernel allocates and clears as much for every read.
const firstRead = 512

// NewProc returns the tree below root. It reads nothing yet.
func NewProc(root string) *Proc {
	root = filepath.Clean(root)
	return &Proc{root: root, lister: newLister(root)}
}

func (p *Proc) path(k Key) string { return p.root + "/" + string(k) }

// Everything is the same tree, listed whole and not only below net/.
func (p *Proc) Everything() *Proc {
	return &Proc{root: p.root, lister: newLister(p.root), all: true, hidden: p.hidden}
}

// Without is the same tree, listed without these paths (see Covered).
func (p *Proc) Without(paths []string) *Proc {
	return &Proc{root: p.root, lister: newLister(p.root), all: p.all, hidden: paths}
}

// List walks net/, or everything. A directory that vanishes meanwhile is left out.
func (p *Proc) List() ([]Key, error) {
	keys := make([]Key, 0, p.listed)
	if p.all {
		if err := p.listOthers(&keys); err != nil {
			return nil, fmt.Errorf("list keys: %w", err)
		}
	}
	if err := p.list("net", &keys); err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	p.listed = len(keys)
	return keys, nil
}

func (p *Proc) list(dir string, keys *[]Key) error {
	d, err := p.lister.list(dir)
	if err != nil {
		if gone(err) && dir != "net" {
			return nil
		}
		return err
	}
	for _, k := range d.files {
		if !slices.Contains(p.hidden, string(k)) {
			*keys = append(*keys, k)
		}
	}
	for _, name := range d.dirs {
		if slices.Contains(p.hidden, name) {
			continue
		}
		if err := p.list(name, keys); err != nil {
			return err
		}
	}
	return nil
}

// Mode is the permission bits of stat(2).
func (p *Proc) Mode(k Key) (fs.FileMode, error) {
	var st unix.Stat_t
	path := p.path(k)
	if err := retry(func() error { return unix.Lstat(path, &st) }); err != nil {
		return 0, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return fs.FileMode(st.Mode & 0o7777), nil
}

// Read opens, reads and closes.
func (p *Proc) Read(k Key) State {
	fd, err := p.open(k)
	if err != nil {
		return State{Errno: Errno(err)}
	}
	st := pread(fd, make([]byte, firstRead), "")
	_ = unix.Close(fd) // read-only: nothing to lose
	return st
}

func (p *Proc) open(k Key) (fd int, err error) {
	err = retry(func() error {
		fd, err = unix.Open(p.path(k), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
		return err
	})
	return fd, err
}

// pread reads a descriptor's whole value. sysctl handlers give all they have to
// one read and some give nothing at an offset, so a full buffer means: once more
// from the start, with a larger one. A value equal to last is last itself.
func pread(fd int, buf []byte, last string) State {
	for ; ; buf = make([]byte, 4*len(buf)) {
		var n int
		err := retry(func() (err error) { n, err = unix.Pread(fd, buf, 0); return err })
		switch {
		case err != nil:
			return State{Errno: Errno(err)}
		case n < len(buf):
			if n > 0 && buf[n-1] == '\n' {
				n--
			}
			if n > maxValue {
				return State{Errno: unix.EFBIG}
			}
			if string(buf[:n]) != last {
				last = string(buf[:n])
			}
			return State{Value: last}
		case len(buf) > maxValue:
			return State{Errno: unix.EFBIG}
		}
	}
}

// Write writes a value and a newline with one write(2), on a descriptor of its
// own: some handlers ignore a second write on the same one (5.10, 6.1). Nothing
// is ever created, and nothing longer than a page is written: it would be cut. The error
// is an *fs.PathError over the errno.
func (p *Proc) Write(k Key, value string) error {
	path := p.path(k)
	if len(value) > maxValue {
		return &fs.PathError{Op: "write", Path: path, Err: unix.EFBIG}
	}
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Open(path, unix.O_WRONLY|unix.O_TRUNC|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
		return err
	})
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	err = writeOnce(fd, value)
	if cerr := unix.Close(fd); err == nil && cerr != nil {
		err = cerr
	}
	if err != nil {
		return &fs.PathError{Op: "write", Path: path, Err: err}
	}
	return nil
}

// writeOnce writes a value and a newline with one write(2).
func writeOnce(fd int, value string) error {
	data := value + "\n"
	n, err := unix.Write(fd, []byte(data)) // not retried: EINTR may come after an effect
	if err == nil && n < len(data)-1 {
		err = io.ErrShortWrite
	}
	return err
}

func retry(f func() error) error {
	for {
		if err := f(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
