package parent

import (
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/trace"
)

type status int

const (
	statusConfirmed status = iota
	statusOneWay
	statusUnresolved
)

// leak is a cause (a minimal set of writes, normally one), its effects and the evidence.
type leak struct {
	cause   []trace.Write
	effects []trace.Effect
	status  status
	// rounds with the write, of which matched showed the effect, and shams without.
	rounds, matched, shams int
	// candidates is the writes one of which did it, where no cause is known.
	candidates []trace.Write
	why        string
	delay      time.Duration
	exit       bool           // it shows when the writer's namespace is gone
	writers    []trace.Writer // by whom it was shown
	// reads is what we read of ours through descriptors of the writer's.
	reads []trace.Effect
}

// add records a leak. The same writes are the same leak; other values of the
// same keys are one only where they show something new.
func (r *run) add(l *leak) *leak {
	l.writers = []trace.Writer{r.writer}
	r.confirmed(l)
	for _, old := range r.leaks {
		if old.status != l.status || len(l.cause) == 0 || !sameKeys(old.cause, l.cause) || old.passed() != l.passed() {
			continue
		}
		if slices.EqualFunc(old.cause, l.cause, func(a, b trace.Write) bool { return a.Key == b.Key && a.Value == b.Value && a.Via == b.Via }) {
			old.addEffects(l.effects)
			old.shownBy(r.writer)
			return old
		}
		if !slices.ContainsFunc(l.effects, func(e trace.Effect) bool { return !trace.HasPlace(old.effects, e.Place) }) {
			old.shownBy(r.writer)
			return old
		}
	}
	r.leaks = append(r.leaks, l)
	r.logLeak(l)
	r.progress(0, 0, r.doing)
	return l
}

// via is the way by which the write reached others.
func (l *leak) via() string {
	switch {
	case l.passed():
		return report.ViaDescriptor
	case l.exit:
		return report.ViaExit
	case len(l.cause) > 0 && l.cause[0].Via == trace.ViaRead:

		return report.ViaRead
	}
	return report.ViaPath
}

// latest is how long after its write an effect may come, for all that is known.
func (r *run) latest() time.Duration {
	settle := r.o.Settle
	for _, l := range r.leaks {
		if !l.exit {
			settle = max(settle, l.delay)
		}
	}
	return settle
}

// delayMS is how long the effect may take, at most; that of the end is not the write's.
func (l *leak) delayMS() int64 {
	if l.exit {
		return 0
	}
	return l.delay.Milliseconds()
}

func (l *leak) shownBy(w trace.Writer) {
	if !slices.Contains(l.writers, w) {
		l.writers = append(l.writers, w)
	}
}

func (l *leak) addEffects(effects []trace.Effect) {
	for _, e := range effects {
		if !trace.HasPlace(l.effects, e.Place) {
			l.effects = append(l.effects, e)
		}
	}
}

// logLeak is the one event of a leak.
func (r *run) logLeak(l *leak) {
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
		Int("rounds", l.rounds).Int("shams", l.shams).Msg("leak")
}

func sameKeys(a, b []trace.Write) bool {
	ka, kb := trace.KeysOf(a), trace.KeysOf(b)
	slices.Sort(ka)
	slices.Sort(kb)
	return slices.Equal(ka, kb)
}

// writesOf is those of ws that write one of the keys.
func writesOf(ws []trace.Write, keys []sysctl.Key) []trace.Write {
	var out []trace.Write
	for _, w := range ws {
		if slices.Contains(keys, w.Key) {
			out = append(out, w)
		}
	}
	return out
}
