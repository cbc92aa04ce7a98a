package report

import (
	"os/exec"
	"strings"
	"testing"
)

func TestShowKey(t *testing.T) {
	for _, k := range []string{"net/core/x", `net/core/\xff`, "net/core/\xff", "net/core/\x1b", ""} {
		text, b64 := ShowKey(k)
		if got := Whole(text, b64); got != k || (b64 != nil) != strings.Contains(k, "\xff") {
			t.Errorf("%q: %q, %q", k, text, b64)
		}
		e := Report{Unconfirmed: []Effect{{Key: k}}}
		e.Normalize()
		e.Normalize() // as the report of a guest is
		if f := e.Unconfirmed[0]; f.Key != text || Whole(f.Key, f.KeyB64) != k {
			t.Errorf("%q: %+v", k, f)
		}
	}
}

// Names that have no bytes beside them are shown in the form that can be read, too.
func TestNormalizeNames(t *testing.T) {
	const name, readable = "a\xff\\b", `a\xff\\b`
	r := Report{
		Run: Run{CreationNotMoved: []NotMoved{{Key: name}}}, Warnings: []string{name},
		Keys: []Key{{CreationUntested: name}}, Answers: []Answer{{Why: name}},
	}
	r.Normalize()
	r.Normalize()
	for i, s := range []string{r.Run.CreationNotMoved[0].Key, r.Warnings[0], r.Keys[0].CreationUntested, r.Answers[0].Why} {
		if s != readable {
			t.Errorf("%d: %q, want %q", i, s, readable)
		}
	}
}

// A shell makes of a quoted word what it was made of.
func TestQuoteForAShell(t *testing.T) {
	for _, s := range []string{"net.ipv4.conf.a/b.x=1", "", "a b", "it's", "100%", "\x1b[2J\xff'\"$`\\%%d\n.", "\u009b\u202eü", "a=-n"} {
		word := Quote(s)
		if strings.ContainsFunc(word, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\u009b' }) {
			t.Errorf("%q: %q", s, word)
		}
		for _, shell := range []string{"printf %s " + word, "sh -c " + Quote("printf %s "+word)} {
			out, err := exec.CommandContext(t.Context(), "sh", "-c", shell).Output()
			if err != nil || string(out) != s {
				t.Errorf("%q: %s gives %q, %v", s, shell, out, err)
			}
		}
	}
}
