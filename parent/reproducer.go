package parent

import "github.com/netns-verify/netns-verify/internal/report"

// reproducer is a shell line that shows the leak; empty where no cause is known.
func (r *run) reproducer(l *leak) string {
	shown := report.Leak{Cause: r.reportCauses(l.cause, l.writers), DelayMS: l.delay.Milliseconds()}
	for _, e := range l.effects {
		shown.Effects = append(shown.Effects, r.reportEffect(e))
	}
	return shown.Reproduction()
}
