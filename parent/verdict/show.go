package verdict

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

// Leak is a leak for the report. Lost tells of a place of the host that it was not put back.
func (s *Secrets) Leak(l *finding.Leak, lost func(trace.Place) bool) report.Leak {
	out := report.Leak{
		Cause: s.Causes(l.Cause, l.Writers), Unprivileged: slices.Contains(l.Writers, trace.WriterUserNS) && !l.Passed(), Via: l.Via(), DelayMS: l.DelayMS(),
		Restored: true, Reproducer: s.reproducer(l),
		Evidence: report.Evidence{
			Status: map[finding.Status]report.Status{
				finding.Confirmed: report.StatusConfirmed, finding.OneWay: report.StatusOneWay, finding.Unresolved: report.StatusUnresolved,
			}[l.Status],
			Rounds: l.Rounds, Matched: l.Matched, Shams: l.Shams, Why: l.Why, Candidates: s.Causes(l.Candidates, l.Writers),
		},
	}
	var effects []sysctl.Key
	for _, e := range l.Effects {
		out.Effects = append(out.Effects, s.Effect(e))
		effects = append(effects, e.Key)
		if lost(e.Place) {
			out.Restored = false
		}
	}
	for _, e := range l.Reads {
		read := s.Effect(e)
		read.Kind = report.KindRead
		out.Effects = append(out.Effects, read)
		effects = append(effects, e.Key)
	}
	out.Known = known.Match(trace.KeysOf(l.Cause), effects)
	return out
}

// Causes shows writes of a leak that was shown by writers.
func (s *Secrets) Causes(ws []trace.Write, by []trace.Writer) []report.Cause {
	var out []report.Cause
	for _, w := range ws {
		if w.By == "" && len(by) > 0 {
			w.By = by[0]
		}
		out = append(out, report.Cause{Key: string(w.Key), Attempt: s.Attempt(w), Writer: string(w.By)})
	}
	return out
}

// Attempt is a write for the report.
func (s *Secrets) Attempt(w trace.Write) report.Attempt {
	if w.Via == trace.ViaRead {
		return report.Attempt{}
	}
	v, after := s.Show(w.Key, sysctl.State{Value: w.Value}), s.Show(w.Key, w.After)
	a := report.Attempt{Value: v.Text, ValueB64: v.B64, After: after.Text, AfterB64: after.B64}
	if w.Errno != 0 {
		a.Errno = ErrnoName(w.Errno)
	}
	return a
}

// Effect is an effect for the report.
func (s *Secrets) Effect(e trace.Effect) report.Effect {
	out := report.Effect{Observer: e.Observer, Kind: report.KindChanged}
	out.What, out.Key = observe.Place(e.Key)
	switch {
	case e.Before == sysctl.Absent:
		out.Kind = report.KindAppeared
	case e.After == sysctl.Absent:
		out.Kind = report.KindDisappeared
	}
	out.Of(s.Show(e.Key, e.Before), s.Show(e.Key, e.After))
	return out
}

// View is a key as somebody has it, for the report.
func (s *Secrets) View(e sysctl.Entry) report.View {
	v := s.Show(e.Key, e.State)
	return report.View{Mode: fmt.Sprintf("%04o", uint32(e.Mode)), Value: v.Text, ValueB64: v.B64, Errno: v.Errno}
}

// ErrnoName is the errno's name, as the kernel has it.
func ErrnoName(n syscall.Errno) string {
	if n == unix.EOPNOTSUPP {
		return "EOPNOTSUPP" // the same number as ENOTSUP, and the kernel's name of it
	}
	if name := unix.ErrnoName(n); name != "" {
		return name
	}
	return fmt.Sprintf("errno %d", int(n))
}

// reproducer is a shell line that shows the leak; empty where no cause is known,
// or a shell cannot do it.
func (s *Secrets) reproducer(l *finding.Leak) string {
	if slices.ContainsFunc(l.Cause, func(w trace.Write) bool { return w.Via == trace.ViaGone }) {
		return ""
	}
	shown := report.Leak{Cause: s.Causes(l.Cause, l.Writers), DelayMS: l.DelayMS(), Via: l.Via()}
	for _, e := range l.Effects {
		shown.Effects = append(shown.Effects, s.Effect(e))
	}
	return shown.Reproduction()
}
