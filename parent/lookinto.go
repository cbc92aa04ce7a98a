package parent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/netns-verify/netns-verify/internal/journal"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/client"
	"github.com/netns-verify/netns-verify/parent/trace"
	"github.com/netns-verify/netns-verify/protocol"
)

// LookInto finds out which of the open changes are ours with what a journal has: every
// value that was announced is written once more, in a fresh namespace without devices.
// What is ours is put back. It is not sure where others are writing sysctls meanwhile.
func (p *PutBack) LookInto(ctx context.Context, throughWriter bool) (sure bool, err error) {
	if err := p.look(); err != nil {
		return false, err
	}
	if len(p.Open) == 0 {
		return true, nil
	}
	open := p.Open
	sure, err = p.lookInto(ctx, p.announced(true), p.announced(false))
	err = cmp.Or(err, p.All(ctx, throughWriter))
	p.restored(open)
	return sure, err
}

// announced is the values in a journal as one announcement.
func (p *PutBack) announced(underWay bool) []Announcement {
	a := Announcement{By: p.writer}
	for _, w := range p.known.Announced(underWay) {
		for _, v := range w.Values {
			a.Writes = append(a.Writes, Exact{Key: w.Key, Value: v})
		}
	}
	if len(a.Writes) == 0 {
		return nil
	}
	back := slices.Clone(a.Writes) // what takes one key's value while another has one
	slices.Reverse(back)
	a.Writes = append(a.Writes, back...)
	return []Announcement{a}
}

// Others may write sysctls meanwhile. In calmLooks looks, calmWindow apart, more
// than calmKeys keys that move just once are somebody at work, as in run.quiet; but
// here it is not a run's time that is spent, it is the host's.
const (
	calmLooks  = 4
	calmWindow = 100 * time.Millisecond
	calmKeys   = 1
)

// calm tells whether nobody else writes sysctls.
func (p *PutBack) calm(last Announcement) (bool, error) {
	if last.Loud || last.Quiet {
		return last.Quiet, nil
	}
	before, err := p.hostOff()
	moves := map[trace.Place]int{}
	for range calmLooks {
		if err != nil {
			return false, err
		}
		time.Sleep(calmWindow)
		var now []trace.Effect
		now, err = p.hostOff()
		for _, e := range movedBetween(before, now) {
			moves[e.Place]++
		}
		before = now
	}
	once := 0
	for at, n := range moves {
		if n == 1 {
			once++
		} else {
			p.restless[at] = true
		}
	}
	return once <= calmKeys, err
}

// lookRounds is how often the same writes are made again: what comes with them for the
// first time may be somebody else's doing, and must come once more; with another value
// each time, twice (twiceMoved).
const (
	lookRounds = 3
	twiceMoved = 2
)

// lookInto finds out which of the changes that nothing explains are ours, by making
// announced writes again: the recent ones, and where that does not do, those before
// them, too. It tells whether it could find out. What is not ours, others have.
func (p *PutBack) lookInto(ctx context.Context, recent, earlier []Announcement) (conclusive bool, err error) {
	if len(p.undone) > 0 { // by us: those were writes, too
		own := Announcement{By: p.writer, Devices: onDevices(p.undone)}
		for _, w := range p.undone {
			own.Writes = append(own.Writes, Exact{protocol.Bytes(w.Key), protocol.Bytes(w.Value), w.Via})
		}
		recent = slices.Concat([]Announcement{own}, recent)
	}
	if len(recent)+len(earlier) > 0 {
		var last Announcement
		if len(recent) > 0 {
			last = recent[len(recent)-1]
		}
		if calm, err := p.calm(last); err != nil || !calm {
			return false, err
		}
	}
	if err := p.lookIntoThese(ctx, recent); err != nil {
		return false, err
	}
	if len(earlier) > 0 {
		if err := p.lookIntoThese(ctx, slices.Concat(earlier, recent)); err != nil {
			return false, err
		}
	}
	for _, e := range trace.EffectsOf(trace.Host, p.Open) { // those that no writes could tell of
		if err := p.giveBack(watched{e, p.m.Host().Read(e.Key)}); err != nil {
			return false, err
		}
	}
	return true, p.look()
}

