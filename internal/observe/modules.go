package observe

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// loadedModules is what was read of them, and how many directories /sys/module
// had just before.
type loadedModules struct {
	keys  []sysctl.Key
	links uint64
}

// Modules is the places of the modules that are loaded now; none where they are
// not watched, or the kernel has none. It is cheap enough for every write: each
// module has a directory in /sys/module while it is loaded, so that the list is
// only read again when their number is another one (kernfs_refresh_inode,
// fs/kernfs/inode.c: a directory's link count).
func (t *Tree) Modules() []sysctl.Key {
	if !t.kinds.Has(Modules) {
		return nil
	}
	links := t.moduleLinks()
	if links == 0 || links != t.known.links {
		t.known = loadedModules{t.readModules(), links}
	}
	return slices.Clone(t.known.keys)
}

// moduleLinks is 0 where it says nothing: no sysfs there.
func (t *Tree) moduleLinks() uint64 {
	var fs unix.Statfs_t
	var st unix.Stat_t
	dir := t.sys + "/module"
	if unix.Statfs(dir, &fs) != nil || fs.Type != unix.SYSFS_MAGIC || unix.Stat(dir, &st) != nil {
		return 0
	}
	return uint64(st.Nlink)
}

func (t *Tree) readModules() []sysctl.Key {
	text, _ := os.ReadFile(t.proc + "/modules") // absent without CONFIG_MODULES
	var keys []sysctl.Key
	for _, name := range modules(string(text)) {
		keys = append(keys, ModuleKey(name))
	}
	return keys
}
