package main

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/testenv"
	"github.com/netns-verify/netns-verify/parent"
)

var bootsFlag = flag.Int("boots", 1, "boots of each kernel in TestPlanted, each with a seed of its own; one alone is a short one")

// planted is truth.json (internal/vm/testdata/leaky/README.md says what is in it).
type planted struct {
	Leaks []struct {
		Via     string
		Kind    string
		Cause   []string
		Effects []struct{ Observer, Key string }
		OneWay  bool `json:"one_way"`
	}
	Others []struct{ Key, Kind, Verdict string }
}

// TestPlanted: every leak of the planted-leak module is found with the exact cause,
// and nothing else is.
func TestPlanted(t *testing.T) {
	if raceDetector {
		t.Skip("make test-vm runs it: what could race is in the guest")
	}
	var truth planted
	text, err := os.ReadFile("../../internal/vm/testdata/leaky/truth.json")
	if err == nil {
		err = json.Unmarshal(text, &truth)
	}
	if err != nil {
		t.Fatal(err)
	}
	kernels := strings.Fields(*kernelsFlag)
	var images []string // without modules: they boot fastest
	for _, k := range kernels {
		image, _ := testenv.NeedFiles(t, k)
		images = append(images, image)
	}
	inGuest(t, realGuest(t))
	nothingLeft(t)
	t.Run("kernels", func(t *testing.T) { // all of them are over before what is left is looked at
		for n := range len(kernels) * *bootsFlag {
			i, seed := n%len(kernels), n/len(kernels)
			name := kernels[i]
			t.Run(fmt.Sprintf("%s/%d", name, seed), func(t *testing.T) {
				t.Parallel()
				module := filepath.Join("../../.cache/leaky", name, "leaky.ko")
				testenv.NeedFile(t, module)
				writers, settle, reboots := "userns", parent.ThoroughSettle.String(), "10" // an ordinary user finds all
				switch {
				case *bootsFlag == 1:
					settle, reboots = "300ms", "6" // of the planted delays the longest is 250 ms
				case seed == 0:
					writers = "root,userns" // both find the same
				}
				_, stdout, stderr := cli(t, "vm", "--accel", "tcg", "--timeout", "30m", "--kernel", images[i],
					"--module", module, "--include", "net/leaky", "--writers", writers, "--settle", settle, "--reboots", reboots, "--seed", strconv.Itoa(seed), // 0 draws one
					"--devices", "none", "--write-host=false", "--json")
				r := decode(t, stdout)
				if r.Run.ExitStatus != report.ExitLeak || r.Run.Phase != "report" {
					t.Fatalf("run %+v, log:\n%s", r.Run, stderr)
				}
				t.Logf("%s, seed %d: %d leaks, %d boots, %d replays, %d s", r.Host.KernelRelease, r.Run.Seed, len(r.Leaks), r.VM.Boots, r.Run.Replays, r.Run.DurationMS/1000)
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
		i := slices.IndexFunc(r.Leaks, func(l report.Leak) bool { return slices.Equal(causes(l), slices.Sorted(slices.Values(want.Cause))) })
		if i < 0 {
			t.Errorf("%s by %v is not found", want.Kind, want.Cause)
			continue
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
		// Who owns a namespace may write all of these keys; what is done through a
		// descriptor takes another process, on the host.
		if unprivileged := l.Via != report.ViaDescriptor; l.Unprivileged != unprivileged {
			t.Errorf("%s by %v: unprivileged %v", want.Kind, want.Cause, l.Unprivileged)
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
