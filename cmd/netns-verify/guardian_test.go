package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/internal/testenv"
	"github.com/netns-verify/netns-verify/parent/record"
	"github.com/netns-verify/netns-verify/parent/restore"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// guardianOf finds a run's guardian.
func guardianOf(t *testing.T, run *toolRun) int {
	t.Helper()
	for _, pid := range descendants(t, run.mark) {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // it may end meanwhile
		if bytes.HasPrefix(line, []byte(restore.GuardianEntry+"\x00")) {
			return pid
		}
	}
	t.Fatal("no guardian")
	return 0
}

func noJournal(t *testing.T) {
	t.Helper()
	if _, err := os.Lstat(journalPath()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a journal is left: %v", err)
		_ = os.Remove(journalPath())
	}
}

// Whenever the run is killed, its guardian puts the host back, says so once, and
// leaves nothing.
func TestGuardian(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	rng := rand.New(rand.NewPCG(5, 0))
	for i := range 6 {
		lines := i * (1 + rng.IntN(8)) // of the log, each at some other moment of the work
		for attempt := 1; !killedAfter(t, lines); attempt++ {
			if attempt == 5 {
				t.Errorf("killed after %d lines, a value was empty %d times: that is not the children's doing", lines, attempt)
				break
			}
		}
	}
}

// killedAfter kills a run after so many more lines of its log, and looks at what
// the guardian left. It is false if nothing can be said: the tree is of files,
// where writing a value is to empty the file first (/proc/sys has no such moment),
// and a child was killed just then.
func killedAfter(t *testing.T, lines int) bool {
	t.Helper()
	root := sharedTree(t, 3)
	before := readTree(t, root)
	run := startTool(t, toolEntry, `"phase":"forward"`, "run", "--json", "--log-level", "debug", "--root", root)
	for range lines {
		if _, err := run.log.ReadString('\n'); err != nil {
			break // it was over before that
		}
	}
	if err := run.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	_ = run.cmd.Wait()              // it was killed
	log, err := io.ReadAll(run.log) // the guardian has it, too
	if err != nil && !errors.Is(err, os.ErrClosed) {
		t.Fatal(err)
	}
	awaitGone(t, run.mark)
	noJournal(t)
	after := readTree(t, root)
	if strings.Contains(after, "=\n") {
		return false
	}
	if after != before {
		t.Errorf("killed after %d lines, the host is not as it was:\n%s\nwas\n%s\nlog:\n%s", lines, after, before, log)
	}
	return true
}

