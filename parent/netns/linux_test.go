package netns

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

func TestParseLogLine(t *testing.T) {
	for _, tt := range []struct {
		line, message string
		level         zerolog.Level
		fields        map[string]any
	}{
		{`{"level":"debug","message":"m","role":"writer","n":1}`, "m", zerolog.DebugLevel, map[string]any{"role": "writer", "n": 1.0}},
		{`{"level":"error","error":"e","message":"child failed"}`, "child failed", zerolog.ErrorLevel, map[string]any{"error": "e"}},
		{`{"message":"no level"}`, "no level", zerolog.WarnLevel, nil},
		{`{"level":"loud","message":"m"}`, "m", zerolog.WarnLevel, nil},
		{`{"level":7,"message":["m"]}`, "", zerolog.WarnLevel, nil},
		{`{}`, "", zerolog.WarnLevel, nil},
		{`null`, "", zerolog.WarnLevel, nil},
		{`panic: runtime error`, "panic: runtime error", zerolog.WarnLevel, nil},
		{`"text"`, `"text"`, zerolog.WarnLevel, nil},
		{`{"level":"info","message":"cut o`, `{"level":"info","message":"cut o`, zerolog.WarnLevel, nil},
		{"\xff\x00", "\xff\x00", zerolog.WarnLevel, nil},
	} {
		level, message, fields := parseLogLine([]byte(tt.line))
		if level != tt.level || message != tt.message || !maps.Equal(fields, tt.fields) {
			t.Errorf("%s: got %v %q %v", tt.line, level, message, fields)
		}
	}
}

// TestLogTail: however a child's stderr is cut into pieces, each line is one
// event, and the last one that matters is in the error.
func TestLogTail(t *testing.T) {
	long := strings.Repeat("l", 3*maxLogLine)
	for _, tt := range []struct {
		name, text, last string
		lines            int
	}{
		{"nothing", "", "", 0},
		{"blank", "\n \n\n", "", 0},
		{"plain", "one\ntwo\n", "two", 2},
		{"unfinished", "one\ntwo", "two", 2},
		{"debug is no last word", `{"level":"error","error":"why","message":"failed"}` + "\n" + `{"level":"debug","message":"bye"}` + "\n", "failed: why", 2},
		{"long", long + "\nend\n", "end", 0},
		{"long and unfinished", "start\n" + long, "lll", 0},
	} {
		for _, size := range []int{1, 7, 4096, 1 << 20} {
			t.Run(fmt.Sprintf("%s by %d", tt.name, size), func(t *testing.T) {
				if size == 1 && len(tt.text) > maxLogLine {
					size = 1000 // appending is quick, but not that quick
				}
				var out bytes.Buffer
				tail := &logTail{log: zerolog.New(&out)}
				for rest := []byte(tt.text); len(rest) > 0; rest = rest[min(size, len(rest)):] {
					piece := bytes.Clone(rest[:min(size, len(rest))])
					n, err := tail.Write(piece)
					if n != len(piece) || err != nil {
						t.Fatalf("Write: %d, %v", n, err)
					}
					clear(piece) // the caller's buffer is used again
					if len(tail.part) > maxLogLine {
						t.Fatalf("%d bytes are kept", len(tail.part))
					}
				}
				ended := errors.New("exit status 1")
				err := tail.explain(ended)
				if !errors.Is(err, ended) || !strings.Contains(err.Error(), tt.last) || strings.Contains(err.Error(), "last words") != (tt.last != "") {
					t.Errorf("got %.200v, want %q in it", err, tt.last)
				}
				if len(err.Error()) > 1000 {
					t.Errorf("%d bytes of error", len(err.Error()))
				}
				if tail.explain(nil) != nil {
					t.Error("a child that ended well is explained")
				}
				lines, length := 0, 0
				for line := range bytes.Lines(out.Bytes()) {
					var e struct{ Message string }
					if err := json.Unmarshal(line, &e); err != nil {
						t.Fatalf("%v: %.80q", err, line)
					}
					lines++
					length += len(e.Message)
				}
				if tt.lines != 0 && lines != tt.lines {
					t.Errorf("%d events, want %d", lines, tt.lines)
				}
				if strings.Contains(tt.name, "long") && length != len(strings.ReplaceAll(tt.text, "\n", "")) {
					t.Errorf("%d bytes logged of %d", length, len(tt.text))
				}
			})
		}
	}
}

// Output that somebody else has open is no failure of a process that ended well.
func TestGoodEnd(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", "exec sleep 1000 >/dev/null &\necho $!")
	cmd.Stderr = &logTail{}
	var pid logged
	cmd.Stdout = &pid
	cmd.WaitDelay = 1
	err := cmd.Run()
	defer func() { _ = exec.Command("kill", string(pid)).Run() }()
	if !errors.Is(err, exec.ErrWaitDelay) {
		t.Fatalf("this is no such end: %v", err)
	}
	if err := goodEnd(err); err != nil {
		t.Error(err)
	}
	if err := goodEnd(exec.Command("/bin/false").Run()); err == nil {
		t.Error("a bad end is none")
	}
}

type logged []byte

func (l *logged) Write(b []byte) (int, error) { *l = append(*l, b...); return len(b), nil }
