package parent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/netns-verify/netns-verify/internal/observe"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/record"
	"github.com/netns-verify/netns-verify/parent/restore"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// finish ends the children, waits until their namespaces are really gone, and
// compares the host with its first snapshot. A run that was aborted is first
// put right, whether or not it was told to stop.
func (r *run) finish(ctx context.Context, aborted bool) error {
	r.enter(PhaseRestore, "")
	var err error
	if aborted {
		r.lastOfAborted()
	}
	r.end(ctx, aborted)
	if aborted {
		err = r.putBack(context.WithoutCancel(ctx))
	} else {
		var came bool
		if came, err = r.attributeLast(ctx); came {
			r.end(ctx, err != nil)
			r.tooLate()
		}
	}
	if lerr := r.lastLook(); err == nil {
		err = lerr
	}
	return err
}

// lastOfAborted takes note of what siblings have noticed by the end of a run that was
// aborted, and of the writes of which they may be about to notice something: these prove
// nothing.
func (r *run) lastOfAborted() {
	for _, s := range append(slices.Clone(r.retired), retired{Client: r.sibling}) {
		if s.Client != nil && !s.Ended() {
			if err := r.lastSweep(s.Client); err != nil {
				r.warn("%v", err)
			}
		}
	}
	r.leftOpen()
	for _, w := range r.writings {
		for w.closed > 0 && time.Since(w.writes[w.closed-1].At) < r.o.Settle {
			w.closed--
		}
	}
}

// attributeLast looks for causes of what changed only now that the writers'
// namespaces are gone, and tells whether there was anything.
func (r *run) attributeLast(ctx context.Context) (came bool, err error) {
	off, err := r.hostOff()
	if err != nil || r.last == nil {
		return false, err
	}
	r.last.strayedIn()
	if len(off)+len(r.last.late)+len(r.doubts) == 0 {
		return false, nil
	}
	for _, e := range off {
		r.last.addLate(stray{Effect: e})
	}
	err = r.last.deferred(ctx)
	if err == nil {
		err = r.last.lateOrRestless(ctx)
	}
	if err != nil {
		r.aborted = true
		r.o.Record.Ending()
		r.leftOpen()
		if perr := r.putBack(context.WithoutCancel(ctx)); perr != nil {
			err = errors.Join(err, perr)
		}
		return true, err
	}
	return true, nil
}

// tooLate puts what only the very last siblings have noticed into the report.
func (r *run) tooLate() {
	r.last.strayedIn()
	for _, e := range r.last.late {
		r.note(e.Effect, "it came when the last sibling was about to end: too late for a replay")
	}
	r.last.late = nil
}

// end ends the children that stayed and waits until their namespaces, and
// those of all that ended before, are gone.
func (r *run) end(ctx context.Context, aborted bool) {
	r.dropNext()
	if r.spare != nil {
		r.spare.Abandon()
		r.spare = nil
	}
	if !aborted {
		// Also where the run was just asked to stop: the host must be as it was found.
		r.wait(r.untilLast(ctx))
		r.wait(r.untilDismissed())
		if err := r.dismiss(); err != nil {
			r.warn("%v", err)
		}
	}
	for _, old := range r.retired { // none, but after an error
		old.Abandon()
	}
	r.retired = nil
	if r.sibling != nil && !aborted {
		if err := r.lastSweep(r.sibling); err != nil {
			r.warn("%v", err)
		}
	}
	if r.sibling != nil && aborted {
		r.sibling.Abandon()
	} else if r.sibling != nil {
		if err := r.sibling.Quit(); err != nil {
			r.warn("%v", err)
		}
	}
	r.sibling = nil
	if r.o.DryRun {
		return // nothing was written that could come late
	}
	r.progress(0, 0, "waiting for the namespaces to be gone")
	r.drain(ctx)
}

// untilLast is how long the last write can still have effects. Meanwhile the
// namespaces of those that ended go, which takes a part of that.
func (r *run) untilLast(ctx context.Context) time.Duration {
	var last time.Time
	for _, ws := range [][]trace.Write{r.writes, r.throughs} {
		if n := len(ws); n > 0 && ws[n-1].At.After(last) {
			last = ws[n-1].At
		}
	}
	settle := r.leaks.Latest(r.o.Settle)
	if time.Since(last) < settle {
		r.drain(ctx)
	}
	return settle - time.Since(last)
}

// leftOpen puts the effects into the report that a run was not given the time
// to attribute.
func (r *run) leftOpen() {
	if r.last == nil {
		return
	}
	r.last.strayedIn()
	open := r.last.open
	for _, s := range r.last.sightings {
		open = append(open, s.effects...)
	}
	for _, l := range r.last.late {
		open = append(open, l.Effect)
	}
	for _, e := range open {
		if !r.leaks.ConfirmedAt(e.Place) && !r.stuck[e.Key] {
			r.unattributed(e, "the run ended before it could be attributed")
			if e.Observer == trace.Host && r.noise.measured && !r.noise.loud { // so it goes back
				_ = r.o.Record.Learn(record.Line{Unresolved: record.KeysOf([]sysctl.Key{e.Key})})
			}
		}
	}
}

