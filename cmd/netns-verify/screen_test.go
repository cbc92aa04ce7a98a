package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/netns-verify/netns-verify/parent"
)

// testScreen is a screen without its ticker, with a clock that stands still.
func testScreen(moves bool, width int) (*screen, *bytes.Buffer) {
	var out bytes.Buffer
	return &screen{
		w: &out, moves: moves, width: func() int { return width },
		now: func() time.Time { return time.Time{} }, faint: func(a ...any) string { return fmt.Sprint(a...) },
	}, &out
}

func TestScreen(t *testing.T) {
	s, out := testScreen(true, 50)
	s.progress(parent.Progress{Phase: parent.PhaseSurvey})
	s.draw()
	s.progress(parent.Progress{Phase: parent.PhaseForward, Done: 1, Total: 4})
	s.progress(parent.Progress{Phase: parent.PhaseForward, Doing: "attributing 2 effects", Leaks: 1})
	s.draw()
	s.draw() // nothing new: nothing written
	if _, err := s.Write([]byte("a log line\n")); err != nil {
		t.Fatal(err)
	}
	s.progress(parent.Progress{Phase: parent.PhaseForward, Done: 4, Total: 4, Leaks: 1})
	s.progress(parent.Progress{Phase: parent.PhaseReport})
	s.draw()

	const clear = "\r\x1b[K"
	survey := "  survey        0.0 s   reading every key"
	forward := "  forward       0.0 s   [####............] 1 of 4   1 leak"
	want := "\r" + survey + "\x1b[K" + clear + "  survey        0.0 s\n" +
		"\r" + forward[:47] + "\x1b[K" + clear + "a log line\n" + "\r" + forward[:47] + "\x1b[K" + clear +
		"  forward       0.0 s   4 of 4   1 leak\n"
	if out.String() != want {
		t.Errorf("got\n%q, want\n%q", out.String(), want)
	}
}

// A terminal that takes nothing (Ctrl-S) holds nobody up.
func TestScreenHeld(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := newScreen(terminal{file: w, moves: true})
	line := []byte(strings.Repeat("x", 4095) + "\n")
	for i := range 64 { // four times what a pipe holds
		s.progress(parent.Progress{Phase: parent.PhaseForward, Done: i, Total: 64})
		if n, err := s.Write(line); n != len(line) || err != nil {
			t.Fatalf("wrote %d: %v", n, err)
		}
	}
	s.close()
	got := make([]byte, 1)
	if _, err := r.Read(got); err != nil {
		t.Error(err)
	}
	_, _ = r.Close(), w.Close() // whoever still writes is told so
}

func TestScreenThatCannotMove(t *testing.T) {
	s, out := testScreen(false, 80)
	s.progress(parent.Progress{Phase: parent.PhaseForward, Done: 1, Total: 4})
	s.draw()
	s.progress(parent.Progress{Phase: parent.PhaseReport})
	if strings.ContainsAny(out.String(), "\r\x1b") || !strings.Contains(out.String(), "1 of 4") {
		t.Errorf("got %q", out.String())
	}
}

// A window may have any size, also while a run goes on.
func TestScreenOfAnyWidth(t *testing.T) {
	for width := range 60 {
		s, out := testScreen(true, width)
		s.progress(parent.Progress{Phase: parent.PhaseForward, Done: 1, Total: 4})
		s.draw()
		s.progress(parent.Progress{Phase: parent.PhaseReport})
		for line := range strings.SplitSeq(strings.NewReplacer("\x1b[K", "", "\n", "\r").Replace(out.String()), "\r") {
			if len(line) > max(width-1, 0) {
				t.Errorf("%d columns of %d: %q", len(line), width, line)
			}
		}
	}
}
