package perturb

import "strings"

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

func isHexText(s string) bool {
	return strings.ContainsAny(s, ":.-") && isHex(s[len(s)-1:]) &&
		strings.Trim(s, "0123456789abcdefABCDEF:.-") == ""
}
