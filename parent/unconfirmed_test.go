package parent

import (
	"syscall"
	"testing"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// An effect that no replay explains leaves its own key open, whoever noticed it and
// however its writes went; no other key's, and none that was not written.
func TestUnconfirmedKeys(t *testing.T) {
	const key, other = sysctl.Key("net/core/k"), sysctl.Key("net/core/other")
	state := func(v string) sysctl.State { return sysctl.State{Value: v} }
	took := write{key: key, value: "0x20", by: WriterRoot, before: state("10"), after: state("32")}
	refused := write{key: key, value: "33", by: WriterRoot, errno: syscall.EINVAL, before: state("10"), after: state("10")}
	changed := func(observer, after string) effect {
		return effect{place{observer, key}, state("10"), state(after)}
	}
	for name, tt := range map[string]struct {
		effects []effect
		ws      []write
		mode    uint32
		loud    bool
		proven  bool
		leak    bool
		verdict report.Verdict
		why     report.Reason
		like    string // what was written
	}{
		"nothing":                {ws: []write{took}, verdict: report.VerdictIsolated},
		"the host's":             {effects: []effect{changed(observerHost, "32")}, ws: []write{took}, verdict: report.VerdictUntested, why: report.ReasonUnconfirmed, like: "0x20"},
		"a sibling's":            {effects: []effect{changed(observerSibling, "77")}, ws: []write{took}, verdict: report.VerdictUntested, why: report.ReasonUnconfirmed},
		"a later one's":          {effects: []effect{changed(observerLater, "0x20")}, ws: []write{took}, verdict: report.VerdictUntested, why: report.ReasonUnconfirmed, like: "0x20"},
		"seen twice":             {effects: []effect{changed(observerHost, "32"), changed(observerHost, "78")}, ws: []write{took}, verdict: report.VerdictUntested, why: report.ReasonUnconfirmed, like: "0x20"},
		"of a write only":        {effects: []effect{changed(observerHost, "33")}, ws: []write{refused}, mode: 0o200, verdict: report.VerdictUntested, why: report.ReasonUnconfirmed, like: "33"},
		"beside others' writes":  {effects: []effect{changed(observerHost, "78")}, ws: []write{took}, loud: true, verdict: report.VerdictUntested, why: report.ReasonUnconfirmed},
		"isolated in a replay":   {effects: []effect{changed(observerHost, "78")}, ws: []write{took}, proven: true, verdict: report.VerdictUntested, why: report.ReasonUnconfirmed},
		"another key's":          {effects: []effect{{place{observerHost, other}, state("10"), state("32")}}, ws: []write{took}, verdict: report.VerdictIsolated},
		"of a key never written": {effects: []effect{changed(observerHost, "32")}, verdict: report.VerdictUntested, why: report.ReasonNoCandidate},
		"explained after all":    {effects: []effect{changed(observerHost, "32")}, ws: []write{took}, leak: true, verdict: report.VerdictLeak},
	} {
		t.Run(name, func(t *testing.T) {
			k := newFake(map[sysctl.Key]handler{key: {}, other: {}})
			r := newRun(k, Options{})
			var err error
			if r.host, err = sysctl.NewSweeper(k.Host()); err != nil {
				t.Fatal(err)
			}
			r.switchTo(WriterRoot)
			if tt.mode == 0 {
				tt.mode = 0o644
			}
			r.writerBase = sysctl.Snapshot{{Key: key, Mode: fileMode(tt.mode), State: state("10")}}
			for i := range tt.ws {
				tt.ws[i].observed = []observed{{observerHost, state("10")}, {observerSibling, state("10")}}
			}
			r.writes, r.passes, r.closed = tt.ws, 2, len(tt.ws)
			r.noise = noise{measured: true, loud: tt.loud}
			r.proven[key] = tt.proven
			for _, e := range tt.effects {
				r.unexplained(e, "no replay reproduces it")
			}
			if tt.leak {
				r.leaks = []*leak{{cause: tt.ws, effects: tt.effects, writers: []Writer{WriterRoot}}}
			}
			rep := r.report(PhaseReport)
			var v report.Key
			for _, of := range rep.Keys {
				if of.Key == string(key) {
					v = of
				}
			}
			if w := v.Writers[string(WriterRoot)]; v.Verdict != tt.verdict || v.UntestedReason != tt.why || w.Verdict != tt.verdict {
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
