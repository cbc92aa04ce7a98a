package protocol

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Bytes is a key or a value: neither need be UTF-8. In JSON it is a string, or
// {"b64": "..."} for what a string cannot hold, so that all survive the way.
type Bytes string

type rawBytes struct {
	B64 []byte `json:"b64"`
}

// MarshalJSON implements json.Marshaler.
func (v Bytes) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(v)) {
		return json.Marshal(string(v))
	}
	return json.Marshal(rawBytes{[]byte(v)})
}

// UnmarshalJSON implements json.Unmarshaler.
func (v *Bytes) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*v = Bytes(s)
		return nil
	}
	var r rawBytes
	if err := unmarshalStrict(b, &r); err != nil {
		return fmt.Errorf("neither a string nor {\"b64\": ...}: %w", err)
	}
	*v = Bytes(r.B64)
	return nil
}
