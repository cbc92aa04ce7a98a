package perturb

import (
	"slices"
	"testing"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// TestLevels has the first value of each level that a key of some bounds would take.
func TestLevels(t *testing.T) {
	for _, tc := range []struct {
		key                   sysctl.Key
		value                 string
		small, large, between string // the first ones
	}{
		{"net/core/somaxconn", "4096", "0", "2147483647", "4086"},
		{"net/x/a", "0", "1", "2147483647", "255"},
		{"net/x/a", "-1", "-16", "2147483647", "128"},
		{"net/ipv4/tcp_rmem", "4096 131072 6291456", "0 0 0", "65536 2097152 100663296", "4096 131070 6291456"},
		{"net/netfilter/nf_conntrack_max", "65536", "64536", "66536", "65537"}, // only nudged
		{"net/mptcp/path_manager", "kernel", "userspace", "userspace", "userspace"},
	} {
		s := Subject{Key: tc.key, Mode: 0o644, State: sysctl.State{Value: tc.value}}
		for l, want := range []string{tc.small, tc.large, tc.between} {
			if got := At(Level(l), s, Facts{Extreme: true}); len(got) == 0 || got[0] != want {
				t.Errorf("%s, now %q: level %d begins with %.60q, want %q", tc.key, tc.value, l, got, want)
			}
		}
	}
	s := Subject{Key: "net/x/a", Mode: 0o644, State: sysctl.State{Value: "5"}}
	for l := range Levels {
		for _, of := range []Subject{{Key: "net/x/a", State: sysctl.State{Value: "0"}}, {Key: "net/x/a", State: sysctl.State{Value: "1"}}} {
			if all := At(l, of, Facts{Extreme: true}); !slices.Contains(all, string('0'+'1'-of.State.Value[0])) {
				t.Errorf("level %d of a switch: %q", l, all)
			}
		}
		if all := At(l, s, Facts{}); !slices.Contains(all, "0") {
			t.Errorf("level %d: %q is without 0", l, all)
		}
	}
	if got := At(Large, s, Facts{})[0]; got != "1048576" {
		t.Errorf("%s without extreme values, want 1048576", got)
	}
}
