package parent

import (
	"slices"
	"strings"

	"github.com/netns-verify/netns-verify/internal/known"
	"github.com/netns-verify/netns-verify/internal/perturb"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/plan"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// hostKey is a key of the host with the values to try.
type hostKey struct {
	key        sysctl.Key
	candidates []string
}

// hostBatchSize bounds how many of the host's keys have another value at a time.
// Those of single devices matter to nobody else: all of them may.
const hostBatchSize = 128

// WritableOnHost is the keys of a host that a run with WriteHost may write there,
// as far as its snapshot tells: those that can be read, so that they can be put
// back. What loses more than its value (addresses, routes), or does not go back,
// is only written where nothing outlives the machine (AllowOneWay).
func (o Options) WritableOnHost(host sysctl.Snapshot) []sysctl.Key {
	var keys []sysctl.Key
	q := o.question()
	for _, e := range host {
		if e.Key.Network() && e.Writable() && e.State.OK() && q.Asks(e.Key) && !q.Covers(e.Key) && (o.AllowOneWay || !lasting(e.Key) && !perturb.Disruptive(e.Key)) {
			keys = append(keys, e.Key)
		}
	}
	return keys
}

// lasting tells that a key does not go back before reboot.
func lasting(k sysctl.Key) bool {
	return isLatch(k) || known.WriteOnce(k)
}

// isLatch tells that a leak of the key could not be put back.
func isLatch(k sysctl.Key) bool {
	_, latch := known.OneWay(k)
	return latch
}

// plan is what to write in one mode, in batches in which no two keys should
// change the same key of others: what is everybody's, what is single devices', what
// is all devices' and what devices start with. Keys that disrupt have their own.
func (c *creation) plan(again bool) [][]hostKey {
	kinds, facts := make([][]hostKey, 2*kinds), c.facts()
	for _, k := range c.o.WritableOnHost(c.host.Baseline()) {
		if lasting(k) || k == devconf || again && !ofDevices(k) {
			continue
		}
		h, ok := c.hostKey(k, facts, perturb.Candidates)
		if !ok {
			continue
		}
		at := kindOf(k)
		if perturb.Disruptive(k) {
			at += len(kinds) / 2
		}
		kinds[at] = append(kinds[at], h)
	}
	var batches [][]hostKey
	for i, keys := range kinds {
		size := hostBatchSize
		if i == ofDevice {
			size = max(len(keys), 1)
		}
		batches = append(batches, slices.Collect(slices.Chunk(keys, size))...)
	}
	return batches
}

// latches is the keys that do not go back, each alone.
func (c *creation) latches() [][]hostKey {
	var batches [][]hostKey
	facts := c.facts()
	for _, k := range c.o.WritableOnHost(c.host.Baseline()) {
		if !lasting(k) {
			continue
		}
		if h, ok := c.hostKey(k, facts, perturb.Candidates); ok {
			batches = append(batches, []hostKey{h})
		}
	}
	return batches
}

// hostKey has values proposed, last those that a fresh namespace has; there may be none.
func (c *creation) hostKey(k sysctl.Key, facts perturb.Facts, propose func(perturb.Subject, perturb.Facts) []string) (hostKey, bool) {
	if c.ignored(k) {
		return hostKey{}, false
	}
	host := c.host.Found(k)
	if host.Unread() {
		return hostKey{}, false // nobody knows what to put back
	}
	s := perturb.Subject{Key: k, Mode: host.Mode, State: host.State, Observed: []sysctl.State{stateIn(c.fresh, k)}}
	h := hostKey{k, propose(s, facts)}
	return h, len(h.candidates) > 0
}

// facts is what candidates for the host's keys are chosen by.
func (c *creation) facts() perturb.Facts {
	f := plan.FactsOf(c.host.Baseline(), c.m.NFLog())
	f.Extreme = c.o.Extreme
	return f
}

// ignored tells that a key says nothing: it changes without anybody writing it.
func (c *creation) ignored(k sysctl.Key) bool {
	return c.varies[k] || c.restless[trace.Place{Observer: trace.Host, Key: k}] || c.restless[trace.Place{Observer: trace.Sibling, Key: k}]
}

// The kinds of keys, in the order in which they are written.
const (
	ofEverybody = iota
	ofDevice
	ofAll
	ofDefault
	kinds
)

func kindOf(k sysctl.Key) int {
	switch dev, _ := deviceOf(k); dev {
	case "":
		return ofEverybody
	case "all":
		return ofAll
	case "default":
		return ofDefault
	}
	return ofDevice
}

// deviceOf takes a key of a device apart: net/ipv4/conf/DEVICE/forwarding, and
// what is the same of all devices. Other keys have no device.
func deviceOf(k sysctl.Key) (device, same string) {
	parts := strings.Split(string(k), "/")
	if len(parts) != 5 || parts[2] != "conf" && parts[2] != "neigh" {
		return "", string(k)
	}
	return parts[3], parts[1] + "/" + parts[2] + "/" + parts[4]
}
