// Package order is what the two sides of the storm say to each other: what is to be
// killed, and how each time went. Only they import it.
package order

import (
	"time"

	"github.com/netns-verify/netns-verify/parent"
)

// Path is where the guest finds its Order, Tool the binary that it is about, and
// Module the planted-leak module, so that there is always something to undo.
const (
	Path   = "/storm.json"
	Tool   = "/netns-verify"
	Module = "/leaky.ko"
)

// Kind says what is done to a run, at a moment drawn at random.
type Kind string

// The kinds: who is killed, by SIGKILL, or which signals are sent.
const (
	Parent   Kind = "parent"
	Child    Kind = "child"
	Guardian Kind = "guardian"
	Both     Kind = "both"    // parent and guardian; `restore` is run then
	Signal   Kind = "signal"  // SIGINT, SIGTERM or SIGHUP to the parent
	Nothing  Kind = "nothing" // a run without a fault
)

// Kinds is all of them that are faults.
func Kinds() []Kind { return []Kind{Parent, Child, Guardian, Both, Signal} }

// Order is what a guest is to do.
type Order struct {
	Seed uint64 `json:"seed"`
	// Times is how often what is to be done.
	Times map[Kind]int `json:"times"`
	// Rows are what a run may be about, one of them drawn for each.
	Rows []Row `json:"rows"`
	// Arguments are those of each run.
	Arguments []string `json:"arguments"`
}

// Row is what a run writes, below net/leaky. Keys that leak make a run longer the more of
// them there are.
type Row struct {
	Keys string `json:"keys"` // a pattern
	// Arguments are those that it takes to see the leak.
	Arguments []string `json:"arguments,omitempty"`
	// Nobody makes the run.
	Nobody bool `json:"nobody,omitempty"`
	// Clean: nothing leaks.
	Clean bool `json:"clean,omitempty"`
}

// Rows is all of them.
func Rows() []Row {
	return []Row{
		{Keys: "same_key"}, {Keys: "same_key_host"}, {Keys: "cross"}, {Keys: "delayed"}, {Keys: "at_exit"}, {Keys: "rejected"},
		{Keys: "both_*"}, {Keys: "mask_*"}, {Keys: "decrease"}, {Keys: "slow", Clean: true}, {Keys: "userns_only", Nobody: true},
		{Keys: "via_descriptor", Arguments: []string{"--descriptors"}},
	}
}

// Late is whether the host took longer to be as it was than a run's settle time and a second.
func (r Round) Late() bool { return r.TailMS > Soon.Milliseconds() }

// Soon is what a run's end may take after the last namespace of the run's has gone.
const Soon = parent.DefaultSettle + time.Second

// Round is how one run went.
type Round struct {
	Kind Kind   `json:"kind"`
	Seed uint64 `json:"seed"`
	// Keys is what the run was to write, WriteHost whether it wrote the host's, too.
	Keys      string `json:"keys"`
	WriteHost bool   `json:"write_host,omitempty"`
	// Phase is the last one that the run had logged when it was hit.
	Phase string `json:"phase"`
	// AfterMS is the moment, TookMS how long it was until no process of the run was
	// left, with `restore` where that was run.
	AfterMS int64 `json:"after_ms"`
	TookMS  int64 `json:"took_ms"`
	// TailMS is how long after the last child, which has a network namespace of its own, the
	// last process of all ended, by when the host is as it was or never will be; where no
	// such process was seen, how long after the hit. The namespace itself goes later than
	// its process.
	TailMS int64 `json:"tail_ms"`
	// Missed: what was to be killed was not there.
	Missed bool `json:"missed,omitempty"`
	// Wrong is what should not be: nothing if all is well.
	Wrong []string `json:"wrong,omitempty"`
	// Log is the last lines of the log where something is wrong, or came late.
	Log string `json:"log,omitempty"`
}
