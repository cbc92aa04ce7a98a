package parent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// LookInto finds out which of the open changes are ours with what a journal has: every
// value that was announced is written once more, in a fresh namespace without devices.
// What is ours is put back. It is not sure where others are writing sysctls meanwhile.
func (p *PutBack) LookInto(ctx context.Context, throughWriter bool) (sure bool, err error) {
	open := p.Open
	a := Announcement{By: p.writer}
	for _, w := range p.known.Announced() {
		for _, v := range w.Values {
			a.Writes = append(a.Writes, Exact{Key: w.Key, Value: v})
		}
	}
	sure, err = p.lookInto(ctx, []Announcement{a}, nil)
	err = errors.Join(err, p.All(ctx, throughWriter))
	p.restored(open)
	return sure, err
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
	moves := map[place]int{}
	for range calmLooks {
		if err != nil {
			return false, err
		}
		time.Sleep(calmWindow)
		var now []effect
		now, err = p.hostOff()
		for _, at := range movedBetween(before, now) {
			moves[at]++
		}
		before = now
	}
	once := 0
	for at, n := range moves {
		if p.restless[at] = true; n == 1 {
			once++
		}
	}
	return once <= calmKeys, err
}

// lookRounds is how often the same writes are made again: what comes with them for the
// first time may be somebody else's doing, and must come once more.
const lookRounds = 2

// lookInto finds out which of the changes that nothing explains are ours, by making
// announced writes again: the recent ones, and where that does not do, those before
// them. It tells whether it could find out.
func (p *PutBack) lookInto(ctx context.Context, recent, earlier []Announcement) (conclusive bool, err error) {
	if len(recent) == 0 {
		return true, nil // nothing was under way
	}
	if calm, err := p.calm(recent[len(recent)-1]); err != nil || !calm {
		return false, err
	}
	for _, some := range [][]Announcement{recent, earlier} {
		for round := 0; round < lookRounds && len(p.Open) > 0 && len(some) > 0; round++ {
			open := p.Open
			if err := p.repeat(ctx, some); err != nil {
				return false, err
			}
			if err := p.look(); err != nil {
				return false, err
			}
			if !slices.ContainsFunc(p.Open, func(c sysctl.Change) bool { return !slices.Contains(open, c) }) {
				break // nothing has come that was not there
			}
		}
	}
	return true, nil
}

// watched is a change whose cause is being looked for.
type watched struct {
	effect
	prior sysctl.State // before it was put back to see whether it comes again
}

// repeat makes some announced writes, and those by which the host was put back, once
// more. A change that comes back with them is ours.
func (p *PutBack) repeat(ctx context.Context, some []Announcement) error {
	// By undoing first: that does not touch the host, unless it is a leak.
	if err := p.undoThese(ctx, some); err != nil {
		return fmt.Errorf("undo: %w", err)
	}
	var open []watched
	for _, e := range effectsOf(observerHost, p.Open) {
		prior := p.m.Host().Read(e.key)
		if !p.restless[e.place] && (prior == e.before || p.m.Host().Write(e.key, e.before.Value) == nil) {
			open = append(open, watched{e, prior})
		}
	}
	err := p.writeAgain(ctx, some)
	if err == nil {
		p.restoreAgain()
		p.drain(ctx)
		time.Sleep(p.o.Settle)
	} else {
		err = fmt.Errorf("write again: %w", err)
	}
	for _, w := range open {
		if p.m.Host().Read(w.key) == w.after {
			p.ours(w.key)
		}
	}
	err = errors.Join(err, p.undoThese(ctx, some))
	for _, w := range open {
		if !p.confirmedAt(w.place) {
			err = errors.Join(err, p.giveBack(w))
		}
	}
	return err
}

// giveBack gives a key the value that somebody else seems to have set. With a value
// that was announced for that very key it would be ours, whatever moves it else.
func (p *PutBack) giveBack(w watched) error {
	now, back := p.m.Host().Read(w.key), w.prior
	if p.known.Has(w.key) {
		back = w.after
	} else if now != w.before {
		return nil // something else has come: perhaps again in the next round
	}
	if now == back || !back.OK() {
		return nil
	}
	return p.m.Host().Write(w.key, back.Value)
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
	defer p.having(p.o.Devices.wanted())()
	s, err := p.startSurveyed(ctx, p.writer.role())
	if err != nil {
		return err
	}
	p.writerBase = s[0].base
	if err := s[0].client.quit(); err != nil {
		return err
	}
	var ws []write
	for _, a := range some {
		for _, w := range a.values() {
			ws = append(ws, write{key: sysctl.Key(w.Key)})
		}
	}
	_, err = p.undo(ctx, p.originals(ws))
	return err
}

// writeAgain makes announced writes once more, each lot in a fresh writer. Those of the
// host's own keys are not made: what follows them goes back with them.
func (p *PutBack) writeAgain(ctx context.Context, some []Announcement) error {
	for _, a := range some {
		if a.By == "" {
			continue
		}
		if err := p.again(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

func (p *PutBack) again(ctx context.Context, a Announcement) error {
	defer p.having(a.Devices)()
	w, err := p.start(ctx, a.By.role())
	if err != nil {
		return err
	}
	defer w.abandon()
	var ws []write
	for _, x := range a.Writes {
		ws = append(ws, write{key: sysctl.Key(x.Key), value: string(x.Value), via: x.Via})
	}
	var seen, more []effect
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
		if slices.ContainsFunc(p.Open, func(c sysctl.Change) bool { return c.Key == e.key && c.After == e.after }) {
			p.ours(e.key) // even if it has gone back by now
		}
	}
	return w.quit()
}
