package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/report/render"
	"github.com/netns-verify/netns-verify/internal/testenv"
)

// What cannot be written is exit status 3, and is kept where stderr says. The program is
// built as `make build` does: only so does it know that stdout was closed.
func TestUnwritten(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	program := realGuest(t)
	root := sharedTree(t, 1)
	gone, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = writer.Close() }()
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	const run = " run --dry-run --format "
	for _, tt := range []struct {
		args, to string
		status   int
		errno    string // empty: nothing is kept
		kept     string // a word of what is
	}{
		{" version", ">&-", 3, "", ""},
		{" --version", ">/dev/full", 3, "", ""},
		{" --help", ">/dev/full", 3, "", ""},
		{" run --help", "", 3, "", ""}, // nobody reads
		{run + "json", ">&-", 3, "EBADF", `"exit_status": 3`},
		{run + "json", ">/dev/full", 3, "ENOSPC", `"exit_status": 3`},
		{run + "text", "", 3, "EPIPE", "NOT VERIFIED: write the report:"},
		{run + "json", "2>&- <&- >&-", 3, "EBADF", `"exit_reason": "write the report: `},
		{" restore --dry-run", ">&-", 3, "EBADF", "no run has left anything"},
		{" restore --dry-run --json", ">/dev/full", 3, "ENOSPC", `"exit_status": 3`},
		{run + "json", ">/dev/null", 0, "", ""},
		{run + "json", "1<>/dev/null", 0, "", ""}, // as what Go's runtime puts in the place of a closed one
		{run + "json --output " + filepath.Join(t.TempDir(), "report"), "2>&- >&-", 0, "", ""},
	} {
		args := tt.args
		switch {
		case strings.HasPrefix(args, run):
			args += " --root " + root
		case strings.HasPrefix(args, " restore"):
			args += " --root " + root
		}
		dir := t.TempDir()
		cmd := exec.Command("sh", "-c", "exec "+program+args+" "+tt.to)
		cmd.Env = append(os.Environ(), "TMPDIR="+dir)
		var log strings.Builder
		cmd.Stdout, cmd.Stderr = writer, &log
		_ = cmd.Run() // the exit status is looked at
		if got := cmd.ProcessState.ExitCode(); got != tt.status {
			t.Errorf("%s %s: exit status %d, want %d; %s", args, tt.to, got, tt.status, log.String())
		}
		silent := strings.Contains(tt.to, "2>&-")
		if !silent && !strings.Contains(log.String(), tt.errno) {
			t.Errorf("%s %s: no %s in %s", args, tt.to, tt.errno, log.String())
		}
		kept, err := filepath.Glob(filepath.Join(dir, "*"))
		switch {
		case err != nil:
			t.Fatal(err)
		case tt.errno == "" && len(kept) > 0 || tt.errno != "" && len(kept) != 1:
			t.Errorf("%s %s: kept %q", args, tt.to, kept)
			continue
		case tt.errno == "":
			continue
		case !silent && !strings.Contains(log.String(), kept[0]):
			t.Errorf("%s %s: %s is not named in %s", args, tt.to, kept[0], log.String())
		}
		text, err := os.ReadFile(kept[0])
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), tt.kept) {
			t.Errorf("%s %s: no %s in what was kept: %s", args, tt.to, tt.kept, text)
		}
		if st, err := os.Stat(kept[0]); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", kept[0], st.Mode(), err)
		}
	}
}

// Reports whose file cannot be put in its place go to stdout, unless that throws them
// away, and else into a file in the temporary directory.
func TestOutputGone(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	for _, several := range []bool{false, true} {
		for _, toNull := range []bool{false, true} {
			t.Setenv("TMPDIR", t.TempDir())
			stdout, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = stdout.Close() }()
			to := stdout
			if toNull {
				to = null
			}
			dir := filepath.Join(t.TempDir(), "reports")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			s := newSession(&runFlags{format: "json", output: filepath.Join(dir, "report")}, nil, to, to)
			out, err := openOutput(s.f.output, to)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			stopped := &report.Report{Run: report.Run{ExitStatus: report.ExitSignal + int(unix.SIGTERM), ExitReason: "ended by SIGTERM"}}
			rs := []*report.Report{stopped, {Run: report.Run{ExitReason: "nothing"}}}
			if !several {
				rs = rs[:1]
			}
			err = s.write(out, rs...)
			var u unwritten
			if !errors.As(err, &u) || u.lost != nil || !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("got %v", err)
			}
			where := stdout.Name()
			if toNull {
				where = strings.TrimPrefix(u.kept, "in ")
			}
			got, err := os.ReadFile(where)
			if err != nil {
				t.Fatal(err)
			}
			f, err := render.Find("json")
			if err != nil {
				t.Fatal(err)
			}
			var want strings.Builder
			err = f.Write(&want, stopped, render.Options{})
			if several {
				want.Reset()
				err = f.WriteAll(&want, rs, render.Options{})
			}
			if err != nil || string(got) != want.String() {
				t.Errorf("%s: %v, got %s", u.kept, err, got)
			}
			if s := rs[len(rs)-1].Run; s.ExitStatus < report.ExitUnverified || !strings.HasPrefix(s.ExitReason, "write the report: rename ") {
				t.Errorf("%+v", s)
			}
		}
	}
}
