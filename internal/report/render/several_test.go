package render

import (
	"strings"
	"testing"

	"github.com/netns-verify/netns-verify/internal/report"
)

// A key counts for a writer that has it, not for one that it is hidden from.
func TestTableOfWriters(t *testing.T) {
	r := &report.Report{Run: report.Run{Writers: []string{"root", "userns"}}, Keys: []report.Key{
		{Key: "net/both", Verdict: report.VerdictLeak, Writers: map[string]report.Writer{
			"root": {Verdict: report.VerdictLeak}, "userns": {Verdict: report.VerdictIsolated},
		}},
		{Key: "net/hidden", Verdict: report.VerdictLeak, Writers: map[string]report.Writer{"root": {Verdict: report.VerdictLeak}}},
		{Key: "net/host", Verdict: report.VerdictHostOnly},
	}}
	r.Host.KernelRelease = "6.1"
	var rows []string
	for line := range strings.Lines(Table([]*report.Report{r}, Options{})) {
		if f := strings.Fields(line); len(f) == 8 && f[0] == "6.1" && (f[1] == "root" || f[1] == "userns") {
			rows = append(rows, strings.Join(f[1:], " "))
		}
	}
	if got, want := strings.Join(rows, "; "), "root 2 0 0 0 0 1; userns 0 0 1 0 0 1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
