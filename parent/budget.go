package parent

import (
	"context"
	"errors"

	"github.com/netns-verify/netns-verify/parent/finding"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// outOfBudget makes the end of the budget a warning; other errors pass through.
func (r *run) outOfBudget(err error) error {
	if !errors.Is(err, errBudget) {
		return err // nil too
	}
	r.exhausted = true
	r.warn("%v (%d): leaks may be unresolved, or hidden behind those found", errBudget, r.o.MaxReplays)
	return nil
}

// unresolved records a leak for which the budget did not last, if the suspects
// as a whole can be shown to cause it. That much is granted beyond the budget, once.
func (r *run) unresolved(ctx context.Context, e trace.Effect, suspects []trace.Write, h how, explained map[trace.Place]bool) error {
	first := !r.exhausted
	if err := r.outOfBudget(errBudget); err != nil || !first {
		return err
	}
	r.o.MaxReplays += GrantedReplays
	h.settle = r.o.Settle
	l, err := r.confirm(ctx, e.Place, suspects, h)
	if err != nil || l == nil {
		return r.outOfBudget(err)
	}
	l.Cause, l.Candidates, l.Status = nil, suspects, finding.Unresolved
	l.Why = "it reproduces, but the budget of replays was used up before one write could be singled out"
	r.add(l)
	for _, e := range l.Effects {
		explained[e.Place] = true
	}
	return nil
}
