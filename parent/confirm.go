package parent

import (
	"context"
	"fmt"
	"slices"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/trace"
)

const (
	// confirmRounds is how many rounds confirm a cause, drawn from the seed to
	// be with the write or without. A key that moves by itself fits all of
	// them with less than 1 in 3,938: the orders of 12 that have at least
	// minRounds of each kind.
	confirmRounds = 12
	// restlessRounds is for effect keys that are known to move by themselves, and
	// for late effects: a key that moves now and then looks much like one.
	restlessRounds = 24
	minRounds      = 3
	// moreRounds follow where other keys seem to be effects too: of many keys
	// that move by themselves, one may fit.
	moreRounds = 8
)

func otherKeys(effects []trace.Effect, k sysctl.Key) bool {
	return slices.ContainsFunc(effects, func(e trace.Effect) bool { return e.Key != k })
}

// confirm proves a cause: the effect comes with every write of it and with no
// sham, each round in a fresh writer. It returns nil where that is not so. The
// leak's effects are those that came in every round with the write.
func (r *run) confirm(ctx context.Context, p trace.Place, cause []trace.Write, h how) (*leak, error) {
	if slices.ContainsFunc(cause, trace.Write.Passed) {
		if shows, err := r.shows(ctx, p, trace.ByPath(cause), h); err != nil {
			return nil, err
		} else if shows {
			cause = trace.ByPath(cause) // no descriptor is needed for it
		}
	}
	l, err := r.rounds(ctx, p, cause, h)
	if serr := r.seeAll(context.WithoutCancel(ctx), cause); err == nil {
		err = serr
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

// rounds makes the rounds of a confirmation.
func (r *run) rounds(ctx context.Context, p trace.Place, cause []trace.Write, h how) (*leak, error) {
	defer r.having(r.devices || onDevice(p.Key))() // as in the search for it
	l := &leak{cause: cause, status: statusConfirmed, delay: h.settle, exit: h.exit}
	n := confirmRounds
	if r.restless[p] || h.settle > 0 {
		n = restlessRounds
	}
	rounds := r.drawRounds(n)
	for i := 0; ; i++ {
		if i == n && otherKeys(l.effects, p.Key) {
			rounds = append(rounds, r.drawRounds(moreRounds)...)
		}
		if i == len(rounds) {
			break
		}
		if l.rounds > 0 && l.shams > 0 && r.focus == nil {
			if err := r.focusOn(l.effects); err != nil {
				return nil, err
			}
		}
		real := rounds[i]
		t := h.trial(cause)
		if t.idle = true; !real {
			t.writes = nil
		}
		out, err := r.try(ctx, t)
		if err != nil {
			return nil, err
		}
		shown := trace.HasPlace(out.effects, p)
		if shown != real || trace.HasPlace(out.idle, p) {
			r.log.Debug().Str("observer", p.Observer).Str("key", p.Key.Text()).Bool("write", real).Bool("shown", shown).Msg("not confirmed")
			if all := append(out.idle, out.effects...); h.settle > 0 && (shown && !real || trace.HasPlace(out.idle, p)) {
				r.seemsRestless(trace.At(all, p)) // nothing was written, and nothing was still to come
			}
			return nil, nil
		}
		if !real {
			l.shams++
			l.effects = slices.DeleteFunc(l.effects, func(e trace.Effect) bool { return trace.HasPlace(out.effects, e.Place) })
			continue
		}
		cause = trace.Went(cause, out.writes)
		if l.rounds == 0 {
			l.effects, l.cause = out.effects, cause
		} else {
			l.effects = slices.DeleteFunc(l.effects, func(e trace.Effect) bool { return !trace.HasPlace(out.effects, e.Place) })
		}
		l.rounds++
		l.matched++
	}
	l.why = fmt.Sprintf("came with each of %s, each %s, and with none of %s without one", report.Plural(l.rounds, "write"), trace.Way(cause), report.Plural(l.shams, "round"))
	return l, nil
}

// drawRounds draws which rounds write.
func (r *run) drawRounds(n int) []bool {
	for {
		rounds, real := make([]bool, n), 0
		for i := range rounds {
			if rounds[i] = r.rng.IntN(2) == 1; rounds[i] {
				real++
			}
		}
		if real >= minRounds && n-real >= minRounds {
			return rounds
		}
	}
}
