package report

import (
	"fmt"
	"strings"

	"github.com/netns-verify/netns-verify/internal/escape"
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
	if l.Via == ViaDescriptor {
		return l.throughDescriptor()
	}
	var sets []string
	for _, c := range l.Cause {
		set := "sysctl -qw " + Quote(c.sysctl().Dotted()+"="+c.shell())
		if l.Via == ViaRead {
			set = "sysctl -n " + Quote(c.sysctl().Dotted())
		}
		sets = append(sets, set)
	}
	unshare := "unshare -n "
	if l.Cause[0].Writer == WriterUserNS {
		unshare = "unshare -rn " // by anybody
	}
	cause := unshare + sets[0]
	if len(sets) > 1 {
		cause = unshare + "sh -c " + Quote(strings.Join(sets, "; "))
	}
	if l.DelayMS > 0 || l.Via == ViaExit { // the end of a namespace takes its time
		cause += fmt.Sprintf("; sleep %d", max(1, (l.DelayMS+999)/1000))
	}
	e := l.Effects[0]
	look := e.look()
	switch e.Observer {
	case ObserverSibling:
		return "unshare -n sh -c " + Quote(fmt.Sprintf("%s; %s; %s", look, cause, look))
	case ObserverLater:
		return fmt.Sprintf("unshare -n %s; %s; unshare -n %s", look, cause, look)
	}
	return fmt.Sprintf("%s; %s; %s", look, cause, look)
}

// throughDescriptor does it with nsenter(1), too: the shell in the namespace opens the
// key, and what it starts goes back before it writes. It is empty where that is not
// all there is to it.
func (l Leak) throughDescriptor() string {
	c, e := l.Cause[0], l.Effects[0]
	if len(l.Cause) > 1 || l.DelayMS > 0 || e.Observer != ObserverHost || e.Kind == KindRead || c.Writer == WriterUserNS {
		return ""
	}
	back := "nsenter --net=/proc/$PPID/ns/net sh -c " + Quote("echo "+Quote(c.shell())+" >&3")
	return fmt.Sprintf("%s; unshare -n sh -c %s; %s", e.look(), Quote(back+" 3<>"+Quote(c.sysctl().Path())), e.look())
}

func (c Cause) sysctl() sysctl.Key { return sysctl.Key(Whole(c.Key, c.KeyB64)) }

// shell is the value as one types it.
func (c Cause) shell() string {
	if c.Secret() {
		return "VALUE"
	}
	return c.raw()
}

// look is a command that shows the effect's place.
func (e Effect) look() string {
	switch e.What {
	case WhatModule:
		return "grep -w " + Quote(e.Key) + " /proc/modules"
	case WhatProc:
		return "cat " + Quote("/proc/"+e.Key)
	}
	return "sysctl " + Quote(sysctl.Key(Whole(e.Key, e.KeyB64)).Dotted())
}

// Quote makes one shell word. What is not plain is left to printf(1), so that the word
// can be shown and copied.
func Quote(s string) string {
	if escape.Line(s) != s {
		plain := strings.TrimRight(s, "\n") // the shell drops newlines at the end of what it substitutes
		if plain == s {
			return printf(s)
		}
		return printf(plain) + "'" + s[len(plain):] + "'"
	}
	if s != "" && !strings.ContainsAny(s, " \t\n'\"\\$`!*?[]{}()<>|&;~#") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// printf is a shell word that printf(1) makes of octal escapes (POSIX).
func printf(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ' || c > '~' || strings.IndexByte(`%\'"$`+"`", c) >= 0:
			fmt.Fprintf(&b, `\%03o`, c)
		default:
			b.WriteByte(c)
		}
	}
	return `"$(printf '` + b.String() + `')"`
}
