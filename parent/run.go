package parent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/client"
	"github.com/netns-verify/netns-verify/parent/finding"
	"github.com/netns-verify/netns-verify/parent/netns"
	"github.com/netns-verify/netns-verify/parent/plan"
	"github.com/netns-verify/netns-verify/parent/trace"
	"github.com/netns-verify/netns-verify/parent/verdict"
)

// run is one run: what is known so far, and the children that live as long.
type run struct {
	o        Options
	question plan.Question
	m        netns.Machine
	log      zerolog.Logger
	asked    context.Context // is cancelled when the run is to stop: pause
	rng      *rand.Rand
	pace     *client.Pace

	watched     sysctl.Tree     // the host
	host        *sysctl.Sweeper // of the host; its expectations move, its baseline never
	sibling     *client.Client
	retired     []retired
	spare       *spare         // a sibling that no trial has changed yet
	next        *client.Client // the writer of the next pass
	siblingBase map[sysctl.Key]sysctl.Entry
	controlBase map[sysctl.Key]sysctl.Entry

	// writing is the writer's that is at work; writings is all, in order.
	*writing
	writings []*writing

	furnished bool            // the sibling and the writers of passes have devices
	made      []report.Device // the sibling's, and what could not be made

	restless map[trace.Place]bool // changed without any write
	varies   map[sysctl.Key]bool

	phase   Phase
	doing   string
	batches int
	replays int
	last    *passState // the newest pass
	leaks   finding.Leaks
	foreign finding.Foreigns
	stuck   map[sysctl.Key]bool // host keys that cannot be put back
	noise   noise
	// strays is what changed during attributions; what is not explained in the
	// end came late, from writes that were not being looked at.
	strays map[trace.Place]stray
	// followers counts how often a host key came to a state when others were restored.
	followers map[trace.Effect]int
	forced    map[sysctl.Key][]trace.Effect // what was overwritten on the host as an experiment, newest last
	undone    []trace.Write                 // by undoing
	refused   map[sysctl.Key]bool           // the host did not take its old value back
	denied    map[sysctl.Key]bool           // because it was us who asked
	lost      []report.NotRestored
	warnings  []string
	secrets   *verdict.Secrets
	arrivals  []arrival
	throughs  []trace.Write // what was written through descriptors
	// exhausted: the budget of replays was used up; aborted: the plan was not got through.
	exhausted, aborted bool

	creations map[sysctl.Key]map[string]origin // by key and mode: see creation.go
	untold    map[sysctl.Key]string            // why there is no answer
	sources   []notMoved
	devconfs  []string              // the modes that were tried
	kept      map[sysctl.Key]string // host keys that we wrote and could not put back, with why
	skipped   []report.Skipped      // what was asked for and not done
	unended   atomic.Bool           // a child was killed and did not end: it may be in the middle of a write
	verified  bool                  // the host was compared with how it was found
}

// Run does one run. The report is never nil: with an error it says what was
// learnt until then. An error means that the run could not verify, or was
// stopped (the context's cause is in it); the host has been restored by then,
// or the report's NotRestored says what was not.
func Run(ctx context.Context, m netns.Machine, o Options) (*report.Report, error) {
	r := newRun(m, o)
	r.asked = ctx
	err := r.all(ctx)
	if r.aborted = err != nil; r.aborted {
		r.o.Record.Ending()
	}
	reached := r.phase
	if r.host != nil {
		defer func() { _ = r.host.Close() }() // it is looked at for the report, too
		if ferr := r.finish(ctx, err != nil); ferr != nil {
			err = errors.Join(err, ferr)
		}
		if err == nil {
			err = r.o.Record.Err() // of the last that was put back
		}
		err = errors.Join(err, r.endRecord())
	}
	if err == nil {
		r.enter(PhaseReport, "")
		reached = PhaseReport
	}
	return r.report(reached), err
}

