package parent

import (
	"fmt"
	"strings"
	"time"
)

// reproducer is a shell line that shows the leak with unshare(1) and sysctl(8)
// alone; empty where no cause is known.
func (r *run) reproducer(l *leak) string {
	if len(l.cause) == 0 || len(l.effects) == 0 {
		return ""
	}
	var sets []string
	for _, w := range l.cause {
		value := w.value
		if r.secrets.hides(w.key, value) {
			value = "VALUE"
		}
		set := "sysctl -qw " + quote(w.key.Dotted()+"="+value)
		if w.read {
			set = "sysctl -n " + quote(w.key.Dotted())
		}
		sets = append(sets, set)
	}
	unshare := "unshare -n "
	if len(l.writers) > 0 && l.writers[0] == WriterUserNS {
		unshare = "unshare -rn " // by anybody
	}
	cause := unshare + sets[0]
	if len(sets) > 1 {
		cause = unshare + "sh -c " + quote(strings.Join(sets, "; "))
	}
	if l.delay > 0 {
		cause += fmt.Sprintf("; sleep %d", (l.delay+time.Second-1)/time.Second)
	}
	e := l.effects[0]
	look := look(e.key)
	switch e.observer {
	case observerSibling:
		return "unshare -n sh -c " + quote(fmt.Sprintf("%s; %s; %s", look, cause, look))
	case observerLater:
		return fmt.Sprintf("unshare -n %s; %s; unshare -n %s", look, cause, look)
	}
	return fmt.Sprintf("%s; %s; %s", look, cause, look)
}

// quote makes one shell word.
func quote(s string) string {
	if s != "" && !strings.ContainsAny(s, " \t\n'\"\\$`!*?[]{}()<>|&;~#") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
