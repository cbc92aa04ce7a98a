package render

import (
	"errors"
	"fmt"
	"time"

	"github.com/netns-verify/netns-verify/internal/report"
)

func samples() map[string]*report.Report {
	return map[string]*report.Report{
		"leaks": leaks(), "clean": clean(), "incomplete": incomplete(), "partial": partial(), "dryrun": dryRun(), "vm": inVM(), "died": died(),
	}
}

func base() *report.Report {
	yes := true
	return &report.Report{
		Tool: report.Tool{Name: "netns-verify", Version: "v0.1.0", Commit: "0123456789ab"},
		Run: report.Run{
			ID: "5f0c2d9a1b3e4f60", Started: time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC), DurationMS: 2345, Seed: 42,
			Arguments: []string{"run"}, Writers: []string{"root"}, Passes: 2, Batches: 18, Replays: 31, SettleMS: 300, Phase: "report", Observe: []string{"net"},
		},
		Host: report.Host{
			KernelRelease: "6.18.44", KernelVersion: "#1 SMP PREEMPT_DYNAMIC", Machine: "x86_64",
			BootID: "c0ffee00-0000-4000-8000-000000000000", Cmdline: "console=ttyS0", InitialNamespace: &yes, OtherNamespaces: 1,
		},
		Counts: report.Counts{HostKeys: 900, ChildKeys: 570, Writable: 3, Perturbed: 3, Verdicts: map[report.Verdict]int{report.VerdictIsolated: 3}},
	}
}

func text(s string) *string { return &s }

func changed(before, after string) (c report.Change) {
	c.Of(report.Show(before), report.Show(after))
	return c
}

func attempt(v, errno, after string) report.Attempt {
	return report.Attempt{Value: &v, Errno: errno, After: &after}
}

func key(name string, v report.Verdict, why report.Reason, note string, attempts ...report.Attempt) report.Key {
	view := report.View{Mode: "0644", Value: text("1")}
	return report.Key{Key: name, Verdict: v, UntestedReason: why, Note: note, Host: &view,
		Writers: map[string]report.Writer{"root": {View: view, Verdict: v, Attempts: attempts}}}
}

func clean() *report.Report {
	r := base()
	r.Keys = []report.Key{
		key("net/ipv4/conf/eth0.100/rp_filter", report.VerdictIsolated, "", "", attempt("2", "", "2")),
		key("net/core/somaxconn", report.VerdictIsolated, "", "", attempt("5000", "", "5000")),
		key("net/ipv4/tcp_rmem", report.VerdictIsolated, "", "", attempt("4097 131072 6291456", "", "4097\t131072\t6291456")),
	}
	r.Normalize()
	r.Conclude(report.Ending{})
	return r
}

func incomplete() *report.Report {
	r := clean()
	r.Keys = append(r.Keys,
		key("net/netfilter/nf_hooks_lwtunnel", report.VerdictUntested, report.ReasonOneWay, "a static key: 0 -> 1 once a boot, for everyone (6.1 to 7.3)"),
		key("net/ipv4/route/flush", report.VerdictWriteOnly, "", "", attempt("1", "", "")))
	for i := range 9 {
		r.Keys = append(r.Keys, key(fmt.Sprintf("net/ipv4/refused_%d", i), report.VerdictUntested, report.ReasonRefused, "",
			attempt("2", "EINVAL", "1"), attempt("0", "EINVAL", "1"), attempt("3", "", "1")))
	}
	r.Keys = append(r.Keys, key("net/ipv4/tcp_syncookies", report.VerdictUntested, report.ReasonUnconfirmed, "", attempt("0", "", "0")))
	excluded := key("net/ipv6/conf/lo/stable_secret", report.VerdictUntested, report.ReasonExcluded, "")
	excluded.Excluded, r.Counts.Excluded = true, 1
	r.Keys = append(r.Keys, excluded)
	r.Unconfirmed = []report.Effect{{Observer: "host", Kind: report.KindChanged, What: "sysctl", Key: "net/ipv4/tcp_syncookies",
		Change: changed("1", "0"), Phase: "forward", Why: "it did not come again with any write",
		LooksLike: &report.Cause{Key: "net/ipv4/tcp_syncookies", Attempt: attempt("0", "", "0"), Writer: "userns"}}}
	r.Warnings = []string{"1 other network namespace is in use: a leak may reach it, and nobody restores it"}
	r.Counts.Writable = 16
	r.Counts.Verdicts = map[report.Verdict]int{report.VerdictIsolated: 3, report.VerdictUntested: 12, report.VerdictWriteOnly: 1}
	value := "0"
	yes, no := report.Setting{Set: report.SetYes}, report.Setting{Set: report.SetNo, Errno: "EINVAL"}
	r.Answers = []report.Answer{
		{Line: 1, Pattern: "net.ipv4.refused_0", Key: "net/ipv4/refused_0", Value: &value, Writers: map[string]report.Setting{"root": no}},
		{Line: 3, Pattern: "net.ipv4.refused_?", Key: "net/ipv4/refused_1", Writers: map[string]report.Setting{"root": yes, "userns": no}},
		{Line: 4, Pattern: "net.ipv4.route.flush", Key: "net/ipv4/route/flush", Writers: map[string]report.Setting{"root": {Set: report.SetUnknown}}},
		{Line: 12, Pattern: "net.ipv4.nothing", Why: "no such key below net/", Missing: true},
	}
	for i := range 8 {
		r.Answers = append(r.Answers, report.Answer{Line: 13, Pattern: "net.ipv4.refused_*", Key: fmt.Sprintf("net/ipv4/refused_%d", i+1),
			Value: &value, Writers: map[string]report.Setting{"root": yes, "userns": yes}})
	}
	r.Normalize()
	r.Conclude(report.Ending{})
	return r
}

