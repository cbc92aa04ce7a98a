package sysctl

import (
	"slices"
	"testing"
)

func TestSimilar(t *testing.T) {
	keys := []Key{"net/ipv4/tcp_rmem", "net/ipv4/tcp_wmem", "net/ipv4/conf/all/rp_filter", "net/ipv4/conf/lo/rp_filter", "net/core/somaxconn"}
	for _, tc := range []struct {
		path string
		want []string
	}{
		{"net/ipv4/tcp_rmen", []string{"net/ipv4/tcp_rmem"}},
		{"net/ipv4/tcp_mem", []string{"net/ipv4/tcp_rmem", "net/ipv4/tcp_wmem"}},
		{"net/ipv6/tcp_rmem", []string{"net/ipv4/tcp_rmem"}},
		{"net/tcp_rmem", []string{"net/ipv4/tcp_rmem"}},
		{"net/ipv4/conf/all/rp-filter", []string{"net/ipv4/conf/all/rp_filter"}},
		{"net/ipv5", []string{"net/ipv4"}},
		{"net/core/somaxcon", []string{"net/core/somaxconn"}},
		{"net/rp_filter", []string{"net/ipv4/conf/all/rp_filter", "net/ipv4/conf/lo/rp_filter"}},
		{"net/kernel/panic", nil},
	} {
		if got := Similar(tc.path, keys); !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %q, want %q", tc.path, got, tc.want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"ab", "ba", 2}, {"same", "same", 0}, {"flaw", "lawn", 2}} {
		if got, back := distance(tc.a, tc.b), distance(tc.b, tc.a); got != tc.want || back != tc.want {
			t.Errorf("%q and %q: %d, %d, want %d", tc.a, tc.b, got, back, tc.want)
		}
	}
}
