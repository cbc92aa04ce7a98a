package kmod

import (
	"path"
	"strings"
)

// matches tells whether a request fits an alias, as for modprobe: a glob in which
// / is nothing special, and - is _ outside brackets. A pattern that is none fits
// nothing.
func matches(alias, request string) bool {
	if !strings.ContainsAny(alias, `*?[\`) {
		return Normal(alias) == Normal(request)
	}
	ok, err := path.Match(glob(alias), strings.ReplaceAll(Normal(request), "/", "\x01"))
	return ok && err == nil
}

// glob turns an alias into a pattern of path.Match.
func glob(alias string) string {
	out := []byte(strings.ReplaceAll(alias, "/", "\x01"))
	bracket := false
	for i, c := range out {
		switch {
		case c == '[':
			bracket = true
		case c == ']':
			bracket = false
		case bracket && c == '!' && out[i-1] == '[':
			out[i] = '^'
		case !bracket && c == '-':
			out[i] = '_'
		}
	}
	return string(out)
}