func leaks() *report.Report {
	r := incomplete()
	binary := report.Show("\xff\x00")
	appeared := report.Change{}
	appeared.Of(report.Shown{}, report.Show("0"))
	gone := report.Change{}
	gone.Of(binary, report.Shown{Errno: "EIO"})
	known := "8d432592f30f: fixed in v5.13-rc1, 5.12.4, 5.11.21, 5.10.37"
	r.Leaks = []report.Leak{
		{
			Cause: []report.Cause{{Key: "net/ipv4/tcp_congestion_control", Attempt: attempt("dctcp", "", "dctcp"), Writer: "root"}},
			Effects: []report.Effect{
				{Observer: "host", Kind: report.KindChanged, What: "sysctl", Key: "net/ipv4/tcp_allowed_congestion_control", Change: changed("reno cubic", "reno cubic dctcp")},
				{Observer: "sibling", Kind: report.KindChanged, What: "sysctl", Key: "net/ipv4/tcp_allowed_congestion_control", Change: changed("reno cubic", "reno cubic dctcp")},
			},
			Evidence: report.Evidence{Status: report.StatusConfirmed, Rounds: 7, Matched: 7, Shams: 7},
			Via:      "path", Restored: true, Known: known,
			Reproducer: "sudo sysctl net.ipv4.tcp_allowed_congestion_control\nsudo unshare --net sysctl -w net.ipv4.tcp_congestion_control=dctcp && sudo sysctl net.ipv4.tcp_allowed_congestion_control",
		},
		{
			Cause: []report.Cause{
				{Key: "net/ipv4/tcp_wmem", Attempt: attempt("1 zz", "EINVAL", "1\t2\t3"), Writer: "root"},
				{Key: "net/core/somaxconn", Attempt: attempt("5000", "", "5000"), Writer: "userns"},
			},
			Effects: []report.Effect{
				{Observer: "host", Kind: report.KindAppeared, What: "sysctl", Key: "net/ipv4/conf/eth0.100/x", Change: appeared},
				{Observer: "later", Kind: report.KindDisappeared, What: "sysctl", Key: "net/core/netdev_rss_key", Change: gone},
				{Observer: "host", Kind: report.KindAppeared, What: "module", Key: "tcp_dctcp"},
			},
			Evidence: report.Evidence{Status: report.StatusOneWay, Why: "the host's value cannot be put back: EBUSY"},
			Via:      "path", DelayMS: 70, Unprivileged: true,
		},
		{
			Effects: []report.Effect{{Observer: "sibling", Kind: report.KindChanged, What: "sysctl", Key: "net/zzz",
				Change: changed("0123456789012345678901234567890123456789", "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789")}},
			Evidence: report.Evidence{Status: report.StatusUnresolved, Why: "the budget of replays is used up",
				Candidates: []report.Cause{{Key: "net/a", Attempt: attempt("1", "", "1"), Writer: "root"}, {Key: "net/b", Attempt: attempt("2", "EINVAL", "1"), Writer: "root"}}},
			Via: "path", Restored: true,
		},
	}
	r.Run.NotRestored = []report.NotRestored{{What: report.WhatSysctl, Key: "net/ipv4/conf/eth0.100/x", Change: appeared, Why: "one-way: EBUSY"}}
	r.Normalize()
	r.Conclude(report.Ending{})
	return r
}

