package hostinfo

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/netns-verify/netns-verify/internal/report"
)

// The inodes that the initial namespaces have on every machine: the PID
// namespace's since 3.8 (include/linux/proc_ns.h), the network namespace's
// since 6.18 (enum init_ns_ino, include/uapi/linux/nsfs.h).
const (
	initialPID = "pid:[4026531836]" // 0xEFFFFFFC
	initialNet = "net:[4026531833]" // 0xEFFFFFF9
)

// initial tells whether we are in the network namespace that the kernel booted
// with; nil where that cannot be told. Comparing with process 1 would be wrong
// in a container, and on older kernels the inode can be any. But some keys are
// registered for the initial namespace alone, netdev_budget among them
// (net_core_table, net/core/sysctl_net_core.c).
func initial(root string) *bool {
	yes, no := true, false
	if own(root) == initialNet {
		return &yes
	}
	core := filepath.Join(root, "proc/sys/net/core")
	if _, err := os.Stat(filepath.Join(core, "netdev_budget")); err == nil {
		return &yes
	}
	if _, err := os.Stat(filepath.Join(core, "somaxconn")); err == nil {
		return &no // the directory is there, and the key is not
	}
	return nil
}

// own names our network namespace as the kernel does, such as "net:[4026531833]".
func own(root string) string {
	name, err := os.Readlink(filepath.Join(root, "proc/self/ns/net"))
	if err != nil {
		return ""
	}
	return name
}

// ourHelpers begins the names of our own processes, such as a guardian: they have no
// network namespaces that a run would not know of.
const ourHelpers = "netns-verify-"

// process names a process: "process 812 (sshd)".
func process(root, pid string) string {
	return "process " + pid + " (" + report.Show(text(root, "proc/"+pid+"/comm")).String() + ")"
}

// others counts the network namespaces that a process is in or that are mounted
// (ip-netns(8)), apart from ours. unseen says why there may be more.
func others(root string) (n int, unseen string) {
	proc := filepath.Join(root, "proc")
	found := map[string]bool{}
	var hidden []string
	first := false
	entries, err := os.ReadDir(proc)
	if err != nil {
		return 0, err.Error()
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		first = first || e.Name() == "1"
		name, err := os.Readlink(filepath.Join(proc, e.Name(), "ns/net"))
		switch {
		case err == nil:
			found[name] = true
		case os.IsPermission(err):
			hidden = append(hidden, e.Name())
		}
	}
	for line := range strings.Lines(text(root, "proc/self/mountinfo")) {
		// The fourth field is the root within the filesystem (proc_pid_mountinfo(5)).
		if f := strings.Fields(line); len(f) > 3 && strings.HasPrefix(f[3], "net:[") {
			found[f[3]] = true
		}
	}
	delete(found, own(root))
	hidden = slices.DeleteFunc(hidden, func(pid string) bool {
		argv0, _, _ := strings.Cut(text(root, "proc/"+pid+"/cmdline"), "\x00")
		return strings.HasPrefix(argv0, ourHelpers)
	})
	switch n := len(hidden); {
	case n == 1:
		return len(found), "that of " + process(root, hidden[0]) + " cannot be read"
	case n > 1:
		return len(found), fmt.Sprintf("those of %d running processes cannot be read, such as %s", n, process(root, hidden[0]))
	}
	if !first { // every PID namespace has one
		return len(found), "processes of other users are hidden (hidepid, proc(5))"
	}
	if pid, err := os.Readlink(filepath.Join(proc, "self/ns/pid")); err != nil || pid != initialPID {
		return len(found), "processes outside of this PID namespace cannot be seen"
	}
	return len(found), ""
}
