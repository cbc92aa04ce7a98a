package parent

import (
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

// replay has exactly these writes repeated, and watches the host meanwhile.
func (r *run) replay(w *client, again []write) (ws []write, seen []effect, err error) {
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
// it is written in a child, and marks the write that moved it. For a one-way
// leak there is no other proof of its cause, and a later write of the batch
// may put the host's key back before it is swept.
func (r *run) watch(k sysctl.Key, ws *[]write, seen *[]effect, do func() ([]write, error)) error {
	before := r.host.Look(k)
	done, err := do()
	after := r.host.Look(k)
	if at := (place{observerHost, k}); after != before && !r.restless[at] {
		*seen = append(*seen, effect{at, r.host.Expected(k), after})
		if i := moverOf(done, after); i >= 0 {
			done[i].moved = &after
		}
	}
	*ws = append(*ws, done...)
	return err
}

// moverOf picks which of the attempts at one key moved the host's to a state:
// the last that gave the writer the same, else the last that took effect, else
// the last of all.
func moverOf(ws []write, to sysctl.State) int {
	most := -1
	rank := func(w write) int {
		switch {
		case w.perturbed() && w.after == to:
			return 2
		case w.perturbed():
			return 1
		}
		return 0
	}
	for i, w := range ws {
		if most < 0 || rank(w) >= rank(ws[most]) {
			most = i
		}
	}
	return most
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
