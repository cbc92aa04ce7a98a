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
// tells what changed elsewhere.
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
// writes and without. A leak that came with every write and with no sham gets
// that as its evidence; one that did not is unconfirmed. Leaks that show in
// different places share their boots.
//
// On an error the report holds what is known by then.
func Confirm(ctx context.Context, r *report.Report, plan Plan, boot Boot) error {
	if plan.Rounds < 2 {
		return nil
	}
	p := &prover{ctx: ctx, rounds: plan.Rounds, atATime: max(plan.AtATime, 1), boot: boot, rng: rand.New(rand.NewPCG(r.Run.Seed, 1))}
	var known []*trial
	for i := range r.Leaks {
		l := &r.Leaks[i]
		if l.Evidence.Status != report.StatusOneWay || len(l.Effects) == 0 {
			continue
		}
		if err := p.narrow(l); err != nil {
			return fmt.Errorf("narrow the candidates of a leak down: %w", err)
		}
		if len(l.Cause) > 0 && !slices.ContainsFunc(l.Cause, secret) {
			known = append(known, &trial{leak: l, index: i})
		}
	}
	var failed []int
	for _, group := range apart(known) {
		if err := p.confirm(group); err != nil {
			return fmt.Errorf("confirm a one-way leak: %w", err)
		}
		for _, t := range group {
			if !t.conclude() {
				failed = append(failed, t.index)
			}
		}
	}
	slices.Sort(failed)
	for _, i := range slices.Backward(failed) {
		doubt(r, r.Leaks[i])
		r.Leaks = slices.Delete(r.Leaks, i, i+1)
	}
	r.Normalize()
	return nil
}

// prover boots.
type prover struct {
	ctx             context.Context
	rounds, atATime int
	boot            Boot
	rng             *rand.Rand
}

// narrow looks for a leak's cause among its candidates, unless the write that
// was seen to do it does it alone.
func (p *prover) narrow(l *report.Leak) error {
	candidates := slices.DeleteFunc(slices.Concat(l.Evidence.Candidates, l.Cause), secret)
	if len(l.Evidence.Candidates) == 0 || len(candidates) == 0 {
		return nil
	}
	shows := func(writes []report.Cause) (bool, error) {
		effects, err := p.boot(p.ctx, writes)
		return has(effects, l.Effects[0]), err
	}
	for _, enough := range [][]report.Cause{l.Cause, candidates} {
		if len(enough) == 0 || slices.ContainsFunc(enough, secret) {
			continue
		}
		again, err := shows(enough)
		switch {
		case err != nil:
			return err
		case again && len(enough) == len(l.Cause):
			return nil
		case !again && len(enough) == len(candidates):
			l.Evidence.Why += "; in another boot all of them together did not"
			return nil
		}
	}
	set, _, err := bisect.Minimal(candidates, narrowing*p.rounds, shows)
	if errors.Is(err, bisect.ErrBudget) {
		l.Cause, l.Evidence.Candidates = nil, set
		l.Evidence.Why += "; more reboots would narrow them down further"
		return nil
	}
	if err == nil {
		l.Cause, l.Evidence.Candidates = set, nil
	}
	return err
}

// confirm makes the rounds of some leaks, together.
func (p *prover) confirm(group []*trial) error {
	for _, t := range group {
		t.write = p.draw()
	}
	effects, errs := make([][]report.Effect, p.rounds), make([]error, p.rounds)
	var booting sync.WaitGroup
	free := make(chan struct{}, p.atATime)
	for round := range p.rounds {
		var writes []report.Cause
		for _, t := range group {
			if t.write[round] {
				writes = append(writes, t.leak.Cause...)
			}
		}
		free <- struct{}{}
		booting.Go(func() {
			effects[round], errs[round] = p.boot(p.ctx, writes)
			<-free
		})
	}
	booting.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for round := range p.rounds {
		for _, t := range group {
			t.judge(t.write[round], effects[round])
		}
	}
	return nil
}

// draw draws in which rounds to write: in at least three, if there are as
// many, and not in as many.
func (p *prover) draw() []bool {
	least := min(3, p.rounds/2)
	for {
		write, n := make([]bool, p.rounds), 0
		for i := range write {
			if write[i] = p.rng.IntN(2) == 1; write[i] {
				n++
			}
		}
		if n >= least && p.rounds-n >= least {
			return write
		}
	}
}
