package sysctl

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrNoTree is that a directory is no sysctl tree.
var ErrNoTree = errors.New("no sysctl tree")

// ErrMasked is that something is mounted on the kernel's sysctl directory.
var ErrMasked = errors.New("something that is not the kernel's is mounted there")

// OfKernel tells whether the kernel shows its sysctls below root, whatever the path:
// by a link, in another procfs, bound elsewhere. Any other directory with a net/ in
// it is a tree of files.
func OfKernel(root string) (bool, error) {
	net := filepath.Join(root, "net")
	above, err := onProc(root)
	if errors.Is(err, os.ErrNotExist) {
		return false, fmt.Errorf("%s is %w: %w", root, ErrNoTree, err)
	}
	if err != nil {
		return false, fmt.Errorf("look at the sysctl directory: %w", err)
	}
	proc, err := onProc(net)
	kernels := Canonical(root) == ProcRoot
	switch {
	case err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ENOTDIR):
		return false, fmt.Errorf("look at the sysctl directory: %w", err)
	case err == nil && proc && isDir(net, "core"):
		// Every network namespace has net/core, and nothing else in procfs does: not
		// the tables of a process's network (proc_pid_net(5)).
		return true, nil
	case kernels, above && err == nil && !proc:
		return false, fmt.Errorf("look at the sysctl directory: %s: %w", net, ErrMasked)
	case !isDir(net) || proc:
		return false, fmt.Errorf("%s is %w: no keys of a network namespace are in it", root, ErrNoTree)
	}
	return false, nil
}

func isDir(path ...string) bool {
	st, err := os.Stat(filepath.Join(path...))
	return err == nil && st.IsDir()
}

func onProc(path string) (bool, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return false, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	return st.Type == unix.PROC_SUPER_MAGIC, nil
}

// Canonical is ProcRoot where the path leads to that very directory, on the same
// mount; else it is the path itself.
func Canonical(path string) string {
	var here, there unix.Stat_t
	if unix.Stat(path, &here) != nil || unix.Stat(ProcRoot, &there) != nil || here.Dev != there.Dev || here.Ino != there.Ino {
		return path
	}
	a, err := mountOf(path)
	b, berr := mountOf(ProcRoot)
	if err != nil || berr != nil || a != b {
		return path
	}
	return ProcRoot
}

// Covered lists what is mounted on directories and files below net/, by their paths
// from root and without what is below those: what is there is not what the kernel has
// there for this network namespace, or cannot be written.
//
// A namespace made from here does not have these mounts: procfs has entries of its own
// for each network namespace (proc_sys_compare, fs/proc/proc_sysctl.c).
func Covered(root string) ([]string, error) {
	base, err := mountOf(root + "/net")
	if err != nil {
		return nil, fmt.Errorf("look for what is mounted below the sysctl directory: %w", err)
	}
	c := coverage{lister: newLister(root), base: base}
	if err := c.look("net"); err != nil {
		return nil, fmt.Errorf("look for what is mounted below the sysctl directory: %w", err)
	}
	return c.found, nil
}

type coverage struct {
	lister *lister
	base   mount
	found  []string
}

func (c *coverage) look(dir string) error {
	d, err := c.lister.list(dir)
	if err != nil {
		if gone(err) {
			return nil
		}
		return err
	}
	for _, k := range d.files {
		if _, err := c.covered(string(k)); err != nil {
			return err
		}
	}
	for _, name := range d.dirs {
		covered, err := c.covered(name)
		if err == nil && !covered {
			err = c.look(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *coverage) covered(name string) (bool, error) {
	m, err := mountOf(c.lister.root + "/" + name)
	if gone(err) || err == nil && m == c.base {
		return false, nil
	}
	if err == nil {
		c.found = append(c.found, name)
	}
	return true, err
}

// mount is what something is mounted on, as far as this kernel tells.
type mount struct {
	id       uint64 // 0 before Linux 5.8
	dev      uint64
	readOnly bool
}

func mountOf(path string) (m mount, err error) {
	var x unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, path, unix.AT_NO_AUTOMOUNT, unix.STATX_MNT_ID, &x) == nil && x.Mask&unix.STATX_MNT_ID != 0 {
		return mount{id: x.Mnt_id}, nil
	}
	var st unix.Stat_t
	var fs unix.Statfs_t
	if err := unix.Stat(path, &st); err != nil {
		return m, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if err := unix.Statfs(path, &fs); err != nil {
		return m, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	return mount{dev: st.Dev, readOnly: fs.Flags&unix.ST_RDONLY != 0}, nil
}
