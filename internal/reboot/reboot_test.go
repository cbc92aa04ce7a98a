package reboot

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/netns-verify/netns-verify/internal/report"
)

// kernel is a machine whose latches are open after each boot.
type kernel struct {
	latches map[string]string // effect by cause
	drifts  string            // an effect of its own now and then
	rng     *rand.Rand
	mu      sync.Mutex
	boots   int
	fail    int // the boot that fails, from 1
	times   int // how often it does
}

var errBoot = errors.New("no hello")

func (k *kernel) boot(_ context.Context, writes []report.Cause) (effects []report.Effect, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.boots++; k.fail > 0 && k.boots >= k.fail && k.boots < k.fail+k.times {
		return nil, errBoot
	}
	for _, w := range writes {
		if e, ok := k.latches[w.Key]; ok {
			effects = append(effects, effect(e))
		}
	}
	if k.drifts != "" && k.rng.IntN(2) == 0 {
		effects = append(effects, effect(k.drifts))
	}
	return effects, nil
}

func effect(key string) report.Effect {
	return report.Effect{Observer: report.ObserverHost, Kind: report.KindChanged, What: "sysctl", Key: key}
}

func write(key string) report.Cause {
	v := "1"
	return report.Cause{Key: key, Attempt: report.Attempt{Value: &v}, Writer: "root"}
}

func leak(cause []report.Cause, candidates []report.Cause, effects ...string) report.Leak {
	l := report.Leak{Cause: cause, Evidence: report.Evidence{Status: report.StatusOneWay, Candidates: candidates}}
	for _, e := range effects {
		l.Effects = append(l.Effects, effect(e))
	}
	return l
}

func reportOf(seed uint64, leaks ...report.Leak) *report.Report {
	r := &report.Report{Leaks: leaks}
	r.Run.Seed = seed
	r.Counts.Verdicts = map[report.Verdict]int{}
	for _, name := range []string{"a", "b", "c"} {
		k := report.Key{Key: name, Verdict: report.VerdictUntested, UntestedReason: report.ReasonUnresolved}
		if slices.ContainsFunc(leaks, func(l report.Leak) bool {
			return slices.ContainsFunc(l.Cause, func(c report.Cause) bool { return c.Key == name })
		}) {
			k.Verdict, k.UntestedReason = report.VerdictLeak, ""
		}
		r.Counts.Verdicts[k.Verdict]++
		r.Keys = append(r.Keys, k)
	}
	return r
}

func TestPlainCauses(t *testing.T) {
	for seed := range uint64(50) {
		k := &kernel{latches: map[string]string{"a": "a", "b": "x", "c": "x"}}
		r := reportOf(seed, leak([]report.Cause{write("a")}, nil, "a", "never"), leak([]report.Cause{write("b")}, nil, "x"), leak([]report.Cause{write("c")}, nil, "x"))
		if err := Confirm(t.Context(), r, Plan{Rounds: 10}, k.boot); err != nil {
			t.Fatal(err)
		}
		if k.boots != 20 || len(r.Leaks) != 3 {
			t.Fatalf("seed %d: %d boots, %d leaks; two of three leaks show in one place", seed, k.boots, len(r.Leaks))
		}
		for _, l := range r.Leaks {
			if ev := l.Evidence; ev.Rounds < 3 || ev.Shams < 3 || ev.Rounds+ev.Shams != 10 || ev.Matched != ev.Rounds || len(l.Effects) != 1 {
				t.Errorf("seed %d: %+v, effects %v", seed, ev, l.Effects)
			}
		}
	}
}

// A key that moves by itself does not pass for an effect, and its cause not for a leak.
func TestCoincidence(t *testing.T) {
	passed := 0
	for seed := range uint64(200) {
		k := &kernel{drifts: "x", rng: rand.New(rand.NewPCG(seed, 7))}
		r := reportOf(seed, leak([]report.Cause{write("a")}, nil, "x"))
		if err := Confirm(t.Context(), r, Plan{Rounds: 10}, k.boot); err != nil {
			t.Fatal(err)
		}
		if passed += len(r.Leaks); len(r.Leaks) > 0 {
			continue
		}
		if len(r.Unconfirmed) != 1 || r.Keys[0].Verdict != report.VerdictUntested || r.Counts.Verdicts[report.VerdictLeak] != 0 {
			t.Fatalf("seed %d: unconfirmed %v, keys %v", seed, r.Unconfirmed, r.Keys)
		}
	}
	if passed > 3 { // at most 1 in 912 each
		t.Errorf("%d of 200 coincidences passed", passed)
	}
}

