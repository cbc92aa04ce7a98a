package escape

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEscape(t *testing.T) {
	for _, tt := range []struct{ in, text, line, name, utf8 string }{
		{"eth0.100", "eth0.100", "eth0.100", "eth0.100", "eth0.100"},
		{"ü世", "ü世", "ü世", "ü世", "ü世"},
		{`a\x1b`, `a\x1b`, `a\x1b`, `a\x1b`, `a\x1b`},
		{"a\x1b[2J", `a\x1b[2J`, `a\x1b[2J`, `"a\x1b[2J"`, "a\x1b[2J"},
		{"a\xff\x9b", `a\xff\x9b`, `a\xff\x9b`, `"a\xff\x9b"`, `a\xff\x9b`},
		{`\xff` + "\xff", `\xff\xff`, `\xff\xff`, `"\\xff\xff"`, `\\xff\xff`},
		{"a\n\tb\r", "a\n\tb" + `\r`, `a\n\tb\r`, `"a\n\tb\r"`, "a\n\tb\r"},
		{"\u009b1m\u202e\x7f", `\u009b1m\u202e\x7f`, `\u009b1m\u202e\x7f`, `"\u009b1m\u202e\x7f"`, "\u009b1m\u202e\x7f"},
		{"\ufffd", "\ufffd", "\ufffd", "\ufffd", "\ufffd"},
	} {
		for _, got := range [][2]string{{Text(tt.in), tt.text}, {Line(tt.in), tt.line}, {Name(tt.in), tt.name}, {UTF8(tt.in), tt.utf8}} {
			if got[0] != got[1] {
				t.Errorf("%q: got %q, want %q", tt.in, got[0], got[1])
			}
		}
	}
}

func FuzzEscape(f *testing.F) {
	f.Add("a\x1b[2J\xff\u009b\U000e0001\n")
	f.Fuzz(func(t *testing.T, s string) {
		for _, out := range []string{Text(s), Line(s), Name(s)} {
			if strings.ContainsAny(out, "\x1b\x7f\r\u009b\u202e") || !utf8.ValidString(out) {
				t.Errorf("%q: %q", s, out)
			}
		}
		plain, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var a, b string
		if json.Unmarshal(plain, &a) != nil || json.Unmarshal(JSON(plain), &b) != nil || a != b {
			t.Errorf("%q: %q, %q", s, a, b)
		}
	})
}
