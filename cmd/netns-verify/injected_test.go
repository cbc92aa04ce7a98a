package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/internal/testenv"
)

// everyCall is what the parent asks of the kernel, and how that may fail. What the
// runtime itself cannot do without (threads, memory, polling) is not among it.
var everyCall = []calls{
	{"open", []uint32{unix.SYS_OPENAT}, []unix.Errno{unix.EMFILE, unix.ENOMEM, unix.EINTR}},
	{"read", []uint32{unix.SYS_READ, unix.SYS_PREAD64, unix.SYS_GETDENTS64, unix.SYS_READLINKAT}, []unix.Errno{unix.EIO, unix.ENOMEM, unix.EINTR}},
	{"write", []uint32{unix.SYS_WRITE, unix.SYS_PWRITE64}, []unix.Errno{unix.ENOSPC, unix.EINTR}},
	{"clone", []uint32{unix.SYS_CLONE}, []unix.Errno{unix.ENOMEM, unix.EAGAIN}},
	{"pipe", []uint32{unix.SYS_PIPE2, unix.SYS_SOCKETPAIR}, []unix.Errno{unix.EMFILE}},
	{"fsync", []uint32{unix.SYS_FSYNC, unix.SYS_RENAMEAT, unix.SYS_FCHMOD}, []unix.Errno{unix.ENOSPC, unix.EIO}},
}

// faultsVariable has every call fail in every way, one a run (make faults); without
// it, some of them do.
const faultsVariable = "NETNS_VERIFY_FAULTS"

// someFaults is how many calls of a kind fail then in each way: another one for each way.
const someFaults = 1

// faultyHost is a host of runs with faults.
type faultyHost struct {
	name  string
	whole int // the exit status without a fault
	most  int // faults of a kind of call; 0: every call
	// make makes one and returns what it adds to the command line. The tool is to be
	// started by the same thread. off is how it is not as it was.
	make func(t *testing.T) (args []string, off func() string)
}

// faultyHosts is a tree of files, where everything leaks, so that the parent gets to do
// all it can, and a network namespace, of which each sweep reads hundreds of keys alike.
var faultyHosts = []faultyHost{
	{"tree", report.ExitLeak, 0, func(t *testing.T) ([]string, func() string) {
		root := sharedTree(t, 1)
		before := readTree(t, root)
		return []string{"--root", root}, func() string {
			if after := readTree(t, root); after != before {
				return "the host was " + before + "and is " + after
			}
			return ""
		}
	}},
	{"namespace", report.ExitClean, 300, func(t *testing.T) ([]string, func() string) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Fatal(err)
		}
		host, err := sysctl.NewSweeper(sysctl.NewProc(sysctl.ProcRoot))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = host.Close() })
		return []string{"--devices", "none", "--include", "net/core/**", "--include", "net/ipv4/conf/**"}, func() string {
			if changes, err := host.Sweep(); err != nil || len(changes) > 0 {
				return fmt.Sprintf("the host has changed: %v, %v", changes, err)
			}
			return ""
		}
	}},
}

// TestInjectedFaults: whatever the kernel refuses the parent, once: the run ends, with
// a report or a reason, the host is as it was, and nothing is left behind.
func TestInjectedFaults(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	if os.Getuid() != 0 {
		t.Skip("only root can make what is around it")
	}
	for _, h := range faultyHosts {
		t.Run(h.name, func(t *testing.T) {
			sites, faults := 0, 0
			for _, c := range everyCall {
				calls := 0
				var whole faulted
				for i, errno := range c.errnos {
					if i == 0 || errno == unix.EINTR { // which can fail so are others then
						whole = h.injected(t, fault{c, errno, 0})
					}
					if whole.status != h.whole || whole.calls == 0 && c.name != "fsync" {
						t.Fatalf("without a fault: exit status %d, %d calls to %s: %s", whole.status, whole.calls, c.name, whole.stderr)
					}
					most := h.most
					if os.Getenv(faultsVariable) == "" {
						most = someFaults
					}
					step := 1
					if most > 0 {
						step = max(1, whole.calls/most)
					}
					for at := 1 + i*step/len(c.errnos); at <= whole.calls; at += step {
						faults++
						f := fault{c, errno, at}
						t.Run(f.String(), func(t *testing.T) {
							t.Parallel()
							h.injected(t, f)
						})
					}
					calls = max(calls, whole.calls)
				}
				sites += calls
				t.Logf("%s: %d calls", c.name, calls)
			}
			t.Logf("%d sites, %d faults", sites, faults)
		})
	}
}

// injected does one run with a fault, on a thread of its own, and looks at what is left of it.
func (h faultyHost) injected(t *testing.T, f fault) (r faulted) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // to the end: its namespace may be another one by then
		r = h.onThread(t, f)
	}()
	<-done
	return r
}

func (h faultyHost) onThread(t *testing.T, f fault) faulted {
	args, off := h.make(t)
	out, mark := t.TempDir(), rand.Text()
	file := filepath.Join(out, "report")
	r := withFault(t, f, mark, append([]string{"run", "--json", "--settle", "20ms", "--output", file}, args...)...)
	complain := func(what string) {
		t.Helper()
		t.Errorf("%v: %s: exit status %d: %.3000s", f, what, r.status, r.stderr)
	}
	if r.hung {
		complain("it hangs")
	}
	for _, word := range []string{"panic:", "fatal error:", "goroutine "} {
		if !r.hung && strings.Contains(r.stderr, word) {
			complain(word)
		}
	}
	if what := off(); what != "" {
		complain(what)
	}
	awaitGone(t, mark)
	files, err := os.ReadDir(out)
	if err != nil {
		t.Error(err)
	}
	text, _ := os.ReadFile(file) // there need not be one
	switch {
	case len(files) > 1 || len(files) == 1 && len(text) == 0:
		complain("a part of a report is left")
	case r.status == report.ExitUnverified && !strings.Contains(r.stderr, "could not verify"):
		complain("nothing says why")
	case r.status == report.ExitUnverified:
	case r.status == h.whole, r.status == report.ExitClean && f.errno != unix.EINTR:
		var rep report.Report
		if err := json.Unmarshal(text, &rep); err != nil || rep.Run.ExitStatus != r.status || r.status != h.whole && rep.Run.Complete {
			complain("a report of something else")
		}
	default:
		complain("a wrong exit status")
	}
	if f.errno == unix.EINTR && r.status != h.whole && !r.hung {
		complain("it was only interrupted")
	}
	return r
}
