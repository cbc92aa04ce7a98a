package parent

import (
	"context"
	"errors"
	"slices"

	"github.com/netns-verify/netns-verify/internal/bisect"
	"github.com/netns-verify/netns-verify/internal/observe"
	"github.com/netns-verify/netns-verify/internal/perturb"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/client"
	"github.com/netns-verify/netns-verify/parent/netns"
	"github.com/netns-verify/netns-verify/parent/plan"
	"github.com/netns-verify/netns-verify/parent/trace"
	"github.com/netns-verify/netns-verify/protocol"
)

// creators finds out for which keys those of the creating namespace count, where
// that is not the host: all are written there, and a namespace is made from it. Each
// level has a fresh one, as some keys take one value only.
func (c *creation) creators(ctx context.Context) error {
	var unwritten map[sysctl.Key]sysctl.Entry
	moved, known := map[sysctl.Key]int{}, map[sysctl.Key]bool{}
	for l := range perturb.Levels {
		w, base, err := c.creator(ctx, l == 0)
		if err != nil {
			return err
		}
		if l == 0 {
			first, err := w.Offspring()
			if err != nil {
				w.Abandon()
				return err
			}
			unwritten = first.Map()
		}
		ws, is, born, err := c.bear(w, base, l)
		w.Abandon()
		if err := errors.Join(err, c.leaked(ctx)); err != nil {
			return err
		}
		changed := c.differences(unwritten, born, true)
		for k := range changed {
			if known[k] || !c.asked(k) || changed[k] == sysctl.Absent {
				delete(changed, k)
			}
			known[k] = true
		}
		for _, e := range base {
			if is[e.Key].State != e.State {
				moved[e.Key]++
			}
		}
		if err := c.fromCreator(ctx, ws, is, unwritten, changed); err != nil {
			return err
		}
		if l == perturb.Levels-1 {
			c.stuckIn(base, moved)
			c.byHost(moved)
		}
	}
	return nil
}

// creator is a namespace of which others can be made.
func (c *creation) creator(ctx context.Context, first bool) (*client.Client, sysctl.Snapshot, error) {
	if !first {
		c.trials++
	}
	if err := stopped(ctx); err != nil {
		return nil, nil, err
	}
	w, err := c.start(ctx, netns.RoleCreator, false)
	if err != nil {
		return nil, nil, err
	}
	base, err := w.Survey()
	if err != nil {
		w.Abandon()
	}
	return w, base, err
}

// bear writes all keys of a creating namespace, and makes one from it. The writes are
// those that stand then, in the order in which they came to; is has what is there.
func (c *creation) bear(w *client.Client, base sysctl.Snapshot, l perturb.Level) (stand []trace.Write, is map[sysctl.Key]sysctl.Entry, born sysctl.Snapshot, err error) {
	before := base.Map()
	all := sortedKeys(before)
	is = before
	todo := c.creatorItems(base, l)
	for range standRounds {
		if len(todo) == 0 {
			break
		}
		ws, err := w.Perturb(todo)
		if err != nil {
			return nil, nil, nil, err
		}
		for _, w := range ws { // of several to a key the last one stands
			if w.Perturbed() {
				stand = append(slices.DeleteFunc(stand, func(o trace.Write) bool { return o.Key == w.Key }), w)
			}
		}
		now, err := w.Look(all)
		if err != nil {
			return nil, nil, nil, err
		}
		is = now.Map()
		undone := map[sysctl.Key]bool{}
		for _, w := range stand {
			undone[w.Key] = is[w.Key].State == before[w.Key].State
		}
		todo = slices.DeleteFunc(todo, func(it protocol.Item) bool { return !undone[sysctl.Key(it.Key)] })
		slices.Reverse(todo) // of two names of one thing the last write counts: let it be the other's
		stand = slices.DeleteFunc(stand, func(w trace.Write) bool { return undone[w.Key] })
	}
	if born, err = w.Offspring(); err != nil {
		return nil, nil, nil, err
	}
	return stand, is, born, w.Quit()
}

