package child

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// creator is the role of a child of which offspring is asked for (parent.RoleCreator).
const creator = "creator"

// needs is the capabilities (capabilities(7)) that a child of this role has a use for.
func needs(role, root string) (capabilities uint64) {
	capabilities = 1 << unix.CAP_NET_ADMIN // keys of 0600, devices, and the kernel loads modules for it only
	if kernels, err := sysctl.OfKernel(root); err != nil || !kernels {
		capabilities |= 1 << unix.CAP_DAC_OVERRIDE // files may be anybody's
	}
	if role == creator {
		capabilities |= 1 << unix.CAP_SYS_ADMIN    // clone(2) with CLONE_NEWNET
		capabilities |= 1 << unix.CAP_DAC_OVERRIDE // our executable may be for its owner alone
	}
	return capabilities
}

// keepOnly gives up all capabilities but these, in every thread, and the right to
// get any back by execve(2), which makes the bounding set meaningless: it is left
// as it is. Those that are not there are not got.
func keepOnly(capabilities uint64) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // of 32 capabilities each
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("give up privileges: %w", os.NewSyscallError("capget", err))
	}
	for i := range data {
		data[i].Permitted &= uint32(capabilities >> (32 * i))
		data[i].Effective, data[i].Inheritable = data[i].Permitted, 0
	}
	if err := everywhere(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return fmt.Errorf("give up privileges: %w", os.NewSyscallError("prctl", err))
	}
	err := everywhere(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data[0])))
	runtime.KeepAlive(&header)
	runtime.KeepAlive(&data)
	if err != nil {
		return fmt.Errorf("give up privileges: %w", os.NewSyscallError("capset", err))
	}
	return nil
}

// everywhere makes a system call in every thread. In a build with cgo, as for the
// race detector, that cannot be done: then the caller keeps its thread, in which it
// does what matters.
func everywhere(trap, a, b uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall6(trap, a, b, 0, 0, 0, 0)
	if errors.Is(errno, syscall.ENOTSUP) {
		runtime.LockOSThread()
		_, _, errno = syscall.RawSyscall6(trap, a, b, 0, 0, 0, 0)
	}
	if errno != 0 {
		return errno
	}
	return nil
}
