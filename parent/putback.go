package parent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/journal"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/finding"
	"github.com/netns-verify/netns-verify/parent/netns"
	"github.com/netns-verify/netns-verify/parent/trace"
	"github.com/netns-verify/netns-verify/parent/verdict"
)

// PutBack puts a host back by a journal, with what a run has for that. To it each
// change that is ours is a leak with a confirmed cause, and the machine is loud: so
// nothing else is touched.
type PutBack struct {
	*run
	known *journal.Journal
	leak  *finding.Leak // its effects are what is ours

	// Off is what is ours and not put back (yet), Open and Left are
	// journal.Judgement's, without keys that move by themselves.
	Off, Open, Left []sysctl.Change
	// Restored is what was put back.
	Restored   []sysctl.Change
	byRun      []sysctl.Change // of the open ones, those that the run had put back
	valuesOnly bool            // of the writes made no more is known than the values
	// Unsure is what the run had put back, too, and stays so: it had a value the writing of
	// which, to that very key, was under way, and that would not tell whose it was.
	Unsure []sysctl.Change

	// Record adds a line to the journal's file, before what it says is done; nil: there
	// is none.
	Record func(journal.Line) error
}

// NewPutBack compares the machine's host with how a journal says it was found. Of
// the options those count that say how children are started, and Settle, which is the
// run's where it is not given. Close ends it.
func NewPutBack(m netns.Machine, j *journal.Journal, o Options) (*PutBack, error) {
	o.Settle = cmp.Or(o.Settle, j.Header.Settle())
	p := &PutBack{run: newRun(m, o), known: j, leak: &finding.Leak{Status: finding.Confirmed}, valuesOnly: true}
	p.switchTo(p.o.Writers[0])
	p.host = sysctl.NewSweeperFrom(m.Host(), j.Host)
	p.leaks = finding.Leaks{p.leak}
	p.noise = noise{measured: true, loud: true}
	for _, e := range j.Host {
		if j.Restless(e.Key) {
			p.restless[trace.Place{Observer: trace.Host, Key: e.Key}] = true
		}
	}
	// What others had set before a write of ours came is what goes back.
	for k, st := range j.Theirs() {
		if now := m.Host().Read(k); now != st && now != p.host.Expected(k) && !j.Confirmed(k) {
			p.host.Expect(k, st)
		}
	}
	if err := p.look(); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// Close ends the looking at the host.
func (p *PutBack) Close() { _ = p.host.Close() }

// ours takes a change for ours, whatever the journal says.
func (p *PutBack) ours(k sysctl.Key) {
	if at := (trace.Place{Observer: trace.Host, Key: k}); !trace.HasPlace(p.leak.Effects, at) {
		p.leak.Effects = append(p.leak.Effects, trace.Effect{Place: at})
	}
}

// look compares the host with how it was found.
func (p *PutBack) look() error {
	changes, err := p.host.Sweep()
	if err != nil {
		return fmt.Errorf("host: %w", err)
	}
	judged := p.known.Judge(changes)
	p.Off, p.Open, p.Left = nil, nil, nil
	for _, c := range judged.Ours {
		p.ours(c.Key)
	}
	for _, c := range changes {
		switch at := (trace.Place{Observer: trace.Host, Key: c.Key}); {
		case p.leaks.ConfirmedAt(at):
			p.Off = append(p.Off, c)
		case p.restless[at]:
		case slices.Contains(judged.Open, c):
			p.Open = append(p.Open, c)
		default:
			p.Left = append(p.Left, c)
		}
	}
	p.byRun, p.Unsure = p.overwritten(changes)
	p.Open = append(p.Open, p.byRun...)
	return nil
}

// overwritten is what is as expected only because the run had put it back to see whether
// it comes again, and was killed before that told whose it was; unsure where that cannot
// be found out here.
func (p *PutBack) overwritten(changes []sysctl.Change) (open, unsure []sysctl.Change) {
	for _, c := range p.known.Overwritten() {
		c.Before = p.host.Expected(c.Key)
		at := trace.Place{Observer: trace.Host, Key: c.Key}
		if hasKey(changes, c.Key) || c.After == c.Before || p.leaks.ConfirmedAt(at) || p.restless[at] {
			continue
		}
		if p.valuesOnly && !p.known.SetByOthers(c.Key, c.After) && p.known.UnderWay(c.Key, c.After) {
			unsure = append(unsure, c) // a leak that needs more than a value would not come again
			continue
		}
		// Its value alone does not count here: nothing is to be put back any more.
		if len(p.known.Judge([]sysctl.Change{c}).Left) == 0 {
			open = append(open, c)
		}
	}
	return open, unsure
}

// LeftKeys is the keys that are left alone.
func (p *PutBack) LeftKeys() (keys []string) {
	for _, c := range slices.Concat(p.Open, p.Left, p.Unsure) {
		keys = append(keys, string(c.Key))
	}
	return keys
}

// MostNamed bounds how many of those one line names.
const MostNamed = 20

// Overwritten tells that an open change is one that the run had put back itself.
func (p *PutBack) Overwritten(c sysctl.Change) bool { return hasKey(p.byRun, c.Key) }

// All puts back what is ours, at once, and once more what comes late: through a writer
// first, if asked to, as the leak may have come, and then on the host. What comes late is
// put back on the host, as through a writer it would only be done once more; what the host
// does not take, a writer may. A cancelled ctx ends the waiting, with an error.
func (p *PutBack) All(ctx context.Context, throughWriter bool) error {
	_ = p.atOnce(ctx, throughWriter) // what has failed is still off
	if err := p.await(ctx); err != nil {
		return err
	}
	if err := p.atOnce(ctx, false); err != nil || len(p.Off) == 0 || !throughWriter {
		return err
	}
	failed := p.atOnce(ctx, true)
	if err := p.await(ctx); err != nil {
		return err
	}
	if err := p.atOnce(ctx, false); err != nil || len(p.Off) == 0 {
		return err
	}
	return failed
}

// atOnce puts back what is ours until nothing of it is off, or nothing helps.
func (p *PutBack) atOnce(ctx context.Context, throughWriter bool) error {
	var failed error
	for range restoreRounds {
		if err := p.look(); err != nil {
			return err
		}
		was := p.Off
		if len(was) == 0 {
			break
		}
		off := trace.EffectsOf(trace.Host, was)
		if throughWriter {
			_, err := p.undo(ctx, originalsOf(off, nil))
			failed = cmp.Or(err, failed)
		}
		if _, err := p.undoOnHost(off); err != nil {
			return err
		}
		if err := p.look(); err != nil {
			return err
		}
		p.restored(was)
		if slices.Equal(was, p.Off) {
			break
		}
	}
	if len(p.Off) == 0 {
		return nil // without a writer the host could be written
	}
	return failed
}

// await waits for what writes, also those that undo, still do.
func (p *PutBack) await(ctx context.Context) error {
	p.drain(ctx)
	return pause(ctx, p.o.Settle)
}

// LookLate compares once more, when what may still come has come. It writes nothing.
func (p *PutBack) LookLate(ctx context.Context) error {
	if err := p.await(ctx); err != nil {
		return err
	}
	return p.look()
}

// Unended is why more may still come: a child of ours was killed and did not end.
func (p *PutBack) Unended() error {
	if p.unended.Load() {
		return errUnended
	}
	return nil
}

// restored takes note of those changes that are no more.
func (p *PutBack) restored(changes []sysctl.Change) {
	p.Restored = slices.DeleteFunc(p.Restored, func(c sysctl.Change) bool { return hasKey(p.Off, c.Key) }) // it came again
	off := slices.Concat(p.Off, p.Open, p.Left)
	for _, c := range changes {
		if !hasKey(off, c.Key) && !hasKey(p.Restored, c.Key) {
			p.Restored = append(p.Restored, c)
		}
	}
}

func hasKey(changes []sysctl.Change, k sysctl.Key) bool {
	return slices.ContainsFunc(changes, func(c sysctl.Change) bool { return c.Key == k })
}

// Why tries once more to put a key back that is off, and says why it is.
func (p *PutBack) Why(c sysctl.Change) string {
	switch e := p.host.Found(c.Key); {
	case !c.Before.OK():
		return "it had no value that could be written back"
	case !e.Writable():
		return "it cannot be written on the host"
	}
	err := p.m.Host().Write(c.Key, c.Before.Value)
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return "only root may write it"
	case err != nil:
		return "the kernel does not take the old value back: " + verdict.ErrnoName(sysctl.Errno(err))
	}
	return "the kernel does not take the old value back, or something changes it again"
}
