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
	"github.com/netns-verify/netns-verify/protocol"
)

// offspring asks for what is in a namespace that the child makes.
func (c *client) offspring() (sysctl.Snapshot, error) {
	return c.entries("offspring", protocol.Request{Offspring: &protocol.Offspring{}})
}

// creators finds out for which keys those of the creating namespace count, where
// that is not the host: all are written there, and a namespace is made from it.
func (c *creation) creators(ctx context.Context, again bool) error {
	w, err := c.start(ctx, RoleCreator)
	if err != nil {
		return err
	}
	defer w.abandon()
	base, err := w.survey()
	if err != nil {
		return err
	}
	first, err := w.offspring()
	if err != nil {
		return err
	}
	unwritten := first.Map()
	ws, err := w.perturb(c.creatorItems(base, unwritten, again))
	if err != nil {
		return err
	}
	ws = slices.DeleteFunc(ws, func(w write) bool { return !w.perturbed() })
	born, err := w.offspring()
	if err != nil {
		return err
	}
	if err := errors.Join(w.quit(), c.leaked(ctx)); err != nil {
		return err
	}
	changed := c.differences(unwritten, born, true)
	found, err := c.causesIn(ctx, ws, unwritten, sortedKeys(changed))
	if err != nil {
		return err
	}
	last := map[sysctl.Key]sysctl.State{}
	for _, w := range ws {
		last[w.key] = w.after
	}
	c.byHost(last)
	for _, k := range sortedKeys(changed) {
		o := origin{kind: report.CreationDerived, namespace: report.FromCreator}
		cause, known := found[k]
		// Another name of it may have been the last one written.
		renamed := kindOf(k) != ofDevice && last[k] == changed[k]
		switch {
		case known && cause == k || renamed:
			o.kind = report.CreationInherited
		case known:
			o.keys = []sysctl.Key{cause}
		}
		if !again || ofDevices(k) {
			c.settle(k, o)
		}
	}
	return nil
}

// creatorItems is what to write in a creating namespace: all keys that may be
// written there but those that would change more than that.
func (c *creation) creatorItems(base sysctl.Snapshot, born map[sysctl.Key]sysctl.Entry, again bool) []protocol.Item {
	facts := factsOf(base, c.m.NFLog())
	leaking := c.leakingKeys()
	var items []protocol.Item
	for _, e := range base {
		if !e.Writable() || !e.Readable() || !c.included(e.Key) || c.covered(e.Key) || c.ignored(e.Key) || leaking[e.Key] || isLatch(e.Key) || again && !ofDevices(e.Key) {
			continue
		}
		observed := []sysctl.State{c.host.Expected(e.Key), born[e.Key].State}
		it := protocol.Item{Key: protocol.Bytes(e.Key), Want: 1}
		for _, v := range perturb.Candidates(perturb.Subject{Key: e.Key, Mode: e.Mode, State: e.State, Observed: observed}, facts) {
			it.Candidates = append(it.Candidates, protocol.Bytes(v))
		}
		if born[e.Key].State.OK() { // to have that would show nothing
			it.Avoid = []protocol.Bytes{protocol.Bytes(born[e.Key].State.Value)}
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
		loads := slices.ContainsFunc(l.effects, func(e effect) bool { return observe.IsModule(e.key) })
		for _, w := range l.cause {
			leaking[w.key] = leaking[w.key] || !loads
			loaders[w.key] = loaders[w.key] || loads
		}
	}
	for _, l := range c.leaks {
		for _, w := range l.candidates {
			leaking[w.key] = leaking[w.key] || !loaders[w.key]
		}
	}
	return leaking
}

// causesIn finds out which write in a creating namespace changes which key of its
// offspring. What the host's keys have been seen to do is tried first.
func (c *creation) causesIn(ctx context.Context, ws []write, unwritten map[sysctl.Key]sysctl.Entry, keys []sysctl.Key) (map[sysctl.Key]sysctl.Key, error) {
	found := map[sysctl.Key]sysctl.Key{}
	open := keys
	shows := func(some []write) ([]sysctl.Key, error) {
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
			found[k] = some[i].key
		}
		open = slices.DeleteFunc(slices.Clone(open), func(k sysctl.Key) bool { _, ok := causes[k]; return ok })
	}
	var unknown []sysctl.Key
	for _, k := range open {
		if _, ok := c.causes[k]; !ok && !slices.ContainsFunc(ws, func(w write) bool { return w.key == k }) {
			unknown = append(unknown, k)
		}
	}
	if len(unknown) == 0 {
		return found, nil
	}
	causes, err := bisect.Singles(ws, unknown, shows)
	for k, i := range causes {
		found[k] = ws[i].key
	}
	return found, err
}

// likely is the writes to what these keys follow on the host, and to themselves.
func (c *creation) likely(ws []write, keys []sysctl.Key, themselves bool) []write {
	is := map[sysctl.Key]bool{}
	for _, k := range keys {
		if cause, ok := c.causes[k]; ok {
			is[cause] = true
		}
		if themselves {
			is[k] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(ws), func(w write) bool { return !is[w.key] })
}

// bearAgain makes writes in a fresh creating namespace, and tells what is then
// different in one made from it.
func (c *creation) bearAgain(ctx context.Context, ws []write, unwritten map[sysctl.Key]sysctl.Entry) (map[sysctl.Key]sysctl.State, error) {
	c.trials++
	if err := stopped(ctx); err != nil {
		return nil, err
	}
	w, err := c.start(ctx, RoleCreator)
	if err != nil {
		return nil, err
	}
	defer w.abandon()
	if _, err := w.replay(ws); err != nil {
		return nil, err
	}
	born, err := w.offspring()
	if err != nil {
		return nil, err
	}
	return c.differences(unwritten, born, true), errors.Join(w.quit(), c.leaked(ctx))
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
func (c *creation) byHost(written map[sysctl.Key]sysctl.State) {
	for k, modes := range c.creations {
		mode := report.AnyDevconf
		if ofDevices(k) {
			mode = c.mode
		}
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
