package parent

import (
	"syscall"
	"testing"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/client"
	"github.com/netns-verify/netns-verify/parent/finding"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// An effect that no replay explains leaves its own key open, whoever noticed it and
// however its writes went; no other key's, and none that was not written.
func TestUnconfirmedKeys(t *testing.T) {
	const key, other = sysctl.Key("net/core/k"), sysctl.Key("net/core/other")
	state := func(v string) sysctl.State { return sysctl.State{Value: v} }
	took := trace.Write{Key: key, Value: "0x20", By: trace.WriterRoot, Before: state("10"), After: state("32")}
	refused := trace.Write{Key: key, Value: "33", By: trace.WriterRoot, Errno: syscall.EINVAL, Before: state("10"), After: state("10")}
	changed := func(observer, after string) trace.Effect {
		return trace.Effect{Place: trace.Place{Observer: observer, Key: key}, Before: state("10"), After: state(after)}
	}
	for name, tt := range map[string]struct {
		effects []trace.Effect
		ws      []trace.Write
		mode    uint32
		loud    bool
		proven  bool
		leak    bool
		verdict report.Verdict
		why     report.Reason
		like    string // what was written
	}{
		"nothing":                {ws: []trace.Write{took}, verdict: report.VerdictIsolated},
		"the host's":             {effects: []trace.Effect{changed(trace.Host, "32")}, ws: []trace.Write{took}, verdict: report.VerdictUntested, why: report.ReasonUnconfirmed, like: "0x20"},
		"a sibling's":            {effects: []trace.Effect{changed(trace.Sibling, "77")}, ws: []trace.Write{took}, verdict: report.VerdictUntested, why: report.ReasonUnconfirmed},
		"a later one's":          {effects: []trace.Effect{changed(trace.Later, "0x20")}, ws: []trace.Write{took}, verdict: report.VerdictUntested, why: report.ReasonUnconfirmed, like: "0x20"},
		"seen twice":             {effects: []trace.Effect{changed(trace.Host, "32"), changed(trace.Host, "78")}, ws: []trace.Write{took}, verdict: report.VerdictUntested, why: report.ReasonUnconfirmed, like: "0x20"},
		"of a write only":        {effects: []trace.Effect{changed(trace.Host, "33")}, ws: []trace.Write{refused}, mode: 0o200, verdict: report.VerdictUntested, why: report.ReasonUnconfirmed, like: "33"},
		"beside others' writes":  {effects: []trace.Effect{changed(trace.Host, "78")}, ws: []trace.Write{took}, loud: true, verdict: report.VerdictUntested, why: report.ReasonUnconfirmed},
		"isolated in a replay":   {effects: []trace.Effect{changed(trace.Host, "78")}, ws: []trace.Write{took}, proven: true, verdict: report.VerdictUntested, why: report.ReasonUnconfirmed},
		"another key's":          {effects: []trace.Effect{{Place: trace.Place{Observer: trace.Host, Key: other}, Before: state("10"), After: state("32")}}, ws: []trace.Write{took}, verdict: report.VerdictIsolated},
		"of a key never written": {effects: []trace.Effect{changed(trace.Host, "32")}, verdict: report.VerdictUntested, why: report.ReasonNoCandidate},
		"explained after all":    {effects: []trace.Effect{changed(trace.Host, "32")}, ws: []trace.Write{took}, leak: true, verdict: report.VerdictLeak},
	} {
		t.Run(name, func(t *testing.T) {
			k := newFake(map[sysctl.Key]handler{key: {}, other: {}})
			r := newRun(k, Options{})
			var err error
			if r.host, err = sysctl.NewSweeper(k.Host()); err != nil {
				t.Fatal(err)
			}
			r.switchTo(trace.WriterRoot)
			if tt.mode == 0 {
				tt.mode = 0o644
			}
			r.writerBase = sysctl.Snapshot{{Key: key, Mode: client.FileMode(tt.mode), State: state("10")}}
			for i := range tt.ws {
				tt.ws[i].Observed = []trace.Observed{{Observer: trace.Host, State: state("10")}, {Observer: trace.Sibling, State: state("10")}}
			}
			r.writes, r.passes, r.closed = tt.ws, 2, len(tt.ws)
			r.noise = noise{measured: true, loud: tt.loud}
			r.proven[key] = tt.proven
			for _, e := range tt.effects {
				r.unexplained(e, "no replay reproduces it")
			}
			if tt.leak {
				r.leaks = finding.Leaks{{Cause: tt.ws, Effects: tt.effects, Writers: []trace.Writer{trace.WriterRoot}}}
			}
			rep := r.report(PhaseReport)
			var v report.Key
			for _, of := range rep.Keys {
				if of.Key == string(key) {
					v = of
				}
			}
			if w := v.Writers[string(trace.WriterRoot)]; v.Verdict != tt.verdict || v.UntestedReason != tt.why || w.Verdict != tt.verdict {
				t.Errorf("%s (%s), for root %s; want %s (%s)", v.Verdict, v.UntestedReason, w.Verdict, tt.verdict, tt.why)
			}
			like := ""
			for _, e := range rep.Unconfirmed {
				if e.LooksLike != nil {
					like = *e.LooksLike.Value
				}
			}
			if like != tt.like {
				t.Errorf("looks like the write of %q, want %q", like, tt.like)
			}
			if rep.Conclude(report.Ending{}); rep.Run.Complete != (tt.verdict == report.VerdictLeak || len(tt.effects) == 0) {
				t.Errorf("complete: %v", rep.Run.Complete)
			}
		})
	}
}
