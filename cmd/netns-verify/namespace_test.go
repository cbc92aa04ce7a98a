package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/sys/reexec"
	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/perturb"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/internal/testenv"
)

const (
	listKeys = "test-list-keys"
	hostRuns = "test-host-runs"
)

func init() {
	reexec.Register(listKeys, func() { answer(sysctl.NewProc(sysctl.ProcRoot).List()) })
	reexec.Register(hostRuns, func() { answer(compareHost()) })
}

// answer is the end of a helper process: its result on stdout, as JSON.
func answer(v any, err error) {
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(v)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// ask runs a helper process and decodes its answer.
func ask(t *testing.T, v any, flags uintptr, args ...string) {
	t.Helper()
	runtime.LockOSThread() // the helper ends with the thread that starts it (Pdeathsig)
	defer runtime.UnlockOSThread()
	cmd := reexec.Command(args...)
	cmd.SysProcAttr.Cloneflags = flags
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", args[0], err)
	}
	if err := json.Unmarshal(out, v); err != nil {
		t.Fatalf("%s: %v in %.300q", args[0], err, out)
	}
}

// TestEveryKey: the report of a real namespace is JSON alone on stdout and has a
// verdict on every key that a child namespace has.
func TestEveryKey(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	var keys []sysctl.Key
	ask(t, &keys, unix.CLONE_NEWNET, listKeys)
	status, stdout, stderr := in(t, worldPlain, "run", "--json")
	if status != report.ExitClean && status != report.ExitLeak {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	logLines(t, stderr)
	r := decode(t, stdout)
	verdicts := []report.Verdict{
		report.VerdictLeak, report.VerdictUntested, report.VerdictIsolated, report.VerdictWriteOnly, report.VerdictReadOnly,
	}
	of := map[string]report.Key{}
	counted := map[report.Verdict]int{}
	for i, k := range r.Keys {
		if i > 0 && k.Key <= r.Keys[i-1].Key {
			t.Errorf("%s comes after %s", k.Key, r.Keys[i-1].Key)
		}
		of[k.Key] = k
		counted[k.Verdict]++
	}
	for _, key := range keys {
		k, ok := of[string(key)]
		w, written := k.Writers["root"]
		if !ok || !written || !slices.Contains(verdicts, k.Verdict) || w.Verdict != k.Verdict {
			t.Errorf("%s: in the report %v, for the writer %v: verdict %q, the writer's %q", key, ok, written, k.Verdict, w.Verdict)
		}
		if (k.Verdict == report.VerdictUntested) != (k.UntestedReason != "") {
			t.Errorf("%s: verdict %q, reason %q", key, k.Verdict, k.UntestedReason)
		}
	}
	for v, n := range r.Counts.Verdicts {
		if counted[v] != n {
			t.Errorf("%d keys are %s, the counts say %d", counted[v], v, n)
		}
	}
	if r.Counts.ChildKeys < len(keys) || len(keys) < 100 || r.Counts.Perturbed == 0 {
		t.Errorf("%d keys in a child, counts %+v", len(keys), r.Counts)
	}
}

// TestSecrets: values of keys that not everybody may read, and what was written
// to those, appear in no report and no log.
func TestSecrets(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	for _, tt := range []struct {
		args   string
		leaks  bool // in a tree where secrets leak
		status int
	}{
		{"--json", false, report.ExitClean},
		{"--verbose", false, report.ExitClean},
		{"--dry-run --json", false, report.ExitClean},
		{"--dry-run --verbose", false, report.ExitClean},
		{"--json", true, report.ExitLeak},
		{"--verbose", true, report.ExitLeak},
		{"--quiet", true, report.ExitLeak},
		{"--dry-run --verbose", true, report.ExitClean},
	} {
		t.Run(fmt.Sprintf("%s %v", tt.args, tt.leaks), func(t *testing.T) {
			args := append([]string{"run", "--log-level", "trace"}, strings.Fields(tt.args)...)
			var status int
			var stdout, stderr string
			if tt.leaks {
				status, stdout, stderr = cli(t, append(args, "--root", secretTree(t))...)
			} else {
				status, stdout, stderr = in(t, worldSecrets, args...)
			}
			if status != tt.status {
				t.Errorf("exit status %d: %s", status, stderr)
			}
			noSecrets(t, "stdout", stdout)
			noSecrets(t, "stderr", stderr)
			if !strings.Contains(stdout, "secret:") {
				t.Errorf("no digest stands for a secret:\n%s", stdout)
			}
			for k := range secretValues {
				if tt.status == report.ExitLeak && !strings.Contains(stdout, path.Base(string(k))) {
					t.Errorf("the leak of %s is not told:\n%s", k, stdout)
				}
			}
		})
	}
}

// TestShowSecrets: they do, where that is asked for. Both leak.
func TestShowSecrets(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	status, stdout, stderr := cli(t, "run", "--json", "--show-secrets", "--root", secretTree(t))
	r := decode(t, stdout)
	if status != report.ExitLeak || len(r.Leaks) != len(secretValues) {
		t.Errorf("exit status %d, leaks %+v: %s", status, r.Leaks, stderr)
	}
	for k, v := range secretValues {
		if !strings.Contains(stdout, v) {
			t.Errorf("%s of %s is not in\n%s", v, k, stdout)
		}
	}
}

// secretTree is a tree of nothing but secrets.
func secretTree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for k, v := range secretValues {
		name := filepath.Join(root, string(k))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(v+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// noSecrets looks for the values set and for those that may have been written.
func noSecrets(t *testing.T, where, text string) {
	t.Helper()
	for k, v := range secretValues {
		forbidden := []string{v, v[:8], v[len(v)-9:]}
		for _, st := range []sysctl.State{{Value: v}, {Value: "00000000-00000000-00000000-00000000"}, {Errno: unix.EIO}} {
			for _, dir := range []perturb.Direction{perturb.Up, perturb.Down} {
				forbidden = append(forbidden, perturb.Candidates(perturb.Subject{Key: k, Mode: 0o600, State: st, Prefer: dir}, perturb.Facts{})...)
			}
		}
		for _, f := range forbidden {
			if i := strings.Index(text, f); i >= 0 {
				t.Errorf("%s shows %q of %s: %.200q", where, f, k, text[max(0, i-100):])
				return
			}
		}
	}
}

const (
	// hostRunsVariable is how many runs the host is to be the same after.
	hostRunsVariable = "NETNS_VERIFY_HOST_RUNS"
	// realHostVariable makes the machine's own namespace the host of them.
	realHostVariable = "NETNS_VERIFY_REAL_HOST"
)

// hostResult is what runs did to their host.
type hostResult struct {
	Keys     int
	Statuses map[int]int
	Restless []string
	// Changed is the keys that are not as they were, with the run after which
	// that was first seen.
	Changed []string
	// Warnings is what the runs had to say about the machine.
	Warnings []string
}

// TestHostState: after any number of runs the host is as it was before the first.
func TestHostState(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	runs := "3"
	if n := os.Getenv(hostRunsVariable); n != "" {
		runs = n
	}
	flags := uintptr(unix.CLONE_NEWNET)
	if os.Getenv(realHostVariable) != "" {
		flags = 0
	}
	var r hostResult
	ask(t, &r, flags, hostRuns, runs)
	t.Logf("%s runs, exit statuses %v, %d keys compared, restless: %v, warnings: %q", runs, r.Statuses, r.Keys, r.Restless, r.Warnings)
	for _, c := range r.Changed {
		t.Error(c)
	}
	for status := range r.Statuses {
		if status != report.ExitClean && status != report.ExitLeak {
			t.Errorf("exit status %d", status)
		}
	}
	if r.Keys < 100 {
		t.Errorf("only %d keys were compared", r.Keys)
	}
}

func compareHost() (r hostResult, err error) {
	runs, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return r, err
	}
	before, err := allOfNet()
	if err != nil {
		return r, err
	}
	r.Keys, r.Statuses = len(before), map[int]int{}
	differs := map[string]string{}
	for i := range runs {
		rep, status, err := runTool()
		if err != nil {
			return r, err
		}
		r.Statuses[status]++
		for _, k := range rep.Keys {
			if k.Restless && !slices.Contains(r.Restless, k.Key) {
				r.Restless = append(r.Restless, k.Key)
			}
		}
		for _, w := range rep.Warnings {
			if !slices.Contains(r.Warnings, w) {
				r.Warnings = append(r.Warnings, w)
			}
		}
		after, err := allOfNet()
		if err != nil {
			return r, err
		}
		for _, m := range []map[string]string{before, after} {
			for k := range m {
				if before[k] != after[k] && differs[k] == "" {
					differs[k] = fmt.Sprintf("%s: %s after run %d, was %s", k, after[k], i+1, before[k])
				}
			}
		}
	}
	for k, what := range differs {
		if !slices.Contains(r.Restless, k) {
			r.Changed = append(r.Changed, what)
		}
	}
	slices.Sort(r.Changed)
	return r, nil
}

// allOfNet reads /proc/sys/net in the plainest way, so as to share no mistake
// with what is tested.
func allOfNet() (map[string]string, error) {
	all := map[string]string{}
	err := filepath.WalkDir("/proc/sys/net", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		var errno syscall.Errno
		switch {
		case err == nil:
			all[strings.TrimPrefix(path, "/proc/sys/")] = fmt.Sprintf("%q", b)
		case errors.As(err, &errno):
			all[strings.TrimPrefix(path, "/proc/sys/")] = unix.ErrnoName(errno)
		default:
			return err
		}
		return nil
	})
	return all, err
}
