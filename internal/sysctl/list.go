package sysctl

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strings"

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
	d := &directory{raw: slices.Clone(raw)}
	for entry := range entries(d.raw) {
		path := name + "/" + entry.name
		switch l.kind(path, entry.kind) {
		case unix.DT_DIR:
			d.dirs = append(d.dirs, path)
		case unix.DT_REG:
			d.files = append(d.files, Key(path))
		}
	}
	l.forget(name, d)
	l.known[name] = d
	return d, nil
}

// forget forgets the directories that are no longer in one.
func (l *lister) forget(name string, now *directory) {
	was := l.known[name]
	if was == nil {
		return
	}
	for _, gone := range was.dirs {
		if !slices.Contains(now.dirs, gone) {
			maps.DeleteFunc(l.known, func(known string, _ *directory) bool {
				return known == gone || strings.HasPrefix(known, gone+"/")
			})
		}
	}
}

// kind is what getdents(2) said, or, where the file system does not tell, what is there.
func (l *lister) kind(path string, said uint8) uint8 {
	if said != unix.DT_UNKNOWN {
		return said
	}
	var st unix.Stat_t
	if unix.Lstat(l.root+"/"+path, &st) != nil {
		return unix.DT_UNKNOWN
	}
	return uint8(st.Mode >> 12) // IFTODT of dirent.h
}

// entry is one of a directory.
type entry struct {
	name string
	kind uint8
}

// entries is what the bytes of getdents(2) say: records with the inode's number and
// a position of 8 bytes each, the record's length in 2, the kind in 1, and the name
// up to a NUL.
func entries(raw []byte) iter.Seq[entry] {
	const header = 19
	return func(yield func(entry) bool) {
		for len(raw) > header {
			length := int(binary.NativeEndian.Uint16(raw[16:]))
			if length <= header || length > len(raw) {
				return
			}
			name, _, _ := bytes.Cut(raw[header:length], []byte{0})
			if kind := raw[18]; string(name) != "." && string(name) != ".." && !yield(entry{string(name), kind}) {
				return
			}
			raw = raw[length:]
		}
	}
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
