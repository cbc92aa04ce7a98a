package kmod

import (
	"path"
	"slices"
	"strings"
)

// What a guest is for decides which modules it gets. Modules that have sysctls, or
// something that a sysctl's value can name, are loaded at boot. What the kernel
// would load by itself comes along unloaded: that a write makes it load something
// is an effect, which would not show if it were there already.
//
// A module is known by what it registers, that is by the functions it calls, so
// that the lists need not follow the kernel's; names are for what that cannot tell.

// atBoot are functions that a module calls if it is to be loaded at boot.
var atBoot = []string{
	// Keys of its own; since 6.6 the first is a macro for the second.
	"register_net_sysctl", "register_net_sysctl_sz", "neigh_sysctl_register",
	// Devices of a kind that anybody may make: they bring conf/ and neigh/ keys.
	"rtnl_link_register", "__rtnl_link_register", "macvlan_link_register", "ipvlan_link_register",
	// Loggers are values of nf_log/N, which the kernel refuses unless they are
	// there: it does not ask for them.
	"nf_log_register",
	"nf_conntrack_helper_register", "nf_conntrack_helpers_register",
	"register_ip_vs_scheduler", "register_ip_vs_pe",
}

// atBootNames are the same for modules that call none of these.
var atBootNames = []string{"nf_conntrack_*", "ip_vs_*", "lapb", "mpls_iptunnel", "6lowpan", "rds_*", "decnet", "x25"}

// onRequest are functions that a module calls if a write may make the kernel ask for it.
var onRequest = []string{
	"tcp_register_congestion_control", "tcp_register_ulp", "mptcp_register_scheduler",
	"register_qdisc",      // core/default_qdisc
	"textsearch_register", // by conntrack helpers, when they are loaded
}

// onRequestAliases begin the names under which a module may be asked for.
var onRequestAliases = []string{
	"net-pf-", "rtnl-link-", "nf-logger-", "nfnetlink-subsys-", "tcp-ulp-", "net-sch-",
	"crypto-", // sctp/cookie_hmac_alg
}

// telling are the undefined symbols worth remembering.
var telling = func() map[string]bool {
	t := map[string]bool{}
	for _, name := range slices.Concat(atBoot, onRequest) {
		t[name] = true
	}
	return t
}()

// bootWanted tells whether the module is to be loaded at boot for its own sake.
func (m *Module) bootWanted() bool {
	return slices.ContainsFunc(atBoot, m.uses) || slices.ContainsFunc(atBootNames, func(glob string) bool {
		ok, _ := path.Match(glob, m.Name)
		return ok
	})
}

// requestWanted tells whether the kernel may ask for the module.
func (m *Module) requestWanted() bool {
	return slices.ContainsFunc(onRequest, m.uses) || slices.ContainsFunc(m.Aliases, func(alias string) bool {
		return slices.ContainsFunc(onRequestAliases, func(start string) bool { return strings.HasPrefix(alias, start) })
	})
}

// NetSysctl tells whether the module registers sysctls below net by itself.
func (m *Module) NetSysctl() bool { return slices.ContainsFunc(atBoot[:3], m.uses) }

func (m *Module) uses(function string) bool { return slices.Contains(m.Uses, function) }
