package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/hostinfo"
	"github.com/netns-verify/netns-verify/internal/lock"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/internal/vm"
	"github.com/netns-verify/netns-verify/parent/record"
	"github.com/netns-verify/netns-verify/parent/restore"
)

// readOnly is the error of a sysctl tree that cannot be written to.
type readOnly struct{ dir string }

func (e readOnly) Error() string {
	return fmt.Sprintf("%s is mounted read-only, as in most containers: nothing in it can be written", e.dir)
}

func (readOnly) Unwrap() error { return unix.EROFS }

// hint says what a person can do about an error; empty where we do not know.
func hint(err error) string {
	var path *os.PathError
	started := errors.As(err, &path) && path.Op == "fork/exec"
	var left leftOver
	var malformed record.Malformed
	var report unwritten
	var writer cannotBe
	switch {
	case errors.As(err, &report):
		if report.lost != nil {
			return "make room for it, or write it elsewhere: --output FILE"
		}
		return "the report is " + report.kept + " instead"
	case errors.As(err, &writer):
		return writer.hint()
	case errors.Is(err, sysctl.ErrMasked):
		return "unmount it, or run in a mount namespace without it: nobody can see the kernel's keys there"
	case errors.Is(err, sysctl.ErrNoTree):
		return "--root is the directory that has net/ as /proc/sys has it; that one is missing where procfs is not mounted, or with subset=pid"
	case errors.As(err, &left) && left.err != nil:
		return "run netns-verify restore there; if that is gone for good, remove the file"
	case errors.As(err, &left):
		return "run netns-verify restore (it shows what is different, and asks), or netns-verify run --restore-first"
	case errors.As(err, &malformed):
		return "another version of the tool has written it, or something has changed it: nothing was touched; to go on with the host as it is, remove the file"
	case errors.Is(err, record.ErrKeep):
		return "what the host's keys are is kept there for the case that this process and its guardian are killed; make room for it, or go without: --no-journal"
	case errors.Is(err, restore.ErrGuardianGone):
		return "something has killed it, such as the kernel where memory is short (its log tells), so this run was ended, and puts the host back: try again"
	case errors.Is(err, lock.Err) && errors.Is(err, fs.ErrPermission):
		return "have root make that file once, with mode 0644: every user who can read it can lock it"
	case errors.Is(err, vm.ErrNoQEMU):
		return "install QEMU for x86: the package qemu-system-x86 on Debian and Ubuntu"
	case started && (errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) && len(hostinfo.UserNamespaceLimits("/")) > 0):
		s := "making a network namespace needs CAP_SYS_ADMIN (clone(2))"
		if limits := hostinfo.UserNamespaceLimits("/"); len(limits) > 0 {
			s += ", and so does making a user namespace, by " + strings.Join(limits, ", ")
		} else if lacking := hostinfo.Lacking(); os.Geteuid() == 0 && len(lacking) > 0 {
			s += ", and as another user CAP_SETUID and CAP_SETGID (user_namespaces(7)); missing here: " + strings.Join(lacking, ", ")
		}
		return s + "; run as root: sudo netns-verify run"
	case started && errors.Is(err, unix.ENOSPC):
		return "no more network namespaces may be made: raise user.max_net_namespaces (sysctl -w)"
	case started && errors.Is(err, unix.EAGAIN):
		return "no more processes may be started: raise their limit (ulimit -u, or pids.max of the control group)"
	case started && errors.Is(err, unix.ENOMEM):
		return "there is no memory for another process: raise the limit (ulimit -v), or make room"
	case started && errors.Is(err, unix.EINVAL):
		return "this kernel has no network namespaces (CONFIG_NET_NS)"
	case errors.Is(err, unix.EROFS):
		return "run outside of the container, or in a privileged one where /proc/sys is writable"
	}
	return ""
}

// withErrno adds the errno's name to the text of an error, as manual pages have it.
func withErrno(err error) string {
	var n syscall.Errno
	if !errors.As(err, &n) || unix.ErrnoName(n) == "" {
		return err.Error()
	}
	return fmt.Sprintf("%v (%s)", err, unix.ErrnoName(n))
}
