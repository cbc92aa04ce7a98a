package vm

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/netns-verify/netns-verify/internal/guest"
)

// processors is QEMU's name for the guest's. TCG carries out "rep stosb" byte by byte, and a kernel that
// thinks it fast clears all memory with it: reading a sysctl takes 30 µs instead of 8.
var processors = map[Accel]string{KVM: "max", TCG: "max,erms=off,fsrm=off"}

// The files that QEMU inherits, by descriptor. Nothing has a name in a file system,
// so nothing can be left behind there, and QEMU needs the right to none.
const (
	kernelFD = 3 + iota
	initramfsFD
	consoleFD // the first serial port, ttyS0 in the guest
	resultFD  // the second, ttyS1
)

// arguments is what QEMU is told: a machine with nothing in it that was not asked for.
func arguments(g Guest, accel Accel, confined bool) []string {
	argv := []string{
		"-no-user-config", "-nodefaults",
		"-machine", "q35,vmport=off,smbus=off,sata=off,usb=off,accel=" + string(accel),
		"-cpu", processors[accel], "-smp", strconv.Itoa(g.CPUs), "-m", strconv.Itoa(g.MemoryMB) + "M",
		"-display", "none", "-nic", "none", "-no-reboot",
		"-kernel", fmt.Sprintf("/proc/self/fd/%d", kernelFD),
		"-initrd", fmt.Sprintf("/proc/self/fd/%d", initramfsFD),
		"-append", cmdline(g.Append),
	}
	for _, fd := range []int{consoleFD, resultFD} { // the guest can only write to them
		argv = append(argv,
			"-add-fd", fmt.Sprintf("fd=%d,set=%d", fd, fd),
			"-chardev", fmt.Sprintf("file,id=port%d,path=/dev/fdset/%d,append=on", fd, fd), // a pipe cannot be truncated
			"-serial", fmt.Sprintf("chardev:port%d", fd))
	}
	if confined { // no system calls that it has no use for (seccomp(2))
		argv = append(argv, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny")
	}
	return argv
}

// cmdline is the kernel's command line. Of words that say the same thing the
// kernel takes the last, so what was asked for comes after our own.
func cmdline(wanted []string) string {
	words := []string{
		"console=ttyS0", "quiet", // a serial line is slow; errors and panics show all the same
		"panic=-1", // reboot at once, which ends QEMU
		"random.trust_cpu=on",
		// A timer that is set anew again and again takes a third of a run under TCG.
		"nohz=off", "highres=off",
	}
	return strings.Join(append(append(words, wanted...), guest.Word), " ")
}
