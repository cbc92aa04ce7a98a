package parent

import (
	"slices"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/parent/finding"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// reproducer is a shell line that shows the leak; empty where no cause is known,
// or a shell cannot do it.
func (r *run) reproducer(l *finding.Leak) string {
	if slices.ContainsFunc(l.Cause, func(w trace.Write) bool { return w.Via == trace.ViaGone }) {
		return ""
	}
	shown := report.Leak{Cause: r.reportCauses(l.Cause, l.Writers), DelayMS: l.DelayMS(), Via: l.Via()}
	for _, e := range l.Effects {
		shown.Effects = append(shown.Effects, r.reportEffect(e))
	}
	return shown.Reproduction()
}
