package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/sys/reexec"
	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/child"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/testenv"
)

// markVariable is in the environment of a tool that was started with start, and
// so in that of all its descendants.
const markVariable = "NETNS_VERIFY_TEST_MARK"

// descendants finds living processes by their mark.
func descendants(t *testing.T, mark string) (pids []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		env, err := os.ReadFile(f) // empty for a zombie, gone for one that was waited for
		if err != nil || !bytes.Contains(env, []byte(markVariable+"="+mark+"\x00")) {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(f, "/")[2])
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// describe names processes for a failed test.
func describe(pids []int) string {
	var b strings.Builder
	for _, pid := range pids {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // it may end meanwhile
		fmt.Fprintf(&b, "%d %s\n", pid, bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
	}
	return b.String()
}

// awaitGone waits until all that is marked has ended, by the processes' own word.
func awaitGone(t *testing.T, mark string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		pids := descendants(t, mark)
		if len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			fd, err := unix.PidfdOpen(pid, 0)
			if errors.Is(err, unix.ESRCH) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for err = unix.EINTR; errors.Is(err, unix.EINTR); {
				n, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(time.Until(deadline).Milliseconds()))
			}
			_ = unix.Close(fd)
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				left := descendants(t, mark)
				what := describe(left)
				for _, pid := range left {
					_ = unix.Kill(pid, unix.SIGKILL) // ours, by its mark
				}
				t.Fatalf("still there:\n%s", what)
			}
		}
	}
}

const (
	hangingTool  = "test-hanging-tool"
	hangingChild = "test-hanging-child"
	hangs        = "this child hears nothing"
)

func init() {
	reexec.Register(hangingTool, func() {
		childEntry = hangingChild
		os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr))
	})
	reexec.Register(hangingChild, func() {
		os.Stderr.WriteString(hangs + "\n")
		select {}
	})
}

// TestKilled: when the tool is killed by what it cannot handle, its children and
// its helper end too, even those that do not listen, and the machine is free
// for the next run.
func TestKilled(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	for _, tt := range []struct{ name, entry, event string }{
		{"survey", toolEntry, `"phase":"survey"`},
		{"forward", toolEntry, `"phase":"forward"`},
		{"attribution", toolEntry, `"message":"leak"`},
		{"restore", toolEntry, `"phase":"restore"`},
		{"deaf children", hangingTool, hangs},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := sharedTree(t, 2)
			run := startTool(t, tt.entry, tt.event, "run", "--json", "--root", root)
			if n := len(descendants(t, run.mark)); n < 2 {
				t.Errorf("%d processes before", n)
			}
			if err := run.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = run.cmd.Wait() // it was killed
			if _, err := io.Copy(io.Discard, run.log); err != nil && !errors.Is(err, os.ErrClosed) {
				t.Fatal(err)
			}
			awaitGone(t, run.mark)
			status, _, stderr := cli(t, "run", "--dry-run", "--root", root)
			if status != report.ExitClean {
				t.Errorf("the next run: exit status %d: %s", status, stderr)
			}
		})
	}
}

// TestSignalEarly: a signal before anything was found ends the run as well.
func TestSignalEarly(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	for _, event := range []string{`"phase":"survey"`, `"phase":"forward"`} {
		root := sharedTree(t, 20)
		before := readTree(t, root)
		run := startTool(t, toolEntry, event, "run", "--json", "--root", root)
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} { // the first counts
			if err := run.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if sig == syscall.SIGTERM {
				run.await(t, `"signal":"SIGTERM"`)
			}
		}
		rest, err := io.ReadAll(run.log)
		if err != nil {
			t.Fatal(err)
		}
		_ = run.cmd.Wait() // its exit status is looked at below
		if got, want := run.cmd.ProcessState.ExitCode(), report.ExitSignal+int(syscall.SIGTERM); got != want {
			t.Errorf("%s: exit status %d, want %d; log:\n%s", event, got, want, rest)
		}
		if run.stdout.Len() > 0 && decode(t, run.stdout.String()).Run.Complete {
			t.Errorf("%s: a complete report", event)
		}
		if left := descendants(t, run.mark); len(left) > 0 {
			t.Errorf("%s: left behind:\n%s", event, describe(left))
		}
		if after := readTree(t, root); after != before {
			t.Errorf("%s: the host is not as it was:\n%s\nwas\n%s", event, after, before)
		}
	}
}

// TestDescriptors: runs, whatever becomes of them, leave no descriptor open and
// no child behind.
func TestDescriptors(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	root := sharedTree(t, 4) // a writer goes wrong at its fourth write
	run := func(entry string, want int) {
		t.Cleanup(func() { childEntry = child.Entry })
		childEntry = entry
		if status, _, stderr := cli(t, "run", "--root", root, "--log-format", "json"); status != want {
			t.Fatalf("child %s: exit status %d, want %d: %s", entry, status, want, stderr)
		}
	}
	run(child.Entry, report.ExitLeak) // what is opened once and kept is open now
	before := openDescriptors(t)
	status, stdout, stderr := cli(t, "run", "--root", root, "--json")
	if r := decode(t, stdout); status != report.ExitLeak || r.Run.Replays < 20 {
		t.Errorf("exit status %d, %d replays: %s", status, r.Run.Replays, stderr)
	}
	for _, entry := range []string{faultAtOnce + "exits", faultAtOnce + "garbage", faultMidway + "half a message"} {
		_ = os.Remove(filepath.Join(root, "faulted"))
		run(entry, report.ExitUnverified)
	}
	if after := openDescriptors(t); after != before {
		t.Errorf("open before:\n%s\nand after:\n%s", before, after)
	}
	var waited unix.WaitStatus
	if pid, err := unix.Wait4(-1, &waited, unix.WNOHANG, nil); !errors.Is(err, unix.ECHILD) {
		t.Errorf("a child is left: %d, %v", pid, err)
	}
}

// openDescriptors lists what this process has open, apart from the listing.
func openDescriptors(t *testing.T) string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil { // the listing's own is closed by now
			fmt.Fprintf(&b, "%s %s\n", e.Name(), to)
		}
	}
	return b.String()
}
