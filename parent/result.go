package parent

import (
	"slices"

	"github.com/netns-verify/netns-verify/internal/observe"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/finding"
	"github.com/netns-verify/netns-verify/parent/trace"
	"github.com/netns-verify/netns-verify/parent/verdict"
)

// report puts together what the run found out.
func (r *run) report(reached Phase) *report.Report {
	rep := &report.Report{
		SchemaVersion: report.SchemaVersion,
		Run: report.Run{
			Seed: r.o.Seed, Batches: r.batches,
			Replays: r.replays, ReplaysExhausted: r.exhausted, SettleMS: r.o.Settle.Milliseconds(),
			Phase: string(reached), NotRestored: r.lost, DryRun: r.o.DryRun, Thorough: r.o.Thorough, Skipped: r.skipped,
		},
		Warnings: r.warnings,
		Host:     report.Host{Devices: r.made},
		Counts:   report.Counts{Verdicts: map[report.Verdict]int{}},
	}
	for _, w := range r.writings {
		rep.Run.Writers = append(rep.Run.Writers, string(w.writer))
		rep.Run.Passes += w.passes
	}
	for _, l := range r.leaks {
		rep.Leaks = append(rep.Leaks, r.reportLeak(l))
	}
	rep.Unconfirmed = r.reportUnconfirmed()
	if r.host != nil && len(r.writings) > 0 && r.writings[0].writerBase != nil {
		c := r.verdicts()
		c.Keys(rep)
		c.Answers(rep)
		rep.Counts.Descriptors = len(trace.KeysOf(r.throughs))
	}
	r.reportCreations(rep)
	for _, w := range r.writings {
		if r.o.DryRun {
			r.writing = w
			rep.Plan = append(rep.Plan, r.reportPlan()...)
		}
	}
	rep.Normalize()
	return rep
}

// verdicts is what the verdicts on keys are reached from.
func (r *run) verdicts() *verdict.Case {
	c := &verdict.Case{
		Question: r.question, Host: r.host, Sibling: r.siblingBase, Leaks: r.leaks, Unconfirmed: r.unconfirmedKeys(),
		Restless: func(p trace.Place) bool { return r.restless[p] }, Unsteady: r.unsteady, Crowd: r.crowd(),
		Exhausted: r.exhausted, Aborted: r.aborted, Secrets: r.secrets,
	}
	for _, w := range r.writings {
		c.Writers = append(c.Writers, verdict.Writer{
			Name: w.writer, Base: w.writerBase, Plan: w.plan, Writes: w.writes, Closed: w.closed, Passes: w.passes, Proven: w.proven,
		})
	}
	return c
}

func (r *run) reportLeak(l *finding.Leak) report.Leak {
	return r.secrets.Leak(l, func(p trace.Place) bool {
		what, name := observe.Place(p.Key)
		return p.Observer == trace.Host && (r.stuck[p.Key] ||
			slices.ContainsFunc(r.lost, func(n report.NotRestored) bool { return n.What == what && n.Key == name }))
	})
}

func (r *run) reportPlan() []report.Planned {
	var out []report.Planned
	number := map[int]int{}
	order := r.plan.Order(r.rng)
	batches := append(slices.Collect(slices.Chunk(order.Latches, 1)), order.Batches(r.o.BatchSize)...)
	for i, batch := range batches {
		for _, index := range batch {
			number[index] = i + 1
		}
	}
	for i, p := range r.plan.Keys {
		entry := report.Planned{Key: string(p.Entry.Key), Writer: string(r.writer), Batch: number[i], Why: string(p.Skip)}
		candidates := p.Up
		if r.o.Thorough && !p.Latch && r.plan.Sampled(i) {
			candidates = p.All
		}
		for _, c := range candidates {
			entry.Candidates = append(entry.Candidates, r.secrets.Show(p.Entry.Key, sysctl.State{Value: c}).String())
		}
		out = append(out, entry)
	}
	return out
}

var absent = sysctl.Absent
