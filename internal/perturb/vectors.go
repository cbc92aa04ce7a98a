package perturb

import (
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
		return byShape(s.State)(s, f)
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
				all = append(all, strings.Join(texts(moved), " "))
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
	moved := make([]*big.Int, len(v))
	for i, n := range v {
		moved[i] = plus(n, step)
	}
	return moved
}

func moveOne(v []*big.Int, i int, step int64) []*big.Int {
	moved := slices.Clone(v)
	moved[i] = plus(v[i], step)
	return moved
}

func lawful(was, moved []*big.Int) bool {
	for i, n := range moved {
		if !inRange(n) || n.Sign() < 0 && was[i].Sign() >= 0 {
			return false
		}
	}
	return !slices.IsSortedFunc(was, (*big.Int).Cmp) || slices.IsSortedFunc(moved, (*big.Int).Cmp)
}
