package parent

import (
	"fmt"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/known"
	"github.com/netns-verify/netns-verify/internal/observe"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/finding"
	"github.com/netns-verify/netns-verify/parent/trace"
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
	}
	for _, w := range r.writings {
		rep.Run.Writers = append(rep.Run.Writers, string(w.writer))
		rep.Run.Passes += w.passes
	}
	for _, l := range r.leaks {
		rep.Leaks = append(rep.Leaks, r.reportLeak(l))
	}
	rep.Unconfirmed = r.reportUnconfirmed()
	r.reportKeys(rep)
	r.reportAnswers(rep)
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

func (r *run) reportLeak(l *finding.Leak) report.Leak {
	out := report.Leak{
		Cause: r.reportCauses(l.Cause, l.Writers), Unprivileged: slices.Contains(l.Writers, trace.WriterUserNS) && !l.Passed(), Via: l.Via(), DelayMS: l.DelayMS(),
		Restored: true, Reproducer: r.reproducer(l),
		Evidence: report.Evidence{
			Status: map[finding.Status]report.Status{
				finding.Confirmed: report.StatusConfirmed, finding.OneWay: report.StatusOneWay, finding.Unresolved: report.StatusUnresolved,
			}[l.Status],
			Rounds: l.Rounds, Matched: l.Matched, Shams: l.Shams, Why: l.Why, Candidates: r.reportCauses(l.Candidates, l.Writers),
		},
	}
	var effects []sysctl.Key
	for _, e := range l.Effects {
		out.Effects = append(out.Effects, r.reportEffect(e))
		effects = append(effects, e.Key)
		what, name := observe.Place(e.Key)
		lost := func(n report.NotRestored) bool { return n.What == what && n.Key == name }
		if e.Observer == trace.Host && (r.stuck[e.Key] || slices.ContainsFunc(r.lost, lost)) {
			out.Restored = false
		}
	}
	for _, e := range l.Reads {
		read := r.reportEffect(e)
		read.Kind = report.KindRead
		out.Effects = append(out.Effects, read)
		effects = append(effects, e.Key)
	}
	out.Known = known.Match(trace.KeysOf(l.Cause), effects)
	return out
}

// reportCauses shows writes of a leak that was shown by writers.
func (r *run) reportCauses(ws []trace.Write, by []trace.Writer) []report.Cause {
	var out []report.Cause
	for _, w := range ws {
		if w.By == "" && len(by) > 0 {
			w.By = by[0]
		}
		out = append(out, report.Cause{Key: string(w.Key), Attempt: r.reportAttempt(w), Writer: string(w.By)})
	}
	return out
}

func (r *run) reportAttempt(w trace.Write) report.Attempt {
	if w.Via == trace.ViaRead {
		return report.Attempt{}
	}
	v, after := r.shown(w.Key, sysctl.State{Value: w.Value}), r.shown(w.Key, w.After)
	a := report.Attempt{Value: v.Text, ValueB64: v.B64, After: after.Text, AfterB64: after.B64}
	if w.Errno != 0 {
		a.Errno = errnoName(w.Errno)
	}
	return a
}

func (r *run) reportEffect(e trace.Effect) report.Effect {
	out := report.Effect{Observer: e.Observer, Kind: report.KindChanged}
	out.What, out.Key = observe.Place(e.Key)
	switch {
	case e.Before == absent:
		out.Kind = report.KindAppeared
	case e.After == absent:
		out.Kind = report.KindDisappeared
	}
	out.Of(r.shown(e.Key, e.Before), r.shown(e.Key, e.After))
	return out
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
			entry.Candidates = append(entry.Candidates, r.shown(p.Entry.Key, sysctl.State{Value: c}).String())
		}
		out = append(out, entry)
	}
	return out
}

func (r *run) view(e sysctl.Entry) report.View {
	s := r.shown(e.Key, e.State)
	return report.View{Mode: fmt.Sprintf("%04o", uint32(e.Mode)), Value: s.Text, ValueB64: s.B64, Errno: s.Errno}
}

func errnoName(n syscall.Errno) string {
	if n == unix.EOPNOTSUPP {
		return "EOPNOTSUPP" // the same number as ENOTSUP, and the kernel's name of it
	}
	if name := unix.ErrnoName(n); name != "" {
		return name
	}
	return fmt.Sprintf("errno %d", int(n))
}

var absent = sysctl.Absent
