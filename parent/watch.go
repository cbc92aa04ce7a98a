package parent

import (
	"context"
	"slices"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/protocol"
)

// perturb has a batch written, one key after another, and watches the host
// meanwhile. With an error it returns what was written until then.
func (r *run) perturb(w *client, items []protocol.Item) (ws []write, seen []effect, err error) {
	for len(items) > 0 && err == nil {
		n := slices.IndexFunc(items, func(it protocol.Item) bool { return !r.ownDevice(sysctl.Key(it.Key)) })
		if n < 0 {
			n = len(items)
		}
		if n > 0 {
			var done []write
			done, err = w.perturb(items[:n])
			ws = append(ws, done...)
		} else {
			n = 1
			err = r.watch(sysctl.Key(items[0].Key), &ws, &seen, func() ([]write, error) {
				return w.perturb(items[:1])
			})
		}
		items = items[n:]
	}
	return ws, seen, err
}

// ownDevice tells that a key belongs to a device that the host does not have, so
// that there is no key of the same name to watch.
func (r *run) ownDevice(k sysctl.Key) bool {
	name, _ := k.Device()
	return name != "" && r.host.Expected(k) == sysctl.Absent
}

// replay has exactly these writes repeated, the way they were made, and watches
// the host meanwhile.
func (r *run) replay(ctx context.Context, w *client, again []write) (ws []write, seen []effect, err error) {
	for _, group := range byWay(again) {
		how := r.replayByPath
		if group[0].passed() {
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

func (r *run) replayByPath(_ context.Context, w *client, again []write) (ws []write, seen []effect, err error) {
	for i := range again {
		err = r.watch(again[i].key, &ws, &seen, func() ([]write, error) {
			return w.replay(again[i : i+1])
		})
		if err != nil {
			return ws, seen, err
		}
	}
	return ws, seen, nil
}

// watch looks at the host's key of the same name just before and just after
// it is written in a child, and marks the write with whose value it moved. For a
// one-way leak there is no other proof of its cause, and before it is swept the
// host's key may be put back by a later write of the batch, or move on by itself.
func (r *run) watch(k sysctl.Key, ws *[]write, seen *[]effect, do func() ([]write, error)) error {
	before, had := r.host.Look(k), r.arrived()
	done, err := do()
	after := r.host.Look(k)
	if came := keysWithout(r.arrived(), had); len(came) > 0 {
		*seen = append(*seen, r.sawLoading(done, came)...)
	}
	if e := (effect{place{observerHost, k}, r.host.Expected(k), after}); after != before {
		*seen = append(*seen, e)
		i := slices.IndexFunc(done, func(w write) bool { return w.after == after })
		if i >= 0 && before == e.before && !r.restless[e.place] {
			done[i].moved = true
		}
	}
	*ws = append(*ws, done...)
	return err
}

// withSeen adds what was seen during the writes to what a sweep found after them.
func withSeen(swept, seen []effect) []effect {
	for _, e := range seen {
		if e.before != e.after && !hasPlace(swept, e.place) {
			swept = append(swept, e)
		}
	}
	return swept
}
