package known

import (
	"regexp"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// A table that a module registers in a namespace is looked over by the kernel: a
// writable entry whose data is global gets a warning with its path
// (ensure_safe_net_sysctl, net/sysctl_net.c, since 31c4d2f160eb in 5.13; a table
// with other mistakes one of sysctl_err, fs/proc/proc_sysctl.c).
var (
	guarded = regexp.MustCompile(`sysctl (net/.+): data points to (?:kernel|module) global data`)
	faulty  = regexp.MustCompile(`sysctl table check failed: (net/\S+) `)
)

// Guarded tells which key a kernel message says is global and so was taken from
// namespaces: up to 6.x it is read-only there, in 7.x its whole table is refused
// (EACCES) and missing.
func Guarded(text string) (sysctl.Key, bool) { return named(guarded, text) }

// MessageKey is the key that a kernel message is about, as far as its kind is
// known; empty otherwise.
func MessageKey(text string) sysctl.Key {
	if k, ok := Guarded(text); ok {
		return k
	}
	k, _ := named(faulty, text)
	return k
}

func named(kind *regexp.Regexp, text string) (sysctl.Key, bool) {
	m := kind.FindStringSubmatch(text)
	if m == nil || sysctl.Key(m[1]).Check() != nil {
		return "", false
	}
	return sysctl.Key(m[1]), true
}
