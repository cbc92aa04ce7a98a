package parent

import (
	"context"
	"fmt"
	"slices"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/finding"
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
func (r *run) confirm(ctx context.Context, p trace.Place, cause []trace.Write, h how) (*finding.Leak, error) {
	if slices.ContainsFunc(cause, trace.Write.Passed) {
		if shows, err := r.shows(ctx, p, trace.ByPath(cause), h); err != nil {
			return nil, err
		} else if shows {
			cause = trace.ByPath(cause) // no descriptor is needed for it
		}
	}
	return r.rounds(ctx, p, cause, h)
}

// rounds makes the rounds of a confirmation. Once it has been seen whole what the cause
// changes and what comes without it, the further rounds look at that alone: a look at
// everything takes most of a replay's time. What else comes meanwhile shows afterwards.
func (r *run) rounds(ctx context.Context, p trace.Place, cause []trace.Write, h how) (*finding.Leak, error) {
	l := &finding.Leak{Cause: cause, Status: finding.Confirmed, Delay: h.settle, Exit: h.exit}
	n := confirmRounds
	if r.restless[p] || h.settle > 0 {
		n = restlessRounds
	}
	rounds := r.drawRounds(n)
	sc := everything
	for i := 0; ; i++ {
		if i == n && otherKeys(l.Effects, p.Key) {
			rounds = append(rounds, r.drawRounds(moreRounds)...)
		}
		if i == len(rounds) {
			break
		}
		if l.Rounds > 0 && l.Shams > 0 && sc.all() {
			sc = scopeOf(l.Effects)
		}
		real := rounds[i]
		t := h.trial(cause)
		t.scope, t.devices = sc, h.devices || onDevice(p.Key)
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
			l.Shams++
			l.Effects = slices.DeleteFunc(l.Effects, func(e trace.Effect) bool { return trace.HasPlace(out.effects, e.Place) })
			continue
		}
		cause = trace.Went(cause, out.writes)
		if l.Rounds == 0 {
			l.Effects, l.Cause = out.effects, cause
		} else {
			l.Effects = slices.DeleteFunc(l.Effects, func(e trace.Effect) bool { return !trace.HasPlace(out.effects, e.Place) })
		}
		l.Rounds++
		l.Matched++
	}
	l.Why = fmt.Sprintf("came with each of %s, each %s, and with none of %s without one", report.Plural(l.Rounds, "write"), trace.Way(cause), report.Plural(l.Shams, "round"))
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
