package main

import (
	"os"
	"slices"
	"testing"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/testenv"
)

// TestPlainUser: an ordinary user gets an answer about what ordinary users may do.
func TestPlainUser(t *testing.T) {
	testenv.NeedUserNS(t)
	testenv.OwnMachine(t)
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	status, stdout, stderr := in(t, worldNobody, "run", "--json")
	if status != report.ExitClean {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	r := decode(t, stdout)
	if !slices.Equal(r.Run.Writers, []string{"userns"}) || r.Run.Passes != 2 {
		t.Errorf("writers %v, %d passes", r.Run.Writers, r.Run.Passes)
	}
	v := r.Counts.Verdicts
	t.Logf("%d keys for an ordinary user, %d writable, %d written with effect: %v", r.Counts.ChildKeys, r.Counts.Writable, r.Counts.Perturbed, v)
	if v[report.VerdictIsolated]*10 < r.Counts.Writable*9 {
		t.Errorf("verdicts %v", v)
	}
	for _, k := range r.Keys {
		if k.Host != nil && k.Host.Errno == "EACCES" && k.Host.Mode != "0200" && k.Verdict == report.VerdictIsolated {
			t.Errorf("%s is said to be isolated, but this user cannot read the host's", k.Key)
		}
	}
}

// TestTwoWriters: with both, every key says what each of them found.
func TestTwoWriters(t *testing.T) {
	testenv.NeedUserNS(t)
	testenv.OwnMachine(t)
	status, stdout, stderr := in(t, worldPlain, "run", "--json", "--writers", "root,userns")
	if status != report.ExitClean {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	r := decode(t, stdout)
	if !slices.Equal(r.Run.Writers, []string{"userns", "root"}) || r.Run.Passes != 4 {
		t.Errorf("writers %v, %d passes", r.Run.Writers, r.Run.Passes)
	}
	both, rootOnly, readOnly := 0, 0, 0
	for _, k := range r.Keys {
		root, hasRoot := k.Writers["root"]
		user, hasUser := k.Writers["userns"]
		switch {
		case hasUser && !hasRoot:
			t.Errorf("%s: only an ordinary user has it", k.Key)
		case hasRoot && !hasUser:
			rootOnly++
		case hasRoot:
			both++
			if user.Verdict == report.VerdictReadOnly && root.Verdict != report.VerdictReadOnly {
				readOnly++
			}
		}
		for _, w := range k.Writers {
			if w.Verdict == report.VerdictUntested && k.Verdict != report.VerdictUntested && k.Verdict != report.VerdictLeak {
				t.Errorf("%s: verdict %s hides an untested one", k.Key, k.Verdict)
			}
		}
	}
	t.Logf("%d keys for both, %d hidden from an ordinary user, %d read-only there", both, rootOnly, readOnly)
	if both < 100 || rootOnly == 0 {
		t.Errorf("%d keys for both, %d for root only", both, rootOnly)
	}
}
