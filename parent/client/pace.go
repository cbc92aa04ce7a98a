package client

import (
	"sync"
	"time"
)

// Pace is how long the steps of a run take on this machine, and so how long the silence of
// a child may be: a busy machine is slow, and a child that hangs is silent for ever. What
// counts is the longest silence in a step, which any message ends.
type Pace struct {
	least time.Duration // Options.Deadline

	mu   sync.Mutex
	took map[string]time.Duration
}

// The steps that are no requests to a child.
const (
	// StepSurvey is to read all keys, of the host first: nothing of a child's takes much longer.
	StepSurvey = "survey"
	stepEnd    = "end"
	StepDrain  = "drain"
)

const (
	// slack is how many times as long as before a step may take.
	slack = 30
	// maxStretch is how many times as long as asked for a deadline may become.
	maxStretch = 20
)

func NewPace(least time.Duration) *Pace { return &Pace{least: least, took: map[string]time.Duration{}} }

// Note takes note of a silence in a step that came to a good end.
func (p *Pace) Note(step string, silence time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.took[step] = max(p.took[step], silence)
}

// deadline is how long to wait for the next message in a step.
func (p *Pace) deadline(step string) time.Duration { return p.AtLeast(step, p.least) }

func (p *Pace) AtLeast(step string, least time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return min(max(least, slack*max(p.took[step], p.took[StepSurvey])), maxStretch*least)
}

// silence is the time since the last message, which must not be longer than a deadline.
type silence struct {
	deadline time.Duration
	since    time.Time
	longest  time.Duration
	timer    *time.Timer
	late     chan struct{} // closed once it is too long
}

// listen begins to wait for messages; end is called if none comes in time.
func listen(deadline time.Duration, end func()) *silence {
	s := &silence{deadline: deadline, since: time.Now(), late: make(chan struct{})}
	s.timer = time.AfterFunc(deadline, func() {
		close(s.late)
		end()
	})
	return s
}

// heard takes note of a message. Where it came too late it changes nothing any more.
func (s *silence) heard() {
	s.pause()
	if s.timer.Stop() {
		s.timer.Reset(s.deadline)
	}
}

func (s *silence) pause() {
	now := time.Now()
	s.longest, s.since = max(s.longest, now.Sub(s.since)), now
}

// over ends the waiting, and tells whether all messages came in time.
func (s *silence) over() bool {
	s.pause()
	if s.timer.Stop() {
		return true
	}
	<-s.late
	return false
}
