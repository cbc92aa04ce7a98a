package perturb

import (
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

const nfLog = ` 0 NONE (nfnetlink_log)
 2 nf_log_ipv4 (nf_log_ipv4,nfnetlink_log)
10 nf_log_ipv6 (nf_log_ipv6,nfnetlink_log)
11 NONE ()
`

var facts = Facts{
	Values: map[sysctl.Key]string{
		availableCongestion:              "reno bbr cubic dctcp",
		allowedCongestion:                "reno bbr",
		"net/mptcp/available_schedulers": "default burst",
		"net/foo/available_colours":      "red green",
		"net/bar/available_colours":      "blue",
	},
	NFLog: nfLog,
}

// What was asked about comes first, unless it would show nothing, or load a module.
func TestFirst(t *testing.T) {
	const cc = "net/ipv4/tcp_congestion_control"
	facts := Facts{Values: map[sysctl.Key]string{"net/ipv4/tcp_available_congestion_control": "reno cubic"}}
	for _, tt := range []struct {
		key          sysctl.Key
		value, first string
		loadable     []string
		want         string // the first candidate
	}{
		{"net/x", "10", "4711", nil, "4711"},
		{"net/x", "10", "10", nil, ""},
		{"net/x", "1\t2\t3", "4 5 6", nil, "4 5 6"},
		{"net/x", "1\t2\t3", "1 2 3", nil, ""},
		{"net/x", "word", "other", nil, "other"},
		{cc, "cubic", "reno", nil, "reno"},
		{cc, "cubic", "bbr", nil, ""},
		{cc, "cubic", "bbr", []string{"tcp_bbr", "tcp_vegas"}, "bbr"},
		{"net/ipv4/tcp_max_orphans", "", "9", nil, "9"},
	} {
		facts.Loadable = tt.loadable
		s := Subject{Key: tt.key, Mode: 0o644, State: sysctl.State{Value: tt.value}, First: []string{tt.first}}
		without := s
		without.First = nil
		for name, f := range map[string]func(Subject, Facts) []string{"Candidates": Candidates, "Thorough": Thorough} {
			got, others := f(s, facts), f(without, facts)
			switch {
			case tt.want == "" && !slices.Equal(got, others):
				t.Errorf("%s of %s: got %q, want %q", name, tt.key, got, others)
			case tt.want != "" && (len(got) == 0 || got[0] != tt.want):
				t.Errorf("%s of %s: got %q, want %q first", name, tt.key, got, tt.want)
			}
		}
	}
}

func TestCandidatesInOrder(t *testing.T) {
	for _, tt := range []struct {
		name, key, value string
		up, down         string // the first candidates, separated by "|"
	}{
		{"integer", "net/core/somaxconn", "4096", "4097|4106|5096|8192|70000|4095", "4095|4086|3096|2048|2|1|0|-1|4097"},
		{"zero", "net/ipv4/conf/all/tag", "0", "1|-1|2|10|1000|70000", "-1|1|2|10|1000|70000"},
		{"one", "net/ipv4/conf/all/shared_media", "1", "2|0|-1|11|1001|70000", "0|2|-1|11|1001|70000"},
		{"minus one", "net/ipv6/conf/lo/accept_dad", "-1", "0|1|2|9|999|70000|-2", "-2|-11|-1001|0"},
		{"unsigned", "net/ipv4/tcp_notsent_lowat", "4294967295", "4294967296|4294967305|4294968295|4294967294", "4294967294"},
		{"widest", "net/x/wide", "18446744073709551615", "18446744073709551614", "18446744073709551614"},
		{"narrowest", "net/x/wide", "-9223372036854775808", "-9223372036854775807", "-9223372036854775807"},
		{"negative zero", "net/x/jiffies", "-0", "1|-1", "-1|1"},
		{"never huge by doubling", "net/x/table", "1048576", "1048577|1048586|1049576|1048575", "1048575|1048566|1047576|524288"},

		{"table size", "net/ipv4/tcp_child_ehash_entries", "0", "1|2|16|1000", "1|2|16|1000"},
		{"limit", "net/core/bpf_jit_limit", "528482304", "528482305|528482306|528482320|528483304|528482303", "528482303|528482302"},
		{"threshold", "net/ipv4/neigh/default/gc_thresh3", "1024", "1025|1026|1040|2024|1023", "1023|1022|1008|24|1025"},
		{"mtu", "net/ipv6/conf/gretap0/mtu", "1500", "1501|1510|2500|3000|70000|1499", "1499|1490|1280|750|500|1|0|-1|1501"},
		{"power of two", "net/core/flow_limit_table_len", "4096", "8192|2048", "2048|8192"},
		{"jiffies as 1/100 s", "net/ipv6/neigh/eth0.100/locktime", "0", "10|100|1000", "10|100|1000"},

		{"vector", "net/ipv4/tcp_rmem", "4096\t131072\t6291456", "4097 131073 6291457|4096 131072 6291458|4098 131072 6291456", "4095 131071 6291455"},
		{"port range", "net/ipv4/ip_local_port_range", "32768\t60999", "32769 61000|32768 61001|32770 60999", "32767 60998|32768 60997|32766 60999"},
		{"vector stays sorted", "net/x/pair", "5 5", "6 6|5 7|15 15", "4 4|3 5|6 6"},
		{"groups", "net/ipv4/ping_group_range", "1\t0", "0 0|0 1", "0 1000|1 1"},

		{"no ranges", "net/ipv4/ip_local_reserved_ports", "", "1|1-2|0", "1|1-2|0"},
		{"ranges", "net/ipv6/icmp/ratemask", "0-1,3-127", "0-127|0-1,3-128|0-1,3-126|0", "0-1,3-126|0||0-127"},
		{"mask", "net/core/rps_default_mask", "0", "1|2|3", "1|2|3"},
		{"wide mask", "net/core/rps_default_mask", "00000001,00000000", "1,00000001|1,00000002|1,00000003|3|2|1|0", "3|2|1|0|1,00000001"},
		{"mask by shape", "net/x/mask", "00000000,00000003", "2|1|0", "2|1|0"},
		{"ranges by shape", "net/x/cpus", "0-3", "0-4|0-2|0|", "0-2|0||0-4"},

		{"restricted first", "net/ipv4/tcp_congestion_control", "bbr", "cubic|dctcp|reno", "dctcp|cubic|reno"},
		{"wider first", "net/ipv4/tcp_allowed_congestion_control", "reno bbr", "reno bbr cubic|reno bbr dctcp|bbr|reno", "bbr|reno|reno bbr cubic"},
		{"published", "net/mptcp/scheduler", "default", "burst|bpf", "bpf|burst"},
		{"published, unknown key", "net/foo/colour", "red", "green|none|default", "green|none"},
		{"vocabulary", "net/mptcp/path_manager", "kernel", "userspace", "userspace"},
		{"hmac", "net/sctp/cookie_hmac_alg", "md5", "sha256|sha1|none", "none|sha1|sha256"},
		{"logger", "net/netfilter/nf_log/2", "nf_log_ipv4", "nfnetlink_log|NONE", "nfnetlink_log|NONE"},
		{"no logger yet", "net/netfilter/nf_log/0", "NONE", "nfnetlink_log", "nfnetlink_log"},
		{"family without a line", "net/netfilter/nf_log/7", "NONE", "nf_log_bridge|nfnetlink_log", "nfnetlink_log|nf_log_bridge"},
		{"family without loggers", "net/netfilter/nf_log/11", "x", "NONE", "NONE"},
		{"no debugging", "net/core/bpf_jit_enable", "1", "0", "0"},
		{"qdisc", "net/core/default_qdisc", "fq_codel", "pfifo|bfifo", "pfifo_fast|bfifo"},
		{
			"fastopen", "net/ipv4/tcp_fastopen_key", "00000001-00000002-00000003-00000004",
			"00000005-00000006-00000007-00000008", "00000001-00000002-00000003-00000004,00000005-00000006-00000007-00000008",
		},
		{"hardware address", "net/x/address", "02:fc:00:00:00:01", "02:fc:00:00:00:02", "02:fc:00:00:00:0f"},
		{"unknown word", "net/x/word", "foo", "none|default|1|0|foo1", "none|default"},
		{"unknown and empty", "net/x/word", "", "none|default|1|0", "none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for d, want := range map[Direction]string{Up: tt.up, Down: tt.down} {
				s := Subject{Key: sysctl.Key(tt.key), Mode: 0o644, State: sysctl.State{Value: tt.value}, Prefer: d}
				got := Candidates(s, facts)
				first := strings.Split(want, "|")
				if len(got) < len(first) || !slices.Equal(got[:len(first)], first) {
					t.Errorf("direction %d: %q, want first %q", d, got, first)
				}
			}
		})
	}
}

