package main

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/report"
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

// someFaults is how many calls of a kind fail then.
const someFaults = 4

// TestInjectedFaults: whatever the kernel refuses the parent, once: the run ends, with
// a report or a reason, the host is as it was, and nothing is left behind. The host is
// a tree of files, where everything leaks, so that the parent gets to do all it can.
func TestInjectedFaults(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	if os.Getuid() != 0 {
		t.Skip("only root can make what is around it")
	}
	sites, faults := 0, 0
	for _, c := range everyCall {
		most := 0
		for i, errno := range c.errnos {
			whole := injected(t, fault{c, errno, 0})
			if whole.status != report.ExitLeak || whole.calls == 0 {
				t.Fatalf("without a fault: exit status %d, %d calls to %s: %s", whole.status, whole.calls, c.name, whole.stderr)
			}
			step := 1
			if os.Getenv(faultsVariable) == "" {
				step = max(1, whole.calls/someFaults)
			}
			for at := 1 + i*step/len(c.errnos); at <= whole.calls; at += step {
				faults++
				f := fault{c, errno, at}
				t.Run(f.String(), func(t *testing.T) {
					t.Parallel()
					injected(t, f)
				})
			}
			most = max(most, whole.calls)
		}
		sites += most
		t.Logf("%s: %d calls", c.name, most)
	}
	t.Logf("%d sites, %d faults", sites, faults)
}

// injected does one run with a fault and looks at what is left of it.
func injected(t *testing.T, f fault) faulted {
	root, out, mark := sharedTree(t, 1), t.TempDir(), rand.Text()
	before := readTree(t, root)
	file := filepath.Join(out, "report")
	r := withFault(t, f, mark, "run", "--json", "--root", root, "--settle", "20ms", "--output", file)
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
	if after := readTree(t, root); after != before {
		complain("the host was " + before + "and is " + after)
	}
	awaitGone(t, mark)
	files, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(file) // there need not be one
	switch {
	case len(files) > 1 || len(files) == 1 && len(text) == 0:
		complain("a part of a report is left")
	case r.status == report.ExitUnverified && !strings.Contains(r.stderr, "could not verify"):
		complain("nothing says why")
	case r.status == report.ExitUnverified:
	case r.status == report.ExitLeak, r.status == report.ExitClean && f.errno != unix.EINTR:
		if rep := decode(t, string(text)); rep.Run.ExitStatus != r.status || r.status == report.ExitClean && rep.Run.Complete {
			complain("a report of something else")
		}
	default:
		complain("a wrong exit status")
	}
	if f.errno == unix.EINTR && r.status != report.ExitLeak && !r.hung {
		complain("it was only interrupted")
	}
	return r
}
