package perturb

import (
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// span is the numbers from lo to hi, both included.
type span struct{ lo, hi uint32 }

// ranges is for range lists ("1,4-9", may be empty): proc_do_large_bitmap
// (kernel/sysctl.c: ip_local_reserved_ports, ipv6 icmp/ratemask) and CPU lists.
// A set is enlarged by the smallest number that is missing and by the one after
// its end, and reduced by its last number, to its first, and to nothing.
func ranges(s Subject, _ Facts) []string {
	simple := []string{"1", "1-2", "0", ""}
	set, ok := parseRanges(s.State.Value)
	if !ok {
		return simple
	}
	larger := []string{formatRanges(with(set, missing(set)))}
	var smaller []string
	if n := len(set); n > 0 {
		larger = append(larger, formatRanges(with(set, set[n-1].hi+1)))
		smaller = append(smaller, formatRanges(withoutLast(set)), formatRanges([]span{{set[0].lo, set[0].lo}}), "")
	}
	if s.Prefer == Down {
		larger, smaller = smaller, larger
	}
	return slices.Concat(larger, smaller, simple)
}

// maxNumber bounds the numbers of a range list: bitmaps are of ports at most.
const maxNumber = 1 << 16

func parseRanges(s string) ([]span, bool) {
	if s == "" {
		return nil, true
	}
	if len(s) > MaxLength {
		return nil, false
	}
	var set []span
	for part := range strings.SplitSeq(s, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		lo, err := strconv.ParseUint(first, 10, 32)
		hi, err2 := strconv.ParseUint(last, 10, 32)
		if err != nil || err2 != nil || lo > hi || hi >= maxNumber {
			return nil, false
		}
		set = append(set, span{uint32(lo), uint32(hi)})
	}
	return merge(set), true
}

// merge sorts and joins as the kernel does when it prints.
func merge(set []span) []span {
	slices.SortFunc(set, func(a, b span) int { return int(a.lo) - int(b.lo) })
	var out []span
	for _, r := range set {
		if n := len(out); n > 0 && r.lo <= out[n-1].hi+1 {
			out[n-1].hi = max(out[n-1].hi, r.hi)
			continue
		}
		out = append(out, r)
	}
	return out
}

func with(set []span, n uint32) []span { return merge(append(slices.Clone(set), span{n, n})) }

func withoutLast(set []span) []span {
	out := slices.Clone(set)
	last := &out[len(out)-1]
	if last.lo == last.hi {
		return out[:len(out)-1]
	}
	last.hi--
	return out
}

// missing is the smallest number from 1 on that is not in the set.
func missing(set []span) uint32 {
	n := uint32(1)
	for _, r := range set {
		if r.lo <= n && n <= r.hi {
			n = r.hi + 1
		}
	}
	return n
}

func formatRanges(set []span) string {
	parts := make([]string, len(set))
	for i, r := range set {
		parts[i] = strconv.FormatUint(uint64(r.lo), 10)
		if r.hi > r.lo {
			parts[i] += "-" + strconv.FormatUint(uint64(r.hi), 10)
		}
	}
	return strings.Join(parts, ",")
}

// mask is for bitmaps in hex, in groups of 32 bits (bitmap_parse, lib/bitmap-str.c):
// rps_default_mask, flow_limit_cpu_bitmap. Only the lowest two bits are touched,
// because a machine may have no more CPUs.
func mask(s Subject, _ Facts) []string {
	digits := strings.ReplaceAll(s.State.Value, ",", "")
	v := new(big.Int)
	if isHex(digits) && len(digits) <= MaxLength {
		v.SetString(digits, 16)
	}
	var all []*big.Int
	for _, bits := range []int64{1, 2, 3} {
		n := big.NewInt(bits)
		all = append(all, new(big.Int).Xor(v, n), n)
	}
	all = append(all, new(big.Int))
	all = slices.DeleteFunc(all, func(n *big.Int) bool { return n.Cmp(v) == 0 })
	order(v, all, s.Prefer)
	out := make([]string, len(all))
	for i, n := range all {
		out[i] = formatMask(n)
	}
	return out
}

func formatMask(n *big.Int) string {
	digits := n.Text(16)
	var groups []string
	for len(digits) > 8 {
		groups = append(groups, digits[len(digits)-8:])
		digits = digits[:len(digits)-8]
	}
	groups = append(groups, digits)
	slices.Reverse(groups)
	return strings.Join(groups, ",")
}

// isMask tells a mask of several groups from a list of numbers.
func isMask(s string) bool {
	first, rest, several := strings.Cut(s, ",")
	if !several || !isHex(first) || len(first) > 8 {
		return false
	}
	for group := range strings.SplitSeq(rest, ",") {
		if len(group) != 8 || !isHex(group) {
			return false
		}
	}
	return true
}

func isHex(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}
