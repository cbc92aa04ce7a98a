package parent

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/netns-verify/netns-verify/internal/bisect"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/finding"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// flush waits for effects that are still to come, and resets them, so that
// they are not blamed on the next writes.
func (r *run) flush(ctx context.Context, suspects []trace.Write) error {
	return r.flushFor(ctx, suspects, r.leaks.Latest(r.o.Settle))
}

func (r *run) flushFor(ctx context.Context, suspects []trace.Write, settle time.Duration) error {
	if err := r.pause(settle); err != nil {
		return err
	}
	off, err := r.hostOff()
	if err != nil || len(off) == 0 {
		return err
	}
	if off, err = r.resetFrom(ctx, off, suspects); err != nil {
		return err
	}
	for _, e := range off {
		r.giveUp(e, suspects)
	}
	// What undoing did late, undoing again would only do once more.
	if err := r.pause(settle); err != nil {
		return err
	}
	if off, err = r.hostOff(); err != nil || len(off) == 0 {
		return err
	}
	r.strayed(off, r.undone)
	_, err = r.undoOnHost(off)
	return err
}

// how says in which way replays look for an effect.
type how struct {
	settle time.Duration
	later  bool
	// exit: it comes with the end of the writer's namespace.
	exit bool
	// among is all that is looked for; nil: whatever there is.
	among []trace.Effect
	// devices: the children of the replays have some.
	devices bool
}

// trial is a replay that looks in this way.
func (h how) trial(ws []trace.Write) trial {
	return trial{writes: ws, as: ws, settle: h.settle, later: h.later, devices: h.devices}
}

// explain replays suspects until silent: it finds the causes of what they
// change, takes those out and replays the rest, because one leak may hide
// another. It returns the places for which a cause was confirmed.
func (r *run) explain(ctx context.Context, suspects []trace.Write, h how) (map[trace.Place]bool, error) {
	explained := map[trace.Place]bool{}
	todo := []map[sysctl.Key]bool{{}}
	for len(todo) > 0 {
		removed := todo[0]
		todo = todo[1:]
		rest := trace.Without(suspects, removed)
		if len(rest) == 0 {
			continue
		}
		t := h.trial(rest)
		out, err := r.try(ctx, t)
		if err == nil && r.noise.loud {
			// What others do does not come twice.
			var again outcome
			again, err = r.try(ctx, t)
			out.effects = slices.DeleteFunc(out.effects, func(e trace.Effect) bool { return !trace.HasPlace(again.effects, e.Place) })
		}
		if err != nil {
			return explained, r.outOfBudget(err)
		}
		if h.among != nil {
			out.effects = slices.DeleteFunc(out.effects, func(e trace.Effect) bool { return !trace.HasPlace(h.among, e.Place) })
		}
		causes, err := r.causes(ctx, out.effects, rest, h, explained)
		if err != nil {
			return explained, err
		}
		for _, next := range pickOneEach(causes, removed) {
			if !slices.ContainsFunc(todo, func(m map[sysctl.Key]bool) bool { return sameSet(m, next) }) {
				todo = append(todo, next)
			}
		}
	}
	return explained, nil
}

// causes finds a confirmed cause for each of a trial's effects, where there is
// one, and returns their keys.
func (r *run) causes(ctx context.Context, effects []trace.Effect, rest []trace.Write, h how, explained map[trace.Place]bool) ([][]sysctl.Key, error) {
	var causes [][]sysctl.Key
	here := map[trace.Place]bool{}
	written := map[sysctl.Key]bool{}
	for _, w := range rest {
		written[w.Key] = true
	}
	slices.SortStableFunc(effects, func(a, b trace.Effect) int { // the plainest first
		return boolOrder(written[a.Key], written[b.Key])
	})
	for _, e := range effects {
		if here[e.Place] || r.stuck[e.Key] {
			continue
		}
		l, err := r.causeOf(ctx, e, rest, h)
		if errors.Is(err, errBudget) {
			return nil, r.unresolved(ctx, e, rest, h, explained)
		}
		if err != nil {
			return nil, err
		}
		if l == nil {
			continue
		}
		causes = append(causes, trace.KeysOf(l.Cause))
		for _, e := range l.Effects {
			here[e.Place], explained[e.Place] = true, true
		}
	}
	return causes, nil
}

// causeOf finds and confirms the cause of one effect of some writes; nil where
// nothing reproduces it.
func (r *run) causeOf(ctx context.Context, e trace.Effect, ws []trace.Write, h how) (*finding.Leak, error) {
	for _, l := range r.leaks {
		if known := trace.Of(ws, trace.KeysOf(l.Cause)); l.Status == finding.Confirmed && slices.Contains(l.Writers, r.writer) && trace.HasPlace(l.Effects, e.Place) &&
			len(known) > 0 && len(known) < len(ws) {
			as := how{settle: max(h.settle, l.Delay), later: h.later, exit: h.exit || l.Exit, devices: h.devices}
			if shows, err := r.shows(ctx, e.Place, known, as); err != nil || shows {
				return l, err
			}
		}
	}
	l, err := r.find(ctx, e, ws, h)
	if l == nil && err == nil && h.settle == 0 && !r.noise.loud {
		// Perhaps it comes late, and an innocent write was being looked at then.
		h.settle = r.o.Settle
		if err := r.flush(ctx, ws); err != nil {
			return nil, err
		}
		if shows, serr := r.shows(ctx, e.Place, ws, h); serr != nil || !shows {
			return nil, serr
		}
		l, err = r.find(ctx, e, ws, h)
	}
	return l, err
}

