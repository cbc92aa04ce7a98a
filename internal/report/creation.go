package report

// Creation is where a namespace has the value of a key from.
type Creation string

// The creations.
const (
	CreationShared    Creation = "shared"    // it is the host's own, at any time
	CreationInherited Creation = "inherited" // a copy, made when the namespace was
	CreationDefault   Creation = "default"   // nothing that was written on the host changes it
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
