package reboot

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/netns-verify/netns-verify/internal/bisect"
	"github.com/netns-verify/netns-verify/internal/report"
)

// Boot boots a fresh machine, makes these writes in one new namespace, and
// tells what changed elsewhere. All writes are by the same kind of writer.
type Boot func(ctx context.Context, writes []report.Cause) ([]report.Effect, error)

// tries is how often a boot is made, if it fails: on a busy machine one may, and the next
// one does not.
const tries = 3

// Again makes a boot until it does not fail, is not worth another try or was tried often
// enough, and returns the last error.
func Again(ctx context.Context, boot func() (worth bool, err error)) error {
	for n := 1; ; n++ {
		worth, err := boot()
		if err == nil || !worth || n == tries || ctx.Err() != nil {
			return err
		}
	}
}

// narrowing is how many boots may be spent on narrowing one leak's candidates
// down, for each round of confirmation.
const narrowing = 2

// Plan is how much may be spent on a proof.
type Plan struct {
	// Rounds is how many boots confirm a cause; fewer than two prove nothing, and
	// there are none then.
	Rounds int
	// AtATime is how many machines may run at the same time, at least 1.
	AtATime int
}

// Confirm puts the one-way leaks of a report to the proof. Where more than one
// write may be the cause, they are narrowed down first, by halves. Then come the
// rounds, a fresh boot each: in an order drawn from the report's seed, with the
// writes and without. Effects that came with every write and with no sham are
// proved; a leak that has none is unconfirmed. Leaks that show in different
// places share their boots, each with an order of its own.
//
// A boot that fails is made again. On an error, after the last try, the report holds what
// is known by then: the rounds that were made count.
func Confirm(ctx context.Context, r *report.Report, plan Plan, boot Boot) error {
	if plan.Rounds < 2 {
		return nil
	}
	p := &prover{ctx: ctx, rounds: plan.Rounds, atATime: max(plan.AtATime, 1), boot: boot, rng: rand.New(rand.NewPCG(r.Run.Seed, 1))}
	err := p.all(r)
	for i, l := range slices.Backward(r.Leaks) {
		if p.refuted[i] {
			doubt(r, l)
			r.Leaks = slices.Delete(r.Leaks, i, i+1)
		}
	}
	settle(r)
	r.Normalize()
	return err
}

// prover boots.
type prover struct {
	ctx             context.Context
	rounds, atATime int
	boot            Boot
	rng             *rand.Rand
	refuted         map[int]bool // leaks, by their place in the report
}

func (p *prover) all(r *report.Report) error {
	p.refuted = map[int]bool{}
	var known []*trial
	for i := range r.Leaks {
		l := &r.Leaks[i]
		if l.Evidence.Status != report.StatusOneWay || len(l.Effects) == 0 || l.Via == report.ViaDescriptor { // probes write by path
			continue
		}
		if err := p.narrow(l); err != nil {
			return fmt.Errorf("narrow the candidates of a leak down: %w", err)
		}
		if len(l.Cause) > 0 && !slices.ContainsFunc(l.Cause, secret) {
			known = append(known, newTrial(l, i))
		}
	}
	for _, group := range apart(known, p.rounds) {
		err := p.confirm(group)
		for _, t := range group {
			p.refuted[t.index] = !t.conclude(p.rounds)
		}
		if err != nil {
			return fmt.Errorf("confirm a one-way leak: %w", err)
		}
	}
	return nil
}

// effects is what a boot with these writes shows.
func (p *prover) effects(writes []report.Cause) (effects []report.Effect, err error) {
	err = Again(p.ctx, func() (bool, error) {
		effects, err = p.boot(p.ctx, writes)
		return true, err
	})
	return effects, err
}

// narrow looks for a leak's cause among its candidates, unless the write that
// was seen to do it does it alone. A machine has one writer, so those of each kind are
// tried apart.
func (p *prover) narrow(l *report.Leak) error {
	candidates := slices.DeleteFunc(slices.Concat(l.Evidence.Candidates, l.Cause), secret)
	if len(l.Evidence.Candidates) == 0 || len(candidates) == 0 {
		return nil
	}
	shows := func(writes []report.Cause) (bool, error) {
		effects, err := p.effects(writes)
		return has(effects, l.Effects[0]), err
	}
	if len(l.Cause) > 0 && !slices.ContainsFunc(l.Cause, secret) {
		if alone, err := shows(l.Cause); alone || err != nil {
			return err
		}
	}
	for _, group := range byWriter(candidates) {
		if together, err := shows(group); err != nil {
			return err
		} else if together {
			return p.search(l, group, shows)
		}
	}
	l.Evidence.Why += "; in another boot all of them together did not"
	return nil
}

// byWriter is the writes of each writer, in the order of their first.
func byWriter(ws []report.Cause) (groups [][]report.Cause) {
next:
	for _, w := range ws {
		for i, g := range groups {
			if g[0].Writer == w.Writer {
				groups[i] = append(g, w)
				continue next
			}
		}
		groups = append(groups, []report.Cause{w})
	}
	return groups
}

// search narrows down candidates that show a leak together.
func (p *prover) search(l *report.Leak, candidates []report.Cause, shows func([]report.Cause) (bool, error)) error {
	set, _, err := bisect.Minimal(candidates, narrowing*p.rounds, shows)
	switch {
	case errors.Is(err, bisect.ErrBudget):
		l.Cause, l.Evidence.Candidates = nil, set
		l.Evidence.Why += "; more reboots would narrow them down further"
	case err != nil:
		return err
	default:
		l.Cause, l.Evidence.Candidates = set, nil
		l.Unprivileged = set[0].Writer == report.WriterUserNS
	}
	describe(l) // it was for another cause
	return nil
}

// confirm makes the rounds of some leaks, together. After a boot that fails for good no
// more are begun.
func (p *prover) confirm(group []*trial) error {
	p.draw(group)
	type round struct {
		made    bool
		effects []report.Effect
	}
	rounds := make([]round, p.rounds)
	var booting sync.WaitGroup
	var failed atomic.Pointer[error] // the first one
	free := make(chan struct{}, p.atATime)
	for i := range rounds {
		var writes []report.Cause
		for _, t := range group {
			if t.write[i] {
				writes = append(writes, t.leak.Cause...)
			}
		}
		free <- struct{}{}
		if failed.Load() != nil || p.ctx.Err() != nil {
			break
		}
		booting.Go(func() {
			effects, err := p.effects(writes)
			if rounds[i] = (round{err == nil, effects}); err != nil {
				failed.CompareAndSwap(nil, &err)
			}
			<-free
		})
	}
	booting.Wait()
	for i, made := range rounds {
		for _, t := range group {
			if made.made {
				t.judge(t.write[i], made.effects)
			}
		}
	}
	if err := failed.Load(); err != nil {
		return *err
	}
	return context.Cause(p.ctx)
}

// draw draws in which rounds each leak's writes are made: in at least three, if
// there are as many, and not in as many; for no two leaks in the same ones.
func (p *prover) draw(group []*trial) {
	least := min(3, p.rounds/2)
	for i, t := range group {
		for t.write == nil || slices.ContainsFunc(group[:i], func(o *trial) bool { return slices.Equal(o.write, t.write) }) {
			write, n := make([]bool, p.rounds), 0
			for i := range write {
				if write[i] = p.rng.IntN(2) == 1; write[i] {
					n++
				}
			}
			if n >= least && p.rounds-n >= least {
				t.write = write
			}
		}
	}
}
