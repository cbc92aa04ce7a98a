package guest

import (
	"testing"

	"github.com/netns-verify/netns-verify/internal/report"
)

func TestNoteGuards(t *testing.T) {
	const global = ": data points to module global data: x"
	r := &report.Report{
		KernelMessages: []report.KernelMessage{
			{Text: "sysctl net/old/a" + global}, {Text: "sysctl net/new/a" + global}, {Text: "sysctl net/free/a" + global}, {Text: "oops"},
		},
		Keys: []report.Key{
			{Key: "net/free/a", Verdict: report.VerdictIsolated},
			{Key: "net/free/b", Verdict: report.VerdictHostOnly},
			{Key: "net/new/a", Verdict: report.VerdictHostOnly},
			{Key: "net/new/b", Verdict: report.VerdictHostOnly},
			{Key: "net/new/c", Verdict: report.VerdictIsolated},
			{Key: "net/new/d/e", Verdict: report.VerdictHostOnly},
			{Key: "net/old/a", Verdict: report.VerdictReadOnly},
			{Key: "net/old/b", Verdict: report.VerdictHostOnly},
		},
	}
	noteGuards(r)
	want := map[string]string{"net/old/a": noteGuarded, "net/new/a": noteRefused, "net/new/b": noteBeside + "net/new/a"}
	for _, k := range r.Keys {
		if k.Note != want[k.Key] {
			t.Errorf("%s has the note %q, want %q", k.Key, k.Note, want[k.Key])
		}
	}
}
