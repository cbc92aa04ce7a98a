package parent

import (
	"time"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// noise is what is known of other programs writing sysctls meanwhile.
type noise struct{ measured, loud bool }

// Restless keys move again and again; a writer comes to ever new ones. In
// quietLooks looks, quietWindow apart, one that writes ten times a second moves
// at most quietKeys keys just once in 1 of 50,000 times.
const (
	quietWindow = 500 * time.Millisecond
	quietLooks  = 4
	quietKeys   = 4
)

// quiet tells whether nobody else writes sysctls on the host. It is measured
// once, when it first matters.
func (r *run) quiet() bool {
	if r.noise.measured {
		return !r.noise.loud
	}
	r.noise.measured = true
	// Delayed effects of ours come first. In a hurry, too, there is a wait: what is put back
	// without having been measured may be others'.
	began := time.Now()
	r.wait(r.o.Settle)
	time.Sleep(min(r.o.Settle, ThoroughSettle) - time.Since(began))
	moves, err := r.idleMoves()
	once := 0
	for _, m := range moves {
		if len(m) == 1 {
			once++
		}
	}
	r.noise.loud = err != nil || once > quietKeys
	_ = r.o.Record.Noise(r.noise.loud) // what fails, the next announcement tells
	if r.noise.loud {
		r.warn("other programs are writing sysctls on the host (%s changed in %v without a write of ours): changes that may be theirs are left alone", report.Plural(len(moves), "key"), quietLooks*quietWindow)
		return false
	}
	for _, m := range moves {
		r.seemsRestless(m[len(m)-1])
	}
	return true
}

// idleMoves looks at the host while nothing is written and lists, by place, how it moved.
func (r *run) idleMoves() (map[trace.Place][]trace.Effect, error) {
	before, err := r.hostOff()
	moves := map[trace.Place][]trace.Effect{}
	for range quietLooks {
		if err != nil {
			return nil, err
		}
		time.Sleep(quietWindow)
		var now []trace.Effect
		now, err = r.hostOff()
		for _, e := range movedBetween(before, now) {
			moves[e.Place] = append(moves[e.Place], e)
		}
		before = now
	}
	return moves, err
}

// movedBetween is the places whose states differ between two sweeps.
func movedBetween(a, b []trace.Effect) []trace.Effect {
	was := map[trace.Place]sysctl.State{}
	for _, e := range a {
		was[e.Place] = e.After
	}
	var moved []trace.Effect
	for _, e := range b {
		st, ok := was[e.Place]
		if !ok {
			st = e.Before
		}
		if st != e.After {
			moved = append(moved, trace.Effect{Place: e.Place, Before: st, After: e.After})
		}
		delete(was, e.Place)
	}
	for _, e := range a {
		if _, gone := was[e.Place]; gone {
			moved = append(moved, trace.Effect{Place: e.Place, Before: e.After, After: e.Before})
		}
	}
	return moved
}
