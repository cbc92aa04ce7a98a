package trace

import (
	"slices"
	"syscall"
	"time"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// Writer is who makes the writes.
type Writer string

// The writers.
const (
	// WriterRoot is root in a network namespace that belongs to the initial user
	// namespace: a container of an ordinary runtime.
	WriterRoot Writer = "root"
	// WriterUserNS is root in a user namespace of its own, and an ordinary user
	// outside of it: what anybody may do.
	WriterUserNS Writer = "userns"
)

// Write is one attempt in a writer, accepted or rejected.
type Write struct {
	Key           sysctl.Key
	Value         string
	By            Writer
	Errno         syscall.Errno
	Before, After sysctl.State
	At            time.Time
	// Observed is the observers' states of the key when it was written.
	Observed []Observed
	// Batch is the number of the batch it was written in.
	Batch int
	// Moved tells that the host's key of the same name was as expected just
	// before this was written, and not any more just after it.
	Moved bool
	// Loaded is the modules that the kernel was seen to have just after this was
	// written, and not just before it.
	Loaded []sysctl.Key
	Via    Via
	// tainted: an observer's state was another by then.
	Tainted bool
}

// Perturbed tells that the write took effect in the writer.
func (w Write) Perturbed() bool { return w.After != w.Before }

// Went is writes as they went when they were made again: what a write does to its
// own key depends on the others before it, which may have been more at first. A
// sham is judged by what its writes would have done, and the report tells of that.
func Went(ws, again []Write) []Write {
	ws = slices.Clone(ws)
	for i, w := range again {
		ws[i].Before, ws[i].After, ws[i].Errno = w.Before, w.After, w.Errno
	}
	return ws
}

// Observed is what an observer reads of a key.
type Observed struct {
	Observer string
	State    sysctl.State
}

// Proves tells whether writes to one key show its isolation, if no observer
// changed: for each observer that has the key, one of them took effect and read
// back as something that this observer did not have.
func Proves(ws []Write) bool {
	shown := func(observer string) bool {
		batch := -1
		for i := len(ws) - 1; i >= 0; i-- {
			w := &ws[i]
			if !w.Perturbed() || w.Batch == batch {
				continue // only what a batch left behind is there when observers are swept
			}
			batch = w.Batch
			if w.After.OK() && !w.Tainted && !slices.Contains(w.Observed, Observed{observer, w.After}) {
				return true
			}
		}
		return false
	}
	return shown(Host) && shown(Sibling)
}

// KeysOf is the distinct keys of some writes, in the order of their first write.
func KeysOf(ws []Write) []sysctl.Key {
	var keys []sysctl.Key
	seen := map[sysctl.Key]bool{}
	for _, w := range ws {
		if !seen[w.Key] {
			seen[w.Key] = true
			keys = append(keys, w.Key)
		}
	}
	return keys
}

// Without is the writes to other keys than these.
func Without(ws []Write, keys map[sysctl.Key]bool) []Write {
	return slices.DeleteFunc(slices.Clone(ws), func(w Write) bool { return keys[w.Key] })
}

// Via is how a write reaches its key.
type Via int

// The ways.
const (
	// ViaPath is a write of the child's own to the file below /proc/sys.
	ViaPath Via = iota
	// ViaDescriptor is a write of ours, from the host's namespace, through a
	// descriptor that the writer opened.
	ViaDescriptor
	// ViaGone is the same after the writer's namespace has gone.
	ViaGone
	// ViaRead is no write: the child only read the key.
	ViaRead
)

// Passed tells that the write goes through a descriptor that the child passed on.
func (w Write) Passed() bool { return w.Via == ViaDescriptor || w.Via == ViaGone }

// ByWay splits writes where the way changes.
func ByWay(ws []Write) [][]Write {
	var groups [][]Write
	for i, w := range ws {
		if i == 0 || w.Via != ws[i-1].Via {
			groups = append(groups, nil)
		}
		last := len(groups) - 1
		groups[last] = append(groups[last], w)
	}
	return groups
}

// ByPath is the same writes as the writer itself makes them.
func ByPath(ws []Write) []Write {
	ws = slices.Clone(ws)
	for i := range ws {
		ws[i].Via = ViaPath
	}
	return ws
}

// Way says where a cause's writes were made.
func Way(ws []Write) string {
	switch {
	case len(ws) > 0 && ws[0].Via == ViaDescriptor:
		return "by the host through a descriptor that was opened in a fresh namespace"
	case len(ws) > 0 && ws[0].Via == ViaGone:
		return "by the host through a descriptor that was opened in a fresh namespace, which was gone by then"
	}
	return "in a fresh namespace"
}

// SameKeys tells whether writes have the same keys, in whatever order.
func SameKeys(a, b []Write) bool {
	ka, kb := KeysOf(a), KeysOf(b)
	slices.Sort(ka)
	slices.Sort(kb)
	return slices.Equal(ka, kb)
}

// Of is those of ws that write one of the keys.
func Of(ws []Write, keys []sysctl.Key) []Write {
	var out []Write
	for _, w := range ws {
		if slices.Contains(keys, w.Key) {
			out = append(out, w)
		}
	}
	return out
}
