package parent

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/internal/journal"
	"github.com/netns-verify/netns-verify/internal/lock"
	"github.com/netns-verify/netns-verify/parent/netns"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// takeOver puts the host back after a run that went without a goodbye.
func (g *guardianProcess) takeOver() error {
	if !g.known.Whole() {
		return nil // the host's values never came: nothing was written
	}
	if g.lock != nil {
		lock.Hold(g.lock)
	}
	g.unended = g.children.end()
	if g.nothing() {
		return g.goodbye(false)
	}
	b := g.begin
	l, err := netns.NewLinux(netns.LinuxConfig{Root: b.Root, Entry: b.Entry, DrainEntry: b.Drain, UserNS: b.UserNS, Build: b.Build, LogLevel: "disabled", Logger: zerolog.Nop()})
	if err != nil {
		return g.failed(err)
	}
	defer l.Close()
	return g.putBack(context.Background(), l)
}

// failed says why the host could not be put back.
func (g *guardianProcess) failed(err error) error {
	err = errors.Join(g.unended, err)
	g.log.Error().Int("pid", g.known.Header.PID).Str("journal", g.begin.Journal).Err(err).Msg(notPutBack)
	return err
}

const notPutBack = "the run was killed: the host is not wholly put back"

// nothing tells that the run had not done anything yet: had written nothing, nor read
// anything to see what that does.
func (g *guardianProcess) nothing() bool {
	return !g.known.Written() && len(g.recent) == 0 && len(g.known.Overwritten()) == 0
}

// putBack puts the host back, and says how that went.
func (g *guardianProcess) putBack(ctx context.Context, m netns.Machine) error {
	f := g.begin.Found
	p, err := NewPutBack(m, &g.known, Options{
		Devices: f.Devices, Include: f.Include, Exclude: f.Exclude, Lines: f.Lines, Settle: f.Settle, Deadline: f.Deadline,
		Logger: zerolog.Nop(), Writers: []trace.Writer{g.writer()},
	})
	if err != nil {
		return g.failed(err)
	}
	defer p.Close()
	p.valuesOnly = false // it was told who wrote, and how
	p.Record = func(l journal.Line) error {
		if g.file != nil {
			_ = g.file.Append(l) // without, the host can be put back all the same
		}
		return nil
	}
	err = p.All(ctx, true) // at once what is known
	sure := true
	if open := p.Open; len(open) > 0 {
		var lerr error
		sure, lerr = p.lookInto(ctx, g.recent, g.earlier)
		err = errors.Join(lerr, p.All(ctx, true))
		p.restored(open)
	}
	if err != nil {
		return g.failed(err)
	}
	return g.closing(p, sure || len(p.Open) == 0)
}

// writer is whose writes were under way.
func (g *guardianProcess) writer() trace.Writer {
	for _, a := range slices.Backward(g.recent) {
		if a.By != "" {
			return a.By
		}
	}
	return trace.WriterRoot
}

// closing ends the journal, if it is sure that nothing of the run is left nor still to
// come, and says what became of the host, once: by then nobody needs to read that.
func (g *guardianProcess) closing(p *PutBack, sure bool) error {
	level, what := zerolog.WarnLevel, "the run was killed: the host is put back"
	var why []string
	for _, c := range p.Off {
		why = append(why, string(c.Key)+": "+p.Why(c))
	}
	left := p.LeftKeys()
	unended := cmp.Or(g.unended, p.Unended())
	keep := len(why) > 0 || !sure || unended != nil
	err := errors.Join(unended, g.goodbye(keep))
	if keep || err != nil {
		level, what = zerolog.ErrorLevel, notPutBack
	}
	e := g.log.WithLevel(level).Int("pid", g.known.Header.PID).Int("restored", len(p.Restored)).
		Int("left", len(left)).Int("not_restored", len(why))
	if len(left) > 0 {
		e.Strs("left_keys", left[:min(len(left), MostNamed)])
	}
	if len(why) > 0 {
		e.Strs("why", why)
	}
	if keep && g.begin.Journal != "" {
		e.Str("journal", g.begin.Journal)
	}
	e.Err(err).Msg(what)
	return err
}
