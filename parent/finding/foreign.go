package finding

import (
	"slices"

	"github.com/netns-verify/netns-verify/parent/trace"
)

// Foreign is an effect that no write explains: others' doing, for all that is known.
type Foreign struct {
	trace.Effect
	// Phase is the run's when it was seen.
	Phase string
	Why   string
	// Like is a write of a value that it was seen with, to the very key.
	Like *trace.Write
}

// Foreigns is those of a run, one a place.
type Foreigns []Foreign

// Note takes note of an effect. Where its place is known already, that has the new value
// from then on.
func (fs *Foreigns) Note(f Foreign) (again bool) {
	for i := range *fs {
		if old := &(*fs)[i]; old.Place == f.Place {
			old.After = f.After
			if old.Like == nil {
				old.Like = f.Like
			}
			return true
		}
	}
	*fs = append(*fs, f)
	return false
}

// Has tells whether there is one at the place.
func (fs Foreigns) Has(p trace.Place) bool {
	return slices.ContainsFunc(fs, func(f Foreign) bool { return f.Place == p })
}
