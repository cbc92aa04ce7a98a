package sysctl

import (
	"cmp"
	"io/fs"
	"slices"
)

// Tree is a namespace's sysctls. The real one is Proc; tests put simulated
// kernels here. Keys are relative to the tree's root ("net/core/somaxconn").
type Tree interface {
	// List returns all keys below net/, in any order.
	List() ([]Key, error)
	// Mode returns a key's permission bits.
	Mode(Key) (fs.FileMode, error)
	// Read returns a key's state, whole, whatever its length.
	Read(Key) State
	// Write opens the key anew and writes the value with one write(2).
	Write(Key, string) error
	// Keep returns a reader that may hold descriptors open between reads.
	Keep() Reader
}

// Reader reads keys again and again.
type Reader interface {
	Read(Key) State
	Close() error
}

// Survey lists a tree with modes and states.
func Survey(t Tree, r Reader) (Snapshot, error) {
	keys, err := t.List()
	if err != nil {
		return nil, err
	}
	s := make(Snapshot, 0, len(keys))
	for _, k := range keys {
		mode, err := t.Mode(k)
		if err != nil {
			continue // gone since it was listed
		}
		st := State{Errno: errWriteOnly}
		if mode&0o444 != 0 {
			st = r.Read(k)
		}
		s = append(s, Entry{Key: k, Mode: mode, State: st})
	}
	slices.SortFunc(s, func(a, b Entry) int { return cmp.Compare(a.Key, b.Key) })
	return s, nil
}
