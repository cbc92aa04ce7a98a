package parent

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// reproducer is a shell line that shows the leak with unshare(1) and sysctl(8)
// alone; empty where no cause is known.
func (r *run) reproducer(l *leak) string {
	if len(l.cause) == 0 || len(l.effects) == 0 {
		return ""
	}
	if l.passed() {
		return r.reproducerThrough(l)
	}
	var sets []string
	for _, w := range l.cause {
		value := w.value
		if r.secrets.hides(w.key, value) {
			value = "VALUE"
		}
		set := "sysctl -qw " + quote(w.key.Dotted()+"="+value)
		if w.via == viaRead {
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

// reproducerThrough does it through a descriptor, with nsenter(1), too: the shell in
// the namespace opens the key, and what it starts goes back before it writes. It
// is empty where that is not all there is to it.
func (r *run) reproducerThrough(l *leak) string {
	w, e := l.cause[0], l.effects[0]
	if len(l.cause) > 1 || w.via != viaDescriptor || l.delay > 0 || e.observer != observerHost || slices.Contains(l.writers, WriterUserNS) {
		return ""
	}
	value := w.value
	if r.secrets.hides(w.key, value) {
		value = "VALUE"
	}
	back := "nsenter --net=/proc/$PPID/ns/net sh -c " + quote("echo "+quote(value)+" >&3")
	look := "sysctl " + quote(e.key.Dotted())
	return fmt.Sprintf("%s; unshare -n sh -c %s; %s", look, quote(back+" 3<>"+quote(w.key.Path())), look)
}

// quote makes one shell word.
func quote(s string) string {
	if s != "" && !strings.ContainsAny(s, " \t\n'\"\\$`!*?[]{}()<>|&;~#") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
