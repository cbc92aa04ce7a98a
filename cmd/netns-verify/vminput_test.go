package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/guest"
	"github.com/netns-verify/netns-verify/internal/kmod/kmodtest"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/testenv"
)

// What cannot be booted is said before anything is.
func TestVMInput(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	text := file("text", "this is no kernel\n")
	empty := file("linux-doc.deb", string(kmodtest.Deb("gz", kmodtest.File{Name: "./usr/share/doc/readme", Data: []byte("no kernel here")})))
	bzImage := file("bzImage", string(kmodtest.Image("6.1.0 (us@here) #1 SMP today")))
	console := file("console", "of another day")
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	file("qemu-system-x86_64", "#!/bin/sh\nexit 9\n") // enough to be found
	for _, tc := range []struct {
		name, path, init string
		args             []string
		want             int
		says             string
	}{
		{"no QEMU", t.TempDir(), "", []string{"--kernel", text}, report.ExitUnverified, "qemu-system-x86"},
		{"no kernel", dir, "", []string{"--kernel", text}, report.ExitUnverified, "not a kernel"},
		{"no file", dir, "", []string{"--kernel", text + "x"}, report.ExitUnverified, "ENOENT"},
		{"no package", dir, "", []string{"--deb", text}, report.ExitUnverified, "not a Debian package"},
		{"no kernel in the package", dir, "", []string{"--deb", empty}, report.ExitUnverified, "linux-doc.deb: no kernel in it"},
		{"a pipe for a package", dir, "", []string{"--deb", pipe}, report.ExitUnverified, "not a regular file"},
		{"a pipe for modules", dir, "", []string{"--kernel", bzImage, "--modules", pipe}, report.ExitUnverified, "not a directory"},
		{"a device for a module", dir, "", []string{"--kernel", bzImage, "--module", "/dev/zero"}, report.ExitUnverified, "not a regular file"},
		{"no time to read", dir, "", []string{"--kernel", bzImage, "--timeout", "1ns"}, report.ExitUnverified, "had not been read after 1ns"},
		{"a console for nothing", dir, "", []string{"--kernel", text, "--keep-console", console}, report.ExitUnverified, "not a kernel"},
		{"a pipe for a console", dir, "", []string{"--kernel", bzImage, "--keep-console", pipe}, report.ExitUnverified, "pipe is a pipe"},
		{"one reboot", dir, "", []string{"--kernel", text, "--reboots", "1"}, report.ExitUsage, "--reboots"},
		{"not static", dir, "/bin/sh", []string{"--kernel", text}, report.ExitUnverified, "not static"},
		{"nothing", dir, "", nil, report.ExitUsage, "no kernel given"},
		{"modules first", dir, "", []string{"--modules", dir, "--kernel", text}, report.ExitUsage, "no --kernel before it"},
		{"modules twice", dir, "", []string{"--kernel", text, "--modules", dir, "--modules", dir}, report.ExitUsage, "has modules already"},
		{"accel", dir, "", []string{"--kernel", text, "--accel", "xen"}, report.ExitUsage, "auto, kvm, tcg"},
		{"little memory", dir, "", []string{"--kernel", text, "--memory", "64M"}, report.ExitUsage, "at least 128M"},
		{"odd memory", dir, "", []string{"--kernel", text, "--memory", "much"}, report.ExitUsage, "--memory"},
		{"root", dir, "", []string{"--kernel", text, "--root", dir}, report.ExitUsage, "unknown flag: --root"},
		{"consoles", dir, "", []string{"--kernel", text, "--jobs", "2", "--keep-console", text + "y"}, report.ExitUsage, "mixed up"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			init := tc.init
			if init == "" {
				init = realGuest(t)
			}
			inGuest(t, init)
			nothingLeft(t)
			t.Setenv("PATH", tc.path)
			status, stdout, stderr := cli(t, append([]string{"vm"}, tc.args...)...)
			if status != tc.want || stdout != "" || !strings.Contains(stderr, tc.says) {
				t.Errorf("exit status %d, stdout %q, stderr %q", status, stdout, stderr)
			}
		})
	}
	if text, err := os.ReadFile(console); err != nil || string(text) != "of another day" {
		t.Errorf("the file for the console: %q, %v", text, err)
	}
}

func TestMemory(t *testing.T) {
	for text, want := range map[string]int{"512M": 512, "1G": 1024, "1GiB": 1024, "256MB": 256, "1.5g": 1536} {
		var m memory
		if err := m.Set(text); err != nil || m.mib() != want {
			t.Errorf("%s: %d MiB, %v", text, m.mib(), err)
		}
	}
	for _, text := range []string{"", "M", "12X", "-1G", "1 2"} {
		var m memory
		if err := m.Set(text); err == nil && m > 0 {
			t.Errorf("%q was taken for %d", text, m)
		}
	}
}

// As the first process of a container, whatever it is told, the command is what
// it always is.
func TestContainerIsNoGuest(t *testing.T) {
	testenv.NeedNetNS(t)
	exe := realGuest(t)
	root := t.TempDir()
	if err := os.Link(exe, filepath.Join(root, "init")); err != nil {
		t.Fatal(err)
	}
	for name, chroot := range map[string]string{"with proc": "", "without proc": root} {
		t.Run(name, func(t *testing.T) {
			path := exe
			if chroot != "" {
				path = "/init"
			}
			for _, tc := range []struct {
				arg, says string
				want      int
			}{
				{"version", "report schema", report.ExitClean}, {guest.Word, "unknown command", report.ExitUsage},
			} {
				cmd := exec.Command(path, tc.arg)
				cmd.Dir = "/"
				cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS, Chroot: chroot}
				out, _ := cmd.CombinedOutput() // the exit status says more
				if cmd.ProcessState.ExitCode() != tc.want {
					t.Errorf("%s: exit status %d: %s", tc.arg, cmd.ProcessState.ExitCode(), out)
				}
			}
		})
	}
}
