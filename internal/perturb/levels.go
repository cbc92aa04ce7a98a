package perturb

import (
	"cmp"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// Level is where among its values a key is to be.
type Level int

// The levels. What follows a key may do so only below, beyond or between some values.
const (
	Small Level = iota
	Large
	Between
	Levels // how many there are
)

// At proposes what Thorough does, and more that is far from the present value, those
// of a level first: the smallest, the largest, or those in the middle. Numbers below
// zero come last where the present one is not: they mostly mean something else. What
// has no order is taken from the beginning, from the end, or from the middle.
func At(l Level, s Subject, f Facts) []string {
	all := slices.DeleteFunc(Thorough(s, f), func(v string) bool { return strings.HasSuffix(v, garbage) })
	weigh := weightOf(s.State)
	if weigh != nil {
		if _, named := lookup(s.Key); !named {
			all = append(all, scaled(s.State.Value)...)
		}
		// All keys of a host have these at once: what no int holds is left out.
		all = slices.DeleteFunc(all, func(v string) bool { n := weigh(v); return n == nil || n.CmpAbs(big.NewInt(1<<31)) >= 0 })
		slices.SortStableFunc(all, func(a, b string) int { return weigh(a).Cmp(weigh(b)) })
	}
	switch l {
	case Large:
		slices.Reverse(all)
	case Between:
		all = fromMiddle(all)
	}
	if weigh != nil && weigh(s.State.Value).Sign() >= 0 {
		below := func(v string) int { return max(-weigh(v).Sign(), 0) }
		slices.SortStableFunc(all, func(a, b string) int { return cmp.Compare(below(a), below(b)) })
	}
	// A switch takes only what is near: that is not to be cut off.
	far := min(len(all), 2*MaxCandidates/3)
	return s.sift(slices.Concat(all[:far], Candidates(s, f), all[far:]))
}

// weightOf is what numbers, or vectors of as many, are put in order by; nil where the
// present value is neither.
func weightOf(st sysctl.State) func(string) *big.Int {
	elements := func(value string) []*big.Int {
		if n, ok := parseInteger(value); ok {
			return []*big.Int{n}
		}
		v, _ := parseVector(value)
		return v
	}
	length := len(elements(st.Value))
	if length == 0 || !st.OK() {
		return nil
	}
	return func(value string) *big.Int {
		v := elements(value)
		if len(v) != length {
			return nil
		}
		sum := new(big.Int)
		for _, n := range v {
			sum.Add(sum, n)
		}
		return sum
	}
}

// scaled is a number, or all of a vector, some times as large and as small.
func scaled(value string) []string {
	v, ok := parseVector(value)
	var all []string
	if !ok {
		n, _ := parseInteger(value) // it is the one or the other
		v, all = []*big.Int{n}, []string{"16", "1024", strconv.Itoa(maxDouble)}
	}
	for _, factor := range []int64{4, 16} {
		larger, smaller := make([]*big.Int, len(v)), make([]*big.Int, len(v))
		for i, n := range v {
			larger[i] = new(big.Int).Mul(n, big.NewInt(factor))
			smaller[i] = new(big.Int).Quo(n, big.NewInt(factor))
		}
		all = append(all, strings.Join(texts(smaller), " "))
		if !slices.ContainsFunc(larger, func(n *big.Int) bool { return n.CmpAbs(big.NewInt(math.MaxInt32)) > 0 }) {
			all = append(all, strings.Join(texts(larger), " "))
		}
	}
	return all
}

// fromMiddle begins in the middle and goes outwards.
func fromMiddle(all []string) []string {
	var out []string
	for i, j := len(all)/2, len(all)/2-1; i < len(all) || j >= 0; i, j = i+1, j-1 {
		if i < len(all) {
			out = append(out, all[i])
		}
		if j >= 0 {
			out = append(out, all[j])
		}
	}
	return out
}
