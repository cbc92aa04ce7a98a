package protocol

import (
	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// Version changes with every change of a message.
const Version = 4

// Request is a message from the parent: exactly one field is set.
type Request struct {
	Survey  *Survey  `json:"survey,omitempty"`
	Perturb *Perturb `json:"perturb,omitempty"`
	Replay  *Replay  `json:"replay,omitempty"`
	Sweep   *Sweep   `json:"sweep,omitempty"`
	Quit    *Quit    `json:"quit,omitempty"`
	Devices *Devices `json:"devices,omitempty"`
	Pass    *Pass    `json:"pass,omitempty"`

	Offspring *Offspring `json:"offspring,omitempty"`
	Look      *Look      `json:"look,omitempty"`
}

// Reply is a message from the child: exactly one field is set.
type Reply struct {
	Hello   *Hello   `json:"hello,omitempty"`
	Entries *Entries `json:"entries,omitempty"`
	Write   *Write   `json:"write,omitempty"`
	Changes *Changes `json:"changes,omitempty"`
	Done    *Done    `json:"done,omitempty"`
	Failed  *Error   `json:"failed,omitempty"`
	Made    *Made    `json:"made,omitempty"`
	Passed  *Passed  `json:"passed,omitempty"`
}

// Hello is the child's first message.
type Hello struct {
	Version int `json:"version"`
	// Build is the child's build: it must be the parent's.
	Build string `json:"build"`
	PID   int    `json:"pid"`
	// NetNS is the inode of the child's network namespace (namespaces(7)).
	NetNS uint64 `json:"netns"`
	// UserNS is that of the user namespace which owns it, and which the child is in; 0
	// in a kernel without them.
	UserNS uint64 `json:"userns"`
}

// Survey asks for all keys of the namespace. The child remembers them as the
// baseline of its sweeps.
type Survey struct{}

// Entries is a part of a survey, in key order. It answers look and offspring, too.
type Entries struct {
	Entries []Entry `json:"entries"`
}

// Entry is one key as found.
type Entry struct {
	Key   Bytes  `json:"key"`
	Mode  uint32 `json:"mode"`
	State State  `json:"state"`
}

// Look asks for some keys, in key order. They are no baseline.
type Look struct {
	Keys []Bytes `json:"keys"`
}

// Offspring asks for all keys of a namespace that the child makes from its own;
// it is gone when that has been answered. It is no baseline.
type Offspring struct{}

// Perturb asks for each key to be moved off its value and off the observers'.
type Perturb struct {
	Items []Item `json:"items"`
}

// Item is one key of a batch.
type Item struct {
	Key Bytes `json:"key"`
	// Candidates are tried in order until Want of them took effect.
	Candidates []Bytes `json:"candidates"`
	// Avoid is the observers' values: to read one of those back shows nothing.
	Avoid []Bytes `json:"avoid,omitempty"`
	Want  int     `json:"want"`
	// Exact has every candidate written once, whatever comes of it.
	Exact bool `json:"exact,omitempty"`
}

// Replay asks for exactly these writes, in order.
type Replay struct {
	Writes []Assign `json:"writes"`
}

// Assign is one value for one key.
type Assign struct {
	Key   Bytes `json:"key"`
	Value Bytes `json:"value"`
	// Read has the key only read.
	Read bool `json:"read,omitempty"`
}

// Write is the result of one write, accepted or rejected, streamed as it happens.
type Write struct {
	Key   Bytes `json:"key"`
	Value Bytes `json:"value"`
	// Error is the rejection; nil where the kernel accepted the write.
	Error  *Error `json:"error,omitempty"`
	Before State  `json:"before"`
	After  State  `json:"after"`
}

// Sweep asks for what is not as it was in the survey.
type Sweep struct {
	// Known has only the keys looked at that were there.
	Known bool `json:"known,omitempty"`
}

// Changes answers a sweep, in key order.
type Changes struct {
	Changes []Change `json:"changes"`
}

// Change is one key that is not as it was.
type Change struct {
	Key    Bytes `json:"key"`
	Before State `json:"before"`
	After  State `json:"after"`
}

// Quit asks the child to say done and exit.
type Quit struct{}

// Done ends the answer to a request; the one that answers quit is the child's last word.
type Done struct{}

// State is sysctl.State on the wire.
type State struct {
	Value Bytes `json:"value,omitzero"`
	Errno uint  `json:"errno,omitempty"`
}

// FromState and its inverse carry a state across.
func FromState(s sysctl.State) State { return State{Bytes(s.Value), uint(s.Errno)} }

// State is the inverse of FromState.
func (s State) State() sysctl.State {
	return sysctl.State{Value: string(s.Value), Errno: errno(s.Errno)}
}
