package parent

import (
	"slices"
	"strings"

	"github.com/netns-verify/netns-verify/internal/known"
	"github.com/netns-verify/netns-verify/internal/perturb"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/trace"
	"github.com/netns-verify/netns-verify/protocol"
)

// planned is what is to be done with one writable key.
type planned struct {
	entry sysctl.Entry
	// up and down are the candidates of the two passes; both empty where skip says why.
	up, down   []string
	disruptive bool
	latch      bool // known to be one-way
	loads      bool // may make the kernel load a module, once
	skip       report.Reason
	// effective is the value that took effect in the first pass.
	effective string
	// all is what a thorough run writes, exact what of it comes in a pass.
	all, exact []string
}

// makePlan chooses candidates for every key that the writer may write.
func (r *run) makePlan() {
	facts := factsOf(r.writerBase, r.m.NFLog())
	facts.Extreme, facts.Loadable = r.o.Extreme, r.o.Loadable
	alike := map[alike]planned{}
	for _, e := range r.writerBase {
		if e.Writable() {
			r.plan = append(r.plan, r.planAlike(e, facts, alike))
		}
	}
	r.sample = sampleOf(r.plan)
}

// factsOf is a namespace's values.
func factsOf(s sysctl.Snapshot, nfLog string) perturb.Facts {
	f := perturb.Facts{Values: make(map[sysctl.Key]string, len(s)), NFLog: nfLog}
	for _, e := range s {
		if e.State.OK() {
			f.Values[e.Key] = e.State.Value
		}
	}
	return f
}

// alike is what the plan of a device's key depends on, beside what is asked for:
// most devices have the same values, and what is tried is then the same, too.
type alike struct {
	of              sysctl.Key
	entry           sysctl.Entry // without its key
	host, sibling   sysctl.State
	covered         bool
	included, latch bool
	first           string // the values asked about
}

func (r *run) planAlike(e sysctl.Entry, facts perturb.Facts, known map[alike]planned) planned {
	name, of := e.Key.Device()
	if name == "" {
		return r.planKey(e, facts)
	}
	a := alike{of: of, entry: e, host: r.host.Expected(e.Key), sibling: r.siblingBase[e.Key].State, covered: r.covered(e.Key), included: r.included(e.Key), latch: slices.Contains(r.o.Latches, e.Key), first: strings.Join(r.o.Lines.ValuesFor(e.Key), "\n")}
	a.entry.Key = ""
	p, ok := known[a]
	if !ok {
		p = r.planKey(e, facts)
		known[a] = p
	}
	p.entry = e
	return p
}

func (r *run) planKey(e sysctl.Entry, facts perturb.Facts) planned {
	l, latch := known.OneWay(e.Key)
	p := planned{entry: e, latch: latch || slices.Contains(r.o.Latches, e.Key), loads: perturb.Loads(e.Key, facts), disruptive: perturb.Disruptive(e.Key)}
	if !r.included(e.Key) {
		p.skip = report.ReasonExcluded
		return p
	}
	if r.covered(e.Key) {
		p.skip = report.ReasonUnobserved
		return p
	}
	if latch && !r.o.AllowOneWay && r.host.Expected(e.Key).Value != l.Latched {
		p.skip = report.ReasonOneWay
		return p
	}
	if host := r.atFirst(e.Key); e.Unread() || host.Unread() && !host.State.Hidden() {
		p.skip = report.ReasonUnobserved
		return p
	}
	s := perturb.Subject{Key: e.Key, Mode: e.Mode, State: e.State, First: r.o.Lines.ValuesFor(e.Key), Observed: []sysctl.State{
		r.host.Expected(e.Key), r.siblingBase[e.Key].State,
	}}
	p.up = perturb.Candidates(s, facts)
	facts.Loadable = nil // later, when others have been written too, nobody could tell whose doing it was
	s.Prefer = perturb.Down
	p.down = perturb.Candidates(s, facts)
	if r.o.Thorough {
		p.all = perturb.Thorough(s, facts)
	}
	if len(p.up) == 0 {
		p.skip = report.ReasonNoCandidate
	}
	return p
}

// covered tells that something is mounted where the host has the key, or would have it.
func (r *run) covered(k sysctl.Key) bool {
	return slices.ContainsFunc(r.o.Covered, func(path string) bool {
		return string(k) == path || strings.HasPrefix(string(k), path+"/")
	})
}

// item is a key's part of a batch. In the second pass the key is first given
// the value that took effect in the first one (in another order it may show
// what was hidden), then one in the other direction.
func (r *run) item(p planned, pass Phase) protocol.Item {
	it := protocol.Item{Key: protocol.Bytes(p.entry.Key), Want: 1}
	candidates := p.up
	switch {
	case len(p.exact) > 0:
		candidates, it.Exact = p.exact, true
	case pass == PhaseReverse:
		candidates = p.down
		if p.effective != "" {
			it.Want = 2
			candidates = append([]string{p.effective},
				slices.DeleteFunc(slices.Clone(p.down), func(c string) bool { return c == p.effective })...)
		}
	}
	for _, c := range candidates {
		it.Candidates = append(it.Candidates, protocol.Bytes(c))
	}
	for _, o := range r.observed(p.entry.Key) {
		if v := protocol.Bytes(o.State.Value); !slices.Contains(it.Avoid, v) {
			it.Avoid = append(it.Avoid, v)
		}
	}
	return it
}

// observed is what the observers read of a key now, where they can.
func (r *run) observed(k sysctl.Key) []trace.Observed {
	var out []trace.Observed
	if st := r.host.Expected(k); st.OK() {
		out = append(out, trace.Observed{Observer: trace.Host, State: st})
	}
	if st := stateIn(r.siblingBase, k); st.OK() {
		out = append(out, trace.Observed{Observer: trace.Sibling, State: st})
	}
	return out
}
