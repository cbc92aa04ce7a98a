package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/child"
	"github.com/netns-verify/netns-verify/internal/testenv"
)

// TestChildrenArePlain: a child that has said hello has given up what it has no use for.
func TestChildrenArePlain(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	if os.Getuid() != 0 {
		t.Skip("only root has capabilities to give up")
	}
	run := startTool(t, toolEntry, `"phase":"reversed"`, "run", "--json", "--root", sharedTree(t, 2))
	if err := run.cmd.Process.Signal(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	siblings := 0
	for _, pid := range descendants(t, run.mark) {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // it may end meanwhile
		if !strings.HasPrefix(string(line), child.Entry+"\x00sibling\x00") {
			continue
		}
		siblings++
		want := uint64(1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_DAC_OVERRIDE) // as in a tree of files
		if got := testenv.Privileges(t, pid); !strings.Contains(got, fmt.Sprintf("%016x %016x 1\n", want, want)) {
			t.Errorf("permitted, effective, no_new_privs: wants %016x twice and 1, has\n%s", want, got)
		}
	}
	if siblings == 0 {
		t.Error("no sibling was looked at")
	}
}
