package main

import (
	"strings"
	"testing"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/testenv"
)

// TestDescriptorsAreTheOpeners: in a real namespace, for keys whose handlers are
// the kernel's plainest, nothing of the host's is read or written through a
// descriptor that a child opened, and through one whose namespace is gone nothing
// is read or written at all.
func TestDescriptorsAreTheOpeners(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	for _, w := range []world{worldPlain, worldNobody} {
		t.Run(string(w), func(t *testing.T) {
			status, stdout, stderr := in(t, w, "run", "--json", "--descriptors",
				"--include", "net/ipv4/ip_default_ttl", "--include", "net/core/somaxconn", "--include", "net/ipv4/tcp_rmem")
			r := decode(t, stdout)
			if status != report.ExitClean || r.Counts.Descriptors != 3 || strings.Contains(strings.Join(r.Warnings, "\n"), "descriptor") {
				t.Errorf("exit status %d, counts %+v, warnings %q: %s", status, r.Counts, r.Warnings, stderr)
			}
			for _, k := range r.Keys {
				if n := len(k.Writers); n > 0 && k.Verdict == report.VerdictLeak {
					t.Errorf("%s leaks", k.Key)
				}
			}
		})
	}
}
