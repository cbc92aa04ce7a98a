package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/guest"
	"github.com/netns-verify/netns-verify/internal/perturb"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/internal/testenv"
)

// guestVariable names the guest's executable for a tool in a process of its own:
// a test binary is not static.
const guestVariable = "NETNS_VERIFY_TEST_GUEST"

func init() {
	if path := os.Getenv(guestVariable); path != "" {
		guestExecutable = path
	}
}

var (
	buildingGuests sync.Mutex
	guests         = map[string]string{} // by package
)

// static builds a package so that it can be init in a guest, as the same build
// as the tests are.
func static(t *testing.T, pkg, flags string) string {
	t.Helper()
	buildingGuests.Lock()
	defer buildingGuests.Unlock()
	if guests[pkg] == "" {
		path, err := filepath.Abs(filepath.Join("../../.cache/tests", filepath.Base(pkg)))
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w "+flags, "-o", path, pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", pkg, err, out)
		}
		guests[pkg] = path
	}
	return guests[pkg]
}

func realGuest(t *testing.T) string {
	return static(t, "../netns-verify", fmt.Sprintf("-E netns_verify_entry -X 'main.version=%s' -X 'main.commit=%s'", tool().Version, tool().Commit))
}

func faultyGuest(t *testing.T) string {
	return static(t, "./testdata/faultyguest", fmt.Sprintf("-X 'main.build=%s'", build()))
}

// inGuest makes the executable init of the guests of a test.
func inGuest(t *testing.T, path string) {
	t.Helper()
	t.Setenv(guestVariable, path)
	old := guestExecutable
	guestExecutable = path
	t.Cleanup(func() { guestExecutable = old })
}

// bare is a kernel without its modules: it boots fastest.
func bare(t *testing.T) (image string) {
	image, _ = testenv.NeedFiles(t, "6.1-cloud")
	return image
}

// whole is the flags for a kernel with its modules.
func whole(t *testing.T) []string {
	image, modules := testenv.NeedFiles(t, "6.1-cloud")
	return []string{"--kernel", image, "--modules", modules}
}

// nothingLeft wants no QEMU of ours, and no file where temporary ones go, at the
// end of the test.
func nothingLeft(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Cleanup(func() {
		if left := machines(t, os.Getpid()); len(left) > 0 {
			t.Errorf("left behind:\n%s", describe(left))
		}
		if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
			t.Errorf("left behind in %s: %v, %v", dir, files, err)
		}
	})
}

