package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/moby/sys/reexec"
	"golang.org/x/sys/unix"
)

// Faults are put into the system calls of the tool's own process, whichever of its
// threads makes them, and into no other: a filter (seccomp_unotify(2)) has the kernel
// ask the test before each of them. What the tool starts has the filter, too, and is
// told to go on.

// calls are system calls that fail in the same way.
type calls struct {
	name    string
	numbers []uint32
	errnos  []unix.Errno
}

// fault is the errno that one call gets in place of being made: the at-th of its
// kind, from 1 on; with 0 none.
type fault struct {
	calls
	errno unix.Errno
	at    int
}

func (f fault) String() string {
	return fmt.Sprintf("%s %d fails with %s", f.name, f.at, unix.ErrnoName(f.errno))
}

const filteredTool = "test-filtered-tool"

func init() {
	reexec.Register(filteredTool, func() {
		err := becomeFiltered()
		fmt.Fprintf(os.Stderr, "become the filtered tool: %v\n", err)
		os.Exit(99)
	})
}

// becomeFiltered installs the filter, hands over the descriptor to be asked through,
// and becomes the tool, with a lock and a journal of its own: nothing else sees its tree. Its
// arguments are the calls' numbers, and a command line. The tool must be the static
// one: a fault of the dynamic linker's would be no finding.
func becomeFiltered() error {
	runtime.LockOSThread() // the filter is this thread's
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	var numbers []uint32
	for n := range strings.SplitSeq(os.Args[1], ",") {
		i, err := strconv.ParseUint(n, 10, 32)
		if err != nil {
			return err
		}
		numbers = append(numbers, uint32(i))
	}
	fd, err := filter(numbers)
	if err != nil {
		return err
	}
	const socket = 3
	if err := unix.Sendmsg(socket, []byte{0}, unix.UnixRights(fd), nil, 0); err != nil {
		return err
	}
	for _, fd := range []int{fd, socket} {
		if err := unix.Close(fd); err != nil {
			return err
		}
	}
	// No signals of the runtime's: they would have calls made anew.
	env := append(os.Environ(), "GODEBUG=asyncpreemptoff=1")
	return unix.Exec(os.Args[2], os.Args[2:], env)
}

// filter asks about these calls, but not where a thread is made: Go cannot do without.
func filter(numbers []uint32) (listener int, err error) {
	const load, equal, set, answer = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K,
		unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	const firstArgument = 16 // struct seccomp_data
	n := uint8(len(numbers))
	program := []unix.SockFilter{{Code: load, K: 0}}
	for i, number := range numbers {
		program = append(program, unix.SockFilter{Code: equal, K: number, Jt: n - uint8(i)})
	}
	program = append(program,
		unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: equal, K: unix.SYS_CLONE, Jf: 3},
		unix.SockFilter{Code: load, K: firstArgument},
		unix.SockFilter{Code: set, K: unix.CLONE_THREAD, Jf: 1},
		unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_USER_NOTIF})
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	fd, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_NEW_LISTENER|unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return 0, os.NewSyscallError("seccomp", errno)
	}
	return int(fd), nil
}

// question and reply are struct seccomp_notif and seccomp_notif_resp (linux/seccomp.h).
type question struct {
	id         uint64
	pid, flags uint32
	nr, arch   uint32
	ip         uint64
	args       [6]uint64
}

type reply struct {
	id           uint64
	val          int64
	error, flags int32
}

// faulted is how the tool fared.
type faulted struct {
	status         int
	stdout, stderr string
	calls          int  // how many of the kind it made
	hung           bool // and was killed
}

// longestRun is how long a run may take that takes seconds otherwise.
const longestRun = 3 * time.Minute

// withFault runs the tool with a fault.
func withFault(t *testing.T, f fault, mark string, args ...string) faulted {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), longestRun)
	defer cancel()
	var numbers []string
	for _, n := range f.numbers {
		numbers = append(numbers, strconv.Itoa(int(n)))
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	socket := os.NewFile(uintptr(fds[1]), "socket")
	defer func() { _, _ = socket.Close(), unix.Close(fds[0]) }()
	runtime.LockOSThread() // the tool ends with the thread that starts it (Pdeathsig)
	defer runtime.UnlockOSThread()
	cmd := reexec.Command(append([]string{filteredTool, strings.Join(numbers, ","), realGuest(t)}, args...)...)
	cmd.Env = append(os.Environ(), markVariable+"="+mark)
	cmd.ExtraFiles = []*os.File{socket}
	cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWNS
	cmd.WaitDelay = 10 * time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = socket.Close()
	listener, err := receiveOne(fds[0])
	if err != nil {
		_ = cmd.Wait()
		t.Fatalf("no listener: %v: %s", err, errs.String())
	}
	counted := make(chan int)
	go func() { counted <- f.answer(listener, cmd.Process.Pid) }()
	hung := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(unix.SIGQUIT) }) // it says where it hangs
	err = cmd.Wait()
	r := faulted{hung: !hung(), calls: <-counted, status: cmd.ProcessState.ExitCode()}
	_ = unix.Close(listener)
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v", f, err)
	}
	r.stdout, r.stderr = out.String(), errs.String()
	return r
}

func receiveOne(socket int) (fd int, err error) {
	data, rights := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(socket, data, rights, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return 0, err
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) != 1 {
		return 0, fmt.Errorf("%d messages: %w", len(messages), err)
	}
	all, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return 0, err
	}
	return all[0], nil
}

// answer answers the kernel's questions until nobody is left who could be meant,
// and returns how many calls the tool itself made.
func (f fault) answer(listener, tool int) (calls int) {
	for {
		fds := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil || fds[0].Revents&unix.POLLIN == 0 {
			if errors.Is(err, unix.EINTR) {
				continue
			}
			return calls
		}
		var q question
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&q))); errno != 0 {
			continue // it was killed meanwhile
		}
		a := reply{id: q.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
		if f.means(q, tool) {
			if calls++; calls == f.at {
				a.flags, a.error = 0, -int32(f.errno)
			}
		}
		_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&a))) // likewise
	}
}

// means tells that a call is of the tool itself, and one that can fail so: reading a
// pipe can only be interrupted, and what Go's runtime wakes itself with does not fail.
func (f fault) means(q question, tool int) bool {
	if _, err := os.Lstat(fmt.Sprintf("/proc/%d/task/%d", tool, q.pid)); err != nil {
		return false
	}
	if q.nr != unix.SYS_READ && q.nr != unix.SYS_WRITE {
		return true
	}
	file, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", tool, q.args[0]))
	switch {
	case err != nil || strings.HasPrefix(file, "anon_inode:"):
		return false
	case q.nr == unix.SYS_READ && !strings.HasPrefix(file, "/"):
		return f.errno == unix.EINTR
	}
	return true
}
