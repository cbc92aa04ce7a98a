package parent

import (
	"context"
	"slices"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/client"
	"github.com/netns-verify/netns-verify/parent/trace"
	"github.com/netns-verify/netns-verify/protocol"
)

// perturb has a batch written, one key after another, and watches the host
// meanwhile. The same key of several devices is written at once: that is one code,
// at work on its own device only. So are a few keys where each was alone before.
// With an error it returns what was written until then.
func (r *run) perturb(w *client.Client, items []protocol.Item) (ws []trace.Write, seen []trace.Effect, err error) {
	for len(items) > 0 && err == nil {
		n := alikeItems(items)
		if items[0].Exact { // there are many passes of these, and most of what leaks has shown before
			n = min(len(items), exactAtOnce)
		}
		err = r.watch(r.onHost(items[:n]), &ws, &seen, func() ([]trace.Write, error) {
			return w.Perturb(items[:n])
		})
		items = items[n:]
	}
	return ws, seen, err
}

// alikeItems is how many of the first items are the same key of devices.
func alikeItems(items []protocol.Item) int {
	_, first := sysctl.Key(items[0].Key).Device()
	n := slices.IndexFunc(items, func(it protocol.Item) bool {
		_, of := sysctl.Key(it.Key).Device()
		return of != first
	})
	switch {
	case first == "":
		return 1
	case n < 0:
		return len(items)
	}
	return n
}

// onHost is the keys of items without those of devices that the host does not have,
// so that there is no key of the same name to watch.
func (r *run) onHost(items []protocol.Item) (keys []sysctl.Key) {
	for _, it := range items {
		k := sysctl.Key(it.Key)
		if name, _ := k.Device(); name == "" || r.host.Expected(k) != sysctl.Absent {
			keys = append(keys, k)
		}
	}
	return keys
}

// replay has exactly these writes repeated, the way they were made, and watches
// the host meanwhile.
func (r *run) replay(ctx context.Context, w *client.Client, again []trace.Write) (ws []trace.Write, seen []trace.Effect, err error) {
	for _, group := range trace.ByWay(again) {
		how := r.replayByPath
		if group[0].Passed() {
			how = r.through
		}
		done, more, err := how(ctx, w, group)
		ws, seen = append(ws, done...), append(seen, more...)
		if err != nil {
			return ws, seen, err
		}
	}
	return ws, seen, nil
}

func (r *run) replayByPath(_ context.Context, w *client.Client, again []trace.Write) (ws []trace.Write, seen []trace.Effect, err error) {
	for i := range again {
		err = r.watch([]sysctl.Key{again[i].Key}, &ws, &seen, func() ([]trace.Write, error) {
			return w.Replay(again[i : i+1])
		})
		if err != nil {
			return ws, seen, err
		}
	}
	return ws, seen, nil
}

// watch looks at the host's keys of the same name just before and just after
// they are written in a child, and marks the writes with whose value one moved, if
// no other one's value was the same. For a one-way leak there is no other proof of
// its cause, and before it is swept the host's key may be put back by a later write
// of the batch, or move on by itself.
func (r *run) watch(keys []sysctl.Key, ws *[]trace.Write, seen *[]trace.Effect, do func() ([]trace.Write, error)) error {
	before, had := make([]sysctl.State, len(keys)), r.arrived()
	for i, k := range keys {
		before[i] = r.host.Look(k)
	}
	done, err := do()
	for i, k := range keys {
		after := r.host.Look(k)
		e := trace.Effect{Place: trace.Place{Observer: trace.Host, Key: k}, Before: r.host.Expected(k), After: after}
		if after == before[i] {
			continue
		}
		*seen = append(*seen, e)
		at := slices.IndexFunc(done, func(w trace.Write) bool { return w.Key == k && w.After == after })
		others := slices.ContainsFunc(done, func(w trace.Write) bool { return w.Key != k && w.After == after })
		if at >= 0 && !others && before[i] == e.Before && !r.restless[e.Place] {
			done[at].Moved = true
		}
	}
	if came := keysWithout(r.arrived(), had); len(came) > 0 {
		*seen = append(*seen, r.sawLoading(done, came)...)
	}
	_ = r.o.Record.ReadBack(done) // what then fails, the next announcement tells
	*ws = append(*ws, done...)
	return err
}

// withSeen adds what was seen during the writes to what a sweep found after them.
func withSeen(swept, seen []trace.Effect) []trace.Effect {
	for _, e := range seen {
		if e.Before != e.After && !trace.HasPlace(swept, e.Place) {
			swept = append(swept, e)
		}
	}
	return swept
}
