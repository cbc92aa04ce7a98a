package observe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// Kind is one kind of what can be watched.
type Kind string

// The kinds. Network sysctls are always watched: they are what is written.
const (
	Net     Kind = "net"
	Sys     Kind = "sys"     // all other sysctls
	Proc    Kind = "proc"    // tables of /proc/net
	Modules Kind = "modules" // each loaded module is a place of its own
)

// Kinds is a list of kinds, in the order above.
type Kinds []Kind

// All is every kind.
func All() Kinds { return Kinds{Net, Sys, Proc, Modules} }

// Parse reads a list with commas; "all" is every kind.
func Parse(list string) (Kinds, error) {
	wanted := map[Kind]bool{Net: true}
	for name := range strings.SplitSeq(list, ",") {
		k := Kind(name)
		switch {
		case name == "all":
			return All(), nil
		case !slices.Contains(All(), k):
			return nil, fmt.Errorf("%q is none of net, sys, proc, modules, all", name)
		}
		wanted[k] = true
	}
	return slices.DeleteFunc(All(), func(k Kind) bool { return !wanted[k] }), nil
}

// Has tells whether a kind is among them.
func (ks Kinds) Has(k Kind) bool { return slices.Contains(ks, k) }

// Names is the kinds as text.
func (ks Kinds) Names() []string {
	names := make([]string, len(ks))
	for i, k := range ks {
		names[i] = string(k)
	}
	return names
}

// Places that are no sysctl have keys that no sysctl can have: the first element
// of one is a directory of /proc/sys, and none of those has a colon in its name.
const (
	procPrefix   = "proc:"
	modulePrefix = "module:"
)

// ModuleKey is the place of a module, by its name.
func ModuleKey(name string) sysctl.Key { return sysctl.Key(modulePrefix + name) }

// Place says of what kind a key is and what its name is, as reports have them
// (report.Effect): a module's own, a table's below /proc, a sysctl's below /proc/sys.
func Place(k sysctl.Key) (what, name string) {
	if name, ok := strings.CutPrefix(string(k), modulePrefix); ok {
		return report.WhatModule, name
	}
	if name, ok := strings.CutPrefix(string(k), procPrefix); ok {
		return report.WhatProc, name
	}
	return report.WhatSysctl, string(k)
}

// IsModule tells whether a key stands for a module.
func IsModule(k sysctl.Key) bool { return strings.HasPrefix(string(k), modulePrefix) }
