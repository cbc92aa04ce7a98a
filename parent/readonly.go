package parent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/netns-verify/netns-verify/internal/bisect"
	"github.com/netns-verify/netns-verify/internal/report"
)

// reads looks for leaks by reading alone. It comes before any survey, because
// that and every sweep of a child read all its keys; so it is only the host that
// can be watched. What is found moves the host until the run's end: restless.
func (r *run) reads(ctx context.Context) error {
	r.enter(PhaseReads, "")
	var all []write
	for _, e := range r.host.Baseline() {
		if e.Key.Network() && e.Readable() && r.included(e.Key) {
			all = append(all, write{key: e.Key, via: viaRead})
		}
	}
	for range idleSweeps { // what the host and new namespaces do by themselves
		off, err := r.readTrial(ctx, nil)
		if err != nil {
			return err
		}
		for _, e := range off {
			r.restless[e.place] = true
			r.host.Expect(e.key, e.after)
		}
	}
	off, err := r.readTrial(ctx, all)
	if err != nil {
		return err
	}
	for _, e := range off {
		l, err := r.causeOfRead(ctx, e, all)
		if err != nil {
			return err
		}
		if l != nil {
			r.add(l)
		}
	}
	for _, e := range off {
		r.restless[e.place] = true
	}
	return nil
}

// causeOfRead narrows down which of the keys it is whose reading has an effect,
// and confirms that.
func (r *run) causeOfRead(ctx context.Context, e effect, all []write) (*leak, error) {
	cause, _, err := bisect.Minimal(all, r.o.MaxReplays-r.replays, func(part []write) (bool, error) {
		off, err := r.readTrial(ctx, part)
		return hasPlace(off, e.place), err
	})
	if err != nil || len(cause) == 0 {
		if errors.Is(err, bisect.ErrBudget) {
			err = nil
		}
		return nil, err
	}
	l := &leak{cause: cause, status: statusConfirmed, effects: []effect{e}}
	for _, real := range r.drawRounds(confirmRounds) {
		reads := cause
		if l.shams++; real {
			l.shams--
			l.rounds, l.matched = l.rounds+1, l.matched+1
		} else {
			reads = nil
		}
		off, err := r.readTrial(ctx, reads)
		if err != nil || hasPlace(off, e.place) != real {
			return nil, err
		}
	}
	l.why = fmt.Sprintf("came each of %d times that a fresh namespace read it, and with none of %d that did not", l.rounds, l.shams)
	return l, nil
}

// readTrial has a fresh child read keys, looks at the host and puts it back.
func (r *run) readTrial(ctx context.Context, reads []write) ([]effect, error) {
	if err := stopped(ctx); err != nil {
		return nil, err
	}
	r.replays++
	w, err := r.start(ctx, r.writer.role())
	if err != nil {
		return nil, err
	}
	defer w.abandon()
	for part := range slices.Chunk(reads, r.o.BatchSize) {
		if _, err := w.replay(part); err != nil {
			return nil, err
		}
	}
	off, err := r.hostOff()
	if err != nil {
		return nil, err
	}
	if err := w.quit(); err != nil {
		return nil, err
	}
	for _, e := range off {
		if len(reads) > 0 { // else it is somebody else's doing
			r.restoreOnHost(e)
		}
	}
	return off, nil
}

// undoReads puts back what reading has done to the host until the end.
func (r *run) undoReads() {
	for _, l := range r.leaks {
		if l.via() != report.ViaRead {
			continue
		}
		for _, e := range l.effects {
			if r.m.Host().Read(e.key) != e.before && !r.restoreOnHost(e) {
				r.lose(e, "the kernel does not take it back")
			}
		}
	}
}