func TestCandidates(t *testing.T) {
	var all []report.Cause
	for i := range 60 {
		all = append(all, write(fmt.Sprint("k", i)))
	}
	hidden := write("hidden")
	digest := "secret:0123456789abcdef"
	hidden.Value = &digest
	for i := range 60 {
		cause := fmt.Sprint("k", i)
		k := &kernel{latches: map[string]string{cause: "x"}}
		r := reportOf(uint64(i), leak(nil, append(slices.Clone(all), hidden), "x"))
		if err := Confirm(t.Context(), r, Plan{Rounds: 10}, k.boot); err != nil {
			t.Fatal(err)
		}
		if len(r.Leaks) != 1 || len(r.Leaks[0].Cause) != 1 || r.Leaks[0].Cause[0].Key != cause || r.Leaks[0].Evidence.Rounds == 0 {
			t.Errorf("%s: %+v", cause, r.Leaks)
		}
		if k.boots > 10+1+7 {
			t.Errorf("%s: %d boots", cause, k.boots)
		}
	}
	k := &kernel{latches: map[string]string{"k7": "x"}}
	r := reportOf(1, leak(nil, all, "x"))
	if err := Confirm(t.Context(), r, Plan{Rounds: 2, AtATime: 2}, k.boot); err != nil {
		t.Fatal(err)
	}
	if l := r.Leaks[0]; len(l.Cause) != 0 || len(l.Evidence.Candidates) >= 60 || k.boots != 5 {
		t.Errorf("few reboots: cause %v, %d candidates, %d boots", l.Cause, len(l.Evidence.Candidates), k.boots)
	}
	k = &kernel{}
	r = reportOf(1, leak(nil, all, "x"))
	if err := Confirm(t.Context(), r, Plan{Rounds: 10}, k.boot); err != nil {
		t.Fatal(err)
	}
	if l := r.Leaks[0]; len(l.Evidence.Candidates) != 60 || k.boots != 1 {
		t.Errorf("not again: %d candidates, %d boots", len(l.Evidence.Candidates), k.boots)
	}
}

// What a leak is called and how it is shown follows its cause, however that was found;
// candidates of several writers do not share a machine.
func TestDescribed(t *testing.T) {
	const latch = "net/netfilter/nf_hooks_lwtunnel"
	for _, writer := range []string{"root", report.WriterUserNS} {
		var candidates []report.Cause
		for i, key := range []string{"net/a", latch, "net/b"} {
			for _, by := range []string{"root", report.WriterUserNS}[i%2:] {
				w := write(key)
				w.Writer = by
				candidates = append(candidates, w)
			}
		}
		if writer == "root" {
			candidates[2].Writer = writer
		}
		boot := func(_ context.Context, writes []report.Cause) (effects []report.Effect, err error) {
			for _, w := range writes {
				if w.Writer != writes[0].Writer {
					t.Errorf("writers %v", writes)
				}
				if w.Key == latch {
					effects = append(effects, effect(latch))
				}
			}
			return effects, nil
		}
		r := reportOf(1, leak(nil, candidates, latch, "net/other"))
		if err := Confirm(t.Context(), r, Plan{Rounds: 10}, boot); err != nil {
			t.Fatal(err)
		}
		l := r.Leaks[0]
		if len(l.Cause) != 1 || l.Cause[0].Writer != writer || l.Unprivileged != (writer == report.WriterUserNS) || len(l.Effects) != 1 {
			t.Errorf("%+v", l)
		}
		if !strings.Contains(l.Known, "nf_hooks_lwtunnel") || !strings.Contains(l.Reproducer, "sysctl -qw net.netfilter.nf_hooks_lwtunnel=1") {
			t.Errorf("known %q, reproducer %q", l.Known, l.Reproducer)
		}
	}
}

// A write that was seen to do it may need another one: alone it does not.
func TestSeenButNotAlone(t *testing.T) {
	both := func(_ context.Context, writes []report.Cause) ([]report.Effect, error) {
		seen := map[string]bool{}
		for _, w := range writes {
			seen[w.Key] = true
		}
		if seen["k3"] && seen["b"] {
			return []report.Effect{effect("b")}, nil
		}
		return nil, nil
	}
	var others []report.Cause
	for i := range 30 {
		others = append(others, write(fmt.Sprint("k", i)))
	}
	r := reportOf(5, leak([]report.Cause{write("b")}, others, "b"))
	if err := Confirm(t.Context(), r, Plan{Rounds: 10, AtATime: 3}, both); err != nil {
		t.Fatal(err)
	}
	if l := r.Leaks[0]; len(l.Cause) != 2 || len(l.Evidence.Candidates) != 0 || l.Evidence.Rounds < 3 {
		t.Errorf("cause %v, evidence %+v", l.Cause, l.Evidence)
	}
	k := &kernel{latches: map[string]string{"b": "b"}}
	r = reportOf(5, leak([]report.Cause{write("b")}, others, "b"))
	if err := Confirm(t.Context(), r, Plan{Rounds: 10}, k.boot); err != nil {
		t.Fatal(err)
	}
	if l := r.Leaks[0]; len(l.Cause) != 1 || len(l.Evidence.Candidates) != 0 || k.boots != 11 {
		t.Errorf("cause %v, %d candidates, %d boots", l.Cause, len(l.Evidence.Candidates), k.boots)
	}
}

