package parent

import (
	"context"
	"errors"
	"path"
	"slices"

	"github.com/netns-verify/netns-verify/internal/bisect"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// The bounds of the search for what an effect takes, where it takes more than
// one write: for one key, and for a run.
const (
	searchTrials = 20
	allTrials    = 60
)

// changed tells whether a key of another namespace has not the value it had. One that
// is not there (new namespaces may be without some devices) says nothing of its value.
func (s noticed) changed(k sysctl.Key) bool {
	_, live := s.live[k]
	st, born := s.born[k]
	return live || born && st != sysctl.Absent
}

// conclude says of each key of a fresh namespace what the batches have shown.
// What changed in one that was not about it, or to something else, is searched for.
func (c *creation) conclude(ctx context.Context) error {
	own := map[sysctl.Key]*hostBatch{}
	for _, b := range c.batches {
		for _, w := range b.writes {
			own[w.Key] = b
		}
	}
	surprises := map[*hostBatch][]sysctl.Key{}
	for _, k := range sortedKeys(c.fresh) {
		if c.ignored(k) || !c.asked(k) {
			continue
		}
		kind, odd := c.plain(k, own[k])
		if odd != nil {
			surprises[odd] = append(surprises[odd], k)
		} else if kind != "" {
			c.settle(k, origin{kind: kind})
		}
	}
	for _, b := range c.batches {
		if err := c.findHiding(ctx, b); err != nil {
			return err
		}
		if err := c.explain(ctx, b, surprises[b]); err != nil {
			return err
		}
	}
	return nil
}

// plain is what is plain to see of a key; if nothing is, the batch that shows
// something else. own is the batch in which it was written, nil for none.
func (c *creation) plain(k sysctl.Key, own *hostBatch) (report.Creation, *hostBatch) {
	if own != nil && own.seen.changed(k) {
		if kind := own.copied(k); kind != "" && !own.odd[k] && (kind == report.CreationShared || !own.twins(k)) {
			return kind, nil
		}
		return "", own
	}
	// Backwards: what devices start with comes last, and before that what moves it. What
	// has the same name is likelier, and simpler to say, than what moves that.
	var odd *hostBatch
	for _, b := range slices.Backward(c.batches) {
		if b == own || !b.seen.changed(k) || odd != nil && !b.names(k) {
			continue
		}
		// Nobody wrote it, but on the host it moved too; devices follow default on both sides.
		if kind := b.copied(k); own == nil && odd == nil && kind != "" && kindOf(k) != ofDevice {
			return kind, nil
		}
		if odd = b; b.names(k) {
			break
		}
	}
	return "", odd
}

// copied tells how others have come to what the host has, if they have.
func (b *hostBatch) copied(k sysctl.Key) report.Creation {
	now, moved := b.seen.host[k]
	live, shared := b.seen.live[k]
	born, copied := b.seen.born[k]
	switch {
	case !moved:
		return ""
	case shared && live == now:
		return report.CreationShared
	case copied && born == now:
		return report.CreationInherited
	}
	return ""
}

// twins tells that the same key of another device was written too.
func (b *hostBatch) twins(k sysctl.Key) bool {
	device, same := deviceOf(k)
	return slices.ContainsFunc(b.writes, func(w trace.Write) bool {
		d, s := deviceOf(w.Key)
		return s == same && d != device
	})
}

// names tells that a key of the same name, if of something else, was written.
func (b *hostBatch) names(k sysctl.Key) bool {
	return slices.ContainsFunc(b.writes, func(w trace.Write) bool { return path.Base(string(w.Key)) == path.Base(string(k)) })
}

func (b *hostBatch) wrote(k sysctl.Key) bool {
	return slices.ContainsFunc(b.writes, func(w trace.Write) bool { return w.Key == k })
}

// explain finds out which of a batch's writes changed these keys.
func (c *creation) explain(ctx context.Context, b *hostBatch, keys []sysctl.Key) error {
	var open []sysctl.Key
	for _, k := range keys {
		if cause, ok := c.causes[k]; ok && b.wrote(cause) && !b.together { // as in another mode
			c.follows(k, b, cause)
		} else {
			open = append(open, k)
		}
	}
	if len(open) == 0 {
		return nil
	}
	live := slices.ContainsFunc(open, func(k sysctl.Key) bool { _, ok := b.seen.live[k]; return ok })
	sham, err := c.again(ctx, nil, live, open)
	if err != nil {
		return err
	}
	open = slices.DeleteFunc(open, func(k sysctl.Key) bool {
		if sham.changed(k) { // it needs no write
			c.varies[k] = true
		}
		return sham.changed(k)
	})
	asked := slices.Clone(open)
	shows := func(some []trace.Write) ([]sysctl.Key, error) {
		s, err := c.again(ctx, some, live, asked)
		return slices.DeleteFunc(slices.Clone(open), func(k sysctl.Key) bool { return !s.changed(k) }), err
	}
	found, err := bisect.Singles(b.writes, open, shows)
	if err != nil {
		return err
	}
	for _, k := range open {
		if i, ok := found[k]; ok {
			c.causes[k] = b.writes[i].Key
			c.follows(k, b, b.writes[i].Key)
			continue
		}
		several, err := c.search(b.writes, k, shows)
		if err != nil {
			return err
		}
		c.follows(k, b, several...)
	}
	if len(sham.born) > 0 {
		return c.look(ctx)
	}
	return nil
}

// search finds a minimal set of writes, none where the bounds do not allow it.
func (c *creation) search(ws []trace.Write, k sysctl.Key, shows func([]trace.Write) ([]sysctl.Key, error)) ([]sysctl.Key, error) {
	budget := min(searchTrials, allTrials-c.searched)
	set, calls, err := bisect.Minimal(ws, budget, func(some []trace.Write) (bool, error) {
		shown, err := shows(some)
		return slices.Contains(shown, k), err
	})
	c.searched += calls
	if errors.Is(err, bisect.ErrBudget) {
		return nil, nil
	}
	return trace.KeysOf(set), err
}

// follows records that a key follows others, or itself on the host.
func (c *creation) follows(k sysctl.Key, b *hostBatch, keys ...sysctl.Key) {
	o := origin{kind: report.CreationDerived, keys: keys}
	if kind := b.copied(k); kind != "" && (len(keys) == 0 && !b.together || len(keys) == 1 && keys[0] == k) {
		o = origin{kind: kind}
	}
	c.settle(k, o)
}
