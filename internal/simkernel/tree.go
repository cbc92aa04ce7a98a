package simkernel

import (
	"io/fs"
	"syscall"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// view is the sysctls of one namespace: a sysctl.Tree.
type view struct {
	k  *Kernel
	ns *namespace
}

var _ sysctl.Tree = view{}

// List also looks at every observer on behalf of the log: a sweep of the host is
// where a run ought to notice what is there.
func (v view) List() ([]sysctl.Key, error) {
	v.k.clock.sleep(costList) // never under the lock: a bubble's time would stand still
	v.k.mu.Lock()
	defer v.k.mu.Unlock()
	v.k.advance()
	if v.ns == v.k.host {
		v.k.noticeAll()
	}
	keys := make([]sysctl.Key, 0, len(v.k.sorted))
	for _, i := range v.k.sorted {
		v.k.drifted(v.ns, i, false)
		if v.ns.cells[i].present {
			keys = append(keys, v.k.keys[i].name)
		}
	}
	return keys, nil
}

// find returns a key's number, or an error where it is not there.
func (v view) find(key sysctl.Key) (int, syscall.Errno) {
	i, ok := v.k.index[key]
	if !ok || v.ns.dead {
		return 0, syscall.ENOENT
	}
	if v.k.drifted(v.ns, i, false); !v.ns.cells[i].present {
		return 0, syscall.ENOENT
	}
	return i, 0
}

func (v view) Mode(key sysctl.Key) (fs.FileMode, error) {
	v.k.mu.Lock()
	defer v.k.mu.Unlock()
	v.k.advance()
	i, errno := v.find(key)
	if errno != 0 {
		return 0, pathError("stat", key, errno)
	}
	return v.k.side(v.ns, i).mode, nil
}

func (v view) Read(key sysctl.Key) sysctl.State {
	v.k.mu.Lock()
	defer v.k.mu.Unlock()
	v.k.advance()
	i, errno := v.find(key)
	if errno != 0 {
		return sysctl.State{Errno: errno}
	}
	if !v.k.readable(v.ns, i) {
		return sysctl.State{Errno: syscall.EACCES}
	}
	v.k.drifted(v.ns, i, true)
	v.k.notice(v.ns, i)
	v.k.reads(v.ns, i)
	return sysctl.State{Value: v.k.cell(v.ns, i).value}
}

func (v view) Write(key sysctl.Key, value string) error {
	v.k.clock.sleep(costWrite)
	v.k.mu.Lock()
	defer v.k.mu.Unlock()
	v.k.advance()
	i, errno := v.find(key)
	if errno != 0 {
		return pathError("open", key, errno)
	}
	if v.k.side(v.ns, i).mode&0o222 == 0 {
		return pathError("open", key, syscall.EACCES)
	}
	if errno := v.k.write(v.ns, i, value); errno != 0 {
		return pathError("write", key, errno)
	}
	return nil
}

// Keep returns a reader without descriptors.
func (v view) Keep() sysctl.Reader { return reader{v} }

type reader struct{ v view }

func (r reader) Read(key sysctl.Key) sysctl.State { return r.v.Read(key) }
func (r reader) Close() error                     { return nil }

func pathError(op string, key sysctl.Key, errno syscall.Errno) error {
	return &fs.PathError{Op: op, Path: key.Path(), Err: errno}
}
