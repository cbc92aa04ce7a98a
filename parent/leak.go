package parent

import (
	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/parent/finding"
)

// add records a leak that the writer at work has shown.
func (r *run) add(l *finding.Leak) *finding.Leak {
	l, isNew := r.leaks.Add(l, r.writer)
	r.recordLeak(l)
	if isNew {
		r.logLeak(l)
		r.progress(0, 0, r.doing)
	}
	return l
}

// logLeak is the one event of a leak.
func (r *run) logLeak(l *finding.Leak) {
	rep := r.reportLeak(l)
	rep.ShowKeys()
	if r.o.Found != nil {
		r.o.Found(rep)
	}
	r.log.Warn().Str("phase", string(r.phase)).Str("status", string(rep.Evidence.Status)).Str("via", rep.Via).
		Func(func(e *zerolog.Event) {
			if len(rep.Cause) > 0 {
				e.Str("key", rep.Cause[0].Key)
			}
		}).
		Interface("cause", rep.Cause).Interface("effects", rep.Effects).
		Int("rounds", l.Rounds).Int("shams", l.Shams).Msg("leak")
}
