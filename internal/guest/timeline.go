package guest

import (
	"slices"
	"sync"
	"time"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// timeline is when which phase began and which write was made, so that what the
// kernel says or loads can be put down to what came before it. Times are
// CLOCK_MONOTONIC.
type timeline struct {
	mu     sync.Mutex
	phases []moment[string]
	writes []moment[sysctl.Key]
}

type moment[T any] struct {
	at time.Duration
	of T
}

// enter notes that a phase begins now.
func (t *timeline) enter(phase string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.phases); n == 0 || t.phases[n-1].of != phase {
		t.phases = append(t.phases, moment[string]{monotonic(), phase})
	}
}

// wrote notes a write, which may have been made some time ago.
func (t *timeline) wrote(key sysctl.Key, began time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writes = append(t.writes, moment[sysctl.Key]{began, key})
}

// at is the phase of a moment and the newest write before it.
func (t *timeline) at(when time.Duration) (phase, afterWrite string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return newest(t.phases, when), string(newest(t.writes, when))
}

// now is the present phase.
func (t *timeline) now() string {
	phase, _ := t.at(monotonic())
	return phase
}

// newest is the last of what had happened by then; nothing gives the zero value.
func newest[T any](ms []moment[T], when time.Duration) (last T) {
	for _, m := range slices.Backward(ms) {
		if m.at <= when {
			return m.of
		}
	}
	return last
}
