package sysctl

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// lister walks directories again and again. Parsing what getdents(2) gives takes
// most of the time, and it is nearly always what it was: so it is compared first.
type lister struct {
	root  string
	known map[string]*directory
	buf   []byte
}

// directory is what one was found to hold.
type directory struct {
	raw   []byte // as getdents(2) gave it
	files []Key
	dirs  []string
}

// direntSpace is the size in bytes of the buffer for getdents(2).
const direntSpace = 32 << 10

func newLister(root string) *lister {
	return &lister{root: root, known: map[string]*directory{}, buf: make([]byte, 0, direntSpace)}
}

// list is the files and directories in a directory below the root, by their names
// from there.
func (l *lister) list(name string) (*directory, error) {
	raw, err := l.raw(name)
	if err != nil {
		return nil, err
	}
	if d := l.known[name]; d != nil && bytes.Equal(d.raw, raw) {
		return d, nil
	}
	// What is gone or new since then shows the next time: it is not as in raw.
	entries, err := os.ReadDir(l.root + "/" + name)
	if err != nil {
		return nil, err
	}
	d := &directory{raw: slices.Clone(raw)}
	for _, e := range entries {
		path := name + "/" + e.Name()
		switch {
		case e.IsDir():
			d.dirs = append(d.dirs, path)
		case e.Type().IsRegular():
			d.files = append(d.files, Key(path))
		}
	}
	l.known[name] = d
	return d, nil
}

// raw is valid until it is called again.
func (l *lister) raw(name string) ([]byte, error) {
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Open(l.root+"/"+name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: l.root + "/" + name, Err: err}
	}
	defer func() { _ = unix.Close(fd) }() // read-only: nothing to lose
	raw := l.buf[:0]
	for {
		raw = slices.Grow(raw, direntSpace/2)
		var n int
		err := retry(func() (err error) { n, err = unix.Getdents(fd, raw[len(raw):cap(raw)]); return err })
		if err != nil {
			return nil, &fs.PathError{Op: "getdents64", Path: l.root + "/" + name, Err: err}
		}
		if n == 0 {
			break
		}
		raw = raw[:len(raw)+n]
	}
	l.buf = raw
	return raw, nil
}

// gone tells that a directory, a device's for instance, went while it was listed.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) }
