package sysctl

import (
	"errors"
	"io/fs"
	"slices"
	"syscall"
)

// State is what reading a key gave: its whole value, or the errno. A failed
// read is a state like any other; two states compare with ==.
type State struct {
	// Value is the bytes as read, less one trailing newline.
	Value string
	// Errno is 0 where the read succeeded; ENOENT means that the key is absent.
	Errno syscall.Errno
}

// Absent is the state of a key that does not exist.
var Absent = State{Errno: syscall.ENOENT}

// OK tells that the key could be read.
func (s State) OK() bool { return s.Errno == 0 }

// Hidden tells that the reader was not permitted to read the key, so that a
// change of it would go unnoticed.
func (s State) Hidden() bool { return s.Errno == syscall.EACCES || s.Errno == syscall.EPERM }

// Errno finds the errno in an error; EIO stands for an error without one.
func Errno(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	var n syscall.Errno
	if errors.As(err, &n) {
		return n
	}
	if errors.Is(err, fs.ErrNotExist) {
		return syscall.ENOENT
	}
	return syscall.EIO
}

// Entry is one key of a tree, as a survey finds it.
type Entry struct {
	Key Key
	// Mode is the permission bits. They are not the whole truth in a namespace
	// owned by a user namespace (net_ctl_permissions, net/sysctl_net.c).
	Mode  fs.FileMode
	State State
}

// Writable tells whether any permission bit allows writing.
func (e Entry) Writable() bool { return e.Mode&0o222 != 0 }

// Readable tells whether any permission bit allows reading.
func (e Entry) Readable() bool { return e.Mode&0o444 != 0 }

// Unread tells that the key should be readable and is not, so that nobody knows what to
// put back after a write. EIO says that there is no value yet (stable_secret).
func (e Entry) Unread() bool {
	return e.Readable() && !e.State.OK() && e.State != Absent && e.State.Errno != syscall.EIO
}

// Secret tells that not everybody may read the key: its value must not be shown.
func (e Entry) Secret() bool { return e.Readable() && e.Mode&0o004 == 0 }

// Snapshot is the keys of a tree at one moment, sorted by key.
type Snapshot []Entry

// OfNetwork is the keys of a network namespace.
func (s Snapshot) OfNetwork() Snapshot {
	return slices.DeleteFunc(slices.Clone(s), func(e Entry) bool { return !e.Key.Network() })
}

// Map indexes the snapshot's entries by key.
func (s Snapshot) Map() map[Key]Entry {
	m := make(map[Key]Entry, len(s))
	for _, e := range s {
		m[e.Key] = e
	}
	return m
}

// Change is a key that is not in the state it was in.
type Change struct {
	Key           Key
	Before, After State
}
