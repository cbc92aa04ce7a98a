package hostinfo

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ReadOnly tells whether dir is on a mount that cannot be written to, as
// /proc/sys is in many containers. It writes nothing to find out.
func ReadOnly(dir string) (bool, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return false, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return st.Flags&unix.ST_RDONLY != 0, nil
}

// UserNamespaceLimits names the kernel's settings that keep ordinary users from
// making user namespaces, such as "user.max_user_namespaces = 0".
func UserNamespaceLimits(root string) []string {
	var limits []string
	for _, l := range []struct{ path, name, value string }{
		{"proc/sys/user/max_user_namespaces", "user.max_user_namespaces", "0"},
		{"proc/sys/kernel/unprivileged_userns_clone", "kernel.unprivileged_userns_clone", "0"},                         // Debian
		{"proc/sys/kernel/apparmor_restrict_unprivileged_userns", "kernel.apparmor_restrict_unprivileged_userns", "1"}, // Ubuntu
	} {
		if text(root, l.path) == l.value {
			limits = append(limits, fmt.Sprintf("%s = %s", l.name, l.value))
		}
	}
	return limits
}
