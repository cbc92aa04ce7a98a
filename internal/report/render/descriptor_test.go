package render

import (
	"strings"
	"testing"

	"github.com/netns-verify/netns-verify/internal/report"
)

// A leak via a descriptor says so, and reads are told from changes.
func TestDescriptorLeak(t *testing.T) {
	const key = "net/sctp/rto_min"
	value := "1001"
	l := report.Leak{
		Via: report.ViaDescriptor, Restored: true,
		Cause: []report.Cause{{Key: key, Attempt: report.Attempt{Value: &value, After: &value}, Writer: "root"}},
		Effects: []report.Effect{
			{Observer: report.ObserverHost, Kind: report.KindChanged, What: "sysctl", Key: key, Change: changed("1000", "1001")},
			{Observer: report.ObserverHost, Kind: report.KindRead, What: "sysctl", Key: key, Change: changed("1001", "1000")},
		},
		Evidence: report.Evidence{Status: report.StatusConfirmed, Rounds: 5, Matched: 5, Shams: 7},
	}
	for _, tc := range []struct {
		effects []report.Effect
		want    []string
		not     string
	}{
		{l.Effects, []string{"a descriptor that the child opened", "its own 1000 instead of the child's 1001", "1000 -> 1001", "put back"}, "1001 -> 1000"},
		{l.Effects[1:], []string{"a descriptor that the child opened", "its own 1000"}, "put back"},
	} {
		l.Effects = tc.effects
		r := &report.Report{Leaks: []report.Leak{l}}
		r.Normalize()
		var page strings.Builder
		if err := Text(&page, r, Options{Width: 200}); err != nil {
			t.Fatal(err)
		}
		for _, want := range tc.want {
			if !strings.Contains(page.String(), want) {
				t.Errorf("no %q in:\n%s", want, page.String())
			}
		}
		if strings.Contains(page.String(), tc.not) {
			t.Errorf("%q in:\n%s", tc.not, page.String())
		}
	}
}
