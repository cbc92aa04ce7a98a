package sysctl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Glob matches keys below net/: "*" stays within one element, "**" spans elements.
type Glob struct {
	pattern string
	// also is the other reading of a key with both dots and slashes, or empty.
	also string
	text string
}

// ExactGlob matches one key, whatever characters its device's name has.
func ExactGlob(k Key) Glob {
	p := escaped.Replace(string(k))
	return Glob{pattern: p, text: p}
}

const wildcards = `*?[{\`

var escaped = strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `{`, `\{`, `\`, `\\`, `=`, `\=`)

// String is the pattern as it was given.
func (g Glob) String() string { return g.text }

// Path is the pattern in the form with slashes, in full.
func (g Glob) Path() string { return strings.TrimSuffix(g.pattern, below) }

// Wild tells whether the pattern has wildcards.
func (g Glob) Wild() bool { return strings.ContainsAny(g.Path(), wildcards) }

// MarshalText and UnmarshalText carry a pattern as it was given
// (encoding.TextMarshaler).
func (g Glob) MarshalText() ([]byte, error) { return []byte(g.text), nil }

// UnmarshalText implements encoding.TextUnmarshaler with ParseGlob.
func (g *Glob) UnmarshalText(b []byte) (err error) {
	*g, err = ParseGlob(string(b))
	return err
}

// below is what a pattern without wildcards matches, too.
const below = "{,/**}"

// ParseGlob reads a pattern in either form of a key, with or without what stands
// before or after it elsewhere: "/proc/sys/", "net/", "= value". A pattern without
// wildcards also matches everything below it.
func ParseGlob(s string) (Glob, error) {
	p := strings.TrimPrefix(withoutValue(strings.TrimSpace(s)), "/proc/sys/")
	g := Glob{pattern: p, text: s}
	if i := strings.IndexAny(p, "./"); i >= 0 && p[i] == '.' {
		g.pattern = swap(p)
	}
	g.pattern = inFull(g.pattern)
	if g.pattern == "" || !doublestar.ValidatePattern(g.pattern) {
		return Glob{}, fmt.Errorf("parse pattern %.80q: not a valid glob (use *, **, ?, [a-z], {a,b})", s)
	}
	if strings.ContainsAny(p, wildcards) {
		return g, nil
	}
	g.pattern += below
	if strings.Contains(p, ".") && strings.Contains(p, "/") {
		g.also = inFull(strings.ReplaceAll(p, ".", "/")) + below
	}
	return g, nil
}

// withoutValue cuts off "= value". A device's name may have a "=" in it; then a
// separator follows.
func withoutValue(s string) string {
	i := strings.IndexByte(s, '=')
	if i < 0 || i > 0 && s[i-1] == '\\' || strings.ContainsAny(s[i:], "./") {
		return s
	}
	return strings.TrimSpace(s[:i])
}

// elsewhere is the directories of /proc/sys beside net (Documentation/admin-guide/sysctl).
var elsewhere = []string{"abi", "crypto", "debug", "dev", "fs", "kernel", "sunrpc", "user", "vm", "xen"}

// Elsewhere tells that the pattern is for keys that are not below net/.
func (g Glob) Elsewhere() bool {
	first, _, _ := strings.Cut(g.Path(), "/")
	return slices.Contains(elsewhere, first)
}

// inFull has neither what comes before net/ nor empty elements.
func inFull(p string) string {
	elements := strings.FieldsFunc(p, func(c rune) bool { return c == '/' })
	if len(elements) > 2 && elements[0] == "proc" && elements[1] == "sys" {
		elements = elements[2:]
	}
	p = strings.Join(elements, "/")
	if p == "" || elements[0] == "net" || slices.Contains(elsewhere, elements[0]) || strings.ContainsAny(elements[0], wildcards) {
		return p
	}
	return "net/" + p
}

// Match tells whether the pattern matches the whole key.
func (g Glob) Match(k Key) bool {
	ok, _ := doublestar.Match(g.pattern, string(k)) // the pattern was validated
	if !ok && g.also != "" {
		ok, _ = doublestar.Match(g.also, string(k))
	}
	return ok
}
