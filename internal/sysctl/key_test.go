package sysctl

import (
	"strings"
	"testing"
	"testing/quick"
)

func TestParseKey(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"net/ipv4/ip_forward", "net/ipv4/ip_forward"},
		{"net.ipv4.ip_forward", "net/ipv4/ip_forward"},
		{"/proc/sys/net/ipv4/ip_forward", "net/ipv4/ip_forward"},
		{"net.ipv4.conf.eth0/100.rp_filter", "net/ipv4/conf/eth0.100/rp_filter"},
		{"net/ipv4/conf/eth0.100/rp_filter", "net/ipv4/conf/eth0.100/rp_filter"},
		{"", ""}, {"/net", ""}, {"net/../kernel", ""}, {"net//x", ""}, {"net/", ""}, {"net/.", ""},
		{"net/x\x00", ""}, {"/proc/sys/", ""}, {"..", ""}, {strings.Repeat("a", 5000), ""},
	} {
		got, err := ParseKey(tc.in)
		if string(got) != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("ParseKey(%.40q) = %q, %v; want %q", tc.in, got, err, tc.want)
		}
	}
}

func TestDottedRoundTrip(t *testing.T) {
	elements := []string{"net", "conf", "eth0.100", "a-b", "x_y", "vlan.1.2"}
	f := func(picks []uint8) bool {
		parts := []string{"net"}
		for _, p := range picks {
			parts = append(parts, elements[int(p)%len(elements)])
		}
		k := Key(strings.Join(parts, "/"))
		back, err := ParseKey(k.Dotted())
		// A single element has no separator to tell the form by, and needs none.
		return err == nil && back == k
	}
	if err := quick.Check(f, nil); err != nil {
		t.Error(err)
	}
}

// ExactGlob survives its own text, and matches nothing but its key.
func TestExactGlob(t *testing.T) {
	keys := []Key{"net/a/b", "net/ipv4/conf/eth0.100/x", "net/ipv4/conf/a*b/x", "net/ipv4/conf/a[b/x", "net/ipv4/conf/a=b", `net/ipv4/conf/a\b/x`, "net/ipv4/conf/{a/x", "net/ipv4/conf/axb/x"}
	for _, k := range keys {
		for _, text := range []string{ExactGlob(k).String()} {
			g, err := ParseGlob(text)
			if err != nil {
				t.Errorf("%s: %v", k, err)
				continue
			}
			for _, o := range keys {
				if g.Match(o) != (o == k) || ExactGlob(k).Match(o) != (o == k) {
					t.Errorf("the glob of %s and %s: %v, %v", k, o, g.Match(o), ExactGlob(k).Match(o))
				}
			}
		}
	}
}

func TestGlob(t *testing.T) {
	for _, tc := range []struct {
		pattern, key string
		want         bool
	}{
		{"net/ipv4/**", "net/ipv4/conf/lo/mtu", true},
		{"net/ipv4/*", "net/ipv4/conf/lo/mtu", false},
		{"net/ipv4", "net/ipv4/conf/lo/mtu", true},
		{"net/ipv4/", "net/ipv4/tcp_rmem", true},
		{"net/ipv4/tcp_rmem", "net/ipv4/tcp_rmem", true},
		{"net/ipv4/tcp", "net/ipv4/tcp_rmem", false},
		{"net.ipv4.tcp_*", "net/ipv4/tcp_rmem", true},
		{"net.ipv4.conf.*.rp_filter", "net/ipv4/conf/eth0.100/rp_filter", true},
		{"**/rp_filter", "net/ipv4/conf/all/rp_filter", true},
		{"/net/ipv4/tcp_rmem", "net/ipv4/tcp_rmem", true},
		{"/proc/sys/net/ipv4/tcp_rmem", "net/ipv4/tcp_rmem", true},
		{"//proc/sys//net/ipv4", "net/ipv4/tcp_rmem", true},
		{"/proc/sys/net.ipv4.tcp_rmem", "net/ipv4/tcp_rmem", true},
		{"ipv4.tcp_rmem", "net/ipv4/tcp_rmem", true},
		{"ipv4/tcp_*", "net/ipv4/tcp_rmem", true},
		{"net.ipv4.tcp_rmem=4096 131072 6291456", "net/ipv4/tcp_rmem", true},
		{" net.ipv4.tcp_rmem = 1 ", "net/ipv4/tcp_rmem", true},
		{"net.ipv4/tcp_rmem", "net/ipv4/tcp_rmem", true},
		{"net/ipv4.tcp_rmem", "net/ipv4/tcp_rmem", true},
		{"net.ipv4.conf.eth0/100.rp_filter", "net/ipv4/conf/eth0.100/rp_filter", true},
		{"net/ipv4/conf/eth0.*", "net/ipv4/conf/eth0/rp_filter", false},
		{"net/ipv4/conf/a=b/rp_filter", "net/ipv4/conf/a=b/rp_filter", true},
		{"net.ipv4.conf.a=b.rp_filter", "net/ipv4/conf/a=b/rp_filter", true},
		{`net/ipv4/conf/a\=b/*`, "net/ipv4/conf/a=b/rp_filter", true},
	} {
		g, err := ParseGlob(tc.pattern)
		if err != nil {
			t.Errorf("ParseGlob(%q): %v", tc.pattern, err)
			continue
		}
		if got := g.Match(Key(tc.key)); got != tc.want {
			t.Errorf("%q matches %q: %v, want %v", tc.pattern, tc.key, got, tc.want)
		}
	}
	for _, bad := range []string{"", "[", "net/{a", "/proc/sys/"} {
		if _, err := ParseGlob(bad); err == nil {
			t.Errorf("ParseGlob(%q) took it", bad)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	for _, s := range []string{"net.ipv4.conf.eth0/100.rp_filter", "net/x", "..", "/proc/sys/net", "a.b/c", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		k, err := ParseKey(s)
		if err != nil {
			return
		}
		if err := k.Check(); err != nil {
			t.Fatalf("ParseKey(%q) = %q, which is not a key: %v", s, k, err)
		}
		for e := range strings.SplitSeq(string(k), "/") {
			if e == "" || e == "." || e == ".." {
				t.Fatalf("ParseKey(%q) = %q leads out of the tree", s, k)
			}
		}
		if first, _, _ := strings.Cut(string(k), "/"); !strings.Contains(first, ".") {
			if back, err := ParseKey(k.Dotted()); err != nil || back != k {
				t.Fatalf("%q as %q comes back as %q, %v", k, k.Dotted(), back, err)
			}
		}
	})
}
