package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/fatih/color"

	"github.com/netns-verify/netns-verify/internal/escape"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/parent"
)

// refresh is how often the live line may change: slow enough to be read.
const refresh = 100 * time.Millisecond

// screen is what a person at a terminal sees of a run: one line for each phase
// that is over, and below them a live one for the phase that is not. Everything
// else for the same terminal is written through it and appears above the live
// line.
type screen struct {
	w     io.Writer
	moves bool       // the terminal can rewrite a line
	width func() int // in columns, at this moment
	now   func() time.Time
	faint func(...any) string

	mu    sync.Mutex // over what follows
	at    parent.Progress
	since time.Time
	line  string // what the live line shows
	close func() // leaves the finished lines and nothing else
}

// newScreen starts the live line; close ends it.
func newScreen(t terminal) *screen {
	c := color.New(color.Faint)
	if t.color {
		c.EnableColor()
	} else {
		c.DisableColor()
	}
	slow := newPatient(t.file) // Ctrl-S, or a terminal that hangs, must not hold up a run
	s := &screen{w: slow, moves: t.moves, width: t.width, now: time.Now, faint: c.SprintFunc()}
	stop := make(chan struct{})
	var ticking sync.WaitGroup
	ticking.Go(func() {
		tick := time.NewTicker(refresh)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				s.mu.Lock()
				s.draw()
				s.mu.Unlock()
			}
		}
	})
	s.close = sync.OnceFunc(func() {
		close(stop)
		ticking.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.settle()
		s.at = parent.Progress{}
		_, _ = slow.close() // what was dropped is only how things went
		s.w = t.file
	})
	return s
}

// Write puts whole lines above the live one.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	n, err := s.w.Write(p)
	s.draw()
	return n, err
}

// progress is parent.Options.Progress.
func (s *screen) progress(p parent.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.Phase != s.at.Phase {
		s.settle()
		s.since = s.now()
	} else if p.Total == 0 {
		p.Done, p.Total = s.at.Done, s.at.Total // it only says what it is doing
	}
	s.at = p
}

// settle replaces the live line by the one that stays.
func (s *screen) settle() {
	s.erase()
	if s.at.Phase == "" || s.at.Phase == parent.PhaseReport {
		return
	}
	parts := []string{fmt.Sprintf("  %-10s %6.1f s", s.at.Phase, s.now().Sub(s.since).Seconds())}
	if s.at.Total > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d", s.at.Done, s.at.Total), leaksSoFar(s.at.Leaks))
	}
	line := []rune(escape.Line(strings.Join(parts, "   ")))
	_, _ = fmt.Fprintln(s.w, string(line[:min(len(line), max(s.width()-1, 0))])) // a terminal that is gone is the signal handler's business
}

// draw shows the live line; it writes only what changed.
func (s *screen) draw() {
	if !s.moves || s.at.Phase == "" || s.at.Phase == parent.PhaseReport {
		return
	}
	parts := []string{fmt.Sprintf("  %-10s %6.1f s", s.at.Phase, s.now().Sub(s.since).Seconds())}
	if s.at.Total > 0 {
		parts = append(parts, bar(s.at.Done, s.at.Total)+fmt.Sprintf(" %d of %d", s.at.Done, s.at.Total), leaksSoFar(s.at.Leaks))
	}
	parts = append(parts, doing(s.at))
	line := []rune(escape.Line(strings.Join(parts, "   ")))
	if w := max(s.width()-3, 0); len(line) > w { // room for the terminal's own ^C
		line = line[:w]
	}
	if text := string(line); text != s.line {
		_, _ = fmt.Fprintf(s.w, "\r%s\x1b[K", s.faint(text))
		s.line = text
	}
}

func (s *screen) erase() {
	if s.line != "" {
		_, _ = io.WriteString(s.w, "\r\x1b[K")
		s.line = ""
	}
}

func bar(done, total int) string {
	const width = 16
	full := max(0, min(width, width*min(done, total)/max(total, 1)))
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", width-full) + "]"
}

func leaksSoFar(n int) string {
	if n == 0 {
		return "no leak"
	}
	return report.Plural(n, "leak")
}

// doing is what a phase is about, unless the run says something more precise.
func doing(p parent.Progress) string {
	if p.Doing != "" {
		return p.Doing
	}
	switch p.Phase {
	case parent.PhaseSurvey:
		return "reading every key"
	case parent.PhasePlan:
		return "choosing the values"
	case parent.PhaseForward:
		return "writing, looking at everyone else"
	case parent.PhaseReverse:
		return "the same in reverse order"
	case parent.PhaseRestore:
		return "comparing the host with how it was"
	}
	return ""
}
