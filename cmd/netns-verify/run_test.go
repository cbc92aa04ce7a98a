package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/sys/reexec"

	"github.com/netns-verify/netns-verify/internal/lock"
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

// toolRun is the command in a process of its own.
type toolRun struct {
	cmd    *exec.Cmd
	stdout bytes.Buffer
	log    *bufio.Reader
	close  func() error // ends the log's reading
	mark   string       // descendants finds its processes by this
}

// startTool starts the command and waits until its log says so.
func startTool(t *testing.T, entry, event string, args ...string) *toolRun {
	t.Helper()
	r := &toolRun{cmd: reexec.Command(append([]string{entry}, args...)...), mark: rand.Text()}
	r.cmd.Env = append(os.Environ(), markVariable+"="+r.mark)
	runtime.LockOSThread() // it is told to stop when the thread that starts it ends (Pdeathsig)
	t.Cleanup(runtime.UnlockOSThread)
	r.cmd.Stdout = &r.stdout
	log, err := r.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.log, r.close = bufio.NewReader(log), log.Close
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // where the test has not waited for its end, nor for the guardian's
		_, _ = r.cmd.Process.Kill(), r.cmd.Wait()
		awaitGone(t, r.mark)
	})
	r.await(t, event)
	return r
}

// await reads the log up to an event.
func (r *toolRun) await(t *testing.T, event string) {
	t.Helper()
	var seen strings.Builder
	for {
		line, err := r.log.ReadString('\n')
		seen.WriteString(line)
		if strings.Contains(line, event) {
			return
		}
		if err != nil {
			t.Fatalf("no %s in the log (%v):\n%s", event, err, seen.String())
		}
	}
}

func TestSignal(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			root := sharedTree(t, 20)
			before := readTree(t, root)
			run := startTool(t, toolEntry, `"message":"leak"`, "run", "--json", "--root", root)
			if err := run.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			rest, err := io.ReadAll(run.log)
			if err != nil {
				t.Fatal(err)
			}
			_ = run.cmd.Wait() // its exit status is looked at below
			want := report.ExitSignal + int(sig)
			r := decode(t, run.stdout.String())
			if got := run.cmd.ProcessState.ExitCode(); got != want || r.Run.ExitStatus != want || r.Run.Complete {
				t.Errorf("exit status %d, run %+v, want %d; log:\n%s", got, r.Run, want, rest)
			}
			if len(r.Leaks) == 0 || len(r.Leaks) == 20 {
				t.Errorf("%d leaks in a report that should be partial", len(r.Leaks))
			}
			if left := descendants(t, run.mark); len(left) > 0 {
				t.Errorf("left behind:\n%s", describe(left))
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
	run := startTool(t, toolEntry, `"phase":"forward"`, "run", "--json", "--root", root)
	if err := run.close(); err != nil {
		t.Fatal(err)
	}
	_ = run.cmd.Wait() // its exit status is looked at below
	if got := run.cmd.ProcessState.ExitCode(); got != report.ExitLeak || len(decode(t, run.stdout.String()).Leaks) != 4 {
		t.Errorf("exit status %d, %s", got, run.stdout.String())
	}
	if after := readTree(t, root); after != before {
		t.Errorf("the host is not as it was:\n%s\nwas\n%s", after, before)
	}
}

func TestSecondRun(t *testing.T) {
	testenv.OwnMachine(t)
	unlock, err := lock.Take()
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
	if status != report.ExitUnverified || !strings.Contains(string(text), "write the report: write /dev/full") || !strings.Contains(string(text), "(ENOSPC)") {
		t.Errorf("exit status %d, log %s", status, text)
	}
}
