package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/netns-verify/netns-verify/internal/report"
)

func origins() []report.Creation {
	return []report.Creation{report.CreationInherited, report.CreationDefault, report.CreationShared, report.CreationDerived}
}

// creations sums up where namespaces have their values from.
func (p *page) creations(c report.Counts) {
	var parts []string
	for _, kind := range origins() {
		if n := c.Creation[kind]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, kind))
		}
	}
	if len(parts) > 0 {
		p.field("creation", strings.Join(parts, ", "))
	}
}

// creation is where a key has its value from: "inherited from the host
// (devconf_inherit_init_net = 0, 1), default (devconf_inherit_init_net = 2)".
func creation(k report.Key) string {
	var order []string
	modes := map[string][]string{}
	for _, mode := range slices.Sorted(maps.Keys(k.Creation)) {
		s := string(k.Creation[mode])
		from := k.CreationFrom[mode]
		var keys []string
		for _, key := range from.Keys {
			keys = append(keys, dotted(key))
		}
		whose := map[string]string{report.FromHost: "the host", report.FromCreator: "the creating namespace"}[from.Namespace]
		switch {
		case len(keys) > 0 && whose != "":
			s += " from " + strings.Join(keys, " and ") + " of " + whose
		case len(keys) > 0:
			s += " from " + strings.Join(keys, " and ")
		case whose != "":
			s += " from " + whose
		}
		if modes[s] == nil {
			order = append(order, s)
		}
		modes[s] = append(modes[s], mode)
	}
	for i, s := range order {
		if list := strings.Join(modes[s], ", "); list != report.AnyDevconf {
			order[i] = s + " (devconf_inherit_init_net = " + list + ")"
		}
	}
	return strings.Join(order, ", ")
}
