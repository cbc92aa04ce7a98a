package observe

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// maxTable bounds what is read of a table in bytes: a router's may have a million
// routes, and reading them after each batch would be all that a run does.
const maxTable = 256 << 10

// Tree is the host's sysctls and what else is watched there.
// It is not for concurrent use.
type Tree struct {
	sysctl.Tree
	proc, sys string
	kinds     Kinds
	known     loadedModules
}

// New adds what is to be watched to the host's sysctls. proc and sys are where the
// kernel shows the rest, normally "/proc" and "/sys".
func New(host *sysctl.Proc, proc, sys string, kinds Kinds) *Tree {
	t := &Tree{Tree: host, proc: proc, sys: sys, kinds: kinds}
	if kinds.Has(Sys) {
		t.Tree = host.Everything()
	}
	return t
}

// List implements sysctl.Tree. Tables and modules that this kernel has not are
// not there; that is no error.
func (t *Tree) List() ([]sysctl.Key, error) {
	keys, err := t.Tree.List()
	if err != nil {
		return nil, err
	}
	if t.kinds.Has(Proc) {
		for _, table := range tables {
			if _, err := os.Lstat(t.path(table)); err == nil {
				keys = append(keys, table.key())
			}
		}
	}
	t.known = loadedModules{} // whatever its directory says
	keys = append(keys, t.Modules()...)
	return keys, nil
}

func (t *Tree) path(table table) string { return t.proc + "/net/" + table.name }

func (t table) key() sysctl.Key { return sysctl.Key(procPrefix + "net/" + t.name) }

// Mode implements sysctl.Tree. Of what is no sysctl nobody may write anything.
func (t *Tree) Mode(k sysctl.Key) (fs.FileMode, error) {
	if IsModule(k) {
		return 0o444, nil
	}
	table, ok := tableOf(k)
	if !ok {
		return t.Tree.Mode(k)
	}
	info, err := os.Lstat(t.path(table))
	if err != nil {
		return 0, err
	}
	return info.Mode().Perm() &^ 0o222, nil
}

// loaded is the state of a module that is.
var loaded = sysctl.State{Value: "loaded"}

// Read implements sysctl.Tree.
func (t *Tree) Read(k sysctl.Key) sysctl.State {
	if table, ok := tableOf(k); ok {
		return t.table(table)
	}
	if !IsModule(k) {
		return t.Tree.Read(k)
	}
	if slices.Contains(t.Modules(), k) {
		return loaded
	}
	return sysctl.Absent
}

func (t *Tree) table(table table) sysctl.State {
	f, err := os.Open(t.path(table))
	if err != nil {
		return sysctl.State{Errno: sysctl.Errno(err)}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxTable+1))
	err = errors.Join(err, f.Close())
	switch {
	case err != nil:
		return sysctl.State{Errno: sysctl.Errno(err)}
	case len(text) > maxTable:
		return sysctl.State{Errno: unix.EFBIG}
	}
	return sysctl.State{Value: table.reduce(string(text))}
}

func tableOf(k sysctl.Key) (table, bool) {
	if !strings.HasPrefix(string(k), procPrefix) {
		return table{}, false // as nearly all: this is asked at each read
	}
	i := slices.IndexFunc(tables, func(t table) bool { return t.key() == k })
	if i < 0 {
		return table{}, false
	}
	return tables[i], true
}

// Write implements sysctl.Tree.
func (t *Tree) Write(k sysctl.Key, value string) error {
	if _, ok := tableOf(k); ok || IsModule(k) {
		return &fs.PathError{Op: "write", Path: string(k), Err: unix.EPERM}
	}
	return t.Tree.Write(k, value)
}

// Keep implements sysctl.Tree.
func (t *Tree) Keep() sysctl.Reader { return reader{t, t.Tree.Keep()} }

// reader keeps descriptors of sysctls. Modules it does not look up again: it is
// asked for those that have just been listed.
type reader struct {
	tree    *Tree
	sysctls sysctl.Reader
}

func (r reader) Read(k sysctl.Key) sysctl.State {
	if IsModule(k) {
		return loaded
	}
	if table, ok := tableOf(k); ok {
		return r.tree.table(table)
	}
	return r.sysctls.Read(k)
}

func (r reader) Close() error { return r.sysctls.Close() }