// fromCreator settles what has changed in a namespace whose creator was written.
func (c *creation) fromCreator(ctx context.Context, ws []trace.Write, is, unwritten map[sysctl.Key]sysctl.Entry, changed map[sysctl.Key]sysctl.State) error {
	found, err := c.causesIn(ctx, ws, unwritten, sortedKeys(changed))
	if err != nil {
		return err
	}
	leaking := c.leakingKeys()
	for _, k := range sortedKeys(changed) {
		o := origin{kind: report.CreationDerived, namespace: report.FromCreator}
		cause, known := found[k]
		own := known && cause == k
		if e := is[k]; !own && kindOf(k) != ofDevice && e.State.OK() && e.State == changed[k] && c.mayWrite(e, leaking) {
			// It may be itself that counts, of which others are another name.
			alone, err := c.bearAgain(ctx, []trace.Write{{Key: k, Value: e.State.Value}}, unwritten)
			if err != nil {
				return err
			}
			own = alone[k] == changed[k]
		}
		switch {
		case own:
			o.kind = report.CreationInherited
		case known:
			o.keys = []sysctl.Key{cause}
		}
		c.settle(k, o)
	}
	return nil
}

// stuckIn takes note of the keys of a creating namespace that were not moved to every level.
func (c *creation) stuckIn(base sysctl.Snapshot, moved map[sysctl.Key]int) {
	leaking := c.leakingKeys()
	for _, e := range base {
		k := e.Key
		switch {
		case !e.Writable() || !e.Readable() || moved[k] == int(perturb.Levels) || k == devconf:
		case !c.question.Asks(k):
			c.creatorLeftOut = true
		default:
			n := notMoved{k, report.FromCreator, report.NotMovedRefused}
			if leaking[k] {
				n.why = report.NotMovedLeak
			} else if c.ignored(k) {
				n.why = report.NotMovedRestless
			} else if isLatch(k) {
				n.why = report.NotMovedOneWay
			}
			c.notMoved[c.mode] = append(c.notMoved[c.mode], n)
		}
	}
}

// mayWrite tells whether a creating namespace's key is written, and what it does seen.
func (c *creation) mayWrite(e sysctl.Entry, leaking map[sysctl.Key]bool) bool {
	return e.Writable() && e.Readable() && c.question.Asks(e.Key) && !c.question.Covers(e.Key) && !c.ignored(e.Key) && !leaking[e.Key] && !isLatch(e.Key)
}

// creatorItems is what to write in a creating namespace: all keys that may be
// written there but those that would change more than that.
func (c *creation) creatorItems(base sysctl.Snapshot, l perturb.Level) []protocol.Item {
	facts := plan.FactsOf(base, c.m.NFLog())
	facts.Extreme = c.o.Extreme
	leaking := c.leakingKeys()
	var items []protocol.Item
	for _, e := range base {
		if !c.mayWrite(e, leaking) {
			continue
		}
		it := protocol.Item{Key: protocol.Bytes(e.Key), Want: 1}
		for _, v := range perturb.At(l, perturb.Subject{Key: e.Key, Mode: e.Mode, State: e.State}, facts) {
			it.Candidates = append(it.Candidates, protocol.Bytes(v))
		}
		if len(it.Candidates) > 0 {
			items = append(items, it)
		}
	}
	return items
}

// leakingKeys is the keys that do, or may, leak. Those that loaded a module are not
// among them: it is there by now, and to ask for it does nothing more.
func (c *creation) leakingKeys() map[sysctl.Key]bool {
	leaking, loaders := map[sysctl.Key]bool{}, map[sysctl.Key]bool{}
	for _, l := range c.leaks {
		loads := slices.ContainsFunc(l.Effects, func(e trace.Effect) bool { return observe.IsModule(e.Key) })
		for _, w := range l.Cause {
			leaking[w.Key] = leaking[w.Key] || !loads
			loaders[w.Key] = loaders[w.Key] || loads
		}
	}
	for _, l := range c.leaks {
		for _, w := range l.Candidates {
			leaking[w.Key] = leaking[w.Key] || !loaders[w.Key]
		}
	}
	return leaking
}

