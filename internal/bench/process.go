package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/netns-verify/netns-verify/internal/lock"
	"github.com/netns-verify/netns-verify/internal/report"
)

// wholeTimes is whole processes, ours and the script in turn.
type wholeTimes struct {
	ours, python sample
	report       report.Report // of the last run of ours
}

// wholeRuns runs both programs in turn, once more than asked for: the first of
// each warms the caches up.
func wholeRuns(ctx context.Context, o options, s *script) (wholeTimes, error) {
	var t wholeTimes
	for i := range o.n + 1 {
		d, out, _, err := timed(ctx, o.binary, "run", "--json", "--log-level", "error")
		if err != nil {
			return t, err
		}
		if i > 0 {
			t.ours.add(d)
		}
		t.report = report.Report{}
		if err := json.Unmarshal(out, &t.report); err != nil {
			return t, fmt.Errorf("read the report of %s: %w", o.binary, err)
		}
		if s == nil {
			continue
		}
		if d, err = s.run(ctx); err != nil {
			return t, err
		}
		if i > 0 {
			t.python.add(d)
		}
	}
	return t, nil
}

// timed runs a program from its start to its end. Exit status 1 is an answer
// of both: something leaked.
func timed(ctx context.Context, program string, args ...string) (took time.Duration, out, log []byte, err error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	err = cmd.Run()
	took = time.Since(start)
	if cerr := context.Cause(ctx); cerr != nil {
		return 0, nil, nil, cerr
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 && stdout.Len() > 0 {
		err = nil
	}
	if err != nil {
		return 0, nil, nil, fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return took, stdout.Bytes(), stderr.Bytes(), nil
}

// script is the Python program.
type script struct{ python, file string }

// findScript looks for the program in its checkout, and for the interpreter
// itself: what stands in PATH may be a wrapper that takes its time.
func findScript(dir string) (*script, error) {
	file := filepath.Join(dir, "verify.py")
	if _, err := os.Stat(file); err != nil {
		return nil, fmt.Errorf("-python: %w", err)
	}
	out, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
	if err != nil {
		return nil, fmt.Errorf("-python: find the interpreter: %w", err)
	}
	return &script{strings.TrimSpace(string(out)), file}, nil
}

// run runs the script once. It knows nothing of the machine's lock, so that is
// held for it.
func (s *script) run(ctx context.Context) (time.Duration, error) {
	unlock, err := lock.Take()
	if err != nil {
		return 0, err
	}
	defer unlock()
	d, _, _, err := timed(ctx, s.python, s.file)
	return d, err
}
