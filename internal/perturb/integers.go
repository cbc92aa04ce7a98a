package perturb

import (
	"cmp"
	"math"
	"math/big"
	"slices"
)

// ladder says which integers to propose around a value.
type ladder struct {
	// steps are distances, each tried on both sides.
	steps []int64
	// scale also tries the double (up to maxDouble) and the half.
	scale bool
	// fixed are values tried wherever the present one is.
	fixed []int64
	// negative allows values below zero where the present one is not.
	negative bool
}

var (
	// anyInteger is for integers that nothing is known about. The larger steps
	// survive rounding to jiffies or pages; 70000 is over the minimum of keys that
	// start as 0 (sctp/plpmtud_probe_interval, rds_tcp_sndbuf).
	anyInteger = ladder{
		steps: []int64{1, 10, 1000}, scale: true,
		fixed: []int64{0, 1, 2, 70000, -1}, negative: true,
	}
	// sizes are of what the kernel allocates at once, or limits that break things
	// where they are small: they are only nudged.
	sizes = ladder{steps: []int64{1, 2, 16, 1000}}
	// mtus go from IPv6's least to the device's, which some start above: gretap0's
	// is 1500 on a device of 1462 (addrconf_sysctl_mtu, net/ipv6/addrconf.c).
	mtus = ladder{
		steps: []int64{1, 10, 1000}, scale: true,
		fixed: []int64{1280, 0, 1, 70000, -1}, negative: true,
	}
	// ticks are times kept in jiffies and shown in 1/100 s: a step of 1 is lost
	// or reads "-0" (proc_dointvec_userhz_jiffies, kernel/time/jiffies.c).
	ticks = ladder{steps: []int64{10, 100, 1000}}
)

// maxDouble bounds what is reached by doubling: unknown keys may be table sizes.
const maxDouble = 1 << 20

func (l ladder) rule(s Subject, f Facts) []string {
	v, ok := parseInteger(s.State.Value)
	if !ok {
		return byShape(s.State).first(s, f)
	}
	return texts(order(v, l.around(v), s.Prefer))
}

func (l ladder) around(v *big.Int) []*big.Int {
	var all []*big.Int
	add := func(n *big.Int) {
		if n.Cmp(v) != 0 && inRange(n) && (l.negative || v.Sign() < 0 || n.Sign() >= 0) {
			all = append(all, n)
		}
	}
	for _, step := range l.steps {
		add(plus(v, step))
		// Below zero, -1 is the one value that means something to many keys.
		if down := plus(v, -step); step == 1 || down.Sign() >= 0 || v.Sign() < 0 {
			add(down)
		}
	}
	if l.scale {
		if double := new(big.Int).Lsh(v, 1); double.CmpAbs(big.NewInt(maxDouble)) <= 0 {
			add(double)
		}
		add(new(big.Int).Quo(v, big.NewInt(2)))
	}
	for _, n := range l.fixed {
		add(big.NewInt(n))
	}
	return all
}

// order puts the preferred side first and what is near before what is far. The
// whole side goes first because a step may be lost to rounding. Not so around 0
// and 1, which are mostly booleans: there, distance alone counts.
func order(v *big.Int, all []*big.Int, prefer Direction) []*big.Int {
	boolean := v.IsInt64() && (v.Int64() == 0 || v.Int64() == 1)
	wrong := func(n *big.Int) int {
		if (n.Cmp(v) < 0) == (prefer == Down) {
			return 0
		}
		return 1
	}
	var farA, farB big.Int
	slices.SortStableFunc(all, func(a, b *big.Int) int {
		side := cmp.Compare(wrong(a), wrong(b))
		near := farA.Sub(a, v).CmpAbs(farB.Sub(b, v))
		if boolean {
			return cmp.Or(near, side)
		}
		return cmp.Or(side, near)
	})
	return all
}

// edges are the powers of two at which a type or a field ends, each with the number
// before it; those of 31 bits on only if extreme. The last two of 64 bits are for
// handlers that take a long.
func edges(extreme bool) []*big.Int {
	bits := []uint{7, 8, 15, 16}
	if extreme {
		bits = append(bits, 31, 32)
	}
	var all []*big.Int
	for _, b := range bits {
		n := new(big.Int).Lsh(big.NewInt(1), b)
		all = append(all, n, plus(n, -1))
	}
	if extreme {
		all = append(all, big.NewInt(math.MinInt32), big.NewInt(math.MaxInt64))
	}
	return all
}

// farIntegers is integers that are not near a value, as leaks may begin at some
// threshold; and a number with something behind it, which a handler may take all the
// same (proc_dointvec_minmax, kernel/sysctl.c).
func farIntegers(s Subject, f Facts) []string {
	v, ok := parseInteger(s.State.Value)
	if !ok {
		return nil
	}
	all := []*big.Int{big.NewInt(0), big.NewInt(1), big.NewInt(-1), new(big.Int).Quo(v, big.NewInt(2))}
	if double := new(big.Int).Lsh(v, 1); double.CmpAbs(big.NewInt(maxDouble)) <= 0 {
		all = append(all, double)
	}
	return append(texts(append(all, edges(f.Extreme)...)), plus(v, 1).String()+garbage)
}

// garbage is what makes a number no value.
const garbage = " zz"

// parseInteger accepts what the kernel prints: no leading zeros (those are hex
// masks), at most 64 bits. It may print "-0" (proc_dointvec_jiffies).
func parseInteger(s string) (*big.Int, bool) {
	digits := s
	if len(s) > 1 && s[0] == '-' {
		digits = s[1:]
	}
	if len(digits) == 0 || len(digits) > 20 || len(digits) > 1 && digits[0] == '0' {
		return nil, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return nil, false
		}
	}
	n, ok := new(big.Int).SetString(s, 10)
	return n, ok && inRange(n)
}

var (
	lowest  = big.NewInt(math.MinInt64)
	highest = new(big.Int).SetUint64(math.MaxUint64)
)

func inRange(n *big.Int) bool { return n.Cmp(lowest) >= 0 && n.Cmp(highest) <= 0 }

func plus(v *big.Int, step int64) *big.Int { return new(big.Int).Add(v, big.NewInt(step)) }

func texts(all []*big.Int) []string {
	out := make([]string, len(all))
	for i, n := range all {
		out[i] = n.String()
	}
	return out
}
