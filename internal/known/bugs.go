package known

import "github.com/netns-verify/netns-verify/internal/sysctl"

type keys = []sysctl.Key

// bug is a leak that is known: of any of the causes to any of the effects, which
// may be patterns (path.Match). No effects means: the same key elsewhere.
type bug struct {
	causes, effects keys
	text            string
}

const (
	conntrackMax = "conntrack limits are global but writable in every namespace (CVE-2021-38209); " +
		"fixed by 2671fa4dc010 in v5.13-rc1, 5.12.2, 5.11.19, 5.10.35, 5.4.120, 4.19.191, 4.14.233 and 4.9.269"
	conntrackOld = "the table of a namespace works on the initial namespace's values; before 5.2.17, fixed by 478553fd1b6f"
	nsproxy      = "acts on the namespace of whoever writes, not on the descriptor's (current->nsproxy)"
	nsproxyFix   = "fixed by 771ec78dc8b4 to 7f5611cbc487 in v6.13-rc7 and backports"
)

var bugs = []bug{
	{
		causes:  keys{"net/netfilter/nf_conntrack_max", "net/nf_conntrack_max"},
		effects: keys{"net/netfilter/nf_conntrack_max", "net/nf_conntrack_max"},
		text:    conntrackMax,
	},
	{causes: keys{"net/netfilter/nf_conntrack_expect_max"}, text: conntrackMax},
	{
		causes: keys{"net/ipv4/tcp_allowed_congestion_control"},
		text: "the allowed list is global but writable in every namespace since 5.7; " +
			"fixed by 97684f0970f6 in v5.12-rc8, 5.11.16 and 5.10.32",
	},
	{
		causes:  keys{"net/ipv4/tcp_congestion_control"},
		effects: keys{"net/ipv4/tcp_allowed_congestion_control"},
		text: "choosing a restricted algorithm in a namespace allows it to everybody since 4.15; " +
			"fixed by 8d432592f30f in v5.13-rc1, 5.12.4, 5.11.21, 5.10.37, 5.4.119 and 4.19.191",
	},
	{
		causes: keys{"net/ipv4/tcp_congestion_control"},
		effects: keys{
			"net/ipv4/tcp_allowed_congestion_control", "net/ipv4/tcp_available_congestion_control", "module:tcp_*",
		},
		text: "choosing an algorithm that is not loaded makes the kernel load it for everybody, and allows it if it is not " +
			"restricted: root in any namespace may (tcp_ca_find_autoload; not fixed in 7.3-rc7)",
	},
	{
		causes: keys{"net/netfilter/nf_hooks_lwtunnel"},
		text:   latches[0].Bug,
	},
	{
		causes:  keys{"net/netfilter/nf_conntrack_log_invalid"},
		effects: keys{"net/netfilter/nf_log/*", "module:nf_log_*"},
		text: "logging invalid packets where no logger is registered makes the kernel load nf_log_syslog, which then logs for " +
			"every namespace: any user may (since e89a68046687, v6.17-rc1; not fixed in 7.3-rc7)",
	},
	{causes: keys{"net/netfilter/nf_conntrack_acct"}, text: conntrackOld},
	{causes: keys{"net/netfilter/nf_conntrack_helper"}, text: conntrackOld},
	{causes: keys{"net/netfilter/nf_conntrack_events"}, text: conntrackOld},
	{causes: keys{"net/netfilter/nf_conntrack_timestamp"}, text: conntrackOld},
	{
		causes: keys{
			"net/sctp/cookie_hmac_alg", "net/sctp/rto_min", "net/sctp/rto_max", "net/sctp/auth_enable",
			"net/sctp/udp_port", "net/sctp/plpmtud_probe_interval",
		},
		text: nsproxy + ", CVE-2025-21636 to CVE-2025-21640; " + nsproxyFix,
	},
	{
		causes: keys{"net/rds/tcp/rds_tcp_sndbuf", "net/rds/tcp/rds_tcp_rcvbuf"},
		text:   nsproxy + ", CVE-2025-21635; " + nsproxyFix,
	},
	{
		causes: keys{"net/mptcp/scheduler", "net/mptcp/blackhole_timeout"},
		text:   nsproxy + "; " + nsproxyFix,
	},
}
