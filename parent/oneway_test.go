package parent

import (
	"slices"
	"testing"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/internal/known"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/finding"
	"github.com/netns-verify/netns-verify/parent/trace"
	"github.com/netns-verify/netns-verify/parent/verdict"
)

// The write with whose value the host's key moved is the cause of a latch. A
// write of the same value to the same key that did not move it is but a candidate.
func TestOneWay(t *testing.T) {
	const latch = sysctl.Key("net/netfilter/nf_hooks_lwtunnel")
	zero, one := sysctl.State{Value: "0"}, sysctl.State{Value: "1"}
	e := trace.Effect{Place: trace.Place{Observer: trace.Host, Key: latch}, Before: zero, After: one}
	mover := trace.Write{By: trace.WriterRoot, Key: latch, Value: "1", Before: zero, After: one, Moved: true}
	innocent := trace.Write{By: trace.WriterRoot, Key: latch, Value: "1", Before: zero, After: one}
	other := trace.Write{By: trace.WriterRoot, Key: "net/core/somaxconn", Value: "1", Before: zero, After: one}
	for _, tc := range []struct {
		name              string
		batch             []trace.Write
		cause, candidates int
	}{
		{"alone", []trace.Write{mover}, 1, 0},
		{"among others", []trace.Write{other, mover}, 1, 1},
		{"moved by another", []trace.Write{other, innocent}, 0, 2},
		{"not written", []trace.Write{other}, 0, 1},
	} {
		r := &run{o: Options{}.withDefaults(), secrets: verdict.NewSecrets(false), log: zerolog.Nop(), writing: &writing{writer: trace.WriterRoot}}
		r.oneWay(e, tc.batch)
		l := r.leaks[0]
		if len(r.leaks) != 1 || l.Status != finding.OneWay || len(l.Cause) != tc.cause || len(l.Candidates) != tc.candidates {
			t.Errorf("%s: %d leaks, cause %v, candidates %v", tc.name, len(r.leaks), l.Cause, l.Candidates)
		}
		if r.leaks.Causes(trace.WriterRoot)[latch] != (tc.cause == 1) || r.leaks.Candidates(trace.WriterRoot)[other.Key] != (tc.candidates > 0) {
			t.Errorf("%s: cause keys %v, candidate keys %v", tc.name, r.leaks.Causes(trace.WriterRoot), r.leaks.Candidates(trace.WriterRoot))
		}
	}
	r := &run{o: Options{}.withDefaults(), secrets: verdict.NewSecrets(false), log: zerolog.Nop(), writing: &writing{writer: trace.WriterRoot}}
	user := other
	user.By = trace.WriterUserNS
	r.oneWay(e, []trace.Write{other, user, user})
	var by []string
	for _, c := range r.reportLeak(r.leaks[0]).Evidence.Candidates {
		by = append(by, c.Writer)
	}
	if !slices.Equal(by, []string{"root", "userns"}) {
		t.Errorf("candidates by %v", by)
	}
	if _, ok := known.OneWay(latch); !ok {
		t.Errorf("%s is not known to be one-way", latch)
	}
}