func partial() *report.Report {
	r := clean()
	r.Run.Phase = "forward"
	r.Keys[0].Verdict, r.Keys[0].UntestedReason = report.VerdictUntested, report.ReasonStopped
	r.Run.NotRestored = []report.NotRestored{{What: report.WhatSysctl, Key: "net/core/somaxconn", Change: changed("4096", "5000"), Why: "write /proc/sys/net/core/somaxconn: EPERM"}}
	r.Normalize()
	r.Conclude(report.Ending{Err: errors.New("writer: read reply: no answer within 30s (last log line: <none>)")})
	return r
}

func dryRun() *report.Report {
	r := base()
	r.Run.DryRun, r.Run.Phase, r.Run.Batches = true, "plan", 0
	r.Plan = []report.Planned{
		{Key: "net/core/somaxconn", Writer: "root", Candidates: []string{"4097", "4095", "0"}, Batch: 1},
		{Key: "net/core/wmem_max", Writer: "root", Candidates: []string{"1", "2", "3", "4", "5", "6", "7"}, Batch: 1},
		{Key: "net/ipv4/old", Writer: "root", Why: "excluded"},
		{Key: "net/ipv6/conf/lo/disable_ipv6", Writer: "root", Candidates: []string{"1"}, Batch: 2, Why: "disrupts: on its own"},
	}
	r.Normalize()
	r.Conclude(report.Ending{})
	return r
}

func inVM() *report.Report {
	r := leaks()
	r.VM = &report.VM{Accel: "tcg", MemoryMB: 512, Boots: 1, BootMS: 2345}
	r.Host.Devices = []report.Device{
		{Kind: "dummy", Name: "eth0"}, {Kind: "dummy", Name: "nv-dummy"}, {Kind: "vlan", Name: "nv-vlan.100"},
		{Kind: "bond", Name: "nv-bond", Error: "EOPNOTSUPP (module bonding)"}, {Kind: "team", Name: "nv-team", Error: "EOPNOTSUPP (module team)"},
		{Kind: "vrf", Name: "nv-vrf", Error: "not tried: the module vrf is not loaded"},
	}
	r.Host.Modules = []report.Module{
		{Name: "nf_conntrack", LoadedBy: report.LoadedByUs},
		{Name: "x25", LoadedBy: report.LoadedByUs, Error: "EPERM"},
		{Name: "tcp_vegas", LoadedBy: report.LoadedByKernel, AfterWrite: "net/ipv4/tcp_congestion_control"},
	}
	r.Run.Observe, r.Counts.Watched = []string{"net", "sys", "proc", "modules"}, 1300
	r.Leaks[0].Effects = append(r.Leaks[0].Effects, report.Effect{Observer: "host", Kind: report.KindAppeared, What: report.WhatModule,
		Key: "tcp_vegas", Change: report.Change{After: text("loaded")}})
	r.Counts.Creation = map[report.Creation]int{report.CreationDerived: 1, report.CreationInherited: 412, report.CreationShared: 2}
	r.Keys[0].Creation = map[string]report.Creation{report.AnyDevconf: report.CreationShared}
	r.Keys[1].Creation = map[string]report.Creation{report.AnyDevconf: report.CreationDerived}
	r.Keys[1].CreationFrom = map[string]report.Origin{report.AnyDevconf: {Namespace: report.FromCreator, Keys: []string{"net/a", "net/b.1"}}}
	r.Keys[2].Creation = map[string]report.Creation{"0": report.CreationInherited, "1": report.CreationInherited, "2": report.CreationDefault, "3": report.CreationInherited}
	r.Keys[2].CreationFrom = map[string]report.Origin{"0": {Namespace: report.FromHost}, "1": {Namespace: report.FromHost}, "3": {Namespace: report.FromCreator}}
	r.KernelMessages = []report.KernelMessage{
		{Text: "sysctl net/ipv4/conf/eth0.100/x: data points to kernel global data: x", Phase: "survey", Key: "net/ipv4/conf/eth0.100/x"},
		{Text: "x25: loading out-of-tree module taints kernel.", Phase: "modules"},
		{Text: "WARNING: CPU: 0 PID: 77 at net/sysctl_net.c:155 ensure_safe_net_sysctl+0x0/0x0", Phase: "forward", AfterWrite: "net/ipv4/conf/eth0.100/x"},
	}
	r.Normalize()
	r.Conclude(report.Ending{})
	return r
}

func died() *report.Report {
	r := base()
	r.VM = &report.VM{Accel: "tcg", MemoryMB: 512, Boots: 1, BootMS: 2345}
	r.Run.Phase, r.Counts = "forward", report.Counts{}
	r.Run.Writing = []string{"net/ipv4/conf/eth0.100/x", "net/core/somaxconn", "net/c", "net/d", "net/e", "net/f", "net/g", "net/h"}
	r.Normalize()
	r.Conclude(report.Ending{Err: errors.New("the guest's kernel panicked without a last word: sysrq triggered crash")})
	return r
}
