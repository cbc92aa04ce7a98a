package parent

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/internal/journal"
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
	if g.nothing() {
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

// nothing tells that the run had not done anything yet: had written nothing, nor read
// anything to see what that does.
func (g *guardianProcess) nothing() bool {
	return !g.known.Written() && len(g.recent) == 0 && len(g.known.Overwritten()) == 0
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
	p.valuesOnly = false // it was told who wrote, and how
	p.Record = func(l journal.Line) error {
		if g.file != nil {
			_ = g.file.Append(l) // without, the host can be put back all the same
		}
		return nil
	}
	err = p.All(ctx, true) // at once what is known, then what comes late
	p.drain(ctx)
	time.Sleep(p.o.Settle)
	err = errors.Join(err, p.All(ctx, true))
	sure := true
	if open := p.Open; len(open) > 0 {
		var lerr error
		sure, lerr = p.lookInto(ctx, g.recent, g.earlier)
		err = errors.Join(err, lerr, p.All(ctx, true))
		p.restored(open)
	}
	if err != nil {
		return err
	}
	return g.closing(p, sure || len(p.Open) == 0)
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

// closing ends the journal, if it is sure that nothing of the run is left, and says what
// became of the host, once: by then nobody needs to read that.
func (g *guardianProcess) closing(p *PutBack, sure bool) error {
	level, what := zerolog.WarnLevel, "the run was killed: the host is put back"
	var why, left []string
	for _, c := range p.Off {
		why = append(why, string(c.Key)+": "+p.Why(c))
	}
	for _, c := range slices.Concat(p.Open, p.Left) {
		left = append(left, string(c.Key))
	}
	keep := len(why) > 0 || !sure
	if keep {
		level, what = zerolog.ErrorLevel, "the run was killed: the host is not wholly put back"
	}
	err := g.goodbye(keep)
	e := g.log.WithLevel(level).Int("pid", g.known.Header.PID).Int("restored", len(p.Restored)).
		Int("left", len(left)).Int("not_restored", len(why))
	if len(left) > 0 {
		e.Strs("left_keys", left[:min(len(left), mostNamed)])
	}
	if len(why) > 0 {
		e.Strs("why", why)
	}
	if keep && g.begin.Journal != "" {
		e.Str("journal", g.begin.Journal)
	}
	e.Msg(what)
	return err
}

// mostNamed bounds how many keys of others a line names.
const mostNamed = 20