func (r *run) find(ctx context.Context, e trace.Effect, ws []trace.Write, h how) (*finding.Leak, error) {
	h, ok, err := r.corroborated(ctx, e.Place, ws, h)
	if err != nil || !ok {
		return nil, err
	}
	set, err := r.minimal(ctx, e.Place, ws, h)
	if err != nil || set == nil {
		return nil, err
	}
	l, err := r.confirm(ctx, e.Place, set, h)
	if err != nil || l == nil {
		return nil, err
	}
	return r.add(l), nil
}

// corroborated tells whether an effect comes once more with the writes, and
// not without: that costs little beside looking for the cause of a restless key.
// It returns how to look for the effect from then on, as long as it took to come.
func (r *run) corroborated(ctx context.Context, p trace.Place, ws []trace.Write, h how) (how, bool, error) {
	times := 1
	if h.settle > r.o.Settle { // in a long time much moves by itself
		times = 2
	}
	var out outcome
	for range times {
		t := h.trial(ws)
		t.until = p
		var err error
		if out, err = r.try(ctx, t); err != nil || !trace.HasPlace(out.effects, p) {
			return h, false, err
		}
		t.writes, t.as, t.until = nil, trace.Went(ws, out.writes), trace.Place{}
		sham, err := r.try(ctx, t)
		if err != nil {
			return h, false, err
		}
		if trace.HasPlace(sham.effects, p) {
			if h.settle > 0 { // nothing was written, and nothing was still to come
				r.seemsRestless(trace.At(sham.effects, p))
			}
			return h, false, nil
		}
	}
	if h.settle == 0 {
		return h, true, nil
	}
	poll := r.poll(h.settle)
	h.exit = trace.HasPlace(out.exit, p)
	switch {
	case h.exit:
		h.settle = poll
	case h.settle > r.o.Settle: // its write may have been the first
		took := out.wrote + out.took
		h.settle = min(h.settle, took+took/4+poll)
	default:
		h.settle = min(h.settle, 2*out.took+poll)
	}
	return h, true, nil
}

// mostAtOnce is how many replays a search without a wait may take: one write of a thousand
// takes some twenty.
const mostAtOnce = 200

// minimal narrows writes that show an effect down: first to the write of the
// same key, else by halves.
func (r *run) minimal(ctx context.Context, p trace.Place, ws []trace.Write, h how) ([]trace.Write, error) {
	if same := trace.Of(ws, []sysctl.Key{p.Key}); len(same) > 0 && len(same) < len(ws) {
		shows, err := r.shows(ctx, p, same, h)
		if err != nil {
			return nil, err
		}
		if shows {
			ws = same
		}
	}
	budget := r.o.MaxReplays - r.replays
	few := h.settle == 0 && budget > mostAtOnce
	if few {
		budget = mostAtOnce
	}
	set, _, err := bisect.Minimal(ws, budget, func(part []trace.Write) (bool, error) {
		return r.shows(ctx, p, part, h)
	})
	if errors.Is(err, bisect.ErrBudget) && few {
		return nil, nil // it comes and goes: perhaps late, from the replay before
	}
	if errors.Is(err, bisect.ErrBudget) {
		return nil, errBudget
	}
	return set, err
}

// shows tells whether a replay of writes shows the effect.
func (r *run) shows(ctx context.Context, p trace.Place, ws []trace.Write, h how) (bool, error) {
	t := h.trial(ws)
	t.until = p
	out, err := r.try(ctx, t)
	return trace.HasPlace(out.effects, p), err
}

// pickOneEach is the ways to break every cause by taking one of its keys out.
func pickOneEach(causes [][]sysctl.Key, removed map[sysctl.Key]bool) []map[sysctl.Key]bool {
	const most = 16 // sets of several writes are rare; beyond this they are not told apart
	if len(causes) == 0 {
		return nil
	}
	picks := []map[sysctl.Key]bool{removed}
	for _, cause := range causes {
		var next []map[sysctl.Key]bool
		for _, p := range picks {
			for _, k := range cause {
				m := map[sysctl.Key]bool{k: true}
				for old := range p {
					m[old] = true
				}
				if len(next) < most {
					next = append(next, m)
				}
			}
		}
		picks = next
	}
	return picks
}

func sameSet(a, b map[sysctl.Key]bool) bool {
	if len(a) != len(b) {
		return false
	}
	for k := range a {
		if !b[k] {
			return false
		}
	}
	return true
}

// boolOrder puts true before false.
func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}