// machines is the QEMU processes that a process has started.
func machines(t *testing.T, parent int) (pids []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended
		}
		var pid, ppid int
		var comm, state string
		if n, _ := fmt.Sscanf(string(b), "%d %s %s %d", &pid, &comm, &state, &ppid); n == 4 && ppid == parent && strings.HasPrefix(comm, "(qemu-") {
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestVM(t *testing.T) {
	kernel := whole(t)
	inGuest(t, realGuest(t))
	nothingLeft(t)
	args := append([]string{"vm", "--accel", "tcg", "--thorough=false", "--write-host=false", "--devices", "none", "--writers", "root", "--json", "--include", "net.netfilter", "--reboots", "0"}, kernel...)
	status, stdout, stderr := cli(t, args...)
	r := decode(t, stdout)
	if status != report.ExitLeak || r.Run.ExitStatus != status || r.Run.Phase != "report" || !slices.Equal(r.Run.Arguments, args) {
		t.Errorf("exit status %d, run %+v, log:\n%s", status, r.Run, stderr)
	}
	if len(r.Leaks) != 1 || r.Leaks[0].Cause[0].Key != "net/netfilter/nf_hooks_lwtunnel" || r.Leaks[0].Evidence.Status != report.StatusOneWay {
		t.Errorf("leaks: %+v", r.Leaks)
	}
	if r.VM == nil || r.VM.Accel != "tcg" || r.VM.MemoryMB != 512 || r.VM.Boots != 2 || r.VM.BootMS <= 0 {
		t.Errorf("vm: %+v", r.VM)
	}
	if !strings.HasPrefix(r.Host.KernelRelease, "6.1.") || !strings.Contains(r.Host.Cmdline, guest.Word) || len(r.Host.Modules) < 50 {
		t.Errorf("host: %+v", r.Host)
	}
	loaded := func(name, by string) bool {
		return slices.Contains(r.Host.Modules, report.Module{Name: name, LoadedBy: by})
	}
	if !loaded("nf_conntrack", report.LoadedByUs) || !loaded("sctp", report.LoadedByUs) {
		t.Errorf("modules: %+v", r.Host.Modules)
	}
	seen := map[any]int{}
	for _, e := range logLines(t, stderr) {
		seen[e["message"]]++
	}
	if seen["leak"] != 1 || seen["phase"] != 7 || seen["run started"] != 1 || seen["run ended"] != 1 {
		t.Errorf("events: %v", seen)
	}
}

func TestVMSeveral(t *testing.T) {
	k := bare(t)
	inGuest(t, realGuest(t))
	nothingLeft(t)
	console := filepath.Join(t.TempDir(), "console")
	args := []string{"vm", "--accel", "tcg", "--thorough=false", "--write-host=false", "--devices", "none", "--writers", "root", "--kernel", k, "--kernel", k, "--include", "net.core.somaxconn", "--keep-console", console, "--append", "loglevel=7"}
	status, stdout, stderr := cli(t, append(args, "--json")...)
	var rs []report.Report
	if err := json.Unmarshal([]byte(stdout), &rs); err != nil || len(rs) != 2 {
		t.Fatalf("%d reports, %v; log:\n%s", len(rs), err, stderr)
	}
	for _, r := range rs {
		if status != report.ExitClean || r.Run.ExitStatus != status || r.Counts.Perturbed != 1 || len(r.Host.Modules) != 0 {
			t.Errorf("exit status %d, run %+v, counts %+v", status, r.Run, r.Counts)
		}
	}
	if rs[0].Host.BootID == rs[1].Host.BootID {
		t.Error("both ran in the same boot")
	}
	if text, err := os.ReadFile(console); err != nil || bytes.Count(text, []byte("Linux version 6.1")) != 2 {
		t.Errorf("the console that was kept: %.300q, %v", text, err)
	}
}

// What can become of a guest in the middle of a run, or before it.
func TestVMFaults(t *testing.T) {
	k := bare(t)
	for _, tc := range []struct {
		fault   string
		args    []string
		says    string
		phase   string
		console string // in the end of the console, which is in the log
	}{
		{"panic", nil, "the guest's kernel panicked without a last word: sysrq triggered crash", "forward", "sysrq: Trigger a crash"},
		{"memory", []string{"--memory", "160M"}, "the guest's kernel panicked without a last word: System is deadlocked on memory", "forward", "Out of memory"},
		{"die", nil, "the guest's kernel panicked without a last word: Attempted to kill init! exitcode=0x00000700", "forward", ""},
		{"hang", []string{"--timeout", "15s"}, "the guest was silent for 15s (--timeout)", "forward", ""},
		{"mute", []string{"--timeout", "5s"}, "the guest was silent for 5s (--timeout)", "boot", ""},
		{"crash", nil, "panic in the guest: the guest has a bug", "forward", "main.fault("},
		{"none", []string{"--append", "rdinit=/nonexistent"}, "the guest's kernel panicked before it said hello: VFS: Unable to mount root fs", "boot", ""},
	} {
		t.Run(tc.fault, func(t *testing.T) {
			inGuest(t, faultyGuest(t))
			nothingLeft(t)
			args := []string{"vm", "--accel", "tcg", "--thorough=false", "--write-host=false", "--devices", "none", "--writers", "root", "--json", "--kernel", k, "--include", "net.core.somaxconn", "--append", "fault=" + tc.fault}
			status, stdout, stderr := cli(t, append(args, tc.args...)...)
			r := decode(t, stdout)
			if status != report.ExitUnverified || r.Run.ExitStatus != status || r.Run.Complete || r.Run.Phase != tc.phase || !strings.Contains(r.Run.ExitReason, tc.says) {
				t.Errorf("exit status %d, run %+v", status, r.Run)
			}
			if !strings.HasPrefix(r.Host.KernelRelease, "6.1.") || tc.phase != "boot" && r.Host.BootID == "" {
				t.Errorf("it does not say of what it knows: %+v", r.Host)
			}
			said := false
			for _, e := range logLines(t, stderr) {
				what, _ := e["error"].(string)
				if e["message"] == "could not verify" && strings.Contains(what, tc.says) {
					said = strings.Contains(fmt.Sprint(e["console"]), tc.console)
				}
			}
			if !said {
				t.Errorf("log:\n%s", stderr)
			}
		})
	}
}

// What not everybody may read comes out of a machine only if asked for.
func TestVMSecrets(t *testing.T) {
	kernel := bare(t)
	inGuest(t, realGuest(t))
	nothingLeft(t)
	written := perturb.Candidates(perturb.Subject{Key: "net/ipv4/tcp_fastopen_key", Mode: 0o600,
		State: sysctl.State{Value: "00000000-00000000-00000000-00000000"}}, perturb.Facts{})[0]
	for _, shown := range []bool{false, true} {
		status, stdout, stderr := cli(t, "vm", "--kernel", kernel, "--accel", "tcg", "--thorough=false", "--write-host=false", "--descriptors=false", "--devices", "none", "--writers", "root",
			"--json", "--log-level", "trace", "--include", "net/ipv4/tcp_fastopen_key", "--reboots", "0", fmt.Sprintf("--show-secrets=%v", shown))
		if status != report.ExitClean || strings.Contains(stdout+stderr, written) != shown || strings.Contains(stdout, "secret:") == shown {
			t.Errorf("shown %v: exit status %d, %s: %s\n%s", shown, status, written, stdout, stderr)
		}
	}
}

// What the kernel asks for is loaded, and accounted for.
func TestVMModuleRequest(t *testing.T) {
	kernel := whole(t)
	inGuest(t, faultyGuest(t))
	nothingLeft(t)
	args := append([]string{"vm", "--accel", "tcg", "--thorough=false", "--write-host=false", "--devices", "none", "--writers", "root", "--json", "--include", "net.core.somaxconn", "--append", "fault=module"}, kernel...)
	status, stdout, stderr := cli(t, args...)
	r := decode(t, stdout)
	want := report.Module{Name: "af_alg", LoadedBy: report.LoadedByKernel, AfterWrite: "net/core/somaxconn"}
	if status != report.ExitClean || !slices.Contains(r.Host.Modules, want) {
		t.Errorf("exit status %d, modules %+v, log:\n%s", status, r.Host.Modules, stderr)
	}
}

// QEMU is killed, or we are told to stop.
func TestVMEnded(t *testing.T) {
	k := bare(t)
	for name, tc := range map[string]struct {
		end  func(t *testing.T, run *toolRun) error
		want int
		says string
	}{
		"killed": {func(t *testing.T, run *toolRun) error {
			qemu := machines(t, run.cmd.Process.Pid)
			if len(qemu) != 1 {
				t.Fatalf("%d machines", len(qemu))
			}
			return unix.Kill(qemu[0], unix.SIGKILL)
		}, report.ExitUnverified, "QEMU ended (signal: killed) without a last word"},
		"interrupted": {func(_ *testing.T, run *toolRun) error { return run.cmd.Process.Signal(syscall.SIGINT) }, report.ExitSignal + int(syscall.SIGINT), "ended by SIGINT"},
	} {
		t.Run(name, func(t *testing.T) {
			inGuest(t, faultyGuest(t)) // one that would hang in the second pass
			dir := t.TempDir()
			t.Setenv("TMPDIR", dir)
			run := startTool(t, toolEntry, `"phase":"forward"`, "vm", "--accel", "tcg", "--thorough=false", "--write-host=false", "--devices", "none", "--writers", "root", "--json", "--kernel", k, "--include", "net.core.somaxconn", "--append", "fault=hang")
			qemu := machines(t, run.cmd.Process.Pid)
			if err := tc.end(t, run); err != nil {
				t.Fatal(err)
			}
			log, err := io.ReadAll(run.log)
			if err != nil {
				t.Fatal(err)
			}
			_ = run.cmd.Wait() // its exit status is looked at below
			r := decode(t, run.stdout.String())
			if got := run.cmd.ProcessState.ExitCode(); got != tc.want || r.Run.ExitStatus != tc.want || !strings.Contains(r.Run.ExitReason, tc.says) || r.Run.Complete {
				t.Errorf("exit status %d, run %+v, log:\n%s", got, r.Run, log)
			}
			for _, pid := range qemu {
				if err := unix.Kill(pid, 0); err == nil {
					t.Errorf("QEMU (%d) is still there", pid)
				}
			}
			if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
				t.Errorf("left behind: %v, %v", files, err)
			}
		})
	}
}

