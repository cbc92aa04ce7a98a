package report

// Creation is where a namespace has the value of a key from.
type Creation string

// The creations.
const (
	CreationShared    Creation = "shared"    // it is the host's own, at any time
	CreationInherited Creation = "inherited" // a copy, made when the namespace was
	CreationDefault   Creation = "default"   // nothing changes it: all that could was moved
	CreationDerived   Creation = "derived"   // from another key, or by a rule
)

// AnyDevconf stands for all values of devconf_inherit_init_net.
const AnyDevconf = "*"

// The namespaces that a value can come from.
const (
	FromHost    = "host"
	FromCreator = "creator"
)

// Origin says more about an inherited or derived value.
type Origin struct {
	// Namespace is whose keys count: those of the host, whoever makes a namespace,
	// or its creator's (which is the host for what the host makes); empty where it
	// was not measured.
	Namespace string `json:"namespace,omitempty"`
	// Keys is the other keys that the value follows, as far as they are known.
	Keys []string `json:"keys,omitempty"`
}

// NotMoved is a key that others may have their values from, and that was not moved to
// small, large and other values while a namespace was made.
type NotMoved struct {
	Key string `json:"key"`
	// Namespace is whose key it is: FromHost or FromCreator.
	Namespace string         `json:"namespace"`
	Why       NotMovedReason `json:"why"`
}

// NotMovedReason is why.
type NotMovedReason string

// The reasons.
const (
	NotMovedRefused     NotMovedReason = "refused"      // no value took effect, or another write undid each
	NotMovedNoCandidate NotMovedReason = "no-candidate" // no value to try is known
	NotMovedReadOnly    NotMovedReason = "read-only"    // nobody can write it
	NotMovedUnreadable  NotMovedReason = "unreadable"   // it could not be put back
	NotMovedRestless    NotMovedReason = "restless"     // it moves by itself
	NotMovedOneWay      NotMovedReason = "one-way"      // it does not go back
	NotMovedDisruptive  NotMovedReason = "disruptive"   // more than its value would be lost; not for a host
	NotMovedCovered     NotMovedReason = "covered"      // something is mounted where the host has it
	NotMovedLeak        NotMovedReason = "leak"         // written in a namespace, it changes others
)
