package parent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/client"
	"github.com/netns-verify/netns-verify/parent/netns"
)

// allValues makes the further passes of a thorough run, each in a fresh writer
// and in an order of its own: one value of each key in a pass, so that no value
// undoes what another one did, until none is left. In the last pass every other
// key is moved off its value before one is written, twice.
func (r *run) allValues(ctx context.Context) error {
	leaking := func() map[sysctl.Key]bool { return r.leaks.Causes(r.writer) }
	for r.plan.NextValues(r.writes, leaking()) {
		if err := r.valuePass(ctx, func(p *passState, w *client.Client) error {
			return p.perturbExactly(ctx, w)
		}); err != nil {
			return err
		}
	}
	return r.valuePass(ctx, func(p *passState, w *client.Client) error {
		r.plan.FirstValues(leaking())
		if err := p.perturbExactly(ctx, w); err != nil {
			return err
		}
		r.plan.SecondValues(r.writes, leaking())
		return p.perturbExactly(ctx, w)
	})
}

func (p *passState) perturbExactly(ctx context.Context, w *client.Client) error {
	batches := p.plan.ValuesOrder(p.rng).Batches(exactSize * p.o.BatchSize)
	if err := p.onRecord(batches); err != nil {
		return err
	}
	return p.perturbAll(ctx, w, batches)
}

func (r *run) valuePass(ctx context.Context, write func(*passState, *client.Client) error) error {
	if err := stopped(ctx); err != nil {
		return err
	}
	p, err := r.newPass(ctx, PhaseValues, !r.plan.OnlyLoopback())
	if err != nil {
		return err
	}
	w, err := r.startWriter(ctx)
	if err != nil {
		return err
	}
	defer w.Abandon()
	if err := write(p, w); err != nil {
		return err
	}
	return p.close(ctx, w)
}

// exactSize is how many times as large the batches of these passes are, and
// exactAtOnce how many keys are written between two looks at the host's own of these
// names: there are many passes, and most of what leaks has shown before.
const (
	exactSize   = 6
	exactAtOnce = 8
)

// linger looks for what the end of the writer's namespace does, and again and
// again for what comes late: that may be gone soon.
func (p *passState) linger(ctx context.Context) error {
	p.drain(ctx)
	for began := time.Now(); ; {
		effects, err := p.sweepAll(p.sibling, everything)
		if err != nil {
			return err
		}
		for _, e := range p.notable(effects, nil) {
			p.addLate(stray{Effect: e})
		}
		if time.Since(began) >= p.o.Settle {
			return nil
		}
		if err := p.pause(p.o.Settle / pollsInSettle); err != nil {
			return err
		}
	}
}

// awaitDrain waits until the namespaces of all children that have ended are gone.
func (r *run) awaitDrain(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, r.pace.AtLeast(client.StepDrain, netns.DrainDeadline), client.ErrDeadline)
	defer cancel()
	began := time.Now()
	err := r.m.Drain(ctx)
	if err == nil {
		r.pace.Note(client.StepDrain, time.Since(began))
	}
	return err
}

// drain waits until the namespaces of children that have ended are gone.
func (r *run) drain(ctx context.Context) {
	if err := r.awaitDrain(context.WithoutCancel(ctx)); err != nil {
		r.undrained(err)
	}
}

// undrained says that nobody knows what came with the end of namespaces.
func (r *run) undrained(err error) {
	if errors.Is(err, unix.EPERM) {
		err = fmt.Errorf("%w: it takes a user namespace, and to be mapped to itself there root needs CAP_SETFCAP", err)
	}
	r.skip(PhaseRestore, fmt.Sprintf("could not observe the end of the namespaces, only waited a while; what comes with it may have been missed: %v", err))
}
