package record

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/protocol"
)

// Place is where a journal's values are those of.
type Place struct {
	// BootID is that of proc_sys_kernel(5): no sysctl outlives a boot.
	BootID string `json:"boot_id"`
	// NetNS is the inode of the network namespace (namespaces(7)). Another one may
	// have it later, but never the cookie (SO_NETNS_COOKIE, Linux 5.14; 0 before).
	NetNS  uint64 `json:"netns"`
	Cookie uint64 `json:"netns_cookie,omitempty"`
	// Root is the sysctl directory.
	Root string `json:"root"`
}

// Here is the calling process's place, for a sysctl directory.
func Here(root string) (p Place, err error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return p, fmt.Errorf("find out which boot this is: %w", err)
	}
	const self = "/proc/self/ns/net"
	var st unix.Stat_t
	if err := unix.Stat(self, &st); err != nil {
		return p, fmt.Errorf("find own network namespace: %w", &os.PathError{Op: "stat", Path: self, Err: err})
	}
	if root, err = filepath.Abs(root); err != nil {
		return p, fmt.Errorf("find the sysctl directory: %w", err)
	}
	return Place{BootID: strings.TrimSpace(string(boot)), NetNS: st.Ino, Cookie: cookie(), Root: root}, nil
}

// Devices is the network devices of the calling process's namespace.
func Devices() ([]Device, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list network devices: %w", err)
	}
	var devices []Device
	for _, d := range all {
		devices = append(devices, Device{protocol.Bytes(d.Name), d.Index})
	}
	return devices, nil
}

func cookie() uint64 {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer func() { _ = unix.Close(fd) }()
	c, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return 0 // Linux before 5.14
	}
	return c
}

// ErrOtherBoot is that a journal is of an earlier boot: there is nothing to put back.
var ErrOtherBoot = errors.New("it is of another boot, and no sysctl outlives a boot")

// Check tells whether a journal's values are those of a place.
func (h *Header) Check(here Place) error {
	switch {
	case h.BootID != here.BootID:
		return ErrOtherBoot
	case h.NetNS != here.NetNS:
		return fmt.Errorf("it is of another network namespace (%d, this is %d)", h.NetNS, here.NetNS)
	case h.Cookie != 0 && here.Cookie != 0 && h.Cookie != here.Cookie:
		return fmt.Errorf("it is of another network namespace, which had the inode %d before this one (its cookie was %d, this one's is %d)", h.NetNS, h.Cookie, here.Cookie)
	case h.Root != here.Root:
		return fmt.Errorf("it is of another sysctl directory (%q, this is %q)", h.Root, here.Root)
	}
	return nil
}
