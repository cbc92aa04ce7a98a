package parent

import (
	"slices"

	"github.com/netns-verify/netns-verify/internal/report"
)

// reproducer is a shell line that shows the leak; empty where no cause is known,
// or a shell cannot do it.
func (r *run) reproducer(l *leak) string {
	if slices.ContainsFunc(l.cause, func(w write) bool { return w.via == viaGone }) {
		return ""
	}
	shown := report.Leak{Cause: r.reportCauses(l.cause, l.writers), DelayMS: l.delayMS(), Via: l.via()}
	for _, e := range l.effects {
		shown.Effects = append(shown.Effects, r.reportEffect(e))
	}
	return shown.Reproduction()
}
