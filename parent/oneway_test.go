package parent

import (
	"slices"
	"testing"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/internal/known"
	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// The write with whose value the host's key moved is the cause of a latch. A
// write of the same value to the same key that did not move it is but a candidate.
func TestOneWay(t *testing.T) {
	const latch = sysctl.Key("net/netfilter/nf_hooks_lwtunnel")
	zero, one := sysctl.State{Value: "0"}, sysctl.State{Value: "1"}
	e := effect{place{observerHost, latch}, zero, one}
	mover := write{by: WriterRoot, key: latch, value: "1", before: zero, after: one, moved: true}
	innocent := write{by: WriterRoot, key: latch, value: "1", before: zero, after: one}
	other := write{by: WriterRoot, key: "net/core/somaxconn", value: "1", before: zero, after: one}
	for _, tc := range []struct {
		name              string
		batch             []write
		cause, candidates int
	}{
		{"alone", []write{mover}, 1, 0},
		{"among others", []write{other, mover}, 1, 1},
		{"moved by another", []write{other, innocent}, 0, 2},
		{"not written", []write{other}, 0, 1},
	} {
		r := &run{secrets: newSecrets(), log: zerolog.Nop(), writing: &writing{writer: WriterRoot}}
		r.oneWay(e, tc.batch)
		l := r.leaks[0]
		if len(r.leaks) != 1 || l.status != statusOneWay || len(l.cause) != tc.cause || len(l.candidates) != tc.candidates {
			t.Errorf("%s: %d leaks, cause %v, candidates %v", tc.name, len(r.leaks), l.cause, l.candidates)
		}
		if r.causeKeys(WriterRoot)[latch] != (tc.cause == 1) || r.candidateKeys(WriterRoot)[other.key] != (tc.candidates > 0) {
			t.Errorf("%s: cause keys %v, candidate keys %v", tc.name, r.causeKeys(WriterRoot), r.candidateKeys(WriterRoot))
		}
	}
	r := &run{secrets: newSecrets(), log: zerolog.Nop(), writing: &writing{writer: WriterRoot}}
	user := other
	user.by = WriterUserNS
	r.oneWay(e, []write{other, user, user})
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
