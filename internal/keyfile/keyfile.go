// Package keyfile reads questions about keys from a file as sysctl.d(5) has it, or
// from a list of keys. It knows no kernel: which keys there are is not its business.
package keyfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// The bounds of what Parse reads: sysctl.d files have some hundred lines.
const (
	maxBytes = 1 << 20
	maxLines = 1000 // that name keys
)

// Line is a line that names keys.
type Line struct {
	// Number is the line's in the file, from 1.
	Number int         `json:"number"`
	Glob   sysctl.Glob `json:"glob"`
	// Value is what the key is to be set to; nil where the line has none.
	Value *string `json:"value,omitempty"`
	// Optional tells that the key need not be there ("-KEY = VALUE").
	Optional bool `json:"optional,omitempty"`
	// Except tells that lines with wildcards do not mean these keys ("-KEY").
	Except bool `json:"except,omitempty"`
}

// Lines is a file's.
type Lines []Line

// Parse reads "KEY = VALUE", "KEY", both with "-" before them, empty lines, and comments
// that begin with "#" or ";". Errors name the line.
func Parse(in io.Reader) (Lines, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxBytes:
		return nil, fmt.Errorf("it is larger than %d bytes", maxBytes)
	}
	var lines Lines
	scan := bufio.NewScanner(bytes.NewReader(text))
	scan.Buffer(nil, maxBytes+1)
	for n := 1; scan.Scan(); n++ {
		s := strings.TrimSpace(strings.TrimPrefix(scan.Text(), "\ufeff"))
		if s == "" || s[0] == '#' || s[0] == ';' {
			continue
		}
		l, err := parse(s)
		if err == nil && len(lines) == maxLines {
			err = fmt.Errorf("more than %d lines name keys", maxLines)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		l.Number = n
		lines = append(lines, l)
	}
	return lines, scan.Err()
}

func parse(s string) (l Line, err error) {
	switch {
	case strings.ContainsRune(s, 0):
		return l, errors.New("it contains a NUL byte")
	case !utf8.ValidString(s):
		return l, errors.New("it is not UTF-8")
	}
	s, dash := strings.CutPrefix(s, "-")
	key, value, assigns := strings.Cut(s, "=")
	if assigns {
		value = strings.TrimSpace(value)
		l.Value = &value
	}
	l.Optional, l.Except = dash && assigns, dash && !assigns
	key = strings.TrimSpace(key)
	if strings.ContainsAny(key, " \t") {
		return l, fmt.Errorf("%.80q is not a key: it has a space in it", key)
	}
	l.Glob, err = sysctl.ParseGlob(key)
	return l, err
}

// For is the lines that ask about a key: those that name it, or else those with
// wildcards, unless the key is excepted from these.
func (ls Lines) For(k sysctl.Key) Lines {
	var named, wild Lines
	excepted := false
	for _, l := range ls {
		switch {
		case !l.Glob.Match(k):
		case l.Except:
			excepted = true
		case l.Glob.Wild():
			wild = append(wild, l)
		default:
			named = append(named, l)
		}
	}
	if len(named) > 0 || excepted {
		return named
	}
	return wild
}

// ValuesFor is the values that the file has for a key, the last line's first: that is
// the one that counts.
func (ls Lines) ValuesFor(k sysctl.Key) []string {
	var values []string
	for _, l := range slices.Backward(ls.For(k)) {
		if l.Value != nil {
			values = append(values, *l.Value)
		}
	}
	return values
}
