package render

import (
	"fmt"
	"strconv"

	"github.com/netns-verify/netns-verify/internal/report"
)

// guarded counts the keys that the kernel keeps from an ordinary user who is
// root in a user namespace, and not from root; empty where there are none, or
// where only one of the two wrote.
func guarded(keys []report.Key) string {
	hidden, readOnly := 0, 0
	for _, k := range keys {
		root, ok := k.Writers["root"]
		if !ok {
			continue
		}
		user, ok := k.Writers["userns"]
		switch {
		case !ok:
			hidden++
		case writable(root.Mode) && !writable(user.Mode):
			readOnly++
		}
	}
	compared := false
	for _, k := range keys {
		_, ok := k.Writers["userns"]
		compared = compared || ok
	}
	if !compared || hidden+readOnly == 0 {
		return ""
	}
	return fmt.Sprintf("%s hidden from an ordinary user, %d read-only", plural(hidden, "key"), readOnly)
}

// writable tells whether a mode as text has a bit for writing.
func writable(mode string) bool {
	m, err := strconv.ParseUint(mode, 8, 16)
	return err == nil && m&0o222 != 0
}
