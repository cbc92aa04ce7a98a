package parent

import (
	"io/fs"
	"slices"
	"syscall"
	"time"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// write is one attempt in a writer, accepted or rejected.
type write struct {
	key           sysctl.Key
	value         string
	by            Writer
	errno         syscall.Errno
	before, after sysctl.State
	at            time.Time
	// observed is the observers' states of the key when it was written.
	observed []observed
	// batch is the number of the batch it was written in.
	batch int
	// moved tells that the host's key of the same name was as expected just
	// before this was written, and not any more just after it.
	moved bool
	// loaded is the modules that the kernel was seen to have just after this was
	// written, and not just before it.
	loaded []sysctl.Key
	via    via
	// tainted: an observer's state was another by then.
	tainted bool
}

// perturbed tells that the write took effect in the writer.
func (w write) perturbed() bool { return w.after != w.before }

// went is writes as they went when they were made again: what a write does to its
// own key depends on the others before it, which may have been more at first. A
// sham is judged by what its writes would have done, and the report tells of that.
func went(ws, again []write) []write {
	ws = slices.Clone(ws)
	for i, w := range again {
		ws[i].before, ws[i].after, ws[i].errno = w.before, w.after, w.errno
	}
	return ws
}

// observed is what an observer reads of a key.
type observed struct {
	observer string
	state    sysctl.State
}

// prove tells whether writes to one key show its isolation, if no observer
// changed: for each observer that has the key, one of them took effect and read
// back as something that this observer did not have.
func prove(ws []write) bool {
	shown := func(observer string) bool {
		batch := -1
		for i := len(ws) - 1; i >= 0; i-- {
			w := &ws[i]
			if !w.perturbed() || w.batch == batch {
				continue // only what a batch left behind is there when observers are swept
			}
			batch = w.batch
			if w.after.OK() && !w.tainted && !slices.Contains(w.observed, observed{observer, w.after}) {
				return true
			}
		}
		return false
	}
	return shown(observerHost) && shown(observerSibling)
}

// The observers, as the report names them.
const (
	observerHost    = "host"
	observerSibling = "sibling"
	observerLater   = "later"
)

// place is where an effect shows.
type place struct {
	observer string
	key      sysctl.Key
}

// effect is a place that is not as it was.
type effect struct {
	place
	before, after sysctl.State
}

func effectsOf(observer string, changes []sysctl.Change) []effect {
	effects := make([]effect, len(changes))
	for i, c := range changes {
		effects[i] = effect{place{observer, c.Key}, c.Before, c.After}
	}
	return effects
}

func hasPlace(effects []effect, p place) bool {
	return slices.ContainsFunc(effects, func(e effect) bool { return e.place == p })
}

// at is the effect at a place.
func at(effects []effect, p place) effect {
	return effects[slices.IndexFunc(effects, func(e effect) bool { return e.place == p })]
}

// keysOf is the distinct keys of some writes, in the order of their first write.
func keysOf(ws []write) []sysctl.Key {
	var keys []sysctl.Key
	seen := map[sysctl.Key]bool{}
	for _, w := range ws {
		if !seen[w.key] {
			seen[w.key] = true
			keys = append(keys, w.key)
		}
	}
	return keys
}

// without is the writes to other keys than these.
func without(ws []write, keys map[sysctl.Key]bool) []write {
	return slices.DeleteFunc(slices.Clone(ws), func(w write) bool { return keys[w.key] })
}

func fileMode(m uint32) fs.FileMode { return fs.FileMode(m) & 0o7777 }