func newRun(m netns.Machine, o Options) *run {
	o = o.withDefaults()
	r := &run{
		o: o, question: o.question(), m: m, log: o.Logger, asked: context.Background(),
		rng: rand.New(rand.NewPCG(o.Seed, 0)), pace: client.NewPace(o.Deadline),
		restless: map[trace.Place]bool{}, varies: map[sysctl.Key]bool{},
		stuck: map[sysctl.Key]bool{}, forced: map[sysctl.Key][]trace.Effect{},
		refused: map[sysctl.Key]bool{}, denied: map[sysctl.Key]bool{}, secrets: verdict.NewSecrets(o.ShowSecrets), followers: map[trace.Effect]int{}, strays: map[trace.Place]stray{},
	}
	return r
}

func (r *run) all(ctx context.Context) error {
	for i, writer := range r.o.Writers {
		if i > 0 && r.last != nil {
			if err := r.last.rest(ctx); err != nil {
				return err
			}
		}
		r.switchTo(writer)
		look := r.surveyWriter
		if i == 0 {
			look = r.survey
		}
		w, err := look(ctx)
		if err != nil {
			return fmt.Errorf("survey: %w", err)
		}
		if i == 0 {
			if err := r.checkQuestion(); err != nil {
				w.Abandon()
				return err
			}
		}
		if err := r.write(ctx, w); err != nil {
			return err
		}
	}
	if err := r.descriptors(ctx); err != nil {
		return err
	}
	if r.o.WriteHost && !r.o.DryRun {
		return r.findCreations(ctx)
	}
	return nil
}

// write gives everything in the plan to a writer, forward and in reverse.
func (r *run) write(ctx context.Context, w *client.Client) error {
	defer w.Abandon()
	r.enter(PhasePlan, "")
	r.makePlan()
	if r.o.DryRun {
		return w.Quit()
	}
	order := r.plan.Order(r.rng)
	if err := r.pass(ctx, PhaseForward, w, order); err != nil {
		return err
	}
	w2, err := r.takeNext(ctx)
	if err != nil {
		return err
	}
	defer w2.Abandon()
	if err := r.pass(ctx, PhaseReverse, w2, order.Reversed()); err != nil {
		return err
	}
	if r.o.Thorough {
		if err := r.allValues(ctx); err != nil {
			return err
		}
	}
	return r.last.lateOrRestless(ctx)
}

func (r *run) enter(p Phase, doing string) {
	if r.phase != p {
		r.log.Info().Str("phase", string(p)).Msg("phase")
	}
	r.phase = p
	r.progress(0, 0, doing)
}

func (r *run) progress(done, total int, doing string) {
	r.doing = doing
	if r.o.Progress != nil {
		r.o.Progress(Progress{Phase: r.phase, Done: done, Total: total, Doing: doing, Leaks: len(r.leaks)})
	}
}

func (r *run) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(r.warnings, text) {
		r.warnings = append(r.warnings, text)
		r.log.Warn().Str("phase", string(r.phase)).Msg(text)
	}
}

// skip says that a part of the run that was asked for is not done, or not all of it.
func (r *run) skip(p Phase, why string) {
	s := report.Skipped{Phase: string(p), Why: why}
	if slices.Contains(r.skipped, s) {
		return
	}
	r.skipped = append(r.skipped, s)
	r.log.Warn().Str("phase", string(p)).Str("why", why).Msg("skipped")
}

// start starts a child, with devices if these are wanted.
func (r *run) start(ctx context.Context, role netns.Role, devices bool) (*client.Client, error) {
	cfg := client.Config{Pace: r.pace, Announce: r.announce, Writing: r.o.Writing, Unended: &r.unended}
	c, err := client.Start(ctx, r.m, role, cfg)
	if err != nil {
		return nil, err
	}
	if devices && r.o.Devices.wanted() {
		err = c.MakeDevices(r.o.Devices.request())
	}
	return c, err
}

// wait waits for what may reach the host, unless that is in the way of somebody in a hurry.
func (r *run) wait(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.o.Hurry:
	}
}

// pause waits for what may be found out. A run that is to stop finds out nothing any more.
func (r *run) pause(d time.Duration) error { return pause(r.asked, d) }

func pause(asked context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-asked.Done():
		return stopped(asked)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// stopped is the error of a run that was asked to stop.
func stopped(ctx context.Context) error {
	if ctx.Err() != nil {
		return fmt.Errorf("stopped: %w", context.Cause(ctx))
	}
	return nil
}
