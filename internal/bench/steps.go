package main

import (
	"context"
	"time"

	"github.com/netns-verify/netns-verify/parent"
	"github.com/netns-verify/netns-verify/parent/netns"
)

// The steps of a run that are no phase of their own.
const (
	stepStart = "start of the helper"
	stepLater = "later namespaces"
	stepDrain = "namespaces gone"
	stepEnd   = "end of the helper"
)

// steps is what a run's time is divided into, in the order of their beginning.
var steps = []string{
	stepStart, string(parent.PhaseSurvey), string(parent.PhasePlan), string(parent.PhaseForward),
	string(parent.PhaseReverse), stepLater, string(parent.PhaseRestore), stepDrain, string(parent.PhaseReport), stepEnd,
}

// stopwatch sums up what each step takes.
type stopwatch struct {
	at    string
	since time.Time
	spent map[string]time.Duration
}

func (w *stopwatch) mark(step string) {
	now := time.Now()
	w.spent[w.at] += now.Sub(w.since)
	w.at, w.since = step, now
}

// progress is parent.Options.Progress.
func (w *stopwatch) progress(p parent.Progress) {
	switch {
	case p.Total > 0 && p.Done == p.Total:
		w.mark(stepLater) // all is written; what follows looks at a later namespace
	case p.Total > 0, p.Doing == "":
		w.mark(string(p.Phase))
	}
}

// watched is the machine with a stopwatch on the end of namespaces.
type watched struct {
	*netns.Linux
	w *stopwatch
}

func (m watched) Drain(ctx context.Context) error {
	at := m.w.at
	m.w.mark(stepDrain)
	defer m.w.mark(at)
	return m.Linux.Drain(ctx)
}