func (p *PutBack) lookIntoThese(ctx context.Context, some []Announcement) error {
	moved := map[trace.Place]int{} // to yet another value than the one they were found with
	for round := 0; round < lookRounds && len(p.Open) > 0 && len(some) > 0; round++ {
		if err := stopped(ctx); err != nil {
			return err
		}
		open, began := p.Open, time.Now()
		more, err := p.repeat(ctx, some)
		if err != nil {
			return err
		}
		for _, at := range more {
			if moved[at]++; moved[at] == twiceMoved && !p.restless[at] {
				p.ours(at.Key)
			}
		}
		if err := p.look(); err != nil {
			return err
		}
		if len(more) == 0 && !slices.ContainsFunc(p.Open, func(c sysctl.Change) bool { return !slices.Contains(open, c) }) {
			break // nothing has come that was not there
		}
		if round+1 < lookRounds && len(more) > 0 && len(p.Open) > 0 {
			p.sham(ctx, more, time.Since(began))
		}
	}
	return nil
}

// sham waits as long as a round takes: what moves then, too, moves by itself.
func (p *PutBack) sham(ctx context.Context, moved []trace.Place, took time.Duration) {
	before := make([]sysctl.State, len(moved))
	for i, at := range moved {
		before[i] = p.m.Host().Read(at.Key)
	}
	_ = pause(ctx, took) // what has not been found out by then is given back
	for i, at := range moved {
		if p.m.Host().Read(at.Key) != before[i] {
			p.restless[at] = true
		}
	}
}

// watched is a change whose cause is being looked for.
type watched struct {
	trace.Effect
	prior sysctl.State // before it was put back to see whether it comes again
}

// repeat makes some announced writes, and those by which the host was put back, once
// more. A change that comes back with them is ours; those that came with another value
// are moved. Who asks it to stop cuts the wait for what comes late short.
func (p *PutBack) repeat(asked context.Context, some []Announcement) (moved []trace.Place, err error) {
	ctx := context.WithoutCancel(asked)
	for _, e := range trace.EffectsOf(trace.Host, p.Open) {
		if err := p.keepOverwritten(watched{e, p.m.Host().Read(e.Key)}); err != nil {
			return nil, err
		}
	}
	// By undoing first: that does not touch the host, unless it is a leak.
	if err := p.undoThese(ctx, some); err != nil {
		return nil, fmt.Errorf("undo: %w", err)
	}
	var open []watched
	for _, e := range trace.EffectsOf(trace.Host, p.Open) {
		w := watched{e, p.m.Host().Read(e.Key)}
		if !p.restless[e.Place] && (w.prior == w.Before || p.m.Host().Write(e.Key, e.Before.Value) == nil) {
			open = append(open, w)
		}
	}
	for _, w := range open {
		p.watching = append(p.watching, w.Key)
	}
	err = p.writeAgain(ctx, some)
	p.watching = nil
	if err == nil {
		p.restoreAgain()
		p.drain(ctx)
		_ = pause(asked, p.o.Settle)
	}
	for _, w := range open {
		switch now := p.m.Host().Read(w.Key); {
		case now == w.After:
			p.ours(w.Key)
		case now == w.Before:
		case p.known.UnderWay(w.Key, now) && p.known.UnderWay(w.Key, w.After):
			p.ours(w.Key) // it leaks its own values, of which the last stayed, or came late
		case !p.known.UnderWay(w.Key, now):
			moved = append(moved, w.Place)
		}
	}
	err = errors.Join(err, p.undoThese(ctx, some))
	for _, w := range open {
		if !p.leaks.ConfirmedAt(w.Place) {
			err = errors.Join(err, p.giveBack(w))
		}
		err = errors.Join(err, p.settled(w.Key))
	}
	return moved, err
}

// keepOverwritten has it on record what a key has that is put back to see whether it
// comes again.
func (p *PutBack) keepOverwritten(w watched) error {
	if w.prior == w.Before || !w.prior.OK() {
		return nil
	}
	return p.record(journal.Line{Overwritten: valueOf(w.Key, w.prior)})
}

func valueOf(k sysctl.Key, st sysctl.State) *journal.Values {
	return &journal.Values{Values: []journal.Value{journal.ValueOf(k, st)}}
}

