package perturb

import (
	"math"
	"strings"
)

// fastopenKeys are keys as tcp_fastopen_key reads them back, padded; two of them
// are the present and the previous one (proc_tcp_fastopen_key,
// net/ipv4/sysctl_net_ipv4.c; before 5.3 only one). They are no secret: whoever
// notices one has it from here.
func fastopenKeys(s Subject, _ Facts) []string {
	const a, b = "00000001-00000002-00000003-00000004", "00000005-00000006-00000007-00000008"
	all := []string{a, b, a + "," + b}
	turn(s.Prefer, all)
	return all
}

// moreFastopenKeys is keys of the same digits throughout, of which one part alone
// differs, unpadded, twice the same, and three, which are too many.
func moreFastopenKeys(Subject, Facts) []string {
	const none, all = "00000000-00000000-00000000-00000000", "ffffffff-ffffffff-ffffffff-ffffffff"
	return []string{
		none, all, all + "," + none, all + "," + all, none + "," + none, "80000000-00000000-00000000-00000000",
		"00000000-00000000-00000000-80000000", "1-2-3-5", "1-2-3-5,5-6-7-9", "1-2-3", all + "," + all + "," + all,
	}
}

// addresses is for stable_secret: EIO until it is set (addrconf_sysctl_stable_secret,
// net/ipv6/addrconf.c). It reads back padded; documentation addresses (RFC 3849).
func addresses(s Subject, _ Facts) []string {
	all := []string{
		"2001:0db8:0000:0000:0000:0000:0000:0001",
		"2001:0db8:0000:0000:0000:0000:0000:0002",
		"2001:0db8:0000:0000:0000:0000:0000:0003",
	}
	turn(s.Prefer, all)
	return all
}

// unreadable is for keys whose value is not known: the commonest values, then
// an address, like the one key known to be so.
func unreadable(s Subject, f Facts) []string {
	return append([]string{"1", "0", "2", "70000"}, addresses(s, f)...)
}

// hexText is for hex digits with separators (keys, hardware addresses): the
// last digit is changed, the shape kept.
func hexText(s Subject, _ Facts) []string {
	v := s.State.Value
	var all []string
	for _, digit := range "1203f" {
		all = append(all, v[:len(v)-1]+string(digit))
	}
	turn(s.Prefer, all)
	return all
}

// moreHexText is the same digit throughout, the first one changed, and one digit too
// few and too many.
func moreHexText(s Subject, _ Facts) []string {
	v := s.State.Value
	var all []string
	for _, digit := range "0f58" {
		all = append(all, strings.Map(func(r rune) rune {
			if strings.ContainsRune(":.-", r) {
				return r
			}
			return digit
		}, v))
	}
	for _, digit := range "08f" {
		all = append(all, string(digit)+v[1:])
	}
	return append(all, v[:len(v)-1], v+"1")
}

// word is for any other text: a name out of a published list if there is one, a
// few names that are common in the kernel, and the text itself made longer.
func word(s Subject, f Facts) []string {
	names := published(s, f)
	turn(s.Prefer, names)
	names = append(names, "none", "default", "1", "0")
	if v := s.State.Value; v != "" && !strings.ContainsAny(v, " \t\n") {
		names = append(names, v+"1")
	}
	return append(names, "")
}

// moreWords is all of word's, the text without its end and in capitals, and long ones.
func moreWords(s Subject, f Facts) []string {
	v := s.State.Value
	first := word(s, f)
	first = first[:min(len(first), MaxCandidates-5)]
	return append(first, v[:len(v)/2], strings.ToUpper(v), strings.Repeat("x", 15), strings.Repeat("x", 16), strings.Repeat("x", math.MaxUint8))
}

func isHexText(s string) bool {
	return strings.ContainsAny(s, ":.-") && isHex(s[len(s)-1:]) &&
		strings.Trim(s, "0123456789abcdefABCDEF:.-") == ""
}
