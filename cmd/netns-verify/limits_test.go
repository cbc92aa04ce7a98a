package main

import (
	"errors"
	"os"
	"os/exec"
	"runtime/debug"
	"syscall"
	"testing"

	"github.com/moby/sys/reexec"
	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/testenv"
)

const (
	fewThreads     = "test-few-threads"
	fewDescriptors = "test-few-descriptors"
)

func init() {
	reexec.Register(fewThreads, func() {
		abortOnFatal()
		debug.SetMaxThreads(1) // as if no more could be had
		os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr))
	})
	reexec.Register(fewDescriptors, func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 64, Max: 64}); err != nil {
			panic(err)
		}
		os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr))
	})
}

// What the runtime cannot go on from is no wrong command line.
func TestFatal(t *testing.T) {
	err := reexec.Command(fewThreads, "version").Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGABRT || exit.Sys().(syscall.WaitStatus).CoreDump() {
		t.Errorf("it ended with %v", err)
	}
}

// 64 descriptors are enough.
func TestFewDescriptors(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	run := startTool(t, fewDescriptors, `"phase":"survey"`, "run", "--json", "--include", "net/core/somaxconn")
	_ = run.cmd.Wait() // its exit status is looked at below
	if status := run.cmd.ProcessState.ExitCode(); status != report.ExitClean || decode(t, run.stdout.String()).Counts.Perturbed != 1 {
		t.Errorf("exit status %d, %s", status, run.stdout.String())
	}
}