// Each effect is held against the rounds by itself; the cause that is found has
// the verdict of one.
func TestEffectsAndVerdicts(t *testing.T) {
	k := &kernel{latches: map[string]string{"b": "x"}, drifts: "noise", rng: rand.New(rand.NewPCG(1, 1))}
	r := reportOf(3, leak(nil, []report.Cause{write("a"), write("b"), write("c")}, "x", "noise"))
	if err := Confirm(t.Context(), r, Plan{Rounds: 10}, k.boot); err != nil {
		t.Fatal(err)
	}
	if len(r.Leaks) != 1 || len(r.Leaks[0].Effects) != 1 || r.Leaks[0].Effects[0].Key != "x" {
		t.Fatalf("leaks %+v", r.Leaks)
	}
	if v := r.Counts.Verdicts; r.Keys[1].Verdict != report.VerdictLeak || v[report.VerdictLeak] != 1 || v[report.VerdictUntested] != 2 {
		t.Errorf("keys %+v, counts %v", r.Keys, v)
	}
	again := reportOf(3, leak(nil, []report.Cause{write("b")}, "x"))
	Known(again, r)
	if len(again.Leaks) != 0 {
		t.Errorf("what is proved is found anew: %+v", again.Leaks)
	}
}

// Leaks that share boots are told apart; those by different writers do not share.
func TestOrders(t *testing.T) {
	for seed := range uint64(300) {
		other := write("c")
		other.Writer = "userns"
		k := &kernel{latches: map[string]string{"a": "x", "c": "z"}}
		r := reportOf(seed, leak([]report.Cause{write("a")}, nil, "x"), leak([]report.Cause{write("b")}, nil, "y"), leak([]report.Cause{other}, nil, "z"))
		mixed := false
		boot := func(ctx context.Context, writes []report.Cause) ([]report.Effect, error) {
			for _, w := range writes {
				mixed = mixed || w.Writer != writes[0].Writer
			}
			effects, err := k.boot(ctx, writes)
			return effects, err
		}
		if err := Confirm(t.Context(), r, Plan{Rounds: 6}, boot); err != nil {
			t.Fatal(err)
		}
		if mixed || len(r.Leaks) != 2 || k.boots != 12 {
			t.Errorf("seed %d: mixed writers %v, %d leaks, %d boots", seed, mixed, len(r.Leaks), k.boots)
		}
	}
}

// A boot that fails is made again; one that fails for good ends the proof, and what was
// proved until then stays.
func TestFailures(t *testing.T) {
	const tries = 3
	const needed = 12 // 2 to narrow b and c down, 10 rounds
	for fail := 1; fail <= needed+1; fail++ {
		for times := range 5 {
			k := &kernel{latches: map[string]string{"a": "x", "b": "y"}, fail: fail, times: times}
			r := reportOf(1, leak([]report.Cause{write("a")}, nil, "x"), leak(nil, []report.Cause{write("b"), write("c")}, "y"))
			err := Confirm(t.Context(), r, Plan{Rounds: 10, AtATime: 1}, k.boot)
			if len(r.Leaks) != 2 {
				t.Fatalf("boot %d fails %d times: %d leaks", fail, times, len(r.Leaks))
			}
			a := r.Leaks[slices.IndexFunc(r.Leaks, func(l report.Leak) bool { return l.Effects[0].Key == "x" })]
			rounds := a.Evidence.Rounds + a.Evidence.Shams
			if fail > needed || times < tries {
				again := times
				if fail > needed {
					again = 0
				}
				if err != nil || k.boots != needed+again || rounds != 10 || strings.Contains(a.Evidence.Why, "could not be made") {
					t.Errorf("boot %d fails %d times: %v, %d boots, evidence %+v", fail, times, err, k.boots, a.Evidence)
				}
				continue
			}
			made := max(0, fail-1-(needed-10))
			if !errors.Is(err, errBoot) || k.boots != fail+tries-1 || rounds != made || a.Evidence.Matched != a.Evidence.Rounds ||
				made > 0 && !strings.Contains(a.Evidence.Why, fmt.Sprintf("%d of 10 boots could not be made", 10-made)) {
				t.Errorf("boot %d fails for good: %v, %d boots, evidence %+v", fail, err, k.boots, a.Evidence)
			}
			if r.Keys[0].Verdict != report.VerdictLeak {
				t.Errorf("boot %d fails for good: the key has the verdict %s", fail, r.Keys[0].Verdict)
			}
		}
	}
	k := &kernel{}
	if err := Confirm(t.Context(), reportOf(1, leak([]report.Cause{write("a")}, nil, "x")), Plan{Rounds: 1}, k.boot); err != nil || k.boots != 0 {
		t.Errorf("one round: %v, %d boots", err, k.boots)
	}
}
