package report

// Answer is that to a line of --keys-from, for one key.
type Answer struct {
	Line int `json:"line"`
	// Pattern is the key as the line has it.
	Pattern string `json:"pattern"`
	// Key is empty where the line asks about none; Why says why then.
	Key    string `json:"key"`
	KeyB64 []byte `json:"key_b64,omitempty"`
	// Value is the line's; null where it has none.
	Value          *string `json:"value"`
	Verdict        Verdict `json:"verdict,omitempty"`
	UntestedReason Reason  `json:"untested_reason,omitempty"`
	// Writers says by writer whether the key can be set in a fresh namespace.
	Writers map[string]Setting `json:"writers"`
	Why     string             `json:"why,omitempty"`
	// Missing tells that there is no such key, and that the line wants one.
	Missing bool `json:"missing,omitempty"`
}

// Whether a key can be set.
const (
	SetYes     = "yes"
	SetNo      = "no"
	SetUnknown = "unknown"
)

// Setting is what became of setting a key, to the line's value if it has one.
type Setting struct {
	Set   string `json:"set"`
	Errno string `json:"errno,omitempty"`
	Why   string `json:"why,omitempty"`
}

// answer gives each answer its key's verdict, and names the lines without a key.
func (r *Report) answer() (missing []string) {
	keys := map[string]Key{}
	for _, k := range r.Keys {
		keys[Whole(k.Key, k.KeyB64)] = k
	}
	for i := range r.Answers {
		a := &r.Answers[i]
		k := keys[Whole(a.Key, a.KeyB64)]
		a.Verdict, a.UntestedReason = k.Verdict, k.UntestedReason
		if a.Missing {
			missing = append(missing, a.Pattern)
		}
	}
	return missing
}
