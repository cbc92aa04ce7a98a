package protocol

// MaxPass is how many descriptors a child passes on in answer to one request: all
// of them may be on their way at once, and what holds them is not endless.
const MaxPass = 64

// Pass asks for each of at most MaxPass keys to be opened and its descriptor to be
// passed on.
type Pass struct {
	Keys []Bytes `json:"keys"`
}

// Passed says, in the request's order, that a key's descriptor is on its way over
// the socket: it was sent before this.
type Passed struct {
	Key Bytes `json:"key"`
	// Error says why there is none.
	Error *Error `json:"error,omitempty"`
	// State is what the child itself has just read through the descriptor.
	State State `json:"state"`
}
