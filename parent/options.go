package parent

import (
	"time"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/internal/keyfile"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/record"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// Options says how to run. The zero value of a number means its default.
type Options struct {
	// Seed draws the orders of keys and of confirmation rounds.
	Seed uint64
	// BatchSize is how many keys are written between two sweeps (default 64).
	BatchSize int
	// Include and Exclude choose the keys to write; no Include, and no Lines, means all.
	Include, Exclude []sysctl.Glob
	// Lines ask about keys, too, and have values to try first.
	Lines keyfile.Lines
	// AllowUntested only must match keys, as Include and Exclude must.
	AllowUntested []sysctl.Glob
	// Lenient warns of patterns that match no key, as long as there is one to ask about.
	Lenient bool
	// Writers says who writes, one after another (default root). What one of them
	// latches the next cannot show: an ordinary user had better come first.
	Writers []trace.Writer
	// Latches is further keys that are written first, and by writers of their own,
	// like those that are known to be one-way.
	Latches []sysctl.Key
	// Covered is where something is mounted over the host's keys (sysctl.Covered):
	// those are neither observed nor written.
	Covered []string
	// AllowOneWay also writes keys that are known to be one-way.
	AllowOneWay bool
	// Thorough writes more values to each key, in more orders, and looks for what
	// comes late or with the end of a namespace.
	Thorough bool
	// Extreme allows values that may cost much memory, where Thorough is set.
	Extreme bool
	// DryRun ends after the plan.
	DryRun bool
	// Settle is how long replays wait for delayed effects, where an effect did
	// not come at once (default 300 ms).
	Settle time.Duration
	// Deadline is the longest wait for a child's answer (default 30 s).
	Deadline time.Duration
	// MaxReplays bounds the replays of the run's attributions and confirmations
	// (default 2000); what is left then is unresolved. To tell that from a key
	// that moves by itself, GrantedReplays are made beyond it.
	MaxReplays int

	Logger zerolog.Logger
	// Progress, if not nil, is told where the run is, from one goroutine.
	Progress func(Progress)
	// Writing, if not nil, is told which keys a child is going to write, before it
	// is asked to: whoever keeps that knows what was under way when all ends.
	Writing func(keys []sysctl.Key)
	// ShowSecrets shows values of keys that not everybody may read.
	ShowSecrets bool
	// Hurry, once closed, has a run that was told to stop not wait for what may
	// still come late. The host is put back all the same.
	Hurry <-chan struct{}
	// Record has on file what whoever puts the host back needs, where the run cannot any more
	// (default: it is kept in memory only).
	Record *record.Writer
	// Found, if not nil, is given each leak once, as the report has it so far.
	Found func(report.Leak)
	// Loadable is the modules that the kernel can load at its own request and has
	// not: their names are tried where a write may make it do so. Not for a host,
	// which would have them until reboot.
	Loadable []string
	// Private tells that the machine was made for the run: what happens there in the
	// moment of a write nobody else has done.
	Private bool
	// Devices is what children have beside lo (default nothing).
	Devices Devices
	// Descriptors also reads and writes, from the host's namespace, through
	// descriptors that the last writer opened.
	Descriptors bool

	// WriteHost also writes the host's keys, after all writers, to find out what
	// other namespaces take over from it.
	WriteHost bool
}

// The defaults of Options.
const (
	DefaultBatchSize  = 64
	DefaultSettle     = 300 * time.Millisecond
	ThoroughSettle    = time.Second // where Thorough is set
	DefaultDeadline   = 30 * time.Second
	DefaultMaxReplays = 2000
	GrantedReplays    = restlessRounds
)

func (o Options) withDefaults() Options {
	if o.BatchSize <= 0 {
		o.BatchSize = DefaultBatchSize
	}
	if o.Settle <= 0 && o.Thorough {
		o.Settle = ThoroughSettle
	}
	if o.Settle <= 0 {
		o.Settle = DefaultSettle
	}
	if o.Deadline <= 0 {
		o.Deadline = DefaultDeadline
	}
	if o.MaxReplays <= 0 {
		o.MaxReplays = DefaultMaxReplays
	}
	if o.Record == nil {
		o.Record = record.NewWriter(record.Config{})
	}
	if len(o.Writers) == 0 {
		o.Writers = []trace.Writer{trace.WriterRoot}
	}
	return o
}

// Phase is a part of a run, in order.
type Phase string

// The phases.
const (
	PhaseSurvey  Phase = "survey"
	PhaseReads   Phase = "reads" // thorough: keys are only read
	PhasePlan    Phase = "plan"
	PhaseForward Phase = "forward"
	PhaseReverse Phase = "reversed"
	PhaseValues  Phase = "values" // thorough: every value, and each where all others are moved
	PhaseHost    Phase = "host"
	PhaseRestore Phase = "restore"
	PhaseReport  Phase = "report"
	// PhaseDescriptors comes after the last PhaseReverse.
	PhaseDescriptors Phase = "descriptors"
)

// Progress says where a run is.
type Progress struct {
	Phase Phase
	// Done of Total steps of the phase; Total is 0 where that is not known.
	Done, Total int
	// Doing is what is happening within the phase, such as "attributing 2 effects".
	Doing string
	// Leaks is how many are known so far.
	Leaks int
}
