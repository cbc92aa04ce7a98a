package perturb

import (
	"slices"
	"testing"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// One name that makes the kernel load something comes first, where that is to be
// tried; without a list of such, none does.
func TestLoadable(t *testing.T) {
	facts := Facts{
		Values:   map[sysctl.Key]string{availableCongestion: "reno cubic", allowedCongestion: "reno cubic"},
		Loadable: []string{"sch_fq", "tcp_vegas", "tcp_diag", "tcp_bbr", "tcp"},
	}
	s := Subject{Key: congestionControl, Mode: 0o644, State: sysctl.State{Value: "cubic"}}
	if got, want := Candidates(s, facts), []string{"bbr", "reno"}; !slices.Equal(got, want) {
		t.Errorf("up: %q, want %q", got, want)
	}
	s.Prefer = Down
	if got, want := Candidates(s, facts), []string{"vegas", "reno"}; !slices.Equal(got, want) {
		t.Errorf("down: %q, want %q", got, want)
	}
	if !Loads(congestionControl, facts) || Loads("net/core/somaxconn", facts) {
		t.Error("only the key whose names are asked for loads anything")
	}
	facts.Loadable = nil
	if got, want := Candidates(s, facts), []string{"reno"}; !slices.Equal(got, want) || Loads(congestionControl, facts) {
		t.Errorf("nothing to load: %q, want %q", got, want)
	}
}
