package protocol

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Value is a sysctl's bytes. In JSON it is a string; bytes that are not UTF-8
// become {"b64": "..."}, so that every value survives the way.
type Value string

type rawValue struct {
	B64 []byte `json:"b64"`
}

// MarshalJSON implements json.Marshaler.
func (v Value) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(v)) {
		return json.Marshal(string(v))
	}
	return json.Marshal(rawValue{[]byte(v)})
}

// UnmarshalJSON implements json.Unmarshaler.
func (v *Value) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*v = Value(s)
		return nil
	}
	var r rawValue
	if err := unmarshalStrict(b, &r); err != nil {
		return fmt.Errorf("value is neither a string nor {\"b64\": ...}: %w", err)
	}
	*v = Value(r.B64)
	return nil
}
