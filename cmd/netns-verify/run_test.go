package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/sys/reexec"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/testenv"
	"github.com/netns-verify/netns-verify/parent"
)

// decode reads a report that must be alone in text, and know every field.
func decode(t *testing.T, text string) report.Report {
	t.Helper()
	var r report.Report
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatalf("decode report: %v in %.300q", err, text)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Errorf("something follows the report: %v", err)
	}
	return r
}

// logLines reads a log that must be JSON, one event a line, all of one run.
func logLines(t *testing.T, text string) (events []map[string]any) {
	t.Helper()
	for line := range strings.Lines(text) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("not a log event: %q", line)
		}
		if e["run_id"] == nil || len(events) > 0 && e["run_id"] != events[0]["run_id"] {
			t.Errorf("run_id %v in %q", e["run_id"], line)
		}
		events = append(events, e)
	}
	return events
}

func TestRunJSON(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	const keys = 5
	root := sharedTree(t, keys)
	secret := filepath.Join(root, "net", "core", "secret")
	if err := os.WriteFile(secret, []byte("4242424242\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := readTree(t, root)
	status, stdout, stderr := cli(t, "run", "--json", "--seed", "11", "--root", root, "--log-level", "trace")
	if after := readTree(t, root); after != before {
		t.Errorf("the host is not as it was:\n%s\nwas\n%s", after, before)
	}
	r := decode(t, stdout)
	if status != report.ExitLeak || r.Run.ExitStatus != status || !r.Run.Complete || r.Run.Phase != string(parent.PhaseReport) {
		t.Errorf("exit status %d, run %+v", status, r.Run)
	}
	if r.SchemaVersion != report.SchemaVersion || r.Run.Seed != 11 || r.Run.ID == "" || r.Run.Started.IsZero() || r.Host.KernelRelease == "" || r.Tool.Name != name {
		t.Errorf("incomplete: %+v %+v %+v", r.Tool, r.Run, r.Host)
	}
	if len(r.Keys) != keys+1 || len(r.Leaks) != keys+1 {
		t.Errorf("got %d keys and %d leaks, want %d of each", len(r.Keys), len(r.Leaks), keys+1)
	}
	for _, k := range r.Keys {
		if k.Verdict != report.VerdictLeak {
			t.Errorf("%s: verdict %s", k.Key, k.Verdict)
		}
	}
	leaks := 0
	for _, e := range logLines(t, stderr) {
		if e["message"] == "leak" {
			leaks++
		}
	}
	if leaks != len(r.Leaks) {
		t.Errorf("%d leak events for %d leaks", leaks, len(r.Leaks))
	}
	if strings.Contains(stdout+stderr, "4242424242") {
		t.Error("a secret value was shown")
	}
}

// start runs the command in a process of its own and waits until its log says so.
func start(t *testing.T, event string, args ...string) (cmd *exec.Cmd, stdout *bytes.Buffer, log io.ReadCloser) {
	t.Helper()
	cmd = reexec.Command(append([]string{toolEntry}, args...)...)
	stdout = &bytes.Buffer{}
	cmd.Stdout = stdout
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var seen strings.Builder
	for lines := bufio.NewScanner(log); lines.Scan(); {
		seen.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), event) {
			return cmd, stdout, log
		}
	}
	t.Fatalf("no %s in the log:\n%s", event, seen.String())
	return nil, nil, nil
}

func TestSignal(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			root := sharedTree(t, 20)
			before := readTree(t, root)
			cmd, stdout, log := start(t, `"message":"leak"`, "run", "--json", "--root", root)
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			rest, err := io.ReadAll(log)
			if err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // its exit status is looked at below
			want := report.ExitSignal + int(sig)
			r := decode(t, stdout.String())
			if got := cmd.ProcessState.ExitCode(); got != want || r.Run.ExitStatus != want || r.Run.Complete {
				t.Errorf("exit status %d, run %+v, want %d; log:\n%s", got, r.Run, want, rest)
			}
			if len(r.Leaks) == 0 || len(r.Leaks) == 20 {
				t.Errorf("%d leaks in a report that should be partial", len(r.Leaks))
			}
			if after := readTree(t, root); after != before {
				t.Errorf("the host is not as it was:\n%s\nwas\n%s", after, before)
			}
		})
	}
}

// A reader of the log that goes away does not end a run in the middle.
func TestLogReaderGone(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	root := sharedTree(t, 4)
	before := readTree(t, root)
	cmd, stdout, log := start(t, `"phase":"forward"`, "run", "--json", "--root", root)
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its exit status is looked at below
	if got := cmd.ProcessState.ExitCode(); got != report.ExitLeak || len(decode(t, stdout.String()).Leaks) != 4 {
		t.Errorf("exit status %d, %s", got, stdout)
	}
	if after := readTree(t, root); after != before {
		t.Errorf("the host is not as it was:\n%s\nwas\n%s", after, before)
	}
}

func TestSecondRun(t *testing.T) {
	testenv.OwnMachine(t)
	unlock, err := parent.Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	status, stdout, stderr := cli(t, "run", "--root", sharedTree(t, 1), "--log-format", "console")
	if status != report.ExitUnverified || stdout != "" || !strings.Contains(stderr, "another run (pid ") {
		t.Errorf("exit status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
}

func TestStdoutGone(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer func() { _ = full.Close() }()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	status := execute([]string{"run", "--dry-run", "--log-format", "console", "--root", sharedTree(t, 1)}, full, log)
	text, err := os.ReadFile(log.Name())
	if err != nil {
		t.Fatal(err)
	}
	if status != report.ExitUnverified || !strings.Contains(string(text), "write text report") || !strings.Contains(string(text), "(ENOSPC)") {
		t.Errorf("exit status %d, log %s", status, text)
	}
}