// putBack puts the host back after a run that ended before it could attribute what its last
// writes did, as it would be done for it if it had been killed.
func (r *run) putBack(ctx context.Context) error {
	_ = r.recordLearnt() // what cannot be kept any more does not keep us from it
	rec := r.o.Record.Record()
	if !rec.Sent() {
		return nil // whatever changed, it was not us
	}
	err := r.undoTemplate(ctx, r.writes, nil)
	if err != nil {
		err = fmt.Errorf("put later namespaces right: %w", err)
	}
	h, herr := restore.Open(r.m, rec, rec.Header.Devices)
	if herr != nil {
		return errors.Join(err, fmt.Errorf("put the host back: %w", herr))
	}
	defer h.Close()
	if herr := h.Put(ctx, r.o.Hurry); herr != nil {
		err = errors.Join(err, fmt.Errorf("put the host back: %w", herr))
	}
	if h.Unended() != nil {
		r.unended.Store(true)
	}
	done, loans := h.Done()
	for _, c := range slices.Concat(done, loans, h.Off) {
		e, why := trace.Effect{Place: trace.Place{Observer: trace.Host, Key: c.Key}, Before: c.Before, After: c.After}, "the run ended before it could be attributed; the host has been put back"
		if r.stuck[c.Key] {
			continue
		}
		if slices.Contains(h.Off, c) {
			why = "the run ended before it could be attributed, and it could not be put back"
			r.host.Expect(e.Key, e.After)
			r.lose(e, why)
		}
		r.unattributed(e, why)
	}
	clear(r.forced)
	return err
}

// lastLook sweeps the host once more, now that nobody of ours is left.
func (r *run) lastLook() error {
	r.undoReads()
	off, err := r.hostOff()
	if err != nil {
		return fmt.Errorf("last look: %w", err)
	}
	for _, e := range off {
		if !r.leaks.ConfirmedAt(e.Place) && !r.cameWithModule(e) {
			r.note(e, "it changed after the last namespace had ended, or was about to")
		}
	}
	// Whatever sweeps had come to expect, it is the first snapshot that counts.
	r.host.ExpectBaseline()
	if off, err = r.restoreConfirmed(); err != nil {
		return fmt.Errorf("last look: %w", err)
	}
	for _, e := range off {
		switch {
		case r.stuck[e.Key] && e.Before == absent && r.leaks.At(e.Place): // such as a module, of which its leak tells
		case r.stuck[e.Key]:
			r.lose(e, r.whyStuck(e.Key))
		case r.leaks.At(e.Place):
			r.lose(e, "a leak changes it, and it was not put back")
		default:
			_ = r.o.Record.Theirs(e.Key, e.After) // in case that the record is kept
			r.leftAlone(e)
		}
	}
	r.verified = true
	r.lost = slices.DeleteFunc(r.lost, func(n report.NotRestored) bool { // put right after all
		k := sysctl.Key(n.Key)
		return n.What == report.WhatSysctl && r.m.Host().Read(k) == r.host.Found(k).State
	})
	return nil
}

// restoreConfirmed writes back on the host what confirmed leaks change, from
// global to device keys: also what was taken for others' doing before there was
// a cause for it. It returns what is not as sweeps expect it then.
func (r *run) restoreConfirmed() (off []trace.Effect, err error) {
	for range restoreRounds {
		changes, err := r.host.Sweep()
		if err != nil {
			return nil, err
		}
		off = trace.EffectsOf(trace.Host, changes)
		slices.SortStableFunc(off, func(a, b trace.Effect) int { return cmp.Compare(trace.Breadth(b.Key), trace.Breadth(a.Key)) })
		wrote := false
		for _, e := range off {
			ours := r.leaks.ConfirmedAt(e.Place) && (!r.restless[e.Place] || r.leaks.Gave(e))
			r.warnOfOthers(e, nil)
			wrote = ours && !r.stuck[e.Key] && r.restoreOnHost(e) || wrote
		}
		if !wrote {
			break
		}
	}
	return slices.DeleteFunc(off, func(e trace.Effect) bool {
		return r.restless[e.Place] && !(r.leaks.ConfirmedAt(e.Place) && r.leaks.Gave(e))
	}), nil
}

// whyStuck says why a host key keeps the value that a leak gave it.
func (r *run) whyStuck(k sysctl.Key) string {
	if why, ours := r.kept[k]; ours {
		return why
	}
	if r.denied[k] {
		return "it cannot be undone in a namespace, and on the host only root may do it"
	}
	return "one-way: the kernel does not take the old value back before a reboot"
}

// leftAlone makes sure that a difference in the end is in the report.
func (r *run) leftAlone(e trace.Effect) {
	if !r.foreign.Has(e.Place) {
		r.unexplained(e, "no replay tells who changed it")
	}
}

func (r *run) lose(e trace.Effect, why string) {
	what, name := observe.Place(e.Key)
	n := report.NotRestored{What: what, Key: name, Why: why, OneWay: r.stuck[e.Key] && !r.denied[e.Key]}
	n.Of(r.secrets.Show(e.Key, e.Before), r.secrets.Show(e.Key, e.After))
	r.lost = slices.DeleteFunc(r.lost, func(old report.NotRestored) bool { return old.What == n.What && old.Key == n.Key })
	r.lost = append(r.lost, n)
	r.log.Error().Str("key", sysctl.Key(n.Key).Text()).Str("why", why).Msg("not restored")
}
