package simkernel

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// Kind is a kind of planted leak.
type Kind int

// The kinds.
const (
	SameKeyGlobal  Kind = iota // one variable for everybody
	SameKeyHost                // the handler also sets the host's, with the value written
	SetOnly                    // as before, but never back to 0
	CrossFollow                // another key follows the value written
	CrossConstant              // another key of several observers is set
	CrossHost                  // another key of the host only is set
	SiblingOnly                // a key of the other existing namespaces
	LaterFollow                // a key of later namespaces follows
	LaterConstant              // a key of later namespaces is set, for ever
	LatchSame                  // same key, once for ever
	LatchCross                 // another key, once for ever
	ValueDependent             // only with some values
	DecreaseOnly               // only where the value goes down
	Conjunctive                // only where two keys are off their defaults
	Masked                     // set by one write, put back by another
	SharedEffect               // two causes of one effect
	Delayed                    // some milliseconds later
	Rejected                   // by a write that is refused
	Appear                     // a key comes
	Disappear                  // a key goes
	Chain                      // a side effect or an effect that is a cause itself
	MultiEffect                // several keys of several observers
	LatchTwo                   // once for ever, only where two keys are off their defaults; on one of them
	LatchLate                  // another key, once for ever, some milliseconds later
	Restless                   // same key, and the host's moves by itself as well
	AtExit                     // when the writer's namespace ends
	DeviceSame                 // same key, for some of several devices
	DeviceCross                // the key of the same name of another device
	OnRead                     // by reading; not drawn, because every look of a run brings it about
)

// Effect is where a leak shows.
type Effect struct {
	Observer string
	Key      sysctl.Key
}

// Plant is one planted leak.
type Plant struct {
	Kind Kind
	// Cause is the minimal set of keys, sorted.
	Cause []sysctl.Key
	// Effects is where it shows, sorted.
	Effects []Effect
	// Derived is effects that only follow from those: a later namespace inherits
	// what the host has. They may be reported and need not be.
	Derived []Effect
	// OneWay tells that nobody can undo it.
	OneWay bool
}

func (p Plant) String() string {
	s := fmt.Sprintf("%v %v -> %v", p.Kind, p.Cause, p.Effects)
	if p.OneWay {
		s += " one-way"
	}
	return s
}

// sameKey tells that it shows on its only cause.
func (p Plant) sameKey() bool {
	return len(p.Cause) == 1 && slices.ContainsFunc(p.Effects, func(e Effect) bool { return e.Key == p.Cause[0] })
}

func (p Plant) shows(e Effect) bool {
	return slices.Contains(p.Effects, e) || slices.Contains(p.Derived, e)
}

// Truth is what is so in a generated kernel.
type Truth struct {
	Seed   uint64
	Plants []Plant
	Keys   []KeyTruth // sorted
	// again makes the same kernel anew, with a clock of its own.
	again func() *Kernel
}

// KeyTruth is what is so about one key.
type KeyTruth struct {
	Key sysctl.Key
	// InChild tells that every fresh namespace has it.
	InChild  bool
	Restless bool
	// RestlessHost tells that the host's moves by itself.
	RestlessHost bool
	// Expect is the verdict that the key's model alone decides, unless it is the
	// cause of a leak; empty where the run decides.
	Expect report.Verdict
	// Bystander tells that no leak and no side effect has to do with the key.
	Bystander bool
	// secret values are shown as a digest.
	secret bool
}

func compareEffects(a, b Effect) int {
	return cmp.Or(cmp.Compare(a.Observer, b.Observer), cmp.Compare(a.Key, b.Key))
}

func sortedEffects(m map[Effect]bool) []Effect {
	out := make([]Effect, 0, len(m))
	for e := range m {
		out = append(out, e)
	}
	slices.SortFunc(out, compareEffects)
	return out
}
