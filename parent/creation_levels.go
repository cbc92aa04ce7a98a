package parent

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/netns-verify/netns-verify/internal/bisect"
	"github.com/netns-verify/netns-verify/internal/perturb"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/trace"
)

const (
	// levelTrials bounds the namespaces that are made to have each key moved to a level.
	levelTrials = 3
	// standRounds is how often what another write has undone is written again.
	standRounds = 3
)

// levels moves all of the host's keys at once, to each level, and finds out what a
// namespace that is made then has from them, if that is not known.
func (c *creation) levels(ctx context.Context) error {
	moved := map[sysctl.Key]int{} // to how many levels
	unseen := map[sysctl.Key]bool{}
	for l := range perturb.Levels {
		off := map[sysctl.Key]bool{}
		todo, apart := c.movable(l)
		for trial := range levelTrials {
			if len(todo) == 0 {
				break
			}
			c.progress(int(l), int(perturb.Levels), "devconf_inherit_init_net "+c.mode+", all keys at once")
			b, left, err := c.together(ctx, todo, off)
			if err != nil {
				return err
			}
			if err := c.explain(ctx, b, c.unknown(b)); err != nil {
				return err
			}
			if len(left) == len(todo) {
				break
			}
			todo = left
			if trial == 0 {
				todo = append(todo, apart...)
				for k := range c.fresh {
					unseen[k] = unseen[k] || b.hid(k)
				}
			}
		}
		for k := range off {
			moved[k]++
		}
	}
	c.notMoved[c.mode], c.unseen[c.mode] = c.unmoved(moved), unseen
	return nil
}

// movable is the keys of the host that may be moved and put back, those that move
// others first, each with values of a level. Those that hide others are apart.
func (c *creation) movable(l perturb.Level) (keys, apart []hostKey) {
	facts := c.facts()
	for _, k := range c.o.WritableOnHost(c.host.Baseline()) {
		if lasting(k) || k == devconf {
			continue
		}
		if h, ok := c.hostKey(k, facts, atLevel(l)); ok && c.hiding[k] {
			apart = append(apart, h)
		} else if ok {
			keys = append(keys, h)
		}
	}
	rank := func(h hostKey) int {
		if perturb.Disruptive(h.key) {
			return -1
		}
		return -trace.Breadth(h.key)
	}
	slices.SortStableFunc(keys, func(a, b hostKey) int { return cmp.Compare(rank(a), rank(b)) })
	return keys, apart
}

// atLevel proposes values whatever a fresh namespace has: what changes there counts.
func atLevel(l perturb.Level) func(perturb.Subject, perturb.Facts) []string {
	return func(s perturb.Subject, f perturb.Facts) []string {
		s.Observed = nil
		return perturb.At(l, s, f)
	}
}

// together moves keys so that they are off at the same time, and sees what comes of it.
// It adds to off what was so as a namespace was made; left is the keys that were not.
func (c *creation) together(ctx context.Context, keys []hostKey, off map[sysctl.Key]bool) (b *hostBatch, left []hostKey, err error) {
	if err := c.ready(ctx, keys); err != nil {
		return nil, nil, err
	}
	b, left = &hostBatch{together: true}, keys
	for range standRounds {
		for _, h := range left {
			if c.ignored(h.key) {
				continue
			}
			if w, ok := c.move(h); ok {
				b.writes = append(b.writes, w)
			}
		}
		var undone map[sysctl.Key]bool
		b.writes, undone = c.standing(b.writes)
		left = slices.DeleteFunc(slices.Clone(keys), func(h hostKey) bool { return c.host.Look(h.key) != c.host.Expected(h.key) })
		if len(undone) == 0 {
			break
		}
	}
	if len(b.writes) > 0 {
		c.trials++
		for _, e := range c.host.Baseline() {
			if e.Key.Network() && c.host.Look(e.Key) != c.host.Expected(e.Key) {
				off[e.Key] = true
			}
		}
		b.seen, err = c.see(ctx, true, c.concerned())
	}
	if err := errors.Join(err, c.putBack()); err != nil {
		return nil, nil, err
	}
	return b, left, c.relook(ctx, len(b.seen.live) > 0)
}

// hid tells that a new namespace was without a key that others have.
func (b *hostBatch) hid(k sysctl.Key) bool {
	st, differs := b.seen.born[k]
	return differs && st == sysctl.Absent
}

// findHiding finds out which of a batch's keys have new namespaces made without others,
// such as those of devices (fb_tunnels_only_for_init_net).
func (c *creation) findHiding(ctx context.Context, b *hostBatch) error {
	hidden := slices.DeleteFunc(sortedKeys(c.fresh), func(k sysctl.Key) bool { return !b.hid(k) })
	if len(hidden) == 0 || slices.ContainsFunc(b.writes, func(w trace.Write) bool { return c.hiding[w.Key] }) {
		return nil
	}
	found, err := bisect.Singles(b.writes, hidden, func(some []trace.Write) ([]sysctl.Key, error) {
		s, err := c.again(ctx, some, false, hidden)
		return slices.DeleteFunc(slices.Clone(hidden), func(k sysctl.Key) bool { return s.born[k] != sysctl.Absent }), err
	})
	for _, i := range found {
		c.hiding[b.writes[i].Key] = true
	}
	return err
}

// unknown is what a batch has changed of which it is not known what it follows, or of
// which what looked like a copy is none.
func (c *creation) unknown(b *hostBatch) []sysctl.Key {
	return slices.DeleteFunc(sortedKeys(c.fresh), func(k sysctl.Key) bool {
		o, known := c.creations[k][c.modeOf(k)]
		known = known && (o.kind == report.CreationDerived || b.copied(k) == o.kind)
		return known || !b.seen.changed(k) || !c.asked(k) || c.ignored(k)
	})
}

// movedByMode records what depends on devconf though it is no device's.
func (c *creation) movedByMode(before map[sysctl.Key]sysctl.Entry) {
	for k, e := range before {
		if !ofDevices(k) && !c.ignored(k) && stateIn(c.fresh, k) != e.State {
			c.settle(k, origin{kind: report.CreationDerived, keys: []sysctl.Key{devconf}})
		}
	}
}
