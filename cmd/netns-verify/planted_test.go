package main

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/testenv"
)

// notYet is what a leak of the planted-leak module may need (truth.json) and a
// run does not do so far: such leaks are expected not to be found.
var notYet = map[string]string{
	"userns": "writers are root, unless --writers says otherwise",
}

// planted is truth.json (internal/vm/testdata/leaky/README.md says what is in it).
type planted struct {
	Leaks []struct {
		Via     string
		Kind    string
		Cause   []string
		Effects []struct{ Observer, Key string }
		OneWay  bool `json:"one_way"`
		Needs   []string
	}
	Others []struct{ Key, Kind, Verdict string }
}

// TestPlanted: every leak of the planted-leak module that a run can see is found
// with the exact cause, and nothing else is.
func TestPlanted(t *testing.T) {
	if raceDetector {
		t.Skip("make test runs it without the race detector: what could race is in the guest")
	}
	var truth planted
	text, err := os.ReadFile("../../internal/vm/testdata/leaky/truth.json")
	if err == nil {
		err = json.Unmarshal(text, &truth)
	}
	if err != nil {
		t.Fatal(err)
	}
	kernels := []string{"6.1-cloud", "6.12-cloud"}
	files := images(t, kernels...)
	inGuest(t, realGuest(t))
	nothingLeft(t)
	t.Run("kernels", func(t *testing.T) { // all of them are over before what is left is looked at
		for i, name := range kernels {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				module := filepath.Join("../../.cache/leaky", name, "leaky.ko")
				testenv.NeedFile(t, module)
				_, stdout, stderr := cli(t, "vm", "--accel", "tcg", "--timeout", "30m", "--kernel", files[i],
					"--module", module, "--include", "net/leaky", "--devices", "none", "--write-host=false", "--json")
				r := decode(t, stdout)
				if r.Run.ExitStatus != report.ExitLeak || r.Run.Phase != "report" {
					t.Fatalf("run %+v, log:\n%s", r.Run, stderr)
				}
				t.Logf("%s: %d leaks, %d boots, %d replays, %d s", r.Host.KernelRelease, len(r.Leaks), r.VM.Boots, r.Run.Replays, r.Run.DurationMS/1000)
				truth.check(t, r)
			})
		}
	})
}

func (p planted) check(t *testing.T, r report.Report) {
	verdicts := map[string]report.Verdict{}
	for _, k := range r.Keys {
		verdicts[k.Key] = k.Verdict
	}
	explained := make([]bool, len(r.Leaks))
	for _, want := range p.Leaks {
		missing := slices.ContainsFunc(want.Needs, func(n string) bool { return notYet[n] != "" })
		i := slices.IndexFunc(r.Leaks, func(l report.Leak) bool { return slices.Equal(causes(l), slices.Sorted(slices.Values(want.Cause))) })
		switch {
		case i < 0 && !missing:
			t.Errorf("%s by %v is not found", want.Kind, want.Cause)
			continue
		case i < 0:
			continue
		case missing:
			t.Errorf("%s by %v is found: %v can go from the table of what is not done yet", want.Kind, want.Cause, want.Needs)
		}
		explained[i] = true
		l := r.Leaks[i]
		status := report.StatusConfirmed
		if want.OneWay {
			status = report.StatusOneWay
		}
		if l.Evidence.Status != status || l.Evidence.Rounds < 3 || l.Evidence.Matched != l.Evidence.Rounds || l.Evidence.Shams < 3 || len(l.Evidence.Candidates) > 0 {
			t.Errorf("%s by %v: evidence %+v", want.Kind, want.Cause, l.Evidence)
		}
		if via := cmp.Or(want.Via, report.ViaPath); l.Via != via {
			t.Errorf("%s by %v: via %s, want %s", want.Kind, want.Cause, l.Via, via)
		}
		for _, e := range want.Effects {
			if !slices.ContainsFunc(l.Effects, func(o report.Effect) bool { return o.Observer == e.Observer && o.Key == e.Key }) {
				t.Errorf("%s by %v: no effect on %s: %s", want.Kind, want.Cause, e.Observer, e.Key)
			}
		}
		for _, o := range l.Effects {
			// What later namespaces have from a variable of everybody is no effect of its own.
			if !slices.ContainsFunc(want.Effects, func(e struct{ Observer, Key string }) bool {
				return o.Key == e.Key && (o.Observer == e.Observer || o.Observer == report.ObserverLater)
			}) {
				t.Errorf("%s by %v: an effect that is not planted on %s: %s", want.Kind, want.Cause, o.Observer, o.Key)
			}
		}
		for _, c := range want.Cause {
			if verdicts[c] != report.VerdictLeak {
				t.Errorf("%s leaks and has the verdict %s", c, verdicts[c])
			}
		}
	}
	for i, l := range r.Leaks {
		if !explained[i] {
			t.Errorf("a leak that is not planted: %v to %+v, %+v", causes(l), l.Effects, l.Evidence)
		}
	}
	for _, o := range p.Others {
		switch v := verdicts[o.Key]; {
		case v == report.VerdictLeak || o.Kind == "restless" && v == report.VerdictIsolated:
			t.Errorf("%s key %s has the verdict %s", o.Kind, o.Key, v)
		case o.Verdict != "" && string(v) != o.Verdict:
			t.Errorf("%s key %s has the verdict %s, want %s", o.Kind, o.Key, v, o.Verdict)
		}
	}
	for k := range verdicts {
		if strings.HasPrefix(k, "net/leaky/") && !p.knows(k) {
			t.Errorf("%s is not in truth.json", k)
		}
	}
}

func (p planted) knows(key string) bool {
	for _, l := range p.Leaks {
		if slices.Contains(l.Cause, key) {
			return true
		}
	}
	return slices.ContainsFunc(p.Others, func(o struct{ Key, Kind, Verdict string }) bool { return o.Key == key })
}

func causes(l report.Leak) (keys []string) {
	for _, c := range l.Cause {
		keys = append(keys, c.Key)
	}
	slices.Sort(keys)
	return keys
}
