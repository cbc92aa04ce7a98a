package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"github.com/moby/sys/reexec"
	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/internal/testenv"
)

// A world is what the tool finds around it. Each is made in a process of its
// own, which then becomes the tool: nothing of it is left behind.
type world string

const (
	worldPlain        world = "plain"
	worldReadOnly     world = "read-only"
	worldNetReadOnly  world = "net-read-only"
	worldNetWritable  world = "net-writable"
	worldNobody       world = "nobody"
	worldNobodyDenied world = "nobody-denied"
	worldNoNetNS      world = "no-netns"
	worldSecrets      world = "secrets"
	worldRunReadOnly  world = "run-read-only"
	worldRunFull      world = "run-full"
)

// nobody is a user without any privilege (overflowuid, proc_sys_kernel(5)).
const nobody = 65534

// worldMade says in which new namespaces a world begins and how it is made there.
type worldMade struct {
	flags uintptr
	make  func() error
}

var worlds = map[world]worldMade{
	worldPlain:        {unix.CLONE_NEWNET, func() error { return nil }},
	worldReadOnly:     {unix.CLONE_NEWNET | unix.CLONE_NEWNS, func() error { return bind("/proc/sys", unix.MS_RDONLY) }},
	worldNetReadOnly:  {unix.CLONE_NEWNET | unix.CLONE_NEWNS, func() error { return bind("/proc/sys/net", unix.MS_RDONLY) }},
	worldNetWritable:  {unix.CLONE_NEWNET | unix.CLONE_NEWNS, readOnlyButNet},
	worldNobody:       {0, becomeNobody},
	worldNobodyDenied: {unix.CLONE_NEWUSER, func() error { return errors.Join(limit("max_user_namespaces", "0"), becomeNobody()) }},
	worldNoNetNS:      {unix.CLONE_NEWUSER, func() error { return limit("max_net_namespaces", "0") }},
	worldSecrets:      {unix.CLONE_NEWNET, setSecrets},
	worldRunReadOnly:  {unix.CLONE_NEWNS, func() error { return overRun(unix.MS_RDONLY, "") }},
	worldRunFull:      {unix.CLONE_NEWNS, func() error { return overRun(0, "size=4k") }},
	worldDevices:      {unix.CLONE_NEWNET, makeHostDevices},
	worldCrowd:        {unix.CLONE_NEWNET, makeCrowd},
}

const worldEntry = "test-world-"

func init() {
	for name, w := range worlds {
		reexec.Register(worldEntry+string(name), func() {
			if err := w.make(); err != nil {
				fmt.Fprintf(os.Stderr, "make the world %s: %v\n", name, err)
				os.Exit(99)
			}
			os.Args[0] = toolEntry
			err := unix.Exec("/proc/self/exe", os.Args, os.Environ()) // a process that changed its user is another one only then
			fmt.Fprintf(os.Stderr, "become the tool: %v\n", err)
			os.Exit(99)
		})
	}
}

// in runs the command line in a world.
func in(t *testing.T, w world, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	testenv.NeedNetNS(t)
	flags := worlds[w].flags
	if flags&unix.CLONE_NEWUSER != 0 {
		testenv.NeedUserNS(t)
	}
	runtime.LockOSThread() // the tool ends with the thread that starts it (Pdeathsig)
	defer runtime.UnlockOSThread()
	cmd := reexec.Command(append([]string{worldEntry + string(w)}, args...)...)
	cmd.Dir = "/" // the tests' own may be closed to others
	cmd.SysProcAttr.Cloneflags = flags
	if flags&unix.CLONE_NEWUSER != 0 {
		ids, ok := worldUsers[w]
		if !ok { // everybody is who they are outside
			ids = syscall.SysProcIDMap{ContainerID: 0, HostID: 0, Size: nobody + 1}
		}
		cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{ids}, []syscall.SysProcIDMap{ids}
		cmd.SysProcAttr.GidMappingsEnableSetgroups = true
		cmd.SysProcAttr.Credential = &syscall.Credential{NoSetGroups: true}
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("start the world %s: %v", w, err)
	}
	if status = cmd.ProcessState.ExitCode(); status == 99 {
		t.Fatalf("world %s: %s", w, errs.String())
	}
	return status, out.String(), errs.String()
}

// bind mounts a directory on itself, in this mount namespace alone.
func bind(dir string, flags uintptr) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", dir, err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|flags, ""); err != nil {
		return fmt.Errorf("remount %s: %w", dir, err)
	}
	return nil
}

// overRun mounts a file system over /run, where the journal is to be then.
func overRun(flags uintptr, options string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", flags, options); err != nil {
		return fmt.Errorf("mount over /run: %w", err)
	}
	return os.Setenv(journalVariable, "/run/netns-verify/journal")
}

// readOnlyButNet is a container to which net/ was given.
func readOnlyButNet() error {
	if err := bind("/proc/sys", unix.MS_RDONLY); err != nil {
		return err
	}
	return bind("/proc/sys/net", 0)
}

func limit(name, value string) error {
	return os.WriteFile("/proc/sys/user/"+name, []byte(value), 0)
}

func becomeNobody() error {
	for _, become := range []func() error{
		func() error { return syscall.Setgroups(nil) },
		func() error { return syscall.Setgid(nobody) },
		func() error { return syscall.Setuid(nobody) },
	} {
		if err := become(); err != nil {
			return err
		}
	}
	return nil
}

// secretValues is what the keys that not everybody may read are set to.
var secretValues = map[sysctl.Key]string{
	"net/ipv4/tcp_fastopen_key":      "1a2b3c4d-5e6f7a8b-9c0d1e2f-3a4b5c6d",
	"net/ipv6/conf/lo/stable_secret": "2001:0db8:7e57:5ec2:9abc:def0:1122:3344",
}

func setSecrets() error {
	tree := sysctl.NewProc(sysctl.ProcRoot)
	for k, v := range secretValues {
		if err := tree.Write(k, v); err != nil {
			return err
		}
		if got := tree.Read(k); got.Value != v {
			return fmt.Errorf("%s reads %q: %w", k, got.Value, io.ErrUnexpectedEOF)
		}
	}
	return nil
}
