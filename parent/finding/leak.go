package finding

import (
	"slices"
	"time"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// Status says how much is known of a leak's cause.
type Status int

// The statuses.
const (
	// Confirmed: the effect came with each write of the cause, and never without one.
	Confirmed Status = iota
	// OneWay: the effect cannot be undone, so that it could be seen only once.
	OneWay
	// Unresolved: the effect comes again, but the cause was not narrowed down.
	Unresolved
)

// Leak is a cause (a minimal set of writes, normally one), its effects and the evidence.
type Leak struct {
	Cause   []trace.Write
	Effects []trace.Effect
	Status  Status
	// Rounds with the write, of which Matched showed the effect, and Shams without.
	Rounds, Matched, Shams int
	// Candidates is the writes one of which did it, where no cause is known.
	Candidates []trace.Write
	// Why is the evidence in words.
	Why string
	// Delay is how long the effect took to come, at most.
	Delay time.Duration
	// Exit: it shows when the writer's namespace is gone.
	Exit bool
	// Writers is by whom it was shown.
	Writers []trace.Writer
	// Reads is what we read of ours through descriptors of the writer's.
	Reads []trace.Effect
}

// Via is the way by which the write reached others.
func (l *Leak) Via() string {
	switch {
	case l.Passed():
		return report.ViaDescriptor
	case l.Exit:
		return report.ViaExit
	case len(l.Cause) > 0 && l.Cause[0].Via == trace.ViaRead:
		return report.ViaRead
	}
	return report.ViaPath
}

// DelayMS is how long the effect may take, at most; that of the end is not the write's.
func (l *Leak) DelayMS() int64 {
	if l.Exit {
		return 0
	}
	return l.Delay.Milliseconds()
}

// Passed tells that the leak shows through a descriptor.
func (l *Leak) Passed() bool {
	return len(l.Reads) > 0 || slices.ContainsFunc(l.Cause, trace.Write.Passed)
}

func (l *Leak) shownBy(w trace.Writer) {
	if !slices.Contains(l.Writers, w) {
		l.Writers = append(l.Writers, w)
	}
}

// AddEffects adds those at places where the leak was not known to have one.
func (l *Leak) AddEffects(effects []trace.Effect) {
	for _, e := range effects {
		if !trace.HasPlace(l.Effects, e.Place) {
			l.Effects = append(l.Effects, e)
		}
	}
}
