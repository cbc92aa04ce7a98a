package reboot

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/netns-verify/netns-verify/internal/bisect"
	"github.com/netns-verify/netns-verify/internal/report"
)

// Boot boots a fresh machine, makes these writes in one new namespace, and
// tells what changed elsewhere. All writes are by the same kind of writer.
type Boot func(ctx context.Context, writes []report.Cause) ([]report.Effect, error)

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
// On an error the report holds what is known by then.
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
		if err := p.confirm(group); err != nil {
			return fmt.Errorf("confirm a one-way leak: %w", err)
		}
		for _, t := range group {
			p.refuted[t.index] = !t.conclude()
		}
	}
	return nil
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
		effects, err := p.boot(p.ctx, writes)
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

// confirm makes the rounds of some leaks, together. The first boot that fails
// ends the others.
func (p *prover) confirm(group []*trial) error {
	p.draw(group)
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	effects := make([][]report.Effect, p.rounds)
	var booting sync.WaitGroup
	var failed sync.Once
	var first error
	free := make(chan struct{}, p.atATime)
	for round := range p.rounds {
		var writes []report.Cause
		for _, t := range group {
			if t.write[round] {
				writes = append(writes, t.leak.Cause...)
			}
		}
		free <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		booting.Go(func() {
			var err error
			if effects[round], err = p.boot(ctx, writes); err != nil {
				failed.Do(func() { first = err })
				cancel()
			}
			<-free
		})
	}
	booting.Wait()
	if first != nil {
		return first
	}
	if p.ctx.Err() != nil {
		return context.Cause(p.ctx)
	}
	for round := range p.rounds {
		for _, t := range group {
			t.judge(t.write[round], effects[round])
		}
	}
	return nil
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