// settled has it on record that nothing is to be given back any more.
func (p *PutBack) settled(k sysctl.Key) error {
	return p.record(journal.Line{Overwritten: &journal.Values{Values: []journal.Value{{Key: protocol.Bytes(k)}}}})
}

func (p *PutBack) record(l journal.Line) error {
	if err := p.known.Add(l); err != nil || p.Record == nil {
		return err
	}
	return p.Record(l)
}

// giveBack gives a key the value that somebody else seems to have set. With a value
// that was announced for that very key it would be ours, whatever moves it else.
func (p *PutBack) giveBack(w watched) error {
	now, back := p.m.Host().Read(w.Key), w.prior
	if hasKey(p.byRun, w.Key) { // whatever has been written to it, too
		if err := p.record(journal.Line{Theirs: valueOf(w.Key, w.After)}); err != nil {
			return err
		}
	}
	if p.known.Has(w.Key) || hasKey(p.byRun, w.Key) {
		back = w.After
	} else if now != w.Before {
		return nil // something else has come: perhaps again in the next round
	}
	if now == back || !back.OK() {
		return nil
	}
	return p.m.Host().Write(w.Key, back.Value)
}

// restoreAgain gives what was put back on the host the value that it had, and puts it
// back again: that may move other keys, too.
func (p *PutBack) restoreAgain() {
	for _, c := range p.Restored {
		if c.After.OK() && c.Before.OK() && p.m.Host().Write(c.Key, c.After.Value) == nil {
			_ = p.m.Host().Write(c.Key, c.Before.Value) // it took it a moment ago; if not, it is seen to be off
		}
	}
}

// undoThese gives the keys of announcements the values that a fresh namespace has, in one.
func (p *PutBack) undoThese(ctx context.Context, some []Announcement) error {
	s, err := p.startSurveyed(ctx, everything, true, client.RoleOf(p.writer))
	if err != nil {
		return err
	}
	p.writerBase = s[0].base
	if err := s[0].client.Quit(); err != nil {
		return err
	}
	var ws []trace.Write
	for _, a := range some {
		for _, w := range a.values() {
			ws = append(ws, trace.Write{Key: sysctl.Key(w.Key)})
		}
	}
	_, err = p.undo(ctx, p.originals(ws))
	return err
}

// writeAgain makes announced writes once more, those of one writer in one writer. Those of
// the host's own keys are not made: what follows them goes back with them.
func (p *PutBack) writeAgain(ctx context.Context, some []Announcement) error {
	type writer struct {
		by      trace.Writer
		child   int
		devices bool
	}
	lots := map[writer][]Announcement{}
	var order []writer
	for _, a := range some {
		w := writer{a.By, a.Child, a.Devices}
		if lots[w] == nil && a.By != "" {
			order = append(order, w)
		}
		lots[w] = append(lots[w], a)
	}
	for _, w := range order {
		if err := p.again(ctx, lots[w]); err != nil {
			return err
		}
	}
	return nil
}

// again is writeAgain for one writer.
func (p *PutBack) again(ctx context.Context, lots []Announcement) error {
	w, err := p.start(ctx, client.RoleOf(lots[0].By), lots[0].Devices)
	if err != nil {
		return err
	}
	defer w.Abandon()
	for _, a := range lots {
		if err := p.lotAgain(ctx, w, a); err != nil {
			return err
		}
	}
	return w.Quit()
}

func (p *PutBack) lotAgain(ctx context.Context, w *client.Client, a Announcement) error {
	var ws []trace.Write
	for _, x := range a.Writes {
		ws = append(ws, trace.Write{Key: sysctl.Key(x.Key), Value: string(x.Value), Via: x.Via})
	}
	var seen, more []trace.Effect
	var err error
	if len(a.Items) > 0 {
		if _, seen, err = p.perturb(w, a.Items); err != nil {
			return err
		}
	}
	if len(ws) > 0 {
		if _, more, err = p.replay(ctx, w, ws); err != nil {
			return err
		}
	}
	for _, e := range append(seen, more...) {
		if slices.ContainsFunc(p.Open, func(c sysctl.Change) bool { return c.Key == e.Key && c.After == e.After }) {
			p.ours(e.Key) // even if it has gone back by now
		}
	}
	return nil
}
