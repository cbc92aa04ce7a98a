package perturb

import (
	"math"
	"math/big"
	"slices"
	"strings"
)

// vector moves all elements together, then the last or the first alone. A
// vector that ascends still does afterwards (ip_local_port_range, tcp_rmem,
// vs/sync_threshold). Single elements move by 2: the kernel complains in its log
// when both ends of ip_local_port_range become odd or even
// (ipv4_local_port_range, net/ipv4/sysctl_net_ipv4.c).
func vector(s Subject, f Facts) []string {
	v, ok := parseVector(s.State.Value)
	if !ok {
		return byShape(s.State).first(s, f)
	}
	one, other := int64(1), int64(-1)
	if s.Prefer == Down {
		one, other = other, one
	}
	var all []string
	for _, sign := range []int64{one, other} {
		for _, moved := range [][]*big.Int{
			moveAll(v, sign), moveOne(v, len(v)-1, 2*sign), moveOne(v, 0, 2*sign),
			moveAll(v, 10*sign), moveAll(v, 1000*sign),
		} {
			if lawful(v, moved) {
				all = append(all, joined(moved))
			}
		}
	}
	return all
}

// groups is for ping_group_range. A group must map in the user namespace: 0 does
// nearly always. "1 0" means none (ipv4_ping_group_range, net/ipv4/sysctl_net_ipv4.c).
func groups(s Subject, _ Facts) []string {
	all := []string{"0 0", "0 1", "1 1", "0 1000", "1 0"}
	if s.Prefer == Down {
		slices.Reverse(all)
	}
	return all
}

// moreGroups is both ends of what may map, one group far up, and a wide range
// (gid_t; 65534 is nobody's, 4294967295 none at all).
func moreGroups(Subject, Facts) []string {
	return []string{"0 65535", "65534 65534", "1000 2000", "0 4294967294", "0", "0 1 2", "1 1000", "0 0 zz"}
}

// moreVectors moves each element alone both ways, spreads and narrows them, brings all
// to the ends, and writes too few, too many, and what is no value.
func moreVectors(s Subject, f Facts) []string {
	v, ok := parseVector(s.State.Value)
	if !ok {
		return nil
	}
	last := len(v) - 1
	var moved [][]*big.Int
	add := func(m []*big.Int) {
		if lawful(v, m) {
			moved = append(moved, m)
		}
	}
	add(each(v, func(n *big.Int) *big.Int { return new(big.Int).Quo(n, big.NewInt(2)) }))
	add(each(v, func(n *big.Int) *big.Int {
		if double := new(big.Int).Lsh(n, 1); f.Extreme || double.CmpAbs(big.NewInt(maxDouble)) <= 0 {
			return double
		}
		return n
	}))
	for _, to := range []*big.Int{v[0], v[last], new(big.Int), big.NewInt(1)} { // all the same
		add(each(v, func(*big.Int) *big.Int { return to }))
	}
	ends := []int64{math.MaxUint16}
	if f.Extreme {
		ends = append(ends, math.MaxInt32)
	}
	for _, end := range ends { // the last alone, then as far apart as can be
		add(replaced(v, last, big.NewInt(end)))
		add(replaced(replaced(v, last, big.NewInt(end)), 0, big.NewInt(1)))
	}
	for i := range v {
		for _, step := range []int64{2, -2} {
			add(moveOne(v, i, step))
		}
	}
	one := plus(v[0], 1).String()
	all := []string{one, one + garbage, joined(moveAll(v, 1)) + " 1"}
	for _, m := range moved {
		all = append(all, joined(m))
	}
	return all
}

func each(v []*big.Int, f func(*big.Int) *big.Int) []*big.Int {
	out := make([]*big.Int, len(v))
	for i, n := range v {
		out[i] = f(n)
	}
	return out
}

func replaced(v []*big.Int, i int, n *big.Int) []*big.Int {
	out := slices.Clone(v)
	out[i] = n
	return out
}

func joined(v []*big.Int) string { return strings.Join(texts(v), " ") }

// maxElements bounds a vector; the longest known has 4 (decnet_mem had 3).
const maxElements = 16

func parseVector(s string) ([]*big.Int, bool) {
	fields := strings.Fields(s)
	if len(fields) < 2 || len(fields) > maxElements {
		return nil, false
	}
	v := make([]*big.Int, len(fields))
	for i, f := range fields {
		n, ok := parseInteger(f)
		if !ok {
			return nil, false
		}
		v[i] = n
	}
	return v, true
}

func moveAll(v []*big.Int, step int64) []*big.Int {
	return each(v, func(n *big.Int) *big.Int { return plus(n, step) })
}

func moveOne(v []*big.Int, i int, step int64) []*big.Int { return replaced(v, i, plus(v[i], step)) }

func lawful(was, moved []*big.Int) bool {
	for i, n := range moved {
		if !inRange(n) || n.Sign() < 0 && was[i].Sign() >= 0 {
			return false
		}
	}
	return !slices.IsSortedFunc(was, (*big.Int).Cmp) || slices.IsSortedFunc(moved, (*big.Int).Cmp)
}
