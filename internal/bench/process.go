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
)

// process is one that has ended.
type process struct {
	began    time.Time
	took     time.Duration
	out, log []byte
}

// timed runs a program from its start to its end. Exit status 1 is an answer
// of all that are run here: something leaked.
func timed(ctx context.Context, program string, args ...string) (process, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	p := process{began: time.Now()}
	err := cmd.Run()
	p.took = time.Since(p.began)
	if cerr := context.Cause(ctx); cerr != nil {
		return p, cerr
	}
	p.out, p.log = stdout.Bytes(), stderr.Bytes()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 && stdout.Len() > 0 {
		err = nil
	}
	if err != nil {
		return p, fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, bytes.TrimSpace(p.log))
	}
	return p, nil
}

// event is a line of a log, as far as it matters here (docs/logging.md).
type event struct {
	Message, Phase string
	Time           time.Time
}

func events(log []byte) (all []event, err error) {
	for line := range bytes.Lines(log) {
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("read the log: %w", err)
		}
		all = append(all, e)
	}
	return all, nil
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
func (s *script) run(ctx context.Context) (process, error) {
	unlock, err := lock.Take()
	if err != nil {
		return process{}, err
	}
	defer unlock()
	return timed(ctx, s.python, s.file)
}
