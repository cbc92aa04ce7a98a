package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/moby/sys/reexec"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/netns-verify/netns-verify/internal/testenv"
)

const raceVariable = "GORACE"

// journalVariable names the tests' own journal, in every process of theirs.
const journalVariable = "NETNS_VERIFY_TEST_JOURNAL"

func init() {
	if path := os.Getenv(journalVariable); path != "" {
		journalPath = func() string { return path }
	}
}

func TestMain(m *testing.M) {
	if reexec.Init() { // first, or a child would run the tests
		return
	}
	testenv.NoExitSleep()
	ours := filepath.Join(os.TempDir(), "netns-verify-test-"+strconv.Itoa(os.Getpid()), "journal")
	if err := os.Setenv(journalVariable, ours); err != nil {
		panic(err)
	}
	journalPath = func() string { return os.Getenv(journalVariable) }
	testscript.Main(testenv.Tidy(m), map[string]func(){
		"netns-verify": func() { os.Exit(execute(os.Args[1:], standardOutput(), os.Stderr)) },
	})
}

// TestScripts runs the command line as testdata/script has it: one behaviour a
// file. Beyond testscript's own words there are
//
//	[netns]        network namespaces can be made here (or must: the script fails)
//	alone          wait for the machine: before anything that really runs
//	exits N CMD    run CMD and want that exit status
func TestScripts(t *testing.T) {
	testenv.OwnMachine(t)
	var machine sync.Mutex
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			for _, name := range []string{testenv.RequireVariable, raceVariable, journalVariable} {
				env.Setenv(name, os.Getenv(name))
			}
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "netns" {
				return testenv.HaveNetNS()
			}
			return false, errors.New("unknown condition " + cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"alone": func(ts *testscript.TestScript, _ bool, _ []string) {
				machine.Lock()
				ts.Defer(machine.Unlock)
			},
			"exits": exits,
		},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND [ARGUMENT...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("%s: exit status %d, want %d", args[1], got, want)
	}
}
