package sysctl

import (
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// acting are keys outside net/ of which even reading does something:
// stat_refresh has every processor fold its counters (vmstat_refresh, mm/vmstat.c).
var acting = []Key{"vm/stat_refresh"}

// Network tells that the key is one of a network namespace, so below net/:
// the only ones that are ever written.
func (k Key) Network() bool { return strings.HasPrefix(string(k), "net/") }

// listOthers lists what is not below net/. What others mount in there is no
// sysctl, and only looking at it may mount it (fs/binfmt_misc under systemd).
func (p *Proc) listOthers(keys *[]Key) error {
	dirs, err := os.ReadDir(p.root)
	if err != nil {
		return err
	}
	var root unix.Stat_t
	if err := unix.Lstat(p.root, &root); err != nil {
		return &os.PathError{Op: "stat", Path: p.root, Err: err}
	}
	for _, d := range dirs {
		if d.IsDir() && d.Name() != "net" {
			p.listOther(d.Name(), root.Dev, keys)
		}
	}
	return nil
}

// listOther leaves out what cannot be listed: it is not what a run is about.
func (p *Proc) listOther(dir string, device uint64, keys *[]Key) {
	path := p.root + "/" + dir
	var st unix.Stat_t
	if unix.Fstatat(unix.AT_FDCWD, path, &st, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT) != nil || st.Dev != device {
		return
	}
	d, err := p.lister.list(dir)
	if err != nil {
		return
	}
	for _, k := range d.files {
		if !slices.Contains(acting, k) {
			*keys = append(*keys, k)
		}
	}
	for _, name := range d.dirs {
		p.listOther(name, device, keys)
	}
}
