package perturb

import (
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
		{"net/x/number", "10", false, []string{"11", "9", "0", "-1", "70000", "5", "20", "1010", "11 zz"}, []string{"2147483647"}},
		{"net/x/number", "10", true, []string{"2147483647", "-2147483648"}, nil},
		{"net/x/switch", "0", false, []string{"1", "-1", "70000"}, []string{"0"}},
		{"net/x/vector", "10 20 30", false, []string{"11 21 31", "12 20 30", "10 22 30", "10 20 32", "10 18 30", "11", "11 zz"}, nil},
		{"net/mpls/platform_labels", "0", true, []string{"1"}, []string{"2147483647", "70000"}},
		{"net/x/colour", "red", false, []string{"green", "blue"}, nil},
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
