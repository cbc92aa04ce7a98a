package report

import (
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Shown is a value split up for JSON: the text as read, or, where the bytes are
// not UTF-8, an empty text with the bytes beside it, or the name of the errno
// that reading gave. The zero Shown is an absent key.
type Shown struct {
	Text  *string
	B64   []byte
	Errno string
}

// Show splits up a value that was read.
func Show(value string) Shown {
	if !utf8.ValidString(value) {
		return Shown{Text: new(string), B64: []byte(value)}
	}
	return Shown{Text: &value}
}

// String is the form for people: quoted where it would not be plain.
func (s Shown) String() string {
	switch {
	case s.Errno != "":
		return "<" + s.Errno + ">"
	case s.B64 != nil:
		return strconv.Quote(string(s.B64))
	case s.Text == nil:
		return "<absent>"
	}
	for _, r := range *s.Text {
		if !strconv.IsPrint(r) && r != '\t' {
			return strconv.Quote(*s.Text)
		}
	}
	if *s.Text == "" {
		return `""`
	}
	return fmt.Sprint(*s.Text)
}
