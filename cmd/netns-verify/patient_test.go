package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/testenv"
)

// All lines come, in order, where somebody takes them.
func TestPatient(t *testing.T) {
	var b bytes.Buffer
	p := newPatient(&b)
	var want strings.Builder
	for i := range 1000 {
		_, _ = fmt.Fprintln(io.MultiWriter(p, &want), i)
	}
	if missed, takes := p.close(); missed != 0 || !takes || b.String() != want.String() {
		t.Errorf("%d missed, takes %v, %d bytes of %d", missed, takes, b.Len(), want.Len())
	}
}

// A pipe that nobody empties holds nobody up: neither the run nor its end.
func TestStalledReader(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = r.Close(), w.Close() }()
	size, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096)
	if err == nil {
		_, err = w.Write(make([]byte, size)) // it is full from the start
	}
	if err != nil {
		t.Fatal(err)
	}
	root := sharedTree(t, 3)
	before := readTree(t, root)
	out, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	status := execute([]string{"run", "--json", "--log-level", "trace", "--root", root}, out, w)
	text, _ := os.ReadFile(out.Name())
	if status != report.ExitLeak || decode(t, string(text)).Run.ExitStatus != status {
		t.Errorf("exit status %d: %s", status, text)
	}
	if after := readTree(t, root); after != before {
		t.Errorf("the host was\n%sand is\n%s", before, after)
	}
	noJournal(t)
}
