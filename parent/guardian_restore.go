package parent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// takeOver puts the host back after a run that went without a goodbye.
func (g *guardianProcess) takeOver() error {
	if !g.known.Whole() {
		return nil // the host's values never came: nothing was written
	}
	if g.lock != nil {
		holdLock(g.lock)
	}
	err := g.children.end()
	if !g.known.Written() {
		return errors.Join(err, g.goodbye(false))
	}
	b := g.begin
	l, lerr := NewLinux(LinuxConfig{Root: b.Root, Entry: b.Entry, DrainEntry: b.Drain, UserNS: b.UserNS, Build: b.Build, LogLevel: "disabled", Logger: zerolog.Nop()})
	if err = errors.Join(err, lerr); lerr == nil {
		defer l.Close()
		err = errors.Join(err, g.putBack(context.Background(), l))
	}
	if err != nil {
		g.log.Error().Int("pid", g.known.Header.PID).Str("journal", b.Journal).Err(err).Msg("the run was killed: the host is not wholly put back")
	}
	return err
}

// putBack puts the host back, and says so if nothing fails.
func (g *guardianProcess) putBack(ctx context.Context, m Machine) error {
	f := g.begin.Found
	p, err := NewPutBack(m, &g.known, Options{
		Devices: f.Devices, Include: f.Include, Exclude: f.Exclude, Settle: f.Settle, Deadline: f.Deadline,
		Logger: zerolog.Nop(), Writers: []Writer{g.writer()},
	})
	if err != nil {
		return err
	}
	defer p.Close()
	err = p.All(ctx, true) // at once what is known, then what comes late
	p.drain(ctx)
	time.Sleep(p.o.Settle)
	err = errors.Join(err, p.All(ctx, true))
	if len(p.Open) > 0 {
		err = errors.Join(err, g.lookInto(ctx, p), p.All(ctx, true))
	}
	if err != nil {
		return err
	}
	return g.closing(p)
}

// writer is whose writes were under way.
func (g *guardianProcess) writer() Writer {
	for _, a := range slices.Backward(g.recent) {
		if a.By != "" {
			return a.By
		}
	}
	return WriterRoot
}

// closing says what became of the host, once, and removes the journal if that is
// not needed any more.
func (g *guardianProcess) closing(p *PutBack) error {
	level, what := zerolog.WarnLevel, "the run was killed: the host is put back"
	var why []string
	for _, c := range p.Off {
		why = append(why, string(c.Key)+": "+p.Why(c))
	}
	if len(why) > 0 {
		level, what = zerolog.ErrorLevel, "the run was killed: the host is not wholly put back"
	}
	g.log.WithLevel(level).Int("pid", g.known.Header.PID).Int("restored", len(p.Restored)).
		Int("left", len(p.Open)+len(p.Left)).Int("not_restored", len(p.Off)).
		Func(func(e *zerolog.Event) {
			if len(why) > 0 {
				e.Strs("why", why)
			}
			if !p.Equal() && g.begin.Journal != "" {
				e.Str("journal", g.begin.Journal)
			}
		}).Msg(what)
	return g.goodbye(!p.Equal())
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
func (g *guardianProcess) calm(p *PutBack) (bool, error) {
	last := g.recent[len(g.recent)-1]
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

// lookInto finds out which of the changes that nothing explains are ours: once, by
// making the last announced writes again. What moves then is.
func (g *guardianProcess) lookInto(ctx context.Context, p *PutBack) error {
	if len(g.recent) == 0 {
		return nil // nothing was under way
	}
	if calm, err := g.calm(p); err != nil || !calm {
		return err
	}
	// By undoing first: that does not touch the host, unless it is a leak.
	if err := g.undoRecent(ctx, p); err != nil {
		return fmt.Errorf("undo: %w", err)
	}
	// What is still there is put back to see whether it comes again.
	var tried []effect
	for _, c := range p.Open {
		e := effectsOf(observerHost, []sysctl.Change{c})[0]
		switch now := p.m.Host().Read(e.key); {
		case p.restless[e.place]:
		case now != e.after: // it has moved
			if p.ours(e.key); now == e.before {
				p.Restored = append(p.Restored, c)
			}
		case p.m.Host().Write(e.key, e.before.Value) == nil:
			tried = append(tried, e)
		}
	}
	before, err := p.hostOff()
	if err == nil {
		err = g.writeAgain(ctx, p)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write again: %w", err), g.giveBack(p, tried))
	}
	p.drain(ctx)
	time.Sleep(p.o.Settle)
	after, err := p.hostOff()
	for _, at := range movedBetween(before, after) {
		p.ours(at.key)
	}
	return errors.Join(err, g.giveBack(p, tried), g.undoRecent(ctx, p))
}

// giveBack gives keys the values that others had written, unless they are ours by now.
func (g *guardianProcess) giveBack(p *PutBack, tried []effect) (err error) {
	for _, e := range tried {
		if !p.confirmedAt(e.place) && p.m.Host().Read(e.key) == e.before {
			err = errors.Join(err, p.m.Host().Write(e.key, e.after.Value))
		}
	}
	return err
}

// undoRecent gives the keys of the last announcements the values that a fresh
// namespace has, in one.
func (g *guardianProcess) undoRecent(ctx context.Context, p *PutBack) error {
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
	for _, a := range g.recent {
		for _, w := range a.values() {
			ws = append(ws, write{key: sysctl.Key(w.Key)})
		}
	}
	_, err = p.undo(ctx, append(p.originals(ws), originalsOf(effectsOf(observerHost, p.Open), nil)...))
	return err
}

// writeAgain makes the last announced writes once more, each lot in a fresh writer.
// Those of the host's own keys are not made: what follows them goes back with them.
func (g *guardianProcess) writeAgain(ctx context.Context, p *PutBack) error {
	for _, a := range g.recent {
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
		p.ours(e.key) // even if it has gone back by now
	}
	return w.quit()
}
