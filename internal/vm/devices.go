package vm

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/netns-verify/netns-verify/internal/guest"
)

// A device is a part of the machine: what QEMU must be told to have it. Files
// that QEMU is to have are passed on as descriptors.
type device interface {
	argv(d *descriptors) []string
}

// descriptors is the files that QEMU inherits, from descriptor 3 on: nothing has
// a name in a file system, so nothing can be left behind there, and QEMU needs
// the right to none.
type descriptors []*os.File

func (d *descriptors) add(f *os.File) (fd int) {
	*d = append(*d, f)
	return 2 + len(*d)
}

// cpus is the processor. TCG carries out "rep stosb" byte by byte, and a kernel that
// thinks it fast clears all memory with it: reading a sysctl takes 30 µs instead of 8.
var cpus = map[Accel]string{KVM: "max", TCG: "max,erms=off,fsrm=off"}

// board is the machine itself, with nothing on it that was not asked for.
type board struct {
	accel    Accel
	memoryMB int
	cpus     int
}

func (b board) argv(*descriptors) []string {
	return []string{
		"-no-user-config", "-nodefaults",
		"-machine", "q35,vmport=off,smbus=off,sata=off,usb=off,accel=" + string(b.accel),
		"-cpu", cpus[b.accel], "-smp", strconv.Itoa(b.cpus), "-m", strconv.Itoa(b.memoryMB) + "M",
		"-display", "none", "-nic", "none", "-no-reboot",
	}
}

// sandbox keeps QEMU from system calls that it has no use for (seccomp(2)).
type sandbox struct{}

func (sandbox) argv(*descriptors) []string {
	return []string{"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny"}
}

// boot is the kernel, its first file system and its command line.
type boot struct {
	kernel, initramfs *os.File
	cmdline           string
}

func (b boot) argv(d *descriptors) []string {
	return []string{
		"-kernel", fmt.Sprintf("/proc/self/fd/%d", d.add(b.kernel)),
		"-initrd", fmt.Sprintf("/proc/self/fd/%d", d.add(b.initramfs)),
		"-append", b.cmdline,
	}
}

// serial is a serial port that the guest can only write to: the first one is
// ttyS0 there, the second one ttyS1.
type serial struct {
	name string
	out  *os.File
}

func (s serial) argv(d *descriptors) []string {
	fd := d.add(s.out)
	return []string{
		"-add-fd", fmt.Sprintf("fd=%d,set=%d", fd, fd),
		"-chardev", fmt.Sprintf("file,id=%s,path=/dev/fdset/%d,append=on", s.name, fd), // a pipe cannot be truncated
		"-serial", "chardev:" + s.name,
	}
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
