package finding

import (
	"slices"
	"time"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// Leaks is the leaks of a run, in the order in which they were found.
type Leaks []*Leak

// Add records a leak that a writer has shown. The same writes are the same leak; other
// values of the same keys are one only where they show something new. It returns the leak
// as it is known from then on, and tells whether it is new.
func (ls *Leaks) Add(l *Leak, by trace.Writer) (known *Leak, isNew bool) {
	l.Writers = []trace.Writer{by}
	for _, old := range *ls {
		if old.Status != l.Status || len(l.Cause) == 0 || !trace.SameKeys(old.Cause, l.Cause) || old.Passed() != l.Passed() {
			continue
		}
		if slices.EqualFunc(old.Cause, l.Cause, func(a, b trace.Write) bool { return a.Key == b.Key && a.Value == b.Value && a.Via == b.Via }) {
			old.AddEffects(l.Effects)
			old.shownBy(by)
			return old, false
		}
		if !slices.ContainsFunc(l.Effects, func(e trace.Effect) bool { return !trace.HasPlace(old.Effects, e.Place) }) {
			old.shownBy(by)
			return old, false
		}
	}
	*ls = append(*ls, l)
	return l, true
}

// ConfirmedAt tells whether a confirmed leak has an effect at the place.
func (ls Leaks) ConfirmedAt(p trace.Place) bool {
	return slices.ContainsFunc(ls, func(l *Leak) bool {
		return l.Status == Confirmed && trace.HasPlace(l.Effects, p)
	})
}

// ConfirmedBy tells the same of the leaks that a writer has shown.
func (ls Leaks) ConfirmedBy(w trace.Writer, p trace.Place) bool {
	return slices.ContainsFunc(ls, func(l *Leak) bool {
		return l.Status == Confirmed && slices.Contains(l.Writers, w) && trace.HasPlace(l.Effects, p)
	})
}

// At tells that a leak, of whatever status, has an effect at the place.
func (ls Leaks) At(p trace.Place) bool {
	return slices.ContainsFunc(ls, func(l *Leak) bool { return trace.HasPlace(l.Effects, p) })
}

// Gave tells that a confirmed leak gave the place this very state.
func (ls Leaks) Gave(e trace.Effect) bool {
	return slices.ContainsFunc(ls, func(l *Leak) bool {
		return l.Status == Confirmed && slices.ContainsFunc(l.Effects, func(o trace.Effect) bool { return o.Place == e.Place && o.After == e.After })
	})
}

// ByReading tells that reading alone was shown to move the place.
func (ls Leaks) ByReading(p trace.Place) bool {
	return slices.ContainsFunc(ls, func(l *Leak) bool {
		return l.Status == Confirmed && l.Via() == report.ViaRead && trace.HasPlace(l.Effects, p)
	})
}

// OneWayAt is the one-way leak that changes a key of an observer that there was before,
// nil where there is none.
func (ls Leaks) OneWayAt(k sysctl.Key) *Leak {
	for _, l := range ls {
		if l.Status == OneWay && slices.ContainsFunc(l.Effects, func(e trace.Effect) bool { return e.Key == k && e.Observer != trace.Later }) {
			return l
		}
	}
	return nil
}

// Causes is the keys that a confirmed or one-way leak of a writer has as its cause.
func (ls Leaks) Causes(by trace.Writer) map[sysctl.Key]bool {
	keys := map[sysctl.Key]bool{}
	for _, l := range ls {
		for _, w := range l.Cause {
			if slices.Contains(l.Writers, by) {
				keys[w.Key] = true
			}
		}
	}
	return keys
}

// LoneCauses is the keys of which a write alone is the cause of a confirmed leak of a writer.
func (ls Leaks) LoneCauses(by trace.Writer) map[sysctl.Key]bool {
	keys := map[sysctl.Key]bool{}
	for _, l := range ls {
		if l.Status == Confirmed && slices.Contains(l.Writers, by) && len(trace.KeysOf(l.Cause)) == 1 {
			keys[l.Cause[0].Key] = true
		}
	}
	return keys
}

// Candidates is the keys that may be the cause of a leak whose cause is not known.
func (ls Leaks) Candidates(by trace.Writer) map[sysctl.Key]bool {
	keys := map[sysctl.Key]bool{}
	for _, l := range ls {
		for _, w := range l.Candidates {
			if w.By == by {
				keys[w.Key] = true
			}
		}
	}
	return keys
}

// Latest is how long after its write an effect may come, for all that is known; settle at least.
func (ls Leaks) Latest(settle time.Duration) time.Duration {
	for _, l := range ls {
		if !l.Exit {
			settle = max(settle, l.Delay)
		}
	}
	return settle
}
