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
	for _, it := range items {
		err = r.watch(sysctl.Key(it.Key), &ws, &seen, func() ([]write, error) {
			return w.perturb([]protocol.Item{it})
		})
		if err != nil {
			return ws, seen, err
		}
	}
	return ws, seen, nil
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
// one-way leak there is no other proof of its cause, and a later write of the
// batch may put the host's key back before it is swept.
func (r *run) watch(k sysctl.Key, ws *[]write, seen *[]effect, do func() ([]write, error)) error {
	before := r.host.Look(k)
	done, err := do()
	after := r.host.Look(k)
	if e := (effect{place{observerHost, k}, r.host.Expected(k), after}); after != before && !r.restless[e.place] {
		*seen = append(*seen, e)
		i := slices.IndexFunc(done, func(w write) bool { return w.after == after })
		if i >= 0 && before == e.before {
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
