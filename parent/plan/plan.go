package plan

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

// Plan is what one writer is to write.
type Plan struct {
	// Keys is what is to be done with each key that the writer may write.
	Keys []Key
	// sample is the device that stands for all where much is done with each key.
	sample string
}

// Key is what is to be done with one writable key.
type Key struct {
	Entry sysctl.Entry
	// Up and down are the candidates of the two passes; both empty where Skip says why.
	Up, down   []string
	Skip       report.Reason
	Disruptive bool
	Latch      bool // known to be one-way
	loads      bool // may make the kernel load a module, once
	// Effective is the value that took effect in the first pass.
	Effective string
	// All is what a thorough run writes, exact what of it comes in a pass.
	All, exact []string
}

// Config says what is asked for, and what candidates depend on.
type Config struct {
	Question
	// Latches is further keys that are treated as those that are known to be one-way.
	Latches []sysctl.Key
	// AllowOneWay also plans what is known to be one-way.
	AllowOneWay bool
	// Thorough plans all values.
	Thorough bool
	// Facts is of the writer's namespace.
	Facts perturb.Facts
	// Found is a key of the host as it was found; Host and Sibling, what these have now.
	Found         func(sysctl.Key) sysctl.Entry
	Host, Sibling func(sysctl.Key) sysctl.State
}

// New chooses candidates for every key that a writer may write.
func New(cfg Config, base sysctl.Snapshot) *Plan {
	p, seen := &Plan{}, map[alike]Key{}
	for _, e := range base {
		if e.Writable() {
			p.Keys = append(p.Keys, cfg.planAlike(e, seen))
		}
	}
	p.sample = sampleOf(p.Keys)
	return p
}

// FactsOf is a namespace's values.
func FactsOf(s sysctl.Snapshot, nfLog string) perturb.Facts {
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
	of                    sysctl.Key
	entry                 sysctl.Entry // without its key
	host, sibling         sysctl.State
	covered, asked, latch bool
	first                 string // the values asked about
}

func (c *Config) planAlike(e sysctl.Entry, seen map[alike]Key) Key {
	name, of := e.Key.Device()
	if name == "" {
		return c.planKey(e)
	}
	a := alike{
		of: of, entry: e, host: c.Host(e.Key), sibling: c.Sibling(e.Key), covered: c.Covers(e.Key), asked: c.Asks(e.Key),
		latch: slices.Contains(c.Latches, e.Key), first: strings.Join(c.Lines.ValuesFor(e.Key), "\n"),
	}
	a.entry.Key = ""
	p, ok := seen[a]
	if !ok {
		p = c.planKey(e)
		seen[a] = p
	}
	p.Entry = e
	return p
}

func (c *Config) planKey(e sysctl.Entry) Key {
	facts := c.Facts
	l, latch := known.OneWay(e.Key)
	p := Key{
		Entry: e, Latch: latch || slices.Contains(c.Latches, e.Key),
		loads: perturb.Loads(e.Key, facts), Disruptive: perturb.Disruptive(e.Key),
	}
	if !c.Asks(e.Key) {
		p.Skip = report.ReasonExcluded
		return p
	}
	if c.Covers(e.Key) {
		p.Skip = report.ReasonUnobserved
		return p
	}
	if latch && !c.AllowOneWay && c.Host(e.Key).Value != l.Latched {
		p.Skip = report.ReasonOneWay
		return p
	}
	if host := c.Found(e.Key); e.Unread() || host.Unread() && !host.State.Hidden() {
		p.Skip = report.ReasonUnobserved
		return p
	}
	s := perturb.Subject{Key: e.Key, Mode: e.Mode, State: e.State, First: c.Lines.ValuesFor(e.Key), Observed: []sysctl.State{
		c.Host(e.Key), c.Sibling(e.Key),
	}}
	p.Up = perturb.Candidates(s, facts)
	facts.Loadable = nil // later, when others have been written too, nobody could tell whose doing it was
	s.Prefer = perturb.Down
	p.down = perturb.Candidates(s, facts)
	if c.Thorough {
		p.All = perturb.Thorough(s, facts)
	}
	if len(p.Up) == 0 {
		p.Skip = report.ReasonNoCandidate
	}
	return p
}

// Item is a key's part of a batch. In the second pass the key is first given
// the value that took effect in the first one (in another order it may show
// what was hidden), then one in the other direction. Observed is what it has elsewhere.
func (p *Plan) Item(index int, second bool, observed []trace.Observed) protocol.Item {
	k := &p.Keys[index]
	it := protocol.Item{Key: protocol.Bytes(k.Entry.Key), Want: 1}
	candidates := k.Up
	switch {
	case len(k.exact) > 0:
		candidates, it.Exact = k.exact, true
	case second:
		candidates = k.down
		if k.Effective != "" {
			it.Want = 2
			candidates = append([]string{k.Effective},
				slices.DeleteFunc(slices.Clone(k.down), func(c string) bool { return c == k.Effective })...)
		}
	}
	for _, c := range candidates {
		it.Candidates = append(it.Candidates, protocol.Bytes(c))
	}
	for _, o := range observed {
		if v := protocol.Bytes(o.State.Value); !slices.Contains(it.Avoid, v) {
			it.Avoid = append(it.Avoid, v)
		}
	}
	return it
}

// Sampled tells that a key is not one of a device, or of the one that stands for
// all where much is done with each key: the keys of all are of the same code.
func (p *Plan) Sampled(index int) bool {
	name, _ := p.Keys[index].Entry.Key.Device()
	return name == "" || name == p.sample
}

// OnlyLoopback tells that of the sampled keys none is of a device that is made.
func (p *Plan) OnlyLoopback() bool { return p.sample == "" || p.sample == sysctl.Loopback }

// sampleOf chooses the device that stands for all: lo, or where lo is excluded the first;
// none where no key of a device is to be written.
func sampleOf(keys []Key) (first string) {
	for _, k := range keys {
		name, _ := k.Entry.Key.Device()
		switch {
		case name == "" || k.Skip != "":
		case name == sysctl.Loopback:
			return sysctl.Loopback
		case first == "":
			first = name
		}
	}
	return first
}
