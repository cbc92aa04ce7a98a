package testenv

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// Tidy is a package's tests (*testing.M), which fail where all together leave a
// goroutine, an open descriptor or a child process behind. TestMain runs it, after
// re-execution has had its chance.
func Tidy(m interface{ Run() int }) interface{ Run() int } {
	return tidy{m, os.Stderr, 10 * time.Second}
}

type tidy struct {
	tests    interface{ Run() int }
	complain io.Writer
	// patience is how long what is ending may take; goleak has one of its own.
	patience time.Duration
}

// Run implements testscript.TestingM.
func (m tidy) Run() int {
	if r, w, err := os.Pipe(); err == nil { // the runtime opens its own with the first pipe, and keeps them
		_, _ = r.Close(), w.Close()
	}
	before := openDescriptors()
	status := m.tests.Run()
	if status != 0 {
		return status // a test that failed may leave anything
	}
	for _, check := range []func() error{
		func() error { return goleak.Find() },
		func() error { return sameDescriptors(before, m.patience) },
		noChildren,
	} {
		if err := check(); err != nil {
			fmt.Fprintf(m.complain, "the tests of this package left something behind: %v\n", err)
			status = 1
		}
	}
	return status
}

// sameDescriptors looks again as long as there are more: a goroutine that has just
// ended need not be the last to hold one.
func sameDescriptors(before map[string]string, patience time.Duration) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		var more []string
		for fd, to := range openDescriptors() {
			if before[fd] != to {
				more = append(more, fd+" -> "+to)
			}
		}
		if len(more) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("open descriptors: %s", strings.Join(more, ", "))
		}
	}
}

// openDescriptors is what this process has open, apart from the listing.
func openDescriptors() map[string]string {
	entries, _ := os.ReadDir("/proc/self/fd") // none of them is one too many
	open := map[string]string{}
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil { // the listing's own is closed by now
			open[e.Name()] = to
		}
	}
	return open
}

// noChildren wants every process to have been waited for.
func noChildren() error {
	switch pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); {
	case errors.Is(err, unix.ECHILD):
		return nil
	case err != nil:
		return err
	case pid == 0:
		return errors.New("a child process is still running")
	default:
		return fmt.Errorf("the child process %d was not waited for", pid)
	}
}