// What is known of a leak is not lost when its proof is interrupted.
func TestVMProofInterrupted(t *testing.T) {
	kernel := whole(t)
	inGuest(t, realGuest(t))
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	args := append([]string{"vm", "--accel", "tcg", "--thorough=false", "--write-host=false", "--devices", "none", "--writers", "root", "--json", "--include", "net.netfilter.nf_hooks_lwtunnel"}, kernel...)
	run := startTool(t, toolEntry, `"message":"guest is done"`, args...)
	run.await(t, `"message":"guest is up"`)
	qemu := machines(t, run.cmd.Process.Pid)
	if len(qemu) == 0 {
		t.Error("no machine")
	}
	if err := run.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	log, err := io.ReadAll(run.log)
	if err != nil {
		t.Fatal(err)
	}
	_ = run.cmd.Wait() // its exit status is looked at below
	r := decode(t, run.stdout.String())
	const want = report.ExitSignal + int(syscall.SIGINT)
	if got := run.cmd.ProcessState.ExitCode(); got != want || r.Run.ExitStatus != want || !strings.Contains(r.Run.ExitReason, "ended by SIGINT") || r.Run.Complete {
		t.Errorf("exit status %d, run %+v, log:\n%s", got, r.Run, log)
	}
	if len(r.Leaks) != 1 || r.Leaks[0].Evidence.Status != report.StatusOneWay || r.Leaks[0].Evidence.Rounds > 0 {
		t.Errorf("leaks %+v", r.Leaks)
	}
	if left := descendants(t, run.mark); len(left) > 0 {
		t.Errorf("left behind:\n%s", describe(left))
	}
	for _, pid := range qemu {
		if err := unix.Kill(pid, 0); err == nil {
			t.Errorf("QEMU (%d) is still there", pid)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("left behind: %v, %v", files, err)
	}
}

// The machine does not outlive the tool, however that ends.
func TestVMToolKilled(t *testing.T) {
	k := bare(t)
	inGuest(t, faultyGuest(t))
	run := startTool(t, toolEntry, `"phase":"forward"`, "vm", "--accel", "tcg", "--thorough=false", "--write-host=false", "--devices", "none", "--writers", "root", "--json", "--kernel", k, "--include", "net.core.somaxconn", "--append", "fault=hang")
	qemu := machines(t, run.cmd.Process.Pid)
	if len(qemu) != 1 {
		t.Fatalf("%d machines", len(qemu))
	}
	fd, err := unix.PidfdOpen(qemu[0], 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := run.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = run.cmd.Wait() // it was killed
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 60_000); n != 1 {
		t.Errorf("QEMU is still there: %v", err)
	}
}