// A guardian that is killed is missed: the run puts the host back and says so.
func TestGuardianKilled(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	root := sharedTree(t, 3)
	before := readTree(t, root)
	run := startTool(t, toolEntry, `"phase":"forward"`, "run", "--json", "--root", root)
	if err := unix.Kill(guardianOf(t, run), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	log, err := io.ReadAll(run.log)
	if err != nil {
		t.Fatal(err)
	}
	_ = run.cmd.Wait() // its exit status is looked at below
	if status := run.cmd.ProcessState.ExitCode(); status != report.ExitUnverified || !strings.Contains(string(log), "the guardian is gone") {
		t.Errorf("exit status %d, log:\n%s", status, log)
	}
	if after := readTree(t, root); after != before {
		t.Errorf("the host is not as it was:\n%s\nwas\n%s", after, before)
	}
	noJournal(t)
}

// When both are killed, the journal is there for restore, and the next run wants that.
func TestBothKilled(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	root := sharedTree(t, 3)
	before := readTree(t, root)
	run := startTool(t, toolEntry, `"message":"leak"`, "run", "--json", "--root", root)
	pid := guardianOf(t, run)
	for _, p := range []int{run.cmd.Process.Pid, pid} { // neither is to notice the other's end
		if err := unix.Kill(p, unix.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []int{pid, run.cmd.Process.Pid} {
		if err := unix.Kill(p, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	_ = run.cmd.Wait() // it was killed
	awaitGone(t, run.mark)
	// Whatever it was doing, this is a state that it may have left.
	leaked := sentTo(t, "net/core/keyb")
	if err := os.WriteFile(filepath.Join(root, "net/core/keyb"), []byte(leaked+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := cli(t, "run", "--root", root, "--log-format", "console")
	if status != report.ExitUnverified || stdout != "" || !strings.Contains(stderr, journalPath()) || !strings.Contains(stderr, "run netns-verify restore") {
		t.Errorf("the next run: exit status %d, %s", status, stderr)
	}
	if status, stdout, stderr = cli(t, "restore", "--root", root, "--yes"); status != report.ExitClean || !strings.Contains(stdout, "net.core.keyb: "+leaked+", was 100") {
		t.Errorf("restore: exit status %d, %s%s", status, stdout, stderr)
	}
	if after := readTree(t, root); after != before {
		t.Errorf("the host is not as it was:\n%s\nwas\n%s", after, before)
	}
	noJournal(t)
}

// sentTo is a value that, by the journal, was sent to a key.
func sentTo(t *testing.T, key string) string {
	t.Helper()
	rec, err := record.Read(journalPath())
	if err != nil {
		t.Fatal(err)
	}
	for v := range 200 {
		if value := strconv.Itoa(v); value != "100" && rec.SentTo(sysctl.Key(key), value) {
			return value
		}
	}
	t.Fatalf("nothing was sent to %s", key)
	return ""
}

// leaveJournal makes a journal of a tree, as if a run had been killed: it has sent 101 to two
// keys, and more may be added.
func leaveJournal(t *testing.T, root string, change func(*record.Config), more ...func(*record.Writer) error) {
	t.Helper()
	leaveSettling(t, root, 0, change, more...)
}

func leaveSettling(t *testing.T, root string, settle time.Duration, change func(*record.Config), more ...func(*record.Writer) error) {
	t.Helper()
	tree := sysctl.NewProc(root)
	s, err := sysctl.Survey(tree, tree.Keep())
	if err != nil {
		t.Fatal(err)
	}
	cfg := record.Config{Path: journalPath()}
	if cfg.Place, err = record.Here(root); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&cfg)
	}
	w := record.NewWriter(cfg)
	t.Cleanup(func() { _ = record.Remove(journalPath()) })
	err = errors.Join(w.Begin(s, settle), w.Through([]trace.Write{{Key: "net/core/keya", Value: "101"}, {Key: "net/core/keyb", Value: "101"}}))
	for _, add := range more {
		err = errors.Join(err, add(w))
	}
	if err := errors.Join(err, w.End(true)); err != nil {
		t.Fatal(err)
	}
}

// loud has others write sysctls.
func loud(w *record.Writer) error { return w.Noise(true) }

func setKey(t *testing.T, root, key, value string) {
	t.Helper()
	if err := sysctl.NewProc(root).Write(sysctl.Key(key), value); err != nil {
		t.Fatal(err)
	}
}

// restore shows what is different, puts back what is the run's and nothing else,
// and only if somebody agrees.
func TestRestore(t *testing.T) {
	testenv.OwnMachine(t)
	if status, stdout, stderr := cli(t, "restore"); status != report.ExitClean || !strings.Contains(stdout, "no run has left anything") {
		t.Errorf("without a journal: exit status %d, %s%s", status, stdout, stderr)
	}
	root := sharedTree(t, 3)
	leaveJournal(t, root, nil, loud)
	setKey(t, root, "net/core/keya", "101")
	setKey(t, root, "net/core/keyb", "777") // another value was sent to it
	changed := readTree(t, root)
	for _, args := range [][]string{{"--dry-run"}, {"--dry-run", "--json"}, {}} {
		status, stdout, stderr := cli(t, append([]string{"restore", "--root", root}, args...)...)
		want := report.ExitClean
		if len(args) == 0 { // nobody can be asked here
			want = report.ExitUsage
		}
		if status != want || !strings.Contains(stdout, "777") || len(args) == 0 && !strings.Contains(stderr, "add --yes") {
			t.Errorf("%v: exit status %d, %s%s", args, status, stdout, stderr)
		}
		if after := readTree(t, root); after != changed {
			t.Errorf("%v: something was written:\n%s", args, after)
		}
	}
	status, stdout, stderr := cli(t, "restore", "--root", root, "--yes", "--json")
	var said restored
	if err := json.Unmarshal([]byte(stdout), &said); err != nil || status != report.ExitClean {
		t.Fatalf("exit status %d, %v, %s%s", status, err, stdout, stderr)
	}
	want := []change{
		{"net/core/keya", "", "100", "101", isRestored, "", false},
		{"net/core/keyb", "", "100", "777", leftAlone, "no write of the run explains it, and others are writing sysctls", false},
	}
	if !slices.Equal(said.Changes, want) || said.PID != os.Getpid() {
		t.Errorf("said %s", stdout)
	}
	if after := readTree(t, root); !strings.Contains(after, "keya=100\n") || !strings.Contains(after, "keyb=777\n") {
		t.Errorf("the host:\n%s", after)
	}
	noJournal(t)
}

// What nothing explains is put back if nobody else writes sysctls; later than a minute after
// the run only where that is asked for.
func TestRestoreUnexplained(t *testing.T) {
	testenv.OwnMachine(t)
	root := sharedTree(t, 3)
	before := readTree(t, root)
	for _, stale := range []bool{false, true} {
		leaveJournal(t, root, nil)
		setKey(t, root, "net/core/keya", "101")
		setKey(t, root, "net/core/keyb", "777")
		args := []string{"restore", "--root", root, "--yes"}
		if stale {
			then := time.Now().Add(-2 * time.Minute)
			if err := os.Chtimes(journalPath(), then, then); err != nil {
				t.Fatal(err)
			}
			status, stdout, stderr := cli(t, "restore", "--root", root)
			if status != report.ExitUsage || !strings.Contains(stderr, "put back 1 key of this host") || !strings.Contains(stderr, "--all") || !strings.Contains(stdout, "more than a minute ago") {
				t.Errorf("not agreed: exit status %d, %s%s", status, stdout, stderr)
			}
			args = append(args, "--all")
		}
		status, stdout, stderr := cli(t, args...)
		if status != report.ExitClean || !strings.Contains(stdout, "2 keys put back") || !strings.Contains(stdout, "net.core.keyb: 777, was 100") || readTree(t, root) != before {
			t.Errorf("stale %v: exit status %d, %s%s", stale, status, stdout, stderr)
		}
		noJournal(t)
	}
	leaveJournal(t, root, nil)
	setKey(t, root, "net/core/keyb", "777")
	then := time.Now().Add(-2 * time.Minute)
	if err := os.Chtimes(journalPath(), then, then); err != nil {
		t.Fatal(err)
	}
	if status, stdout, stderr := cli(t, "restore", "--root", root, "--yes"); status != report.ExitClean || !strings.Contains(stdout, "left alone, although not as found: 1 other key") || !strings.Contains(readTree(t, root), "keyb=777\n") {
		t.Errorf("not all: exit status %d, %s%s", status, stdout, stderr)
	}
}

// A write that was made just before the run was killed has its effect while restore looks:
// it is put back, but not unasked.
func TestRestoreLate(t *testing.T) {
	testenv.OwnMachine(t)
	for name, tt := range map[string]struct {
		args       []string
		status     int
		says, then string
	}{
		"agreed": {[]string{"--yes"}, report.ExitClean, "1 key put back", "keya=100\n"},
		"nobody": {nil, report.ExitUsage, "put back 1 key of this host; to agree, add --yes", "keya=101\n"},
	} {
		t.Run(name, func(t *testing.T) {
			root := sharedTree(t, 2)
			leaveSettling(t, root, 3*time.Second, nil)
			came := make(chan struct{})
			go func() {
				defer close(came)
				time.Sleep(time.Second) // the default would not do
				_ = sysctl.NewProc(root).Write("net/core/keya", "101")
			}()
			status, stdout, stderr := cli(t, append([]string{"restore", "--root", root}, tt.args...)...)
			<-came
			if status != tt.status || !strings.Contains(stdout+stderr, tt.says) || !strings.Contains(readTree(t, root), tt.then) {
				t.Errorf("exit status %d, %s%s", status, stdout, stderr)
			}
			if _, err := record.Read(journalPath()); errors.Is(err, fs.ErrNotExist) != (status == report.ExitClean) {
				t.Errorf("the journal: %v", err)
			}
		})
	}
}

// A sysctl directory that is gone is not a journal that is gone.
func TestRestoreWithoutRoot(t *testing.T) {
	testenv.OwnMachine(t)
	root := sharedTree(t, 2)
	leaveJournal(t, root, nil)
	if err := os.RemoveAll(root); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := cli(t, "restore", "--root", root, "--yes")
	if status != report.ExitUnverified || !strings.Contains(stderr, root) || !strings.Contains(stderr, "ENOENT") {
		t.Errorf("exit status %d, %s%s", status, stdout, stderr)
	}
	if _, err := record.Read(journalPath()); err != nil {
		t.Error(err)
	}
}

// A signal ends restore before it has found out about all: the journal stays, and what
// others may have set is as they left it.
func TestRestoreStopped(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	root := sharedTree(t, 2)
	leaveSettling(t, root, time.Hour, nil, loud)
	setKey(t, root, "net/core/keya", "101")
	setKey(t, root, "net/core/keyb", "777")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(signalled{syscall.SIGTERM})
	r := &restoring{root: root, path: journalPath(), stdout: printer{to: os.Stdout}, stderr: os.Stderr}
	h, done, err := r.open()
	if err != nil {
		t.Fatal(err)
	}
	err = putBack(ctx, h)
	done()
	if err == nil || !strings.Contains(err.Error(), "ended by SIGTERM") {
		t.Errorf("said %v", err)
	}
	if got := r.end(err, ""); !errors.Is(got, ended{report.ExitSignal + int(syscall.SIGTERM)}) {
		t.Errorf("ended with %v", got)
	}
	if got := newSession(&runFlags{}, nil, os.Stdout, os.Stderr).fail(err); got != report.ExitSignal+int(syscall.SIGTERM) {
		t.Errorf("run --restore-first ends with %d", got)
	}
	if after := readTree(t, root); !strings.Contains(after, "keya=100\n") || !strings.Contains(after, "keyb=777\n") {
		t.Errorf("the host:\n%s", after)
	}
	if _, err := record.Read(journalPath()); err != nil {
		t.Error(err)
	}
}

// What the run had put back, not knowing yet whose it was, stays, and is shown.
func TestRestoreLent(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	root := sharedTree(t, 2)
	leaveJournal(t, root, nil, func(w *record.Writer) error { return w.Lend("net/core/keyb", sysctl.State{Value: "777"}) })
	for _, how := range []string{"--dry-run", "--yes"} {
		status, stdout, stderr := cli(t, "restore", "--root", root, how)
		if status != report.ExitClean || !strings.Contains(stdout, "net.core.keyb: had 777, has 100 again: the run itself had put it back") || strings.Contains(readTree(t, root), "777") {
			t.Errorf("%s: exit status %d, %s%s", how, status, stdout, stderr)
		}
	}
	noJournal(t)
}

// A secret is not shown, unless asked for.
func TestRestoreSecret(t *testing.T) {
	testenv.OwnMachine(t)
	root := sharedTree(t, 2)
	if err := os.Chmod(filepath.Join(root, "net/core/keya"), 0o600); err != nil {
		t.Fatal(err)
	}
	setKey(t, root, "net/core/keya", "100100100")
	leaveJournal(t, root, nil)
	setKey(t, root, "net/core/keya", "4242424242")
	setKey(t, root, "net/core/keyb", "100100100") // what keya had
	for _, shown := range []bool{false, true} {
		_, stdout, stderr := cli(t, "restore", "--dry-run", "--root", root, fmt.Sprintf("--show-secrets=%v", shown))
		if strings.Contains(stdout+stderr, "4242424242") != shown || strings.Contains(stdout+stderr, "100100100") != shown || !strings.Contains(stdout, "keya") {
			t.Errorf("shown %v: %s%s", shown, stdout, stderr)
		}
	}
}

// A journal that is not for here is named, and nothing is touched; only one of
// another boot is in nobody's way.
func TestJournalElsewhere(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	for _, tt := range []struct {
		name, says string
		change     func(*record.Config)
		runs       bool
	}{
		{"boot", "no sysctl outlives a boot", func(c *record.Config) { c.Place.BootID = "another" }, true},
		{"namespace", "another network namespace", func(c *record.Config) { c.Place.NetNS++ }, false},
		{"root", "another sysctl directory", func(c *record.Config) { c.Place.Root = "/elsewhere" }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := sharedTree(t, 1)
			leaveJournal(t, root, tt.change)
			setKey(t, root, "net/core/keya", "101")
			changed := readTree(t, root)
			status, stdout, stderr := cli(t, "restore", "--root", root, "--yes")
			if status != report.ExitUnverified || stdout != "" || !strings.Contains(stderr, tt.says) || !strings.Contains(stderr, journalPath()) {
				t.Errorf("restore: exit status %d, %s%s", status, stdout, stderr)
			}
			if after := readTree(t, root); after != changed {
				t.Errorf("something was written:\n%s", after)
			}
			status, stdout, stderr = cli(t, "run", "--root", root, "--devices", "none", "--restore-first")
			if (status == report.ExitLeak) != tt.runs || !strings.Contains(stderr, tt.says) || !tt.runs && stdout != "" {
				t.Errorf("run: exit status %d, %s%s", status, stdout, stderr)
			}
			if after := readTree(t, root); after != changed {
				t.Errorf("something was written:\n%s", after)
			}
		})
	}
	if err := errors.Join(os.Mkdir(filepath.Dir(journalPath()), 0o700), os.WriteFile(journalPath(), []byte("{}\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = record.Remove(journalPath()) }()
	for _, command := range []string{"run", "restore"} {
		if status, stdout, stderr := cli(t, command, "--root", sharedTree(t, 1)); status != report.ExitUnverified || stdout != "" || !strings.Contains(stderr, journalPath()+": line 1: header") {
			t.Errorf("%s, malformed: exit status %d, %s%s", command, status, stdout, stderr)
		}
	}
}

// --restore-first makes of a left-over journal what restore does, and goes on.
func TestRestoreFirst(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	root := sharedTree(t, 2)
	leaveJournal(t, root, nil)
	before := readTree(t, root)
	setKey(t, root, "net/core/keya", "101")
	status, _, stderr := cli(t, "run", "--root", root, "--devices", "none", "--restore-first")
	if status != report.ExitLeak || !strings.Contains(stderr, `"restored":1`) {
		t.Errorf("exit status %d, %s", status, stderr)
	}
	if after := readTree(t, root); after != before {
		t.Errorf("the host is not as it was:\n%s", after)
	}
	noJournal(t)
}

// Without room for the journal nothing is written, unless that is asked for.
func TestNoRoomForJournal(t *testing.T) {
	testenv.OwnMachine(t)
	if os.Getuid() != 0 {
		t.Skip("only root can mount")
	}
	for w, errno := range map[world]string{worldRunReadOnly: "(EROFS)", worldRunFull: "(ENOSPC)"} {
		root := sharedTree(t, 1)
		long := strings.Repeat("x", 5000) // more than there is room for
		if err := os.WriteFile(filepath.Join(root, "net/core/long"), []byte(long+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		status, stdout, stderr := in(t, w, "run", "--root", root, "--include", "net/core/keya", "--log-format", "console")
		if status != report.ExitUnverified || stdout != "" || !strings.Contains(stderr, errno) || !strings.Contains(stderr, "--no-journal") ||
			!strings.Contains(stderr, "/run/netns-verify") || strings.Contains(stderr, "forward") {
			t.Errorf("%s: exit status %d, stdout %.300q, stderr:\n%s", w, status, stdout, stderr)
		}
		status, _, stderr = in(t, w, "run", "--root", root, "--include", "net/core/keya", "--no-journal")
		if status != report.ExitLeak || !strings.Contains(stderr, "no journal is kept") {
			t.Errorf("%s, --no-journal: exit status %d, stderr:\n%s", w, status, stderr)
		}
	}
}

// Who asks again does not wait for what may come late; the host is put back all the same.
func TestHurry(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		root := sharedTree(t, 3)
		before := readTree(t, root)
		run := startTool(t, toolEntry, `"message":"leak"`, "run", "--json", "--root", root, "--settle", "1h")
		run.signal(t, sig, `"message":"stopping`)
		run.signal(t, sig, `"message":"hurrying`)
		run.ends(t, report.ExitSignal+int(sig))
		if after := readTree(t, root); after != before {
			t.Errorf("%v: the host is not as it was:\n%s\nwas\n%s", sig, after, before)
		}
	}
}

// A signal that comes in the last phase counts, too, whether or not anything is left to
// be cut short.
func TestSignalLate(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	for _, tt := range []struct {
		sig    syscall.Signal
		settle string
		hurry  bool
	}{{syscall.SIGTERM, "1s", false}, {syscall.SIGINT, "1h", true}, {syscall.SIGTERM, "1h", true}} {
		run := startTool(t, toolEntry, `"phase":"restore"`, "run", "--json", "--include", "net/core/somaxconn", "--settle", tt.settle)
		run.signal(t, tt.sig, `"message":"stopping`)
		if tt.hurry {
			run.signal(t, syscall.SIGTERM, `"message":"hurrying`)
		}
		run.ends(t, report.ExitSignal+int(tt.sig))
	}
}

// A signal ends a wait in which something is to be found out.
func TestSignalInWait(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	root := sharedTree(t, 3)
	before := readTree(t, root)
	run := startTool(t, toolEntry, `"phase":"reads"`, "run", "--json", "--root", root, "--settle", "1h", "--thorough")
	run.signal(t, syscall.SIGTERM, `"message":"stopping`)
	if err := run.cmd.Process.Signal(syscall.SIGTERM); err != nil { // of what the host needs
		t.Fatal(err)
	}
	run.ends(t, report.ExitSignal+int(syscall.SIGTERM))
	if after := readTree(t, root); after != before {
		t.Errorf("the host is not as it was:\n%s\nwas\n%s", after, before)
	}
}

// signal sends a run a signal and waits until its log says so.
func (r *toolRun) signal(t *testing.T, sig syscall.Signal, says string) {
	t.Helper()
	if err := r.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	r.await(t, says)
}

// ends waits for a run's end, and wants this exit status, in the report, too, and no journal.
func (r *toolRun) ends(t *testing.T, want int) (log string) {
	t.Helper()
	rest, err := io.ReadAll(r.log)
	if err != nil {
		t.Fatal(err)
	}
	_ = r.cmd.Wait() // its exit status is looked at below
	if got := r.cmd.ProcessState.ExitCode(); got != want {
		t.Errorf("exit status %d, want %d; log:\n%s", got, want, rest)
	}
	if r.stdout.Len() > 0 {
		if run := decode(t, r.stdout.String()).Run; run.ExitStatus != want || run.Complete {
			t.Errorf("the report says %+v, want exit status %d", run, want)
		}
	}
	noJournal(t)
	return string(rest)
}
