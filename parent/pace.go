package parent

import (
	"context"
	"sync"
	"time"
)

// pace is how long the steps of a run take on this machine, and so how long the silence of
// a child may be: a busy machine is slow, and a child that hangs is silent for ever. What
// counts is the longest silence in a step, which any message ends.
type pace struct {
	least time.Duration // Options.Deadline

	mu   sync.Mutex
	took map[string]time.Duration
}

// The steps that are no requests to a child.
const (
	// stepSurvey is to read all keys, of the host first: nothing of a child's takes much longer.
	stepSurvey = "survey"
	stepEnd    = "end"
	stepDrain  = "drain"
)

const (
	// slack is how many times as long as before a step may take.
	slack = 30
	// maxStretch is how many times as long as asked for a deadline may become.
	maxStretch = 20
)

func newPace(least time.Duration) *pace { return &pace{least: least, took: map[string]time.Duration{}} }

// note takes note of a silence in a step that came to a good end.
func (p *pace) note(step string, silence time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.took[step] = max(p.took[step], silence)
}

// deadline is how long to wait for the next message in a step.
func (p *pace) deadline(step string) time.Duration { return p.atLeast(step, p.least) }

func (p *pace) atLeast(step string, least time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return min(max(least, slack*max(p.took[step], p.took[stepSurvey])), maxStretch*least)
}

// awaitDrain waits until the namespaces of all children that have ended are gone.
func (r *run) awaitDrain(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, r.pace.atLeast(stepDrain, drainDeadline), errDeadline)
	defer cancel()
	began := time.Now()
	err := r.m.Drain(ctx)
	if err == nil {
		r.pace.note(stepDrain, time.Since(began))
	}
	return err
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
