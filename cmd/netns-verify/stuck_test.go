package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/lock"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/testenv"
)

// A guardian that does not answer is as one that has died, and is not there any more
// when it would answer again.
func TestGuardianStopped(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	for _, event := range []string{`"phase":"survey"`, `"phase":"forward"`, `"phase":"restore"`} {
		t.Run(event, func(t *testing.T) {
			root := sharedTree(t, 3)
			before := readTree(t, root)
			run := startTool(t, toolEntry, event, "run", "--json", "--root", root)
			if err := unix.Kill(guardianOf(t, run), unix.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			run.signal(t, syscall.SIGTERM, `"message":"stopping`)
			run.ends(t, report.ExitSignal+int(syscall.SIGTERM))
			if after := readTree(t, root); after != before {
				t.Errorf("the host is not as it was:\n%s\nwas\n%s", after, before)
			}
			if left := descendants(t, run.mark); len(left) > 0 {
				t.Errorf("left behind:\n%s", describe(left))
			}
		})
	}
}

// A run that has not written anything leaves no journal, which would be in the way of others.
func TestNoWriteNoJournal(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	root := sharedTree(t, 3)
	before := readTree(t, root)
	for range 5 {
		status, _, stderr := cli(t, "run", "--json", "--root", root, "--deadline", "1ms")
		if status == report.ExitUnverified && strings.Contains(stderr, "does not end") {
			t.Errorf("a child that was killed was not waited for: %s", stderr)
		}
		if after := readTree(t, root); after != before {
			t.Errorf("the host is not as it was:\n%s\nwas\n%s", after, before)
		}
		noJournal(t)
	}
	run := startTool(t, hangingTool, hangs, "run", "--json", "--root", root)
	pids := []int{guardianOf(t, run), run.cmd.Process.Pid}
	for _, sig := range []syscall.Signal{unix.SIGSTOP, unix.SIGKILL} {
		for _, pid := range pids {
			if err := unix.Kill(pid, sig); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = run.cmd.Wait() // it was killed
	awaitGone(t, run.mark)
	noJournal(t)
}

// Who comes second waits if told to, not for ever, and until a signal.
func TestWait(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	root := sharedTree(t, 1)
	unlock, err := lock.Take()
	if err != nil {
		t.Fatal(err)
	}
	const waits = "waiting at most "
	run := startTool(t, toolEntry, waits, "run", "--json", "--root", root, "--wait", "1h")
	run.signal(t, syscall.SIGTERM, `"message":"stopping`)
	run.ends(t, report.ExitSignal+int(syscall.SIGTERM))
	for _, command := range []string{"run", "restore"} {
		if status, _, stderr := cli(t, command, "--root", root, "--wait", "1ms"); status != report.ExitUnverified || !strings.Contains(stderr, "another run (pid ") {
			t.Errorf("%s: exit status %d: %s", command, status, stderr)
		}
	}
	run = startTool(t, toolEntry, waits, "run", "--json", "--root", root, "--wait", "1h")
	restore := startTool(t, toolEntry, waits, "restore", "--root", root, "--wait", "1h")
	unlock()
	_, _ = run.cmd.Wait(), restore.cmd.Wait() // their exit statuses are looked at below
	if r, s := run.cmd.ProcessState.ExitCode(), restore.cmd.ProcessState.ExitCode(); r != report.ExitLeak || s != report.ExitClean {
		t.Errorf("exit statuses %d and %d", r, s)
	}
}

// What a run that has ended wrote into the lock's file is nobody's lock.
func TestLockOfNobody(t *testing.T) {
	testenv.OwnMachine(t)
	unlock, err := lock.Take()
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	for _, dir := range []string{"/run/lock", "/run", "/tmp"} {
		path := filepath.Join(dir, "netns-verify.lock")
		if _, err := os.Stat(path); err != nil {
			continue
		}
		if err := os.WriteFile(path, []byte("1\n"), 0o644); err != nil { // that process is there
			t.Skip(err)
		}
		break
	}
	if status, _, stderr := cli(t, "run", "--dry-run", "--root", sharedTree(t, 1)); status != report.ExitClean {
		t.Errorf("exit status %d: %s", status, stderr)
	}
}
