package perturb

import (
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// span is the numbers from lo to hi, both included.
type span struct{ lo, hi uint32 }

// ranges is for range lists ("1,4-9", may be empty) of numbers from 0 to last:
// proc_do_large_bitmap (kernel/sysctl.c: ip_local_reserved_ports, ipv6 icmp/ratemask)
// and CPU lists. A last of 0 is not known, but the value tells something of it.
func ranges(last uint32) shape {
	return shape{fewRanges, func(s Subject, f Facts) []string {
		set, _ := parseRanges(s.State.Value)
		last := last
		if last == 0 {
			last = 3
			for n := len(set); n > 0 && last < set[n-1].hi; {
				last = 2*last + 1
			}
		}
		return moreRanges(set, last, f.Extreme)
	}}
}

// fewRanges enlarges a set by the smallest number that is missing and by the one after
// its end, and reduces it by its last number, to its first, and to nothing.
func fewRanges(s Subject, _ Facts) []string {
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

// moreRanges is single numbers, short runs and long ones at both ends and in the middle,
// runs over the ends of a bitmap's words, few and many that are spread evenly, and what
// is out of range. All that there are, or nearly, only if extreme: it would take every
// port from whoever a leak reaches.
func moreRanges(set []span, last uint32, extreme bool) []string {
	middle, stride := last/2, closest(last)
	sets := [][]span{
		{{0, 0}}, {{last, last}}, {{middle, middle}}, {{1, 1}}, {}, {{0, 0}, {last, last}},
		comb(last, stride, 1), comb(last, stride, 2), {{0, middle}}, {{last - 1, last}}, {{middle, middle + 1}},
		merge(append(slices.Clone(set), span{last, last})),
	}
	var few, words []span
	for i := range uint32(8) {
		n := uint32(uint64(i) * uint64(last) / 7)
		few = append(few, span{n, n})
	}
	for _, end := range []uint32{63, 127, 255, 32767} {
		if end < last {
			words = append(words, span{end, end + 1})
		}
	}
	sets = append(sets, merge(few), words)
	if extreme {
		sets = append(sets, []span{{0, last}}, []span{{middle + 1, last}}, comb(last, stride, stride-1))
	}
	var all []string
	for _, set := range sets {
		all = append(all, formatRanges(set))
	}
	beyond := strconv.FormatUint(uint64(last)+1, 10)
	return append(all, beyond, "1,"+beyond, "1"+garbage)
}

// comb is runs of so many numbers, one every stride, from 0 to last.
func comb(last, stride, run uint32) []span {
	var set []span
	for n := uint32(0); n <= last; n += stride {
		set = append(set, span{n, min(n+run-1, last)})
	}
	return set
}

// closest is the least stride, a power of two, of runs that may be written.
func closest(last uint32) uint32 {
	stride, written := uint32(4), len(strconv.Itoa(int(last)))*2+2
	for int(last/stride+1)*written > MaxLength {
		stride *= 2
	}
	return stride
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

// moreMasks is single bits, runs and every other bit, at both ends and in the middle of
// the digits that the kernel prints, which are for as many CPUs as there may be; written
// short and long, and one bit too many: that may be set although it is refused.
func moreMasks(s Subject, _ Facts) []string {
	digits := strings.ReplaceAll(s.State.Value, ",", "")
	if !isHex(digits) || len(digits) > MaxLength {
		digits = "0"
	}
	width := uint(4 * len(digits))
	bit := func(n uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), n) }
	below := func(n uint) *big.Int { return plus(bit(n), -1) }
	every := new(big.Int).Quo(below(width), big.NewInt(3)) // 0x5555
	all := []*big.Int{
		bit(0), bit(width / 2), bit(width - 1), new(big.Int).Or(bit(0), bit(width-1)), new(big.Int),
		below(width), every, new(big.Int).Lsh(every, 1), below(width / 2),
		new(big.Int).Xor(below(width), below(width/2)), plus(below(width), -1), below(width - 1), bit(width),
	}
	if width > 32 {
		all = append(all, bit(31), bit(32))
	}
	var out []string
	for _, n := range all {
		out = append(out, formatMask(n))
	}
	return append(out, "00000000,00000002", "2"+garbage)
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
