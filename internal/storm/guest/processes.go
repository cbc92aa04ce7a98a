package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/child"
	"github.com/netns-verify/netns-verify/internal/storm/order"
)

// longestEnd is the longest wait for a run's processes to end, after which they are
// killed: something hangs.
const longestEnd = 10 * time.Minute

// processes is those of the tool, by the name that they were started under.
func processes() map[string][]int {
	all := map[string][]int{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		if exe, err := os.Readlink(d + "/exe"); err != nil || exe != order.Tool {
			continue // a thread of the kernel's, or it has ended
		}
		line, _ := os.ReadFile(d + "/cmdline")
		name, _, _ := bytes.Cut(line, []byte{0})
		if pid, err := strconv.Atoi(filepath.Base(d)); err == nil {
			all[string(name)] = append(all[string(name)], pid)
		}
	}
	return all
}

// inNamespaces watches for children, which live in network namespaces of their own; the
// drain helper is there as long as whoever asks it. The last moment at which there was
// one is had from the function that it returns.
func inNamespaces() (last func() time.Time) {
	stop, seen := make(chan struct{}), make(chan time.Time)
	go func() {
		var at time.Time
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			if all := processes(); len(all[child.Entry]) > 0 {
				at = time.Now()
			}
			select {
			case <-stop:
				seen <- at
				return
			case <-tick.C:
			}
		}
	}()
	return func() time.Time {
		close(stop)
		return <-seen
	}
}

// watchEvery is between two looks: what a look costs is not to slow down what it is about.
const watchEvery = 50 * time.Millisecond

// nobody is a user without any privilege (overflowuid, proc_sys_kernel(5)).
const nobody = 65534

// start starts the tool, with its report and log in files. It is waited for by ended.
func start(asNobody bool, args []string, out, log string) (*os.Process, error) {
	cmd := exec.Command(order.Tool, args...)
	if asNobody {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	for name, to := range map[string]*io.Writer{out: &cmd.Stdout, log: &cmd.Stderr} {
		f, err := os.Create(name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		*to = f
	}
	err := cmd.Start()
	return cmd.Process, err
}

// ended waits until no process is left, and returns how one ended. All that lose
// their parent become ours: we are the first process.
func ended(pid int) (status unix.WaitStatus, hangs bool) {
	timer := time.AfterFunc(longestEnd, func() { _ = unix.Kill(-1, unix.SIGKILL) }) // all but us
	for {
		var s unix.WaitStatus
		switch got, err := unix.Wait4(-1, &s, 0, nil); {
		case errors.Is(err, unix.EINTR):
		case err != nil: // ECHILD
			return status, !timer.Stop()
		case got == pid:
			status = s
		}
	}
}
