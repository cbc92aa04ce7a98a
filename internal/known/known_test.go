package known

import (
	"strings"
	"testing"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

func TestOneWay(t *testing.T) {
	l, ok := OneWay("net/netfilter/nf_hooks_lwtunnel")
	if !ok || l.Latched != "1" || l.Bug == "" || l.Source == "" {
		t.Errorf("OneWay(nf_hooks_lwtunnel) = %+v, %v", l, ok)
	}
	// These stay as they are in the writer, but do not leak.
	for _, k := range []sysctl.Key{"net/ipv6/conf/lo/stable_secret", "net/vsock/child_ns_mode", "net/core/somaxconn", ""} {
		if _, ok := OneWay(k); ok {
			t.Errorf("OneWay(%q), want none", k)
		}
	}
}

func TestMatch(t *testing.T) {
	const (
		max, max2   = "net/netfilter/nf_conntrack_max", "net/nf_conntrack_max"
		expectMax   = "net/netfilter/nf_conntrack_expect_max"
		allowed, cc = "net/ipv4/tcp_allowed_congestion_control", "net/ipv4/tcp_congestion_control"
	)
	for _, tt := range []struct {
		name           string
		cause, effects keys
		want           string // part of the text; "" for no match
	}{
		{"same key", keys{max}, keys{max}, "CVE-2021-38209"},
		{"two names of one value", keys{max2}, keys{max, max2}, "2671fa4dc010"},
		{"expectations", keys{expectMax}, keys{expectMax}, "2671fa4dc010"},
		{"not of each other", keys{expectMax}, keys{max}, ""},
		{"allowed list", keys{allowed}, keys{allowed}, "97684f0970f6"},
		{"cross-key", keys{cc}, keys{allowed}, "8d432592f30f"},
		{"not that bug", keys{cc}, keys{cc}, ""},
		{"explains only a part", keys{cc}, keys{allowed, "net/core/somaxconn"}, ""},
		{"explains only one cause", keys{cc, "net/core/somaxconn"}, keys{allowed}, ""},
		{"loads a module", keys{cc}, keys{allowed, "net/ipv4/tcp_available_congestion_control", "module:tcp_bbr"}, "tcp_ca_find_autoload"},
		{"loads another module", keys{cc}, keys{"module:sch_fq"}, ""},
		{"loads a logger", keys{"net/netfilter/nf_conntrack_log_invalid"}, keys{"net/netfilter/nf_log/2", "module:nf_log_syslog"}, "e89a68046687"},
		{"latch", keys{"net/netfilter/nf_hooks_lwtunnel"}, keys{"net/netfilter/nf_hooks_lwtunnel"}, "until reboot"},
		{"before 5.2.17", keys{"net/netfilter/nf_conntrack_acct"}, keys{"net/netfilter/nf_conntrack_acct"}, "478553fd1b6f"},
		{"descriptor", keys{"net/sctp/rto_min"}, keys{"net/sctp/rto_min"}, "CVE-2025-21640"},
		{"descriptor, another key", keys{"net/sctp/rto_min"}, keys{"net/sctp/rto_max"}, ""},
		{"rds", keys{"net/rds/tcp/rds_tcp_sndbuf"}, keys{"net/rds/tcp/rds_tcp_sndbuf"}, "CVE-2025-21635"},
		{"mptcp", keys{"net/mptcp/scheduler"}, keys{"net/mptcp/scheduler"}, "7f5611cbc487"},
		{"values do not show it", keys{"net/ipv4/tcp_early_demux"}, keys{"net/ipv4/tcp_early_demux"}, ""},
		{"unknown", keys{"net/core/somaxconn"}, keys{"net/core/somaxconn"}, ""},
		{"no cause", nil, keys{max}, ""},
		{"no effect", keys{max}, nil, ""},
	} {
		got := Match(tt.cause, tt.effects)
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: Match(%q, %q) = %q, want %q in it", tt.name, tt.cause, tt.effects, got, tt.want)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, k := range []sysctl.Key{"net/ipv6/conf/all/stable_secret", "net/mptcp/scheduler", "net/ipv4/vs/est_cpulist"} {
		if got := Refused(k); !strings.Contains(got, ".c") {
			t.Errorf("Refused(%q) = %q, want a source", k, got)
		}
	}
	// A secret of a device can be set; one at 1 is "latched", not refused.
	for _, k := range []sysctl.Key{"net/ipv6/conf/lo/stable_secret", "net/netfilter/nf_hooks_lwtunnel"} {
		if got := Refused(k); got != "" {
			t.Errorf("Refused(%q) = %q, want none", k, got)
		}
	}
}

func TestTablesAreSound(t *testing.T) {
	check := func(ks keys) {
		for _, k := range ks {
			if err := k.Check(); err != nil || !k.Network() && !strings.HasPrefix(string(k), "module:") {
				t.Errorf("bad key %q: %v", k, err)
			}
		}
	}
	for _, b := range bugs {
		check(b.causes)
		check(b.effects)
		if len(b.causes) == 0 || b.text == "" {
			t.Errorf("incomplete: %+v", b)
		}
		for _, k := range b.causes {
			seen := b.effects
			if seen == nil {
				seen = keys{k}
			}
			if got := Match(keys{k}, seen); got != b.text {
				t.Errorf("Match(%q, %q) = %q, want its own text", k, seen, got)
			}
		}
	}
	for k := range refused {
		check(keys{k})
	}
	for _, l := range latches {
		check(keys{l.Key})
	}
}

func TestWriteOnce(t *testing.T) {
	for k, why := range writeOnce {
		if err := k.Check(); err != nil || !strings.Contains(why, ".c") {
			t.Errorf("%q: %v, source %q", k, err, why)
		}
		if _, leaks := OneWay(k); leaks || !WriteOnce(k) {
			t.Errorf("%q is write-once: %v, and leaks: %v", k, WriteOnce(k), leaks)
		}
	}
	if WriteOnce("net/core/somaxconn") {
		t.Error("somaxconn is said to be write-once")
	}
}
