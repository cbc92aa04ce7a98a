package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/sys/reexec"
	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/child"
	"github.com/netns-verify/netns-verify/internal/hostinfo"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/internal/testenv"
	"github.com/netns-verify/netns-verify/protocol"
)

// faults is what a child may do instead of its duty, at once or in the middle
// of a batch, and the words that the user must see then.
var faults = []struct {
	name string
	do   func(replies *os.File)
	says []string
}{
	{"exits", func(*os.File) { os.Stderr.WriteString("I give up\n"); os.Exit(7) }, []string{"the child ended", "exit status 7", "I give up"}},
	{"hangs", func(*os.File) { select {} }, []string{"no answer within the deadline (2s)"}},
	{"garbage", func(w *os.File) { _, _ = w.WriteString("\x00\xffgarbage\n"); select {} }, []string{"malformed message", "garbage"}},
	{"long line", longLine, []string{"message longer than 16 MiB"}},
	{"wrong message", func(w *os.File) { _, _ = w.WriteString(`{"changes":{"changes":[]}}` + "\n"); select {} }, []string{"writer: "}},
	{"half a message", func(w *os.File) { _, _ = w.WriteString(`{"wri`); os.Exit(0) }, []string{"unexpected EOF"}},
	{"done at once", func(*os.File) { os.Exit(0) }, []string{"the child ended"}},
}

// longLine writes 100 MB without a newline.
func longLine(w *os.File) {
	block := bytes.Repeat([]byte("a"), 1<<20)
	for range 100 {
		if _, err := w.Write(block); err != nil {
			os.Exit(0) // the parent does not listen any more
		}
	}
	select {}
}

const (
	faultAtOnce = "test-fault-at-once-"
	faultMidway = "test-fault-midway-"
)

func init() {
	for _, f := range faults {
		reexec.Register(faultAtOnce+f.name, func() { f.do(os.NewFile(4, "replies")) })
		reexec.Register(faultMidway+f.name, func() { serveUntilFault(f.do) })
	}
}

// serveUntilFault is an honest child but for one writer, the first, which goes
// wrong after it has told of three writes.
func serveUntilFault(do func(*os.File)) {
	role, root, replies := os.Args[1], os.Args[2], os.NewFile(4, "replies")
	var w io.Writer = replies
	if role == "writer" {
		w = &faulty{replies: replies, marker: filepath.Join(root, "faulted"), do: do}
	}
	netns, err := child.NetNS()
	if err == nil {
		hello := protocol.Hello{Version: protocol.Version, Build: build(), PID: os.Getpid(), NetNS: netns, UserNS: hostinfo.UserNamespace()}
		err = child.Serve(sysctl.NewProc(root), hello, os.NewFile(3, "requests"), w, zerolog.New(os.Stderr))
	}
	if err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

type faulty struct {
	replies *os.File
	marker  string
	writes  int
	do      func(*os.File)
}

func (f *faulty) Write(b []byte) (int, error) {
	if bytes.HasPrefix(b, []byte(`{"write"`)) {
		if f.writes++; f.writes > 3 {
			if m, err := os.OpenFile(f.marker, os.O_CREATE|os.O_EXCL, 0o600); err == nil {
				_ = m.Close()
				f.do(f.replies)
			}
		}
	}
	return f.replies.Write(b)
}

// TestFaultyChildren: whatever a child does, the run ends within its deadline
// with status 3, says what happened, and has put the host back.
func TestFaultyChildren(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	for _, when := range []string{faultAtOnce, faultMidway} {
		for _, f := range faults {
			t.Run(strings.TrimSuffix(when, "-")+" "+f.name, func(t *testing.T) {
				t.Cleanup(func() { childEntry = child.Entry })
				childEntry = when + f.name
				root := sharedTree(t, 20)
				before := readTree(t, root)
				deadline := "1m" // none of the others may need it, however slow the machine
				if f.name == "hangs" {
					deadline = "2s"
				}
				status, stdout, stderr := cli(t, "run", "--root", root, "--deadline", deadline)
				if status != 3 {
					t.Errorf("exit status %d, want 3", status)
				}
				if when == faultAtOnce && stdout != "" {
					t.Errorf("stdout: %s", stdout)
				}
				for _, want := range f.says {
					if when == faultMidway && want == "no answer within the deadline (2s)" {
						want = "deadline"
					}
					if !strings.Contains(stderr, want) {
						t.Errorf("nothing on stderr of %q:\n%s", want, stderr)
					}
				}
				if after := readTree(t, root); after != before {
					t.Errorf("the host is not as it was:\n%s\nwas\n%s", after, before)
				}
			})
		}
	}
}

// sharedTree is a sysctl directory of plain files. Host and children share
// it, so every one of its keys leaks.
func sharedTree(t *testing.T, keys int) string {
	t.Helper()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "net", "core"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range keys {
		name := filepath.Join(root, "net", "core", "key"+string(rune('a'+i)))
		if err := os.WriteFile(name, []byte("100\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func readTree(t *testing.T, root string) string {
	t.Helper()
	p := sysctl.NewProc(root)
	s, err := sysctl.Survey(p, p.Keep())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range s {
		b.WriteString(string(e.Key) + "=" + e.State.Value + "\n")
	}
	return b.String()
}

// cli runs the command in this process, with files for the standard streams.
func cli(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var files [2]*os.File
	for i := range files {
		f, err := os.Create(filepath.Join(t.TempDir(), "stream"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		files[i] = f
	}
	status = execute(args, files[0], files[1])
	var text [2]string
	for i, f := range files {
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		text[i] = string(b)
	}
	return status, text[0], text[1]
}
