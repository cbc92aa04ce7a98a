package report

import (
	"fmt"
	"strings"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// Secret tells that the value is not the one written, but a digest that stands for
// one that must not be shown.
func (a Attempt) Secret() bool {
	return a.Value != nil && a.ValueB64 == nil && strings.HasPrefix(*a.Value, "secret:")
}

// raw is the value as it was written.
func (a Attempt) raw() string {
	switch {
	case a.ValueB64 != nil:
		return string(a.ValueB64)
	case a.Value == nil:
		return ""
	}
	return *a.Value
}

// Reproduction is a shell line that shows the leak with unshare(1) and sysctl(8)
// alone; empty where no cause is known.
func (l Leak) Reproduction() string {
	if len(l.Cause) == 0 || len(l.Effects) == 0 {
		return ""
	}
	var sets []string
	for _, c := range l.Cause {
		value := c.raw()
		if c.Secret() {
			value = "VALUE"
		}
		sets = append(sets, "sysctl -qw "+Quote(sysctl.Key(c.Key).Dotted()+"="+value))
	}
	unshare := "unshare -n "
	if l.Cause[0].Writer == WriterUserNS {
		unshare = "unshare -rn " // by anybody
	}
	cause := unshare + sets[0]
	if len(sets) > 1 {
		cause = unshare + "sh -c " + Quote(strings.Join(sets, "; "))
	}
	if l.DelayMS > 0 {
		cause += fmt.Sprintf("; sleep %d", (l.DelayMS+999)/1000)
	}
	e := l.Effects[0]
	look := "sysctl " + Quote(sysctl.Key(e.Key).Dotted())
	switch e.Observer {
	case ObserverSibling:
		return "unshare -n sh -c " + Quote(fmt.Sprintf("%s; %s; %s", look, cause, look))
	case ObserverLater:
		return fmt.Sprintf("unshare -n %s; %s; unshare -n %s", look, cause, look)
	}
	return fmt.Sprintf("%s; %s; %s", look, cause, look)
}

// Quote makes one shell word.
func Quote(s string) string {
	if s != "" && !strings.ContainsAny(s, " \t\n'\"\\$`!*?[]{}()<>|&;~#") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
