// Package hostinfo finds out about the machine that a run is on: which kernel,
// which network namespaces, and what of the kernel's settings can stand in the
// way. It reads below a root directory and changes nothing.
//
// Sysctls below net/ are not its business: see internal/sysctl.
package hostinfo

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/report"
)

// Read describes the machine whose root directory is root, normally "/". What
// cannot be found out stays empty; where that makes a report mean less, a
// warning says so.
func Read(root string) (report.Host, []string) {
	h := report.Host{
		KernelVersion:  text(root, "proc/version"),
		BootID:         text(root, "proc/sys/kernel/random/boot_id"),
		Cmdline:        text(root, "proc/cmdline"),
		VirtualMachine: virtualMachine(root),
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		h.KernelRelease = unix.ByteSliceToString(u.Release[:])
		h.Machine = unix.ByteSliceToString(u.Machine[:])
	}
	h.ConfigSHA256 = configSHA256(root, h.KernelRelease)

	var warnings []string
	warn := func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(format, args...)) }
	h.InitialNamespace = initial(root)
	switch {
	case h.InitialNamespace == nil:
		warn("it cannot be told whether this is the initial network namespace: in another one, leaks that show only in the initial one are missed")
	case !*h.InitialNamespace:
		warn("this is not the initial network namespace: leaks that show only there are missed")
	}
	others, unseen := others(root)
	h.OtherNamespaces = others
	switch others {
	case 0:
	case 1:
		warn("1 other network namespace is in use: a leak may reach it, and nobody restores it")
	default:
		warn("%d other network namespaces are in use: a leak may reach them, and nobody restores those", others)
	}
	if unseen != "" {
		warn("there may be more network namespaces in use than were seen: %s", unseen)
	}
	return h, warnings
}

// text is a small file's content without the newline; empty where it cannot be read.
func text(root, path string) string {
	b, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		return ""
	}
	return strings.TrimRight(string(b), "\n")
}

// configSHA256 is the digest of the kernel's configuration as text, as the
// kernel itself has it (CONFIG_IKCONFIG_PROC) or as distributions install it.
func configSHA256(root, release string) string {
	if f, err := os.Open(filepath.Join(root, "proc/config.gz")); err == nil {
		defer func() { _ = f.Close() }()
		if z, err := gzip.NewReader(f); err == nil {
			return digest(z)
		}
	}
	f, err := os.Open(filepath.Join(root, "boot/config-"+release))
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	return digest(f)
}

func digest(r io.Reader) string {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
}

// virtualMachine looks for a hypervisor where the kernel shows one: the CPU flag
// (x86), Xen's and the device tree's directories, and the names that hypervisors
// put into DMI.
func virtualMachine(root string) bool {
	for line := range strings.Lines(text(root, "proc/cpuinfo")) {
		if name, flags, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "flags" {
			for flag := range strings.FieldsSeq(flags) {
				if flag == "hypervisor" {
					return true
				}
			}
			break
		}
	}
	for _, dir := range []string{"sys/hypervisor/type", "proc/device-tree/hypervisor"} {
		if _, err := os.Stat(filepath.Join(root, dir)); err == nil {
			return true
		}
	}
	switch text(root, "sys/class/dmi/id/sys_vendor") {
	case "QEMU", "Amazon EC2", "Google", "VMware, Inc.", "Xen", "innotek GmbH", "Parallels International GmbH.":
		return true
	}
	return false
}
