package guestlink

import (
	"encoding/json"
	"time"

	"github.com/netns-verify/netns-verify/internal/keyfile"
	"github.com/netns-verify/netns-verify/internal/observe"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/protocol"
)

// Version changes with every change of an order or a message.
const Version = 3

// OrderPath is where a guest finds its order, in its root file system.
const OrderPath = "/order.json"

// Order is what a guest is to do: exactly one field is set.
type Order struct {
	Run   *Run   `json:"run,omitempty"`
	Probe *Probe `json:"probe,omitempty"`
}

// Probe orders some writes, and nothing else (parent.Probe). The answer is the
// final message's effects.
type Probe struct {
	Run
	Writes []protocol.Assign `json:"writes"`
}

// Run orders one run, with the options of parent.Options.
type Run struct {
	// Build must be the guest's own.
	Build       string        `json:"build"`
	Seed        uint64        `json:"seed"`
	BatchSize   int           `json:"batch_size"`
	Include     []sysctl.Glob `json:"include,omitempty"`
	Exclude     []sysctl.Glob `json:"exclude,omitempty"`
	Lines       keyfile.Lines `json:"lines,omitempty"`
	Allow       []sysctl.Glob `json:"allow_untested,omitempty"`
	Lenient     bool          `json:"lenient,omitempty"`
	Writers     []string      `json:"writers,omitempty"`
	Latches     []sysctl.Key  `json:"latches,omitempty"`
	AllowOneWay bool          `json:"allow_one_way"`
	DryRun      bool          `json:"dry_run"`
	Settle      time.Duration `json:"settle_ns"`
	Deadline    time.Duration `json:"deadline_ns"`
	Thorough    bool          `json:"thorough"`
	// LogLevel is the least to log (zerolog's names).
	LogLevel string `json:"log_level"`
	RunID    string `json:"run_id"`
	// Observe is what is watched on the host (observe.Kinds).
	Observe observe.Kinds `json:"observe,omitempty"`
	// Devices is the kinds that children get (internal/device).
	Devices []string `json:"devices,omitempty"`
	// Descriptors is parent.Options.Descriptors.
	Descriptors bool `json:"descriptors"`

	WriteHost   bool `json:"write_host,omitempty"`
	ShowSecrets bool `json:"show_secrets,omitempty"`

	// Lean leaves all modules unloaded that are not needed for the keys (kmod.Manifest.Lean),
	// so that it shows when a write has the kernel load one.
	Lean bool `json:"lean,omitempty"`
}

// Message is one of a guest's: exactly one field is set.
type Message struct {
	Hello    *Hello                `json:"hello,omitempty"`
	Host     *report.Host          `json:"host,omitempty"`
	Progress *Progress             `json:"progress,omitempty"`
	Writing  *Writing              `json:"writing,omitempty"`
	Log      *Log                  `json:"log,omitempty"`
	Module   *report.Module        `json:"module,omitempty"`
	Kernel   *report.KernelMessage `json:"kernel,omitempty"`
	Leak     *report.Leak          `json:"leak,omitempty"`
	Final    *Final                `json:"final,omitempty"`
}

// Hello is the first message.
type Hello struct {
	Version int    `json:"version"`
	Build   string `json:"build"`
}

// Progress says where the guest is (parent.Progress, and phases before a run's own).
type Progress struct {
	Phase string `json:"phase"`
	Done  int    `json:"done"`
	Total int    `json:"total"`
	Doing string `json:"doing,omitempty"`
	Leaks int    `json:"leaks"`
}

// Writing is said before writes are made: if nothing follows, one of them ended
// the guest.
type Writing struct {
	Phase string           `json:"phase"`
	Keys  []protocol.Bytes `json:"keys"`
}

// Log is one line of the guest's log: an object of zerolog's, and what a
// process wrote that is no such object as text.
type Log struct {
	Line json.RawMessage `json:"line"`
}

// Final is the last message. The report says what was found out even where
// Error says why the run failed; nil means that nothing was.
type Final struct {
	Report *report.Report `json:"report"`
	Error  string         `json:"error,omitempty"`
	// Usage tells that the order asks about no key (parent.Unmatched).
	Usage bool `json:"usage,omitempty"`
	// Effects answers a probe.
	Effects []report.Effect `json:"effects,omitempty"`
}
