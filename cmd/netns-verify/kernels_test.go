package main

import (
	"cmp"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/semver"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/testenv"
)

// fact is something known of one key (testdata/kernels.json).
type fact struct {
	Key, From, Until string
	Verdict          string // absent where no key is
	Reason           report.Reason
	Status           report.Status
	Effects          []string // observers
	Via              string   // path, if not said
	Creation         map[string]report.Creation
	Whose            string // namespace's keys count, with all devconfs
	Follows          []string
	Source           string
}

// kernelsFlag is one kernel for `make test`, more for `make test-all`.
var kernelsFlag = flag.String("kernels", "6.1-cloud", "kernels of TestKernels and TestPlanted, as in .cache/kernels, separated by spaces")

// TestKernels runs whole distribution kernels and holds what is found against what
// is known. Leaks that are not known fail it: a newer kernel may have fixed one, but
// hardly brought one.
func TestKernels(t *testing.T) {
	if raceDetector {
		t.Skip("make test-vm runs it: what could race is in the guest")
	}
	var known struct{ Facts []fact }
	text, err := os.ReadFile("testdata/kernels.json")
	if err == nil {
		err = json.Unmarshal(text, &known)
	}
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"vm", "--accel", "tcg", "--timeout", "20m", "--jobs", "2", "--thorough=false", "--writers", "root", "--json"}
	kernels := testenv.NeedVM(t, strings.Fields(*kernelsFlag)...)
	if len(kernels) == 1 {
		args = append(args, "--reboots", "6") // the fewest with three writes and three shams
	}
	for _, packages := range kernels {
		for _, p := range packages {
			args = append(args, "--deb", p)
		}
	}
	inGuest(t, realGuest(t))
	nothingLeft(t)
	_, stdout, stderr := cli(t, args...)
	if len(kernels) == 1 {
		stdout = "[" + stdout + "]" // one report is no list
	}
	var reports []report.Report
	if err := json.Unmarshal([]byte(stdout), &reports); err != nil || len(reports) != len(kernels) {
		t.Fatalf("%d reports, %v; log:\n%s", len(reports), err, stderr)
	}
	for _, r := range reports {
		t.Run(series.FindString(r.Host.KernelRelease), func(t *testing.T) {
			if r.Run.ExitStatus > report.ExitLeak || r.Run.Phase != "report" {
				t.Fatalf("run %+v, log:\n%s", r.Run, stderr)
			}
			t.Logf("%s: %d boots, %.1f s to the first word, %.0f s in all; %d keys on the host, %d in a child, %d writable, %d written with effect (%.1f %%), %d replays; %v; %v",
				r.Host.KernelRelease, r.VM.Boots, float64(r.VM.BootMS)/1000, float64(r.Run.DurationMS)/1000, r.Counts.HostKeys, r.Counts.ChildKeys,
				r.Counts.Writable, r.Counts.Perturbed, 100*float64(r.Counts.Perturbed)/float64(r.Counts.Writable), r.Run.Replays, r.Counts.Verdicts, r.Counts.Creation)
			for _, n := range r.Run.NotRestored {
				if !n.OneWay {
					t.Errorf("not restored: %+v", n)
				}
			}
			if r.Counts.ChildKeys < 1000 || r.Counts.Perturbed*100 < r.Counts.Writable*99 {
				t.Errorf("counts %+v", r.Counts)
			}
			release := semantic(t, r.Host.KernelRelease)
			var leaking []string
			for _, f := range known.Facts {
				if f.From != "" && semver.Compare(release, "v"+f.From) < 0 || f.Until != "" && semver.Compare(release, "v"+f.Until) >= 0 {
					continue
				}
				f.check(t, r)
				if f.Verdict == string(report.VerdictLeak) {
					leaking = append(leaking, f.Key)
				}
			}
			for _, l := range r.Leaks {
				if !slices.ContainsFunc(causes(l), func(k string) bool { return slices.Contains(leaking, k) }) {
					t.Errorf("not known: %v leaks to %+v, %+v", causes(l), l.Effects, l.Evidence)
				}
			}
		})
	}
}

var series = regexp.MustCompile(`^\d+\.\d+`)

// semantic is a kernel's release as semver has it, as far as facts go.
func semantic(t *testing.T, release string) string {
	t.Helper()
	v := "v" + series.FindString(release)
	if !semver.IsValid(v) {
		t.Fatalf("kernel release %q", release)
	}
	return v
}

func (f fact) check(t *testing.T, r report.Report) {
	t.Helper()
	i := slices.IndexFunc(r.Keys, func(k report.Key) bool { return k.Key == f.Key })
	switch {
	case f.Verdict == "absent":
		if i >= 0 {
			t.Errorf("%s is there (%s)", f.Key, f.Source)
		}
		return
	case i < 0:
		t.Errorf("%s is not there (%s)", f.Key, f.Source)
		return
	}
	f.checkCreation(t, r.Keys[i])
	if k := r.Keys[i]; f.Verdict != "" && string(k.Verdict) != f.Verdict || f.Reason != "" && k.UntestedReason != f.Reason {
		t.Errorf("%s has the verdict %s %s, want %s %s (%s)", f.Key, k.Verdict, k.UntestedReason, f.Verdict, f.Reason, f.Source)
	}
	if f.Status == "" {
		return
	}
	j := slices.IndexFunc(r.Leaks, func(l report.Leak) bool { return slices.Equal(causes(l), []string{f.Key}) })
	if j < 0 {
		t.Errorf("no leak by %s alone (%s)", f.Key, f.Source)
		return
	}
	l := r.Leaks[j]
	if ev := l.Evidence; ev.Status != f.Status || ev.Rounds < 3 || ev.Matched != ev.Rounds || ev.Shams < 3 || len(ev.Candidates) > 0 {
		t.Errorf("leak by %s: evidence %+v", f.Key, ev)
	}
	if via := cmp.Or(f.Via, report.ViaPath); l.Via != via {
		t.Errorf("leak by %s: via %s, want %s", f.Key, l.Via, via)
	}
	for _, o := range f.Effects {
		if !slices.ContainsFunc(l.Effects, func(e report.Effect) bool { return e.Observer == o && e.Key == f.Key }) {
			t.Errorf("leak by %s: no effect on %s", f.Key, o)
		}
	}
}

func (f fact) checkCreation(t *testing.T, k report.Key) {
	t.Helper()
	if f.Creation != nil && !maps.Equal(k.Creation, f.Creation) {
		t.Errorf("%s: creation %v, want %v (%s)", f.Key, k.Creation, f.Creation, f.Source)
	}
	if from := k.CreationFrom[report.AnyDevconf]; f.Whose != "" && (from.Namespace != f.Whose || !slices.Equal(from.Keys, f.Follows)) {
		t.Errorf("%s: creation from %+v, want %s %v (%s)", f.Key, k.CreationFrom, f.Whose, f.Follows, f.Source)
	}
}
