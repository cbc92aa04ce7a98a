package parent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// hostBatch is writes on the host, and what was then not as before.
type hostBatch struct {
	writes []trace.Write // that took effect
	seen   noticed
	// odd is keys that change without being written: what they have is no copy,
	// even where it looks like one.
	odd map[sysctl.Key]bool
	// together tells that all keys were moved at once: many have the same value.
	together bool
}

// noticed is what is not as it was on the host, in a namespace that exists, and
// in one that was made just now.
type noticed struct {
	host, live, born map[sysctl.Key]sysctl.State
}

// writeBatches writes batch after batch; the host is put back after each.
func (c *creation) writeBatches(ctx context.Context, todo [][]hostKey) error {
	for len(todo) > 0 {
		var deferred [][]hostKey // never all of a batch: this comes to an end
		for i, keys := range todo {
			c.progress(i, len(todo), "devconf_inherit_init_net "+c.mode)
			left, err := c.writeBatch(ctx, keys)
			if err != nil {
				return err
			}
			if len(left) > 0 {
				deferred = append(deferred, left)
			}
		}
		todo = deferred
	}
	return nil
}

// writeBatch writes a batch, but for keys that others of it move, before their turn
// or back after it: those are for another one.
func (c *creation) writeBatch(ctx context.Context, keys []hostKey) (deferred []hostKey, err error) {
	if err := c.ready(ctx, keys); err != nil {
		return nil, err
	}
	b := &hostBatch{}
	for _, h := range keys {
		if c.ignored(h.key) {
			continue // restless by now: nobody could put it back
		}
		if c.host.Look(h.key) != c.host.Expected(h.key) {
			deferred = append(deferred, h)
			continue
		}
		if w, ok := c.move(h); ok {
			b.writes = append(b.writes, w)
		}
	}
	var undone map[sysctl.Key]bool
	b.writes, undone = c.standing(b.writes)
	for _, h := range keys {
		if undone[h.key] {
			deferred = append(deferred, h)
		}
	}
	if len(b.writes) > 0 {
		b.seen, err = c.see(ctx, true, c.concerned())
		c.batches = append(c.batches, b)
	}
	if err := errors.Join(err, c.putBack()); err != nil {
		return nil, err
	}
	if err := c.relook(ctx, len(b.seen.live) > 0); err != nil {
		return nil, err
	}
	return deferred, c.doubt(ctx, b)
}

// ready comes before the host's keys are written.
func (c *creation) ready(ctx context.Context, keys []hostKey) error {
	if err := stopped(ctx); err != nil {
		return err
	}
	if err := c.others(); err != nil {
		return err
	}
	return c.announceKeys(keys)
}

// standing is the writes that later ones have not undone, and the keys of the others.
func (c *creation) standing(ws []trace.Write) (stand []trace.Write, undone map[sysctl.Key]bool) {
	undone = map[sysctl.Key]bool{}
	for _, w := range ws {
		if c.host.Look(w.Key) == w.Before {
			undone[w.Key] = true
		} else {
			stand = append(stand, w)
		}
	}
	return stand, undone
}

// doubt writes those keys of a batch once more that nobody seems to follow, and
// sees what changes all the same.
func (c *creation) doubt(ctx context.Context, b *hostBatch) error {
	b.odd = map[sysctl.Key]bool{}
	idle := slices.DeleteFunc(slices.Clone(b.writes), func(w trace.Write) bool { return b.seen.changed(w.Key) })
	if len(idle) == 0 || len(idle) == len(b.writes) {
		return nil
	}
	keys := trace.KeysOf(b.writes)
	slices.Sort(keys)
	s, err := c.again(ctx, idle, len(b.seen.live) > 0, keys)
	for _, w := range b.writes {
		b.odd[w.Key] = s.changed(w.Key)
	}
	return err
}

// move tries values until the host's key is not as it was found.
func (c *creation) move(h hostKey) (trace.Write, bool) {
	if device, _ := deviceOf(h.key); kindOf(h.key) == ofDevice {
		c.devices[device] = true
	}
	for _, v := range h.candidates {
		w := trace.Write{Key: h.key, Value: v, Before: c.host.Expected(h.key)}
		w.Errno = sysctl.Errno(c.m.Host().Write(h.key, v))
		if w.After = c.host.Look(h.key); w.Perturbed() {
			return w, true
		}
	}
	return trace.Write{}, false
}

// again makes writes once more, sees what comes of them to some keys (in a
// namespace that exists only if asked to), and puts the host back.
func (c *creation) again(ctx context.Context, ws []trace.Write, live bool, keys []sysctl.Key) (noticed, error) {
	c.trials++
	if err := stopped(ctx); err != nil {
		return noticed{}, err
	}
	var again []hostKey
	for _, w := range ws {
		again = append(again, hostKey{w.Key, []string{w.Value}})
	}
	if err := c.announceKeys(again); err != nil {
		return noticed{}, err
	}
	for _, w := range ws {
		_ = c.m.Host().Write(w.Key, w.Value) // as before: what is seen counts
	}
	s, err := c.see(ctx, live, keys)
	if len(ws) > 0 {
		err = errors.Join(err, c.putBack())
	}
	return s, err
}

