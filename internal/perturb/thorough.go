package perturb

import (
	"math"
	"math/big"
	"slices"
	"strings"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// Thorough proposes values for a key that a leak may depend on: both directions,
// far values, the bounds of common types, each member of a list, and what is no
// value at all. It promises what Candidates does, and begins with what that would.
// Bounds that a table may be allocated for are among them only if f.Extreme.
func Thorough(s Subject, f Facts) []string {
	if s.State == sysctl.Absent {
		return nil
	}
	find := find(s)
	up, down := s, s
	up.Prefer, down.Prefer = Up, Down
	first, second := s.sift(find(up, f)), s.sift(find(down, f))
	if s.writeOnly() || !s.State.OK() {
		return s.sift(slices.Concat(first, second))
	}
	named := lookup(s.Key) != nil
	if v, ok := parseInteger(s.State.Value); ok {
		if named {
			return s.sift(slices.Concat(first, second))
		}
		return s.sift(slices.Concat(nearest(first), nearest(second), texts(far(v, f)), []string{plus(v, 1).String() + garbage}))
	}
	if v, ok := parseVector(s.State.Value); ok && !named {
		return s.sift(slices.Concat(first, second, elements(v), []string{plus(v[0], 1).String(), plus(v[0], 1).String() + garbage}))
	}
	return s.sift(slices.Concat(first, second))
}

// garbage is what makes a number no value. A handler may take the number before
// it all the same (proc_dointvec_minmax, kernel/sysctl.c).
const garbage = " zz"

// nearest is the two nearest.
func nearest(list []string) []string { return list[:min(len(list), 2)] }

// far is integers that are not near a value: leaks may begin at some threshold.
func far(v *big.Int, f Facts) []*big.Int {
	all := []*big.Int{plus(v, 1000), new(big.Int).Quo(v, big.NewInt(2))}
	if double := new(big.Int).Lsh(v, 1); double.CmpAbs(big.NewInt(maxDouble)) <= 0 {
		all = append(all, double)
	}
	for _, n := range []int64{0, 1, -1, math.MaxUint8, 70000} {
		all = append(all, big.NewInt(n))
	}
	if f.Extreme {
		all = append(all, big.NewInt(math.MaxInt32), big.NewInt(math.MinInt32))
	}
	return all
}

// elements moves each element of a vector alone, both ways.
func elements(v []*big.Int) []string {
	var all []string
	for i := range v {
		for _, step := range []int64{2, -2} {
			if moved := moveOne(v, i, step); lawful(v, moved) {
				all = append(all, strings.Join(texts(moved), " "))
			}
		}
	}
	return all
}
