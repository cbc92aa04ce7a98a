package render

import (
	"testing"

	"github.com/netns-verify/netns-verify/internal/report"
)

// An attempt had an effect if the writer read something else than before it.
func TestTried(t *testing.T) {
	attempt := func(value, errno, after string) report.Attempt {
		return report.Attempt{Value: &value, Errno: errno, After: &after}
	}
	one := "1"
	for _, tc := range []struct {
		attempts []report.Attempt
		want     string
	}{
		{nil, ""},
		{[]report.Attempt{attempt("2", "", "1")}, "1 tried: 1 without effect"},
		{[]report.Attempt{attempt("2", "", "2"), attempt("2", "", "2"), attempt("1", "", "1")}, "3 tried: 1 without effect, 2 with effect"},
		{[]report.Attempt{attempt("x", "EINVAL", "1"), attempt("0", "EBUSY", "1"), attempt("0", "", "0")}, "3 tried: 1 EBUSY, 1 EINVAL, 1 with effect"},
	} {
		k := report.Key{Writers: map[string]report.Writer{"root": {View: report.View{Value: &one}, Attempts: tc.attempts}}}
		if got := tried(k); got != tc.want {
			t.Errorf("%+v: %q, want %q", tc.attempts, got, tc.want)
		}
	}
}
