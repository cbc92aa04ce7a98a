package known

import (
	"path"
	"slices"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// Latch is a key that leaks and cannot be put back: it is not written on a host
// unless that is asked for.
type Latch struct {
	Key sysctl.Key
	// Latched is the value at which writing can do no further harm.
	Latched string
	// Bug is the name shown.
	Bug string
	// Source is where the fact comes from.
	Source string
}

var latches = []Latch{{
	Key:     "net/netfilter/nf_hooks_lwtunnel",
	Latched: "1",
	Bug:     "nf_hooks_lwtunnel is one switch for all namespaces, on until reboot (5.15 on, not fixed in 7.3-rc7)",
	Source: "nf_hooks_lwtunnel_sysctl_handler enables a static key and answers 1 -> 0 with EBUSY " +
		"(net/netfilter/nf_hooks_lwtunnel.c; a2225e0250c5 only moved where it is registered); found in 6.1, 6.12, 6.18 and 7.3-rc7",
}}

// OneWay tells whether a leak of the key could not be put back before reboot.
func OneWay(k sysctl.Key) (Latch, bool) {
	for _, l := range latches {
		if l.Key == k {
			return l, true
		}
	}
	return Latch{}, false
}

// Refused says why the kernel accepts no value that takes effect, with the
// source; empty where nothing is known. It explains a measurement: on other
// kernels or machines some value may work.
func Refused(k sysctl.Key) string { return refused[k] }

var refused = map[sysctl.Key]string{
	"net/ipv6/conf/all/stable_secret": "there is no secret for all devices: reads and writes give EIO " +
		"(addrconf_sysctl_stable_secret, net/ipv6/addrconf.c; measured on 5.10 to 7.3-rc7)",
	"net/mptcp/scheduler": "only registered schedulers are accepted, else ENOENT, and net/mptcp/available_schedulers " +
		"has no other than the present one (mptcp_set_scheduler, net/mptcp/ctrl.c; measured on 6.18)",
	"net/ipv4/vs/est_cpulist": "the list is cut to the CPUs that the writer may run on, of which there is one " +
		"(ipvs_proc_est_cpumask_set, net/netfilter/ipvs/ip_vs_ctl.c, 6.2 on)",
}

// Match names the known bug that explains all causes and all effects of a leak,
// with the versions affected and the fix; empty where there is none.
//
// Bugs that no value shows are not listed, such as that of tcp_early_demux and
// udp_early_demux (values isolated, behaviour global, until 11052589cf5c of July 2022).
func Match(cause, effects []sysctl.Key) string {
	if len(cause) == 0 || len(effects) == 0 {
		return ""
	}
	for _, b := range bugs {
		seen := b.effects
		if seen == nil {
			seen = cause // the written key itself
		}
		if within(cause, b.causes) && within(effects, seen) {
			return b.text
		}
	}
	return ""
}

func within(keys, all []sysctl.Key) bool {
	return !slices.ContainsFunc(keys, func(k sysctl.Key) bool {
		return !slices.ContainsFunc(all, func(pattern sysctl.Key) bool {
			ok, _ := path.Match(string(pattern), string(k))
			return ok
		})
	})
}
