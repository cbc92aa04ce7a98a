package render

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/netns-verify/netns-verify/internal/report"
)

// guarded names the keys that the kernel keeps from an ordinary user who is
// root in a user namespace, and not from root; empty where there are none, or
// where only one of the two wrote.
func guarded(keys []report.Key, o Options) string {
	var hidden, readOnly []string
	for _, k := range keys {
		root, ok := k.Writers["root"]
		if !ok {
			continue
		}
		user, ok := k.Writers["userns"]
		switch {
		case !ok:
			hidden = append(hidden, dotted(k.Key))
		case writable(root.Mode) && !writable(user.Mode):
			readOnly = append(readOnly, dotted(k.Key))
		}
	}
	compared := false
	for _, k := range keys {
		_, ok := k.Writers["userns"]
		compared = compared || ok
	}
	if !compared || len(hidden)+len(readOnly) == 0 {
		return ""
	}
	var parts []string
	for _, g := range []struct {
		keys []string
		what string
	}{{hidden, "hidden from an ordinary user"}, {readOnly, "read-only for one"}} {
		if n := len(g.keys); n > 0 {
			parts = append(parts, plural(n, "key")+" "+g.what+": "+firstOf(g.keys, o))
		}
	}
	return strings.Join(parts, "; ")
}

// firstOf names the first few, or all.
func firstOf(names []string, o Options) string {
	if n := len(names) - shown; n > 0 && !o.Verbose {
		return fmt.Sprintf("%s and %d more (--verbose lists them)", strings.Join(names[:shown], ", "), n)
	}
	return strings.Join(names, ", ")
}

// writable tells whether a mode as text has a bit for writing.
func writable(mode string) bool {
	m, err := strconv.ParseUint(mode, 8, 16)
	return err == nil && m&0o222 != 0
}
