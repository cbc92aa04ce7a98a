// Package escape makes text from outside fit to be shown: the name of a network
// device may be any bytes but a slash and white space, and below a --root tree a
// key may hold anything. What is not printed goes in the escapes of a Go string.
package escape

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Text is a text of several lines without anything that a terminal would act on.
func Text(s string) string {
	return replace(s, func(r rune) bool { return r == '\n' || r == '\t' || strconv.IsPrint(r) })
}

// Line is the same on one line.
func Line(s string) string { return replace(s, strconv.IsPrint) }

// Name is a name on one line, quoted where it is not plain, so that no two look alike.
func Name(s string) string {
	if Line(s) == s {
		return s
	}
	return strconv.Quote(s)
}

// UTF8 is the text as it is, or where it is not UTF-8 one that is, with backslashes
// doubled.
func UTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return replace(strings.ReplaceAll(s, `\`, `\\`), func(rune) bool { return true })
}

// replace escapes what is not UTF-8 and what is not kept.
func replace(s string, keep func(rune) bool) string {
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case keep(r):
			b.WriteRune(r)
		default:
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		}
		s = s[n:]
	}
	return b.String()
}

// JSON escapes what a terminal would act on in JSON, where it can only be in strings.
func JSON(text []byte) []byte {
	if !bytes.ContainsFunc(text, func(r rune) bool { return r != '\n' && !strconv.IsPrint(r) }) {
		return text
	}
	var b bytes.Buffer
	for _, r := range string(text) {
		switch {
		case r == '\n' || strconv.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, hi, lo)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes()
}
