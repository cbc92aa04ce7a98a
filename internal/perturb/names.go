package perturb

import (
	"path"
	"slices"
	"strings"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// The lists that the kernel publishes (ip-sysctl.rst, mptcp-sysctl.rst).
const (
	congestionControl   sysctl.Key = "net/ipv4/tcp_congestion_control"
	availableCongestion sysctl.Key = "net/ipv4/tcp_available_congestion_control"
	allowedCongestion   sysctl.Key = "net/ipv4/tcp_allowed_congestion_control"
)

func words(f Facts, k sysctl.Key) []string { return strings.Fields(f.Values[k]) }

// congestion puts what is available but restricted first: a child that gets it
// accepted widens everyone's allowed list (fixed by 8d432592f30f). Without a list
// only what every kernel has built in is named: other names load modules, which is
// tried with one where it is to be tried.
func congestion(s Subject, f Facts) []string {
	allowed := words(f, allowedCongestion)
	restricted := without(words(f, availableCongestion), allowed)
	turn(s.Prefer, restricted, allowed)
	loading := loadable(f)
	turn(s.Prefer, loading)
	return slices.Concat(loading[:min(len(loading), 1)], restricted, allowed, []string{"reno"})
}

// loadable is the names for which the kernel would load a module: whatever name is
// written, "tcp_" and that is asked for, before it is known whether the writer may
// have it; so capable(CAP_NET_ADMIN), root in any network namespace of the initial
// user namespace (tcp_ca_find_autoload, net/ipv4/tcp_cong.c).
func loadable(f Facts) []string {
	var names []string
	for _, m := range f.Loadable {
		if name, ok := strings.CutPrefix(m, "tcp_"); ok && name != "diag" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Loads tells whether a candidate for the key may make the kernel load a module.
func Loads(k sysctl.Key, f Facts) bool { return k == congestionControl && len(loadable(f)) > 0 }

// WouldLoad tells that to write the value may make the kernel load a module.
func WouldLoad(k sysctl.Key, v string, f Facts) bool {
	return k == congestionControl && !slices.Contains(append(words(f, availableCongestion), "reno"), strings.TrimSpace(v))
}

// allowed widens the allowed list by one name, or narrows it by one. The kernel
// prints it in its own order, so only the set counts.
func allowed(s Subject, f Facts) []string {
	now := strings.Fields(s.State.Value)
	var wider, narrower []string
	for _, name := range some(without(words(f, availableCongestion), now)) {
		wider = append(wider, strings.Join(append(slices.Clone(now), name), " "))
	}
	if len(now) > 1 {
		for i := range some(now) {
			narrower = append(narrower, strings.Join(slices.Delete(slices.Clone(now), i, i+1), " "))
		}
	}
	if s.Prefer == Down {
		wider, narrower = narrower, wider
	}
	return append(append(wider, narrower...), words(f, availableCongestion)...)
}

// loggers is for nf_log/N, with N a protocol family: a logger that is registered
// for it, or NONE (nf_log_proc_dostring, net/netfilter/nf_log.c). Without the
// kernel's text, the names that its modules register.
func loggers(s Subject, f Facts) []string {
	family := path.Base(string(s.Key))
	names := registered(f.NFLog, family)
	if names == nil {
		if own, ok := ownLogger[family]; ok {
			names = append(names, own)
		}
		names = append(names, "nfnetlink_log")
	}
	turn(s.Prefer, names)
	return append(names, "NONE")
}

// ownLogger is what nf_log_syslog and its predecessors register (net/netfilter/nf_log_syslog.c).
var ownLogger = map[string]string{
	"2": "nf_log_ipv4", "3": "nf_log_arp", "5": "nf_log_netdev", "7": "nf_log_bridge", "10": "nf_log_ipv6",
}

// registered reads the names in parentheses of a family's line: "%2d NAME (a,b)"
// (seq_show, net/netfilter/nf_log.c).
func registered(text, family string) []string {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[0] != family {
			continue
		}
		list := strings.TrimSuffix(strings.TrimPrefix(fields[2], "("), ")")
		return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
	}
	return nil
}

// oneOf is for keys that take one word of a few.
func oneOf(vocabulary ...string) rule {
	return func(s Subject, f Facts) []string {
		names := append(published(s, f), vocabulary...)
		turn(s.Prefer, names)
		return names
	}
}

// published finds the list that a word comes from: a key beside it named
// "...available..." that has the word in it, such as mptcp/available_schedulers.
func published(s Subject, f Facts) []string {
	dir, name := path.Split(string(s.Key))
	var found []sysctl.Key
	for k := range f.Values {
		d, n := path.Split(string(k))
		if d == dir && n != name && strings.Contains(n, "available") && slices.Contains(words(f, k), s.State.Value) {
			found = append(found, k)
		}
	}
	slices.Sort(found)
	var names []string
	for _, k := range found {
		names = append(names, words(f, k)...)
	}
	return names
}

func without(list, drop []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(w string) bool { return slices.Contains(drop, w) })
}

// some cuts a list to as many as may be returned.
func some(list []string) []string { return list[:min(len(list), MaxCandidates)] }

// turn lets the second pass, which goes down, see other names than the first.
func turn(d Direction, lists ...[]string) {
	if d == Down {
		for _, l := range lists {
			slices.Reverse(l)
		}
	}
}
