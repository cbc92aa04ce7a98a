package perturb

import (
	"math"
	"path"
	"strings"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// rules is what a value does not tell by itself; the first match counts. The
// patterns are those of path.Match, in which "*" is one device, family, or part
// of a name.
var rules = []struct {
	pattern string
	shape   shape
}{
	{"net/ipv4/tcp_congestion_control", shape{first: congestion}},
	{"net/ipv4/tcp_allowed_congestion_control", shape{first: allowed}},
	{"net/netfilter/nf_log/*", shape{first: loggers}},
	{"net/ipv4/tcp_fastopen_key", shape{fastopenKeys, moreFastopenKeys}},
	{"net/ipv6/conf/*/stable_secret", shape{first: addresses}},
	{"net/ipv4/ping_group_range", shape{groups, moreGroups}},
	{"net/ipv4/ip_local_reserved_ports", ranges(math.MaxUint16)},
	{"net/ipv6/icmp/ratemask", ranges(math.MaxUint8)},
	{"net/ipv4/vs/est_cpulist", ranges(0)},
	{"net/core/rps_default_mask", shape{mask, moreMasks}},
	{"net/core/flow_limit_cpu_bitmap", shape{mask, moreMasks}},

	// Words out of a few. "default" alone may be registered as a scheduler: the
	// other name is there so that the kernel itself refuses it.
	{"net/mptcp/scheduler", shape{first: oneOf("default", "bpf")}},
	{"net/mptcp/path_manager", shape{first: oneOf("kernel", "userspace")}},
	{"net/sctp/cookie_hmac_alg", shape{first: oneOf("sha256", "sha1", "md5", "none")}}, // 6.12 still has md5 and sha1
	{"net/vsock/child_ns_mode", shape{first: oneOf("local", "global")}},
	{"net/core/default_qdisc", shape{first: oneOf("pfifo", "bfifo", "pfifo_fast")}}, // built in: the rest load modules

	{"net/core/bpf_jit_enable", shape{first: oneOf("0", "1")}}, // 2 dumps programs to the kernel's log (net.rst)

	// Shown in 1/100 s (net/core/neighbour.c, NEIGH_SYSCTL_USERHZ_JIFFIES_ENTRY).
	{"net/*/neigh/*/retrans_time", shape{ticks.rule, farIntegers}},
	{"net/*/neigh/*/locktime", shape{ticks.rule, farIntegers}},
	{"net/*/neigh/*/proxy_delay", shape{ticks.rule, farIntegers}},
	{"net/*/neigh/*/anycast_delay", shape{ticks.rule, farIntegers}},

	{"net/ipv6/conf/*/mtu", shape{mtus.rule, farIntegers}},

	// Tables allocated at once, or for every later namespace.
	{"net/ipv4/*_child_*hash_entries", shape{first: sizes.rule}},
	{"net/netfilter/nf_conntrack_buckets", shape{first: sizes.rule}},
	{"net/core/rps_sock_flow_entries", shape{first: sizes.rule}},
	{"net/core/flow_limit_table_len", shape{first: ladder{scale: true}.rule}}, // powers of two only (net/core/sysctl_net_core.c)
	{"net/mpls/platform_labels", shape{first: sizes.rule}},
	{"net/ipv4/vs/*_lfactor", shape{first: ladder{steps: []int64{1}, negative: true}.rule}},
	// Limits that starve others where they are small.
	{"net/core/bpf_jit_limit", shape{first: sizes.rule}},
	{"net/netfilter/nf_conntrack_max", shape{first: sizes.rule}},
	{"net/nf_conntrack_max", shape{first: sizes.rule}},
	{"net/netfilter/nf_conntrack_expect_max", shape{first: sizes.rule}},
	{"net/*/*_thresh", shape{first: sizes.rule}},
	{"net/*/*/*_thresh", shape{first: sizes.rule}},
	{"net/*/neigh/default/gc_thresh*", shape{first: sizes.rule}},
	{"net/ipv4/inet_peer_threshold", shape{first: sizes.rule}},

	// A socket is opened on this port (RFC 6951 assigns 9899).
	{"net/sctp/udp_port", shape{first: oneOf("9899", "9900")}},
}

// disruptive keys change others, lose what they had, or can be set only once.
var disruptive = []string{
	"net/ipv4/ip_forward",
	"net/*/conf/*/forwarding",
	"net/ipv6/conf/all/force_forwarding", // sets every device, which has only two values (6.17 on)
	"net/ipv6/conf/*/disable_ipv6",       // drops addresses
	"net/ipv6/conf/*/addr_gen_mode",      // "all" sets every device, and makes addresses anew
	"net/ipv6/conf/*/stable_secret",      // cannot be unset, and sets addr_gen_mode
	"net/ipv6/conf/*/mtu",
	"net/*/route/flush",
	"net/mpls/platform_labels", // drops routes
	"net/netfilter/nf_conntrack_buckets",
	"net/sctp/udp_port",
	"net/vsock/child_ns_mode", // write-once
}

// Disruptive tells whether writing the key may move other keys or break what
// the namespace is doing, so that it is better written last and alone.
func Disruptive(k sysctl.Key) bool {
	for _, p := range disruptive {
		if matches(p, k) {
			return true
		}
	}
	return false
}

func lookup(k sysctl.Key) (shape, bool) {
	for _, r := range rules {
		if matches(r.pattern, k) {
			return r.shape, true
		}
	}
	return shape{}, false
}

func matches(pattern string, k sysctl.Key) bool {
	first, last := strings.IndexByte(pattern, '*'), strings.LastIndexByte(pattern, '*')
	if first < 0 {
		return pattern == string(k)
	}
	// Most are told apart by their ends, for a part of what path.Match takes.
	if !strings.HasPrefix(string(k), pattern[:first]) || !strings.HasSuffix(string(k), pattern[last+1:]) {
		return false
	}
	ok, _ := path.Match(pattern, string(k)) // a test checks the patterns
	return ok
}

// byShape judges by the value alone.
func byShape(st sysctl.State) shape {
	if !st.OK() {
		return shape{first: unreadable}
	}
	v := st.Value
	if _, ok := parseInteger(v); ok {
		return shape{anyInteger.rule, farIntegers}
	}
	if _, ok := parseVector(v); ok {
		return shape{vector, moreVectors}
	}
	if isMask(v) {
		return shape{mask, moreMasks}
	}
	if _, ok := parseRanges(v); ok && strings.ContainsAny(v, ",-") {
		return ranges(0)
	}
	if v != "" && isHexText(v) {
		return shape{hexText, moreHexText}
	}
	return shape{word, moreWords}
}
