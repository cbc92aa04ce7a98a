package sysctl

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// Handle is one open descriptor of a key, wherever it was opened: procfs ties it
// to the namespace of whoever opened it, but a handler may look at its caller.
type Handle interface {
	// Read reads the whole value from the start.
	Read() State
	// Write writes the value with one write(2). Some handlers ignore a second one
	// on the same descriptor: open anew for each.
	Write(string) error
	Close() error
}

// Open opens a key for reading and writing, or only for what its mode allows.
// The error is an *fs.PathError over the errno.
func (p *Proc) Open(k Key) (*Descriptor, error) {
	path, fd := p.path(k), -1
	var err error
	for _, flags := range []int{unix.O_RDWR, unix.O_WRONLY, unix.O_RDONLY} {
		err = retry(func() (err error) {
			fd, err = unix.Open(path, flags|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
			return err
		})
		if !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EPERM) {
			break
		}
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &Descriptor{fd: fd, name: path}, nil
}

// Descriptor is a Handle of this process.
type Descriptor struct {
	fd   int
	name string
}

// NewDescriptor takes over a descriptor that was received; name is for its errors.
func NewDescriptor(fd int, name string) *Descriptor { return &Descriptor{fd: fd, name: name} }

// Fd is the descriptor's number, for passing it on.
func (d *Descriptor) Fd() int { return d.fd }

// Read implements Handle.
func (d *Descriptor) Read() State { return pread(d.fd, make([]byte, firstRead), "") }

// Write implements Handle. The error is an *fs.PathError over the errno.
func (d *Descriptor) Write(value string) error {
	if err := writeOnce(d.fd, value); err != nil {
		return &fs.PathError{Op: "write", Path: d.name, Err: err}
	}
	return nil
}

// Close implements Handle.
func (d *Descriptor) Close() error { return unix.Close(d.fd) }