func TestCandidatesForUnreadableKeys(t *testing.T) {
	for _, tt := range []struct {
		name    string
		subject Subject
		want    []string
	}{
		{"write-only", Subject{Key: "net/ipv4/route/flush", Mode: 0o200, State: sysctl.State{Errno: syscall.EACCES}}, []string{"1", "0"}},
		{"absent", Subject{Key: "net/core/somaxconn", State: sysctl.Absent}, nil},
		{
			"EIO until set", Subject{Key: "net/ipv6/conf/eth0/stable_secret", Mode: 0o600, State: sysctl.State{Errno: syscall.EIO}},
			[]string{
				"2001:0db8:0000:0000:0000:0000:0000:0001", "2001:0db8:0000:0000:0000:0000:0000:0002",
				"2001:0db8:0000:0000:0000:0000:0000:0003",
			},
		},
	} {
		if got := Candidates(tt.subject, facts); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	unknown := Subject{Key: "net/x/secret", Mode: 0o600, State: sysctl.State{Errno: syscall.EIO}}
	if got := Candidates(unknown, Facts{}); len(got) < 4 {
		t.Errorf("unknown secret: only %q", got)
	}
}

// What an observer has shows nothing, but may serve to move away from.
func TestObservedValuesComeLast(t *testing.T) {
	s := Subject{
		Key: "net/ipv4/tcp_rmem", Mode: 0o644, State: sysctl.State{Value: "1\t2\t3"},
		Observed: []sysctl.State{{Value: "2\t3\t4"}, sysctl.Absent, {Errno: syscall.EACCES}},
	}
	got := Candidates(s, Facts{})
	if got[0] == "2 3 4" || got[len(got)-1] != "2 3 4" {
		t.Errorf("observed value not last: %q", got)
	}
}

func TestWithoutFacts(t *testing.T) {
	for key, want := range map[sysctl.Key]string{
		"net/ipv4/tcp_congestion_control": "reno",
		"net/mptcp/path_manager":          "userspace",
		"net/netfilter/nf_log/10":         "nf_log_ipv6",
	} {
		s := Subject{Key: key, Mode: 0o644, State: sysctl.State{Value: "kernel"}}
		if got := Candidates(s, Facts{}); len(got) == 0 || got[0] != want {
			t.Errorf("%s: %q, want %q first", key, got, want)
		}
	}
}

func TestDisruptive(t *testing.T) {
	for key, want := range map[sysctl.Key]bool{
		"net/ipv4/ip_forward":                   true,
		"net/ipv4/conf/eth0.100/forwarding":     true,
		"net/ipv6/conf/all/disable_ipv6":        true,
		"net/ipv6/conf/lo/mtu":                  true,
		"net/ipv6/route/flush":                  true,
		"net/ipv6/conf/all/force_forwarding":    true,
		"net/ipv6/conf/lo/force_forwarding":     false,
		"net/ipv4/ip_forward_use_pmtu":          false,
		"net/ipv4/conf/forwarding/rp_filter":    false, // a device of that name
		"net/ipv4/conf/all/accept_source_route": false,
	} {
		if got := Disruptive(key); got != want {
			t.Errorf("Disruptive(%q) = %v", key, got)
		}
	}
}
