package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/testenv"
)

// TestDenied: what keeps the tool from its work is said, with what to do about
// it, and nothing else is printed.
func TestDenied(t *testing.T) {
	testenv.OwnMachine(t)
	for _, tt := range []struct {
		world world
		says  []string
	}{
		{worldNobodyDenied, []string{"(ENOSPC)", "CAP_SYS_ADMIN", "so does making a user namespace, by user.max_user_namespaces = 0", "sudo netns-verify run"}},
		{worldNoNetNS, []string{"(ENOSPC)", "no more network namespaces may be made", "user.max_net_namespaces"}},
		{worldReadOnly, []string{"/proc/sys/net is mounted read-only, as in most containers", "(EROFS)", "run outside of the container"}},
		{worldMaskedNet, []string{"/proc/sys/net: something that is not the kernel's is mounted there", "unmount it"}},
		{worldMaskedSys, []string{"/proc/sys/net: something that is not the kernel's is mounted there", "unmount it"}},
		{worldMaskedByPart, []string{"/proc/sys/net: something that is not the kernel's is mounted there", "unmount it"}},
		{worldNetReadOnly, []string{"/proc/sys/net is mounted read-only", "(EROFS)"}},
	} {
		for _, format := range []string{"console", "json"} {
			t.Run(string(tt.world)+" "+format, func(t *testing.T) {
				if strings.HasPrefix(string(tt.world), string(worldNobody)) && os.Getuid() != 0 {
					t.Skip("only root can become another user")
				}
				status, stdout, stderr := in(t, tt.world, "run", "--json", "--log-format", format)
				if status != report.ExitUnverified || stdout != "" {
					t.Errorf("exit status %d, stdout %.300q", status, stdout)
				}
				for _, want := range append(tt.says, "could not verify") {
					if !strings.Contains(stderr, want) {
						t.Errorf("nothing of %q on stderr:\n%s", want, stderr)
					}
				}
				if strings.Contains(stderr, "forward") {
					t.Errorf("it went on to write:\n%s", stderr)
				}
				if format == "json" {
					events := logLines(t, stderr)
					if last := events[len(events)-1]; last["level"] != "error" || last["hint"] == "" {
						t.Errorf("the last event is %v", last)
					}
				}
			})
		}
	}
}

// TestReadOnlyDryRun: to see the plan, nothing need be writable.
func TestReadOnlyDryRun(t *testing.T) {
	testenv.OwnMachine(t)
	status, stdout, stderr := in(t, worldReadOnly, "run", "--json", "--dry-run")
	if status != report.ExitClean {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	if r := decode(t, stdout); len(r.Plan) == 0 || r.Counts.Perturbed != 0 {
		t.Errorf("a plan of %d keys, %d written", len(r.Plan), r.Counts.Perturbed)
	}
}

// TestNetWritable: it is net/ that must be writable, whatever is around it.
func TestNetWritable(t *testing.T) {
	testenv.OwnMachine(t)
	status, stdout, stderr := in(t, worldNetWritable, "run", "--json", "--include", "net/core/somaxconn")
	if status != report.ExitClean {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	if r := decode(t, stdout); r.Counts.Verdicts[report.VerdictIsolated] != 1 {
		t.Errorf("verdicts %v", r.Counts.Verdicts)
	}
}

// TestUndrained: where the end of network namespaces cannot be observed, the run says so
// and is worth no less otherwise.
func TestUndrained(t *testing.T) {
	testenv.OwnMachine(t)
	root := sharedTree(t, 1)
	before := readTree(t, root)
	status, stdout, stderr := in(t, worldNoSetFCap, "run", "--json", "--root", root)
	if status != report.ExitLeak {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	r := decode(t, stdout)
	if len(r.Leaks) != 1 || len(r.Run.NotRestored) > 0 || r.Keys[0].Verdict != report.VerdictLeak {
		t.Errorf("leaks %+v, not restored %+v, keys %+v", r.Leaks, r.Run.NotRestored, r.Keys)
	}
	const skipped = "could not observe the end of the namespaces"
	if !slices.ContainsFunc(r.Run.Skipped, func(s report.Skipped) bool { return strings.Contains(s.Why, skipped) }) || !strings.Contains(stderr, skipped) || r.Run.Complete {
		t.Errorf("nothing is said of it: %+v, complete %v", r.Run.Skipped, r.Run.Complete)
	}
	if after := readTree(t, root); after != before {
		t.Errorf("the host is not as it was:\n%s\nwas\n%s", after, before)
	}
}
