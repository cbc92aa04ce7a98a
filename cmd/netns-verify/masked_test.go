package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/testenv"
)

const (
	worldMaskedDir    world = "masked-dir"
	worldMaskedLo     world = "masked-lo"
	worldMaskedFile   world = "masked-file"
	worldOtherKey     world = "masked-by-key"
	worldPartReadOnly world = "part-read-only"
	worldMaskedNet    world = "masked-net"
	worldMaskedSys    world = "masked-sys"
	worldMaskedByPart world = "masked-by-part"
	worldOtherProc    world = "other-proc"
)

func init() {
	const apart = unix.CLONE_NEWNET | unix.CLONE_NEWNS
	over := func(source, dir, kind string, flags uintptr) worldMade {
		return worldMade{apart, func() error {
			if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
				return fmt.Errorf("make mounts private: %w", err)
			}
			return os.NewSyscallError("mount on "+dir, unix.Mount(source, dir, kind, flags, ""))
		}}
	}
	worlds[worldMaskedDir] = over("none", "/proc/sys/net/ipv4", "tmpfs", 0)
	worlds[worldMaskedLo] = over("none", "/proc/sys/net/ipv6/conf/lo", "tmpfs", 0)
	worlds[worldMaskedFile] = over("/dev/null", "/proc/sys/net/core/somaxconn", "", unix.MS_BIND)
	worlds[worldOtherKey] = over("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/core/somaxconn", "", unix.MS_BIND)
	worlds[worldPartReadOnly] = worldMade{apart, func() error { return bind("/proc/sys/net/core", unix.MS_RDONLY) }}
	worlds[worldMaskedNet] = over("none", "/proc/sys/net", "tmpfs", 0)
	worlds[worldMaskedSys] = over("none", "/proc/sys", "tmpfs", 0)
	worlds[worldMaskedByPart] = over("/proc/sys/net/ipv4", "/proc/sys/net", "", unix.MS_BIND)
	worlds[worldOtherProc] = over("proc", otherProc, "proc", 0)
}

// otherProc is where another procfs is mounted: a directory that every machine has.
const otherProc = "/mnt"

// TestMasked: where something is mounted below the sysctl tree, nobody knows the host's
// keys, or can put them back: nothing is written there, and nothing is said to be isolated.
func TestMasked(t *testing.T) {
	testenv.OwnMachine(t)
	for w, covered := range map[world]string{
		worldMaskedDir: "net/ipv4", worldMaskedLo: "net/ipv6/conf/lo", worldMaskedFile: "net/core/somaxconn",
		worldOtherKey: "net/core/somaxconn", worldPartReadOnly: "net/core",
	} {
		t.Run(string(w), func(t *testing.T) {
			status, stdout, stderr := in(t, w, "run", "--json", "--strict", "--devices", "none",
				"--include", covered, "--include", covered+"/**", "--include", "net/unix/**")
			if status != report.ExitUnverified {
				t.Fatalf("exit status %d: %s", status, stderr)
			}
			r := decode(t, stdout)
			there, isolated := 0, 0
			for _, k := range r.Keys {
				if k.Key != covered && !strings.HasPrefix(k.Key, covered+"/") {
					if k.Verdict == report.VerdictIsolated {
						isolated++
					}
					continue
				}
				if k.Host != nil {
					t.Errorf("the host's %s is said to be %v", k.Key, k.Host)
				}
				wr, ok := k.Writers["root"]
				if !ok || wr.Mode == "0444" {
					continue
				}
				there++
				if k.Verdict != report.VerdictUntested || k.UntestedReason != report.ReasonUnobserved || len(wr.Attempts) > 0 {
					t.Errorf("%s is %s (%s) after %d writes", k.Key, k.Verdict, k.UntestedReason, len(wr.Attempts))
				}
			}
			if there == 0 || isolated == 0 {
				t.Errorf("%d keys below the mount, %d isolated elsewhere", there, isolated)
			}
			if !slices.ContainsFunc(r.Run.Skipped, func(s report.Skipped) bool { return strings.Contains(s.Why, "mounted on "+covered+":") }) {
				t.Errorf("nothing is said of it: %+v", r.Run.Skipped)
			}
		})
	}
}

// TestRootByAnotherName: what is asked depends on what the directory is.
func TestRootByAnotherName(t *testing.T) {
	testenv.OwnMachine(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("/proc/sys", link); err != nil {
		t.Fatal(err)
	}
	keys := 0
	for _, root := range []string{"/proc/sys", "/proc/sys/", "/proc/./sys", "/proc/self/root/proc/sys", link, otherProc + "/sys"} {
		status, stdout, stderr := in(t, worldOtherProc, "run", "--json", "--dry-run", "--root", root)
		if status != report.ExitClean {
			t.Fatalf("%s: exit status %d: %s", root, status, stderr)
		}
		r := decode(t, stdout)
		if keys == 0 {
			keys = r.Counts.ChildKeys
		}
		if r.Counts.ChildKeys != keys || len(r.Host.Devices) == 0 {
			t.Errorf("%s: %d keys, %d devices; by its own name there are %d keys", root, r.Counts.ChildKeys, len(r.Host.Devices), keys)
		}
	}
}
