package reboot

import (
	"slices"
	"testing"

	"github.com/netns-verify/netns-verify/internal/report"
)

func TestResolve(t *testing.T) {
	key := func(name string, v report.Verdict, why report.Reason) report.Key {
		return report.Key{Key: name, Verdict: v, UntestedReason: why}
	}
	const leaks, untested, isolated = report.VerdictLeak, report.VerdictUntested, report.VerdictIsolated
	r := reportOf(1, leak([]report.Cause{write("a")}, nil, "a"))
	r.Keys = []report.Key{
		key("a", leaks, ""), key("b", untested, report.ReasonUnresolved), key("c", untested, report.ReasonUnresolved),
		key("d", untested, report.ReasonRefused), key("e", untested, report.ReasonUnresolved),
		key("y", isolated, ""),
	}
	r.Counts.Verdicts = map[report.Verdict]int{leaks: 1, untested: 4, isolated: 1}
	if got := Unresolved(r); !slices.Equal(got, []string{"b", "c", "e"}) {
		t.Errorf("unresolved: %v", got)
	}
	again := reportOf(1, leak([]report.Cause{write("a")}, nil, "a"), leak([]report.Cause{write("c")}, nil, "x"))
	again.Keys = []report.Key{
		key("a", untested, report.ReasonLatched), key("b", isolated, ""), key("c", leaks, ""),
		key("d", untested, report.ReasonExcluded), key("e", untested, report.ReasonExcluded),
	}
	again.Unconfirmed = []report.Effect{effect("y")}
	Resolve(r, again)
	var got []report.Verdict
	for _, k := range r.Keys {
		got = append(got, k.Verdict)
	}
	if !slices.Equal(got, []report.Verdict{leaks, isolated, leaks, untested, untested, untested}) {
		t.Errorf("verdicts %v", got)
	}
	if v := r.Counts.Verdicts; v[leaks] != 2 || v[isolated] != 1 || v[untested] != 3 {
		t.Errorf("counts %v", v)
	}
	if len(r.Leaks) != 2 || len(r.Unconfirmed) != 1 {
		t.Errorf("leaks %v, unconfirmed %v", r.Leaks, r.Unconfirmed)
	}
}
