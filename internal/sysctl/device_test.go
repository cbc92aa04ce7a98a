package sysctl

import "testing"

func TestDevice(t *testing.T) {
	for _, tt := range []struct{ key, name, of Key }{
		{"net/ipv4/conf/eth0.100/rp_filter", "eth0.100", "net/ipv4/conf/*/rp_filter"},
		{"net/ipv6/neigh/lo/app_solicit", "lo", "net/ipv6/neigh/*/app_solicit"},
		{"net/mpls/conf/nv-veth/input", "nv-veth", "net/mpls/conf/*/input"},
		{"net/ipv4/conf/all/rp_filter", "", ""},
		{"net/ipv6/conf/default/mtu", "", ""},
		{"net/ipv4/tcp_rmem", "", ""},
		{"net/ipv4/route/flush/x/y", "", ""},
		{"net/ipv4/conf/eth0", "", ""},
		{"kernel/x/conf/eth0/y", "", ""},
		{"", "", ""},
	} {
		name, of := tt.key.Device()
		if name != string(tt.name) || of != tt.of {
			t.Errorf("%s: device %q, %q", tt.key, name, of)
		}
	}
}
