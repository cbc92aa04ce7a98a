package simkernel

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent"
	"github.com/netns-verify/netns-verify/parent/record"
	"github.com/netns-verify/netns-verify/parent/trace"
)

var (
	seedFlag     = flag.Uint64("seed", 0, "the kernel of TestKernel")
	thoroughFlag = flag.Bool("thorough", false, "thorough runs only")
	kindFlag     = flag.Int("kind", -1, "only one leak of this kind in the kernels of TestKernel and TestRandomKernels")
)

// How many kernels there are (make test-all: ten and five times as many), and how many
// replays one may take. The race detector makes each seven times as slow.
const (
	manyKernels = 1_000
	raceKernels = 100
	fewKernels  = 500                                              // from so many on, statistics of them mean something
	mostReplays = parent.DefaultMaxReplays + parent.GrantedReplays // until measured
)

// outcome is what one run on one kernel came to.
type outcome struct {
	truth      Truth
	log        *Log
	report     *report.Report
	violations []string
}

// run makes one run on the kernel of a seed.
func run(t *testing.T, seed uint64, logger zerolog.Logger) outcome {
	var o outcome
	synctest.Test(t, func(t *testing.T) {
		k, truth := kernelOf(seed)
		rng := rand.New(rand.NewPCG(seed, 1))
		opts := parent.Options{Seed: rng.Uint64(), BatchSize: 1 + rng.IntN(16), Logger: logger}
		switch rng.IntN(5) {
		case 0:
			opts.BatchSize = 256
		case 1:
			opts.BatchSize = math.MaxInt32 // the whole pass
		}
		opts.Devices = hostDevices(k)
		if seed%8 == 7 { // two of them find the same
			opts.Writers = []trace.Writer{trace.WriterUserNS, trace.WriterRoot}
		}
		opts.Thorough = thoroughFlag != nil && *thoroughFlag || seed%16 == 5
		opts.Descriptors = seed%8 == 3
		opts.Record = record.NewWriter(record.Config{})
		var announced []sysctl.Key
		var found int
		opts.Writing = func(keys []sysctl.Key) { announced = append(announced, keys...) }
		opts.Found = func(report.Leak) { found++ }
		before := k.Snapshot()
		r, err := parent.Run(context.Background(), k, opts)
		synctest.Wait()
		o.truth, o.log, o.report = truth, k.Log(), r
		if r == nil {
			o.violations = []string{fmt.Sprintf("no report: %v", err)}
			return
		}
		o.violations = Check(truth, o.log, r, before, k.Snapshot())
		for _, w := range o.log.Writes {
			if !slices.Contains(announced, w.Key) {
				o.violations = append(o.violations, fmt.Sprintf("the write of %s was not announced", w.Key))
			}
			if w.Role != "" && !opts.Record.Record().SentTo(w.Key, w.Value) {
				o.violations = append(o.violations, fmt.Sprintf("it is not on record that %s may be given %q", w.Key, w.Value))
			}
		}
		if found != len(r.Leaks) {
			o.violations = append(o.violations, fmt.Sprintf("%d leaks were told of, the report has %d", found, len(r.Leaks)))
		}
		if err != nil {
			o.violations = append(o.violations, fmt.Sprintf("the run failed: %v", err))
		}
		if r.Run.Replays > mostReplays {
			o.violations = append(o.violations, fmt.Sprintf("%d replays, want at most %d", r.Run.Replays, mostReplays))
		}
	})
	return o
}

func kernelOf(seed uint64) (*Kernel, Truth) {
	if *kindFlag >= 0 {
		return GenerateKind(seed, Kind(*kindFlag))
	}
	return Generate(seed)
}

func kernelCount(t *testing.T) uint64 {
	if s := os.Getenv("NETNS_VERIFY_KERNELS"); s != "" {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			t.Fatalf("NETNS_VERIFY_KERNELS: %v", err)
		}
		return n
	}
	if testing.Short() {
		return fewKernels
	}
	if raceDetector {
		return raceKernels
	}
	return manyKernels
}

// Every planted leak that could be seen is found with its cause, nothing else is
// reported, and the host is as it was: on random kernels, with the real
// orchestrator, protocol and child.
func TestRandomKernels(t *testing.T) {
	n := kernelCount(t)
	gc := debug.SetGCPercent(400) // the kernels are small and many
	t.Cleanup(func() { debug.SetGCPercent(gc) })
	var s stats
	t.Cleanup(func() { s.print(t, n) })
	shards := uint64(2 * runtime.GOMAXPROCS(0))
	for shard := range shards {
		t.Run(strconv.FormatUint(shard, 10), func(t *testing.T) {
			t.Parallel()
			for seed := shard; seed < n; seed += shards {
				o := run(t, seed, zerolog.Nop())
				s.add(seed, o)
				if len(o.violations) > 0 {
					t.Errorf("seed %d (again with: go test ./internal/simkernel -run 'TestKernel$' -v -seed %d):\n%s",
						seed, seed, strings.Join(o.violations, "\n"))
				}
			}
		})
	}
}

