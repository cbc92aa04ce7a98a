package perturb

import (
	"fmt"
	"math/big"
	"slices"
	"testing"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

func TestThorough(t *testing.T) {
	for _, tc := range []struct {
		key     sysctl.Key
		value   string
		extreme bool
		want    []string // at least
		not     []string
	}{
		{"net/x/number", "10", false, []string{"11", "9", "0", "-1", "127", "128", "255", "256", "32767", "32768", "65535", "65536", "5", "20", "11 zz"}, []string{"2147483647"}},
		{"net/x/number", "10", true, []string{"2147483647", "2147483648", "4294967295", "4294967296", "9223372036854775807", "-2147483648"}, nil},
		{"net/x/number", "4096", true, []string{"4097 zz", "9223372036854775807"}, nil}, // none is too many
		{"net/x/switch", "0", false, []string{"1", "-1", "65536"}, []string{"0"}},
		{"net/x/vector", "10 20 30", false, []string{"11 21 31", "12 20 30", "10 22 30", "10 20 32", "10 18 30", "11", "11 zz"}, nil},
		{"net/mpls/platform_labels", "0", true, []string{"1"}, []string{"2147483647", "70000"}},
		{"net/ipv4/ip_local_reserved_ports", "", false, []string{"0", "1", "32767", "65535", "0,65535", "65534-65535", "0-32767", "65536", "1 zz"}, []string{"0-65535"}},
		{"net/ipv4/ip_local_reserved_ports", "", true, []string{"0-65535", "32768-65535"}, nil},
		{"net/ipv6/icmp/ratemask", "0-1,3-127", false, []string{"0", "127", "255", "", "0,255", "127-128", "0-1,3-127,255", "256"}, []string{"0-255", "65535"}},
		{"net/x/cpus", "0-1", false, []string{"0", "3", "0-3", "0,3", "4"}, []string{"255"}},
		{"net/core/rps_default_mask", "0", false, []string{"1", "8", "9", "f", "5", "a", "3", "c", "10", "00000000,00000002"}, nil},
		{"net/core/rps_default_mask", "00000000,00000000", false, []string{"80000000", "1,00000000", "80000000,00000001", "ffffffff,ffffffff", "1,00000000,00000000"}, nil},
		{"net/ipv4/ip_local_port_range", "32768\t60999", false, []string{"1 65535", "32768 65535", "32768 32768", "16384 30499", "0 0"}, []string{"1 2147483647"}},
		{"net/ipv4/ip_local_port_range", "32768\t60999", true, []string{"1 2147483647"}, nil},
		{"net/ipv4/ping_group_range", "1\t0", false, []string{"0 4294967294", "65534 65534", "0", "0 0 zz"}, nil},
		{"net/x/address", "00:11:22:33:44:55", false, []string{"ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00", "80:11:22:33:44:55"}, nil},
		{"net/x/colour", "red", false, []string{"green", "blue", "RED", ""}, nil},
		{"net/ipv4/tcp_congestion_control", "cubic", false, []string{"reno", "bbr"}, []string{"cubic zz"}},
	} {
		f := Facts{Extreme: tc.extreme, Values: map[sysctl.Key]string{
			"net/x/available_colours": "red green blue", availableCongestion: "reno cubic bbr", allowedCongestion: "reno cubic",
		}}
		got := Thorough(Subject{Key: tc.key, Mode: 0o644, State: sysctl.State{Value: tc.value}}, f)
		for _, w := range tc.want {
			if !slices.Contains(got, w) {
				t.Errorf("%s = %q: no %q in %q", tc.key, tc.value, w, got)
			}
		}
		for _, w := range tc.not {
			if slices.Contains(got, w) {
				t.Errorf("%s = %q: %q is proposed", tc.key, tc.value, w)
			}
		}
	}
	if got := Thorough(Subject{Key: "net/x/gone", State: sysctl.Absent}, Facts{}); got != nil {
		t.Errorf("an absent key: %q", got)
	}
}

// What a thorough run begins with is what every run tries.
func TestThoroughBeginsAlike(t *testing.T) {
	for _, v := range []string{"0", "1", "10", "-5", "3 4", "red", "1,3-9", "00:11"} {
		s := Subject{Key: "net/x/y", Mode: 0o644, State: sysctl.State{Value: v}}
		if a, b := Candidates(s, Facts{}), Thorough(s, Facts{}); len(a) > 0 && a[0] != b[0] {
			t.Errorf("%q: %q, %q", v, a[0], b[0])
		}
	}
}

// On a host no integer of a thorough run goes beyond 2^16, or twice a value that is
// not large, and none of a table's size further than it does in every run.
func TestThoroughOnAHost(t *testing.T) {
	for _, v := range []int64{0, 1, 100, 16384, 1 << 20, 1 << 31} {
		limit := max(v+1000, min(2*v, maxDouble), 1<<16)
		for key, limit := range map[sysctl.Key]int64{"net/x/y": limit, "net/mpls/platform_labels": v + 1000, "net/ipv6/route/gc_thresh": v + 1000} {
			for _, extreme := range []bool{false, true} {
				for _, c := range Thorough(Subject{Key: key, Mode: 0o644, State: sysctl.State{Value: fmt.Sprint(v)}}, Facts{Extreme: extreme}) {
					if n, ok := parseInteger(c); ok && n.Cmp(big.NewInt(limit)) > 0 && (!extreme || key != "net/x/y") {
						t.Errorf("%s at %d: %s", key, v, c)
					}
				}
			}
		}
	}
}

// A list is not too long to be written, whatever its last number.
func TestComb(t *testing.T) {
	for last := uint32(1); last < maxNumber; last = last*3 + 1 {
		stride := closest(last)
		for _, run := range []uint32{1, 2, stride - 1} {
			if n := len(formatRanges(comb(last, stride, run))); n > MaxLength {
				t.Errorf("runs of %d of %d: %d bytes", run, last, n)
			}
		}
	}
}