// causesIn finds out which write in a creating namespace changes which key of its
// offspring. What the host's keys have been seen to do is tried first.
func (c *creation) causesIn(ctx context.Context, ws []trace.Write, unwritten map[sysctl.Key]sysctl.Entry, keys []sysctl.Key) (map[sysctl.Key]sysctl.Key, error) {
	found := map[sysctl.Key]sysctl.Key{}
	open := keys
	shows := func(some []trace.Write) ([]sysctl.Key, error) {
		changed, err := c.bearAgain(ctx, some, unwritten)
		return slices.DeleteFunc(slices.Clone(open), func(k sysctl.Key) bool { _, ok := changed[k]; return !ok }), err
	}
	for _, themselves := range []bool{true, false} {
		some := c.likely(ws, open, themselves)
		if len(open) == 0 || len(some) == 0 {
			continue
		}
		shown, err := shows(some)
		if err != nil {
			return nil, err
		}
		causes, err := bisect.Singles(some, shown, shows)
		if err != nil {
			return nil, err
		}
		for k, i := range causes {
			found[k] = some[i].Key
		}
		open = slices.DeleteFunc(slices.Clone(open), func(k sysctl.Key) bool { _, ok := causes[k]; return ok })
	}
	var unknown []sysctl.Key
	for _, k := range open {
		if _, ok := c.causes[k]; !ok && !slices.ContainsFunc(ws, func(w trace.Write) bool { return w.Key == k }) {
			unknown = append(unknown, k)
		}
	}
	if len(unknown) == 0 {
		return found, nil
	}
	causes, err := bisect.Singles(ws, unknown, shows)
	for k, i := range causes {
		found[k] = ws[i].Key
	}
	return found, err
}

// likely is the writes to what these keys follow on the host, and to themselves.
func (c *creation) likely(ws []trace.Write, keys []sysctl.Key, themselves bool) []trace.Write {
	is := map[sysctl.Key]bool{}
	for _, k := range keys {
		if cause, ok := c.causes[k]; ok {
			is[cause] = true
		}
		if themselves {
			is[k] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(ws), func(w trace.Write) bool { return !is[w.Key] })
}

// bearAgain makes writes in a fresh creating namespace, and tells what is then
// different in one made from it.
func (c *creation) bearAgain(ctx context.Context, ws []trace.Write, unwritten map[sysctl.Key]sysctl.Entry) (map[sysctl.Key]sysctl.State, error) {
	c.trials++
	if err := stopped(ctx); err != nil {
		return nil, err
	}
	w, err := c.start(ctx, netns.RoleCreator, false)
	if err != nil {
		return nil, err
	}
	defer w.Abandon()
	if _, err := w.Replay(ws); err != nil {
		return nil, err
	}
	born, err := w.Offspring()
	if err != nil {
		return nil, err
	}
	return c.differences(unwritten, born, true), errors.Join(w.Quit(), c.leaked(ctx))
}

// leaked puts the host back if something in a creating namespace has changed it.
func (c *creation) leaked(ctx context.Context) error {
	off, err := c.hostOff()
	for _, e := range off {
		c.unexplained(e, "it changed while a namespace was written of which others were made; the host has been put back")
	}
	if err != nil || len(off) == 0 {
		return err
	}
	return errors.Join(c.putBack(), c.relook(ctx, true))
}

// byHost says of keys that follow the host's that they do so whoever makes the
// namespace, if what they follow was written in a creating one, without effect.
func (c *creation) byHost(written map[sysctl.Key]int) {
	for k, modes := range c.creations {
		mode := c.modeOf(k)
		o, ok := modes[mode]
		if !ok || o.kind != report.CreationInherited && o.kind != report.CreationDerived || o.namespace != "" {
			continue
		}
		followed := o.keys
		if len(followed) == 0 && o.kind == report.CreationInherited {
			followed = []sysctl.Key{k}
		}
		if len(followed) > 0 && !slices.ContainsFunc(followed, func(f sysctl.Key) bool { _, ok := written[f]; return !ok }) {
			o.namespace = report.FromHost
			modes[mode] = o
		}
	}
}