// TestKernel runs one seed and tells everything.
func TestKernel(t *testing.T) {
	logger := zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.DebugLevel)
	if !testing.Verbose() {
		logger = zerolog.Nop()
	}
	o := run(t, *seedFlag, logger)
	if testing.Verbose() {
		o.log.Print(os.Stdout, o.truth)
		for _, l := range o.report.Leaks {
			fmt.Printf("leak %s by %v to %v, %d candidates: %s\n",
				l.Evidence.Status, causeOf(&l), effectsOf(&l), len(l.Evidence.Candidates), l.Evidence.Why)
		}
		for _, u := range o.report.Unconfirmed {
			fmt.Printf("unconfirmed %s %s: %s\n", u.Observer, u.Key, u.Why)
		}
		for _, k := range o.report.Keys {
			fmt.Printf("key %s: %s %s\n", k.Key, k.Verdict, k.UntestedReason)
		}
		fmt.Printf("%d replays\n", o.report.Run.Replays)
	}
	for _, v := range o.violations {
		t.Error(v)
	}
}

// stats sums up what the kernels were like, so that the test cannot pass by
// finding nothing to ask for.
type stats struct {
	mu                             sync.Mutex
	planted, visible               [len(kinds)]int
	restless                       int // leaks found in keys that move by themselves
	misnamed                       int // late latches for which their victim is named
	replays, worst                 int
	worstSeed                      uint64
	bystanders, isolated, unproven int
	leaks, unconfirmed             int
	failed                         []uint64
}

func (s *stats) add(seed uint64, o outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, p := range o.truth.Plants {
		s.planted[p.Kind]++
		if o.log.seen(i) {
			s.visible[p.Kind]++
		}
	}
	if len(o.violations) > 0 {
		s.failed = append(s.failed, seed)
	}
	if o.report == nil {
		return
	}
	s.replays += o.report.Run.Replays
	if o.report.Run.Replays > s.worst {
		s.worst, s.worstSeed = o.report.Run.Replays, seed
	}
	s.leaks += len(o.report.Leaks)
	for i := range o.report.Leaks {
		if o.truth.misnamed(&o.report.Leaks[i]) {
			s.misnamed++
		}
	}
	for _, p := range o.truth.Plants {
		if p.Kind == Restless && slices.ContainsFunc(o.report.Leaks, func(l report.Leak) bool { return p.reportedBy(&l) }) {
			s.restless++
		}
	}
	s.unconfirmed += len(o.report.Unconfirmed)
	verdicts := map[sysctl.Key]report.Verdict{}
	for _, k := range o.report.Keys {
		verdicts[sysctl.Key(k.Key)] = k.Verdict
	}
	for _, k := range o.truth.Keys {
		switch {
		case !k.Bystander || k.Expect != "" || k.Restless:
		case verdicts[k.Key] == report.VerdictIsolated:
			s.isolated++
		case !o.log.proven(k.Key):
			s.unproven++
		}
		if k.Bystander && k.Expect == "" && !k.Restless {
			s.bystanders++
		}
	}
}

func (s *stats) print(t *testing.T, n uint64) {
	for _, k := range Kinds() {
		if s.planted[k] == 0 {
			continue
		}
		t.Logf("%-16v planted %5d, visible %5d", k, s.planted[k], s.visible[k])
		if n >= fewKernels && s.visible[k]*3 < s.planted[k] {
			t.Errorf("%v: only %d of %d plants could be seen", k, s.visible[k], s.planted[k])
		}
	}
	if n >= fewKernels && s.restless*5 < s.visible[Restless] {
		t.Errorf("only %d of %d leaks in restless keys were found", s.restless, s.visible[Restless])
	}
	if n >= fewKernels && s.misnamed > 1+s.visible[LatchLate]/100 {
		t.Errorf("for %d of %d late latches their victim is named", s.misnamed, s.visible[LatchLate])
	}
	if n >= fewKernels && s.unproven*1000 > s.bystanders {
		t.Errorf("%d of %d ordinary keys were never written with effect", s.unproven, s.bystanders)
	}
	t.Logf("for %d of %d late latches the victim is named as the cause, beside the candidates", s.misnamed, s.visible[LatchLate])
	t.Logf("%d kernels: %d leaks reported, %d unconfirmed effects; %d of %d ordinary keys isolated, %d never written with effect",
		n, s.leaks, s.unconfirmed, s.isolated, s.bystanders, s.unproven)
	t.Logf("replays: mean %.1f, worst %d (seed %d)", float64(s.replays)/float64(max(n, 1)), s.worst, s.worstSeed)
	slices.Sort(s.failed)
	if len(s.failed) > 0 {
		t.Logf("%d of %d kernels failed, among them %v", len(s.failed), n, s.failed[:min(len(s.failed), 60)])
	}
}