// concerned is the keys that depend on the mode, sorted; nil for all in the first.
func (c *creation) concerned() []sysctl.Key {
	if c.mode == c.devconfs[0] {
		return nil
	}
	return slices.DeleteFunc(sortedKeys(c.fresh), func(k sysctl.Key) bool { return !ofDevices(k) })
}

// see looks at some keys, or all, of a new namespace, and for live effects at the
// existing one and the host.
func (c *creation) see(ctx context.Context, live bool, keys []sysctl.Key) (s noticed, err error) {
	if live {
		if s.live, err = c.lively(); err != nil {
			return s, err
		}
	}
	born, err := c.newborn(ctx, keys)
	if err != nil {
		return s, err
	}
	s.born = c.differences(c.fresh, born, keys == nil)
	if live {
		off, err := c.hostOff()
		if err != nil {
			return s, err
		}
		s.host = map[sysctl.Key]sysctl.State{}
		for _, e := range off {
			s.host[e.Key] = e.After
		}
	}
	return s, nil
}

// lively is what has changed in the existing namespace, less what is settled.
func (c *creation) lively() (map[sysctl.Key]sysctl.State, error) {
	changes, err := c.existing.Sweep(false)
	live := map[sysctl.Key]sysctl.State{}
	for _, ch := range changes {
		if old, ok := c.settled[ch.Key]; !c.ignored(ch.Key) && (!ok || old != ch.After) {
			live[ch.Key] = ch.After
		}
	}
	return live, err
}

// differences is what is in a snapshot that is not so in another. Keys that only
// the other has are different if the snapshot is the whole of its namespace.
func (c *creation) differences(from map[sysctl.Key]sysctl.Entry, s sysctl.Snapshot, whole bool) map[sysctl.Key]sysctl.State {
	out := map[sysctl.Key]sysctl.State{}
	now := s.Map()
	for _, e := range s {
		if stateIn(from, e.Key) != e.State && !c.ignored(e.Key) {
			out[e.Key] = e.State
		}
	}
	for k := range from {
		if _, ok := now[k]; !ok && whole && !c.ignored(k) {
			out[k] = sysctl.Absent
		}
	}
	return out
}

// others takes note of what is off on the host before anything is written: that
// was not us.
func (c *creation) others() error {
	off, err := c.hostOff()
	for _, e := range off {
		c.unexplained(e, "it changed while the host's keys were being written, after they had been put back")
		c.host.Expect(e.Key, e.After)
	}
	return err
}

// relook takes for given what others keep of a write after the host was put back.
func (c *creation) relook(ctx context.Context, live bool) error {
	if live {
		left, err := c.lively()
		if err != nil {
			return err
		}
		maps.Copy(c.settled, left)
	}
	if len(c.kept) > c.keptBefore {
		c.keptBefore = len(c.kept)
		return c.look(ctx)
	}
	return nil
}

// putBack gives the host's keys their values back: from global to default to
// device keys, and none that is as it was, because that would end its following
// of others. It is not to be stopped.
func (c *creation) putBack() error {
	var failed map[sysctl.Key]error
	for range restoreRounds {
		off, err := c.hostOff()
		if err != nil {
			return fmt.Errorf("put the host back: %w", err)
		}
		ours := slices.DeleteFunc(slices.Clone(off), notByWriting)
		if len(ours) == 0 && len(off) > 0 {
			return c.others()
		}
		slices.SortStableFunc(ours, func(a, b trace.Effect) int { return cmp.Compare(trace.Breadth(b.Key), trace.Breadth(a.Key)) })
		failed = map[sysctl.Key]error{}
		for _, e := range ours {
			if c.m.Host().Read(e.Key) == e.Before || !e.Before.OK() {
				continue // it has followed another
			}
			if err := c.m.Host().Write(e.Key, e.Before.Value); err != nil {
				failed[e.Key] = err
			}
		}
		if len(off) == 0 {
			return nil
		}
	}
	off, err := c.hostOff()
	for _, e := range off {
		if !notByWriting(e) {
			c.keep(e, failed[e.Key])
		}
	}
	return errors.Join(err, c.others())
}

// notByWriting tells that what changed is no value of a network's key, or is gone
// or new, such as the keys of a device: that is others' doing.
func notByWriting(e trace.Effect) bool {
	return !e.Key.Network() || e.After == sysctl.Absent || e.Before == sysctl.Absent
}

// keep gives up a host key that does not go back. On a host that is a failure.
func (c *creation) keep(e trace.Effect, err error) {
	why := "it was written on the host, and does not take its old value back"
	if err != nil {
		why += ": " + unix.ErrnoName(sysctl.Errno(err))
	}
	c.kept[e.Key], c.stuck[e.Key], c.denied[e.Key] = why, true, !c.o.AllowOneWay
	c.host.Expect(e.Key, e.After)
	c.log.Warn().Str("phase", string(PhaseHost)).Str("key", e.Key.Text()).Err(errors.Join(err)).Msg("not put back")
}
