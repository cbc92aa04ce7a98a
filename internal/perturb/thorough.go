package perturb

import (
	"slices"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// Thorough proposes values for a key that a leak may depend on: both directions,
// then by the shape of its value both ends and the middle of what is allowed, short
// and long, single and many, dense and sparse, and what is no value at all
// (docs/values.md has the table). It promises what Candidates does, and begins with
// what that would. What a table may be allocated for, or what takes all that others
// need, is among it only if f.Extreme.
func Thorough(s Subject, f Facts) []string {
	if s.State == sysctl.Absent {
		return nil
	}
	asked := s
	asked.First = s.first(f)
	s.First = nil
	return asked.sift(s.thorough(f))
}

func (s Subject) thorough(f Facts) []string {
	sh := find(s)
	up, down := s, s
	up.Prefer, down.Prefer = Up, Down
	first, second := s.sift(sh.first(up, f)), s.sift(sh.first(down, f))
	if sh.more == nil || !s.State.OK() {
		return s.sift(slices.Concat(first, second))
	}
	return s.sift(slices.Concat(nearest(first), nearest(second), sh.more(s, f)))
}

// nearest is the two nearest.
func nearest(list []string) []string { return list[:min(len(list), 2)] }
