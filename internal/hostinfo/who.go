package hostinfo

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Nobody is an ordinary user's id (overflowuid, proc_sys_kernel(5)).
const Nobody = 65534

// initialUser is the inode of the initial user namespace on every machine
// (PROC_USER_INIT_INO, include/linux/proc_ns.h, since 3.8).
const initialUser = 0xEFFFFFFD

// Identity is who the calling process is, as the kernel tells.
type Identity struct {
	UID int
	// Initial tells that it is in the user namespace that the kernel booted with.
	Initial bool
	// KernelRoot tells that it is the root of that one, wherever it is: much of the
	// kernel asks for no more.
	KernelRoot bool
	// Ordinary tells that it can have a child that is an ordinary user, as far as the
	// users of its user namespace go.
	Ordinary bool
}

// Root tells that namespaces made by this process are those of root in the initial
// user namespace.
func (i Identity) Root() bool { return i.UID == 0 && i.Initial }

func (i Identity) String() string {
	s := fmt.Sprintf("uid %d", i.UID)
	if !i.Initial {
		s += " in a user namespace"
	}
	return s
}

// Who finds out who the calling process is, below the root directory root.
func Who(root string) Identity {
	i := Identity{UID: os.Geteuid()}
	ns := userNamespace(root)
	i.Initial = ns == 0 || ns == initialUser
	// The kernel's root owns /proc. In a user namespace it is shown as whoever it is
	// mapped to, or as nobody.
	var st unix.Stat_t
	i.KernelRoot = i.UID == 0 && unix.Stat(filepath.Join(root, "proc"), &st) == nil && st.Uid == 0
	i.Ordinary = !i.KernelRoot || mapped(root, "uid_map") && mapped(root, "gid_map")
	return i
}

// UserNamespace is the inode of the calling process's user namespace, or 0 in a
// kernel without them.
func UserNamespace() uint64 { return userNamespace("/") }

func userNamespace(root string) uint64 {
	var st unix.Stat_t
	if unix.Stat(filepath.Join(root, "proc/self/ns/user"), &st) != nil {
		return 0
	}
	return st.Ino
}

// mapped tells that Nobody is in a map of our user namespace's (user_namespaces(7)).
func mapped(root, file string) bool {
	lines := bufio.NewScanner(strings.NewReader(text(root, "proc/self/"+file)))
	for lines.Scan() {
		var inside, outside, n int64
		if _, err := fmt.Sscan(lines.Text(), &inside, &outside, &n); err == nil && inside <= Nobody && Nobody < inside+n {
			return true
		}
	}
	return false
}

// Capabilities of which a run has a use, by capabilities(7).
var useful = []struct {
	number int
	name   string
}{
	{unix.CAP_SETGID, "CAP_SETGID"}, {unix.CAP_SETUID, "CAP_SETUID"}, {unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"},
	{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN"}, {unix.CAP_SETFCAP, "CAP_SETFCAP"},
}

// Lacking names the capabilities that root has and the calling process has not, out
// of those that a run has a use for.
func Lacking() []string {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // of 32 capabilities each
	if unix.Capget(&header, &data[0]) != nil {
		return nil
	}
	var names []string
	for _, c := range useful {
		if data[c.number/32].Effective>>(c.number%32)&1 == 0 {
			names = append(names, c.name)
		}
	}
	return names
}
