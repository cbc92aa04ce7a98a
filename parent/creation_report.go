package parent

import (
	"maps"
	"slices"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// reportCreations adds to the keys where new namespaces have them from.
func (r *run) reportCreations(rep *report.Report) {
	if r.creations == nil {
		return
	}
	for _, n := range r.sources {
		rep.Run.CreationNotMoved = append(rep.Run.CreationNotMoved, report.NotMoved{Key: string(n.key), Namespace: n.namespace, Why: n.why})
	}
	rep.Counts.Creation = map[report.Creation]int{}
	present := r.host.Found(devconf).State.Value
	for i := range rep.Keys {
		key := &rep.Keys[i]
		if !r.question.Asks(sysctl.Key(key.Key)) {
			continue
		}
		key.CreationUntested = r.untold[sysctl.Key(key.Key)]
		modes := r.collapsed(r.creations[sysctl.Key(key.Key)])
		for mode, o := range modes {
			if key.Creation == nil {
				key.Creation = map[string]report.Creation{}
			}
			key.Creation[mode] = o.kind
			if mode == present || mode == report.AnyDevconf {
				rep.Counts.Creation[o.kind]++
			}
			from := report.Origin{Namespace: o.namespace}
			for _, k := range o.keys {
				from.Keys = append(from.Keys, string(k))
			}
			if from.Namespace == "" && len(from.Keys) == 0 {
				continue
			}
			if key.CreationFrom == nil {
				key.CreationFrom = map[string]report.Origin{}
			}
			key.CreationFrom[mode] = from
		}
	}
}

// collapsed is one answer for all modes, where all have been tried with the same.
func (r *run) collapsed(modes map[string]origin) map[string]origin {
	if len(modes) < 2 || len(modes) < len(r.devconfs) {
		return modes
	}
	all := slices.Collect(maps.Values(modes))
	for _, o := range all[1:] {
		if o.kind != all[0].kind || o.namespace != all[0].namespace || !slices.Equal(o.keys, all[0].keys) {
			return modes
		}
	}
	return map[string]origin{report.AnyDevconf: all[0]}
}
