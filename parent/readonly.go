package parent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/netns-verify/netns-verify/internal/bisect"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/parent/client"
	"github.com/netns-verify/netns-verify/parent/finding"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// reads looks for leaks by reading alone. It comes before any survey, because
// that and every sweep of a child read all its keys; so it is only the host that
// can be watched. What is found moves the host until the run's end: restless.
func (r *run) reads(ctx context.Context) error {
	r.enter(PhaseReads, "")
	var all []trace.Write
	for _, e := range r.host.Baseline() {
		if e.Key.Network() && e.Readable() && r.question.Asks(e.Key) {
			all = append(all, trace.Write{Key: e.Key, Via: trace.ViaRead})
		}
	}
	for range idleSweeps { // what the host and new namespaces do by themselves
		off, err := r.readTrial(ctx, nil)
		if err != nil {
			return err
		}
		for _, e := range off {
			r.restless[e.Place] = true
			r.host.Expect(e.Key, e.After)
		}
	}
	off, err := r.readTrial(ctx, all)
	for i := 0; i < len(off) && err == nil; i++ {
		var l *finding.Leak
		if l, err = r.causeOfRead(ctx, off[i], all); l != nil {
			r.add(l)
			r.restless[off[i].Place] = true
		}
	}
	r.returnForced()
	return err
}

// readBudget is how many trials one search may take: thirty keys for each of
// which the others are halved.
const readBudget = 300

// causeOfRead narrows down which of the keys it is whose reading has an effect,
// and confirms that.
func (r *run) causeOfRead(ctx context.Context, e trace.Effect, all []trace.Write) (*finding.Leak, error) {
	shows := func(reads []trace.Write) (bool, error) {
		off, err := r.readTrial(ctx, reads)
		return trace.HasPlace(off, e.Place), err
	}
	if sham, err := shows(nil); err != nil || sham {
		return nil, err
	}
	if again, err := shows(all); err != nil || !again {
		return nil, err
	}
	cause, _, err := bisect.Minimal(all, readBudget, shows)
	if err != nil || len(cause) == 0 {
		if errors.Is(err, bisect.ErrBudget) {
			err = nil
		}
		return nil, err
	}
	l := &finding.Leak{Cause: cause, Status: finding.Confirmed, Effects: []trace.Effect{e}}
	for _, real := range r.drawRounds(confirmRounds) {
		reads := cause
		if l.Shams++; real {
			l.Shams--
			l.Rounds, l.Matched = l.Rounds+1, l.Matched+1
		} else {
			reads = nil
		}
		if shown, err := shows(reads); err != nil || shown != real {
			return nil, err
		}
	}
	l.Why = fmt.Sprintf("came each of %s that a fresh namespace read it, and with none of %d that did not", report.Plural(l.Rounds, "time"), l.Shams)
	return l, nil
}

// readTrial has a fresh child read keys, looks at the host and puts it back.
func (r *run) readTrial(ctx context.Context, reads []trace.Write) ([]trace.Effect, error) {
	if err := stopped(ctx); err != nil {
		return nil, err
	}
	r.replays++
	w, err := r.start(ctx, client.RoleOf(r.writer), false)
	if err != nil {
		return nil, err
	}
	defer w.Abandon()
	for part := range slices.Chunk(reads, r.o.BatchSize) {
		if _, err := w.Replay(part); err != nil {
			return nil, err
		}
	}
	off, err := r.hostOff()
	for _, e := range off {
		switch {
		case len(reads) == 0: // it is somebody else's doing
		case !e.Key.Network():
			r.host.Expect(e.Key, e.After)
			r.note(e, "it changed while keys were only being read")
		default:
			r.restoreOnHost(e)
		}
	}
	if len(reads) > 0 {
		off = slices.DeleteFunc(off, func(e trace.Effect) bool { return !e.Key.Network() })
	}
	return off, errors.Join(err, w.Quit())
}

// undoReads puts back what reading has done to the host until the end.
func (r *run) undoReads() {
	for _, l := range r.leaks {
		if l.Via() != report.ViaRead {
			continue
		}
		for _, e := range l.Effects {
			if r.m.Host().Read(e.Key) != e.Before && !r.restoreOnHost(e) {
				r.lose(e, "the kernel does not take it back")
			}
		}
	}
}
