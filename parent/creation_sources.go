package parent

import (
	"fmt"
	"path"
	"slices"

	"github.com/netns-verify/netns-verify/internal/perturb"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// notMoved is a key from which others may have their values: it was not moved to every
// level, so nobody knows.
type notMoved struct {
	key       sysctl.Key
	namespace string
	why       report.NotMovedReason
}

// unmoved is the host's keys that were not moved to every level; those that were left
// out on purpose are not among them.
func (c *creation) unmoved(moved map[sysctl.Key]int) []notMoved {
	var list []notMoved
	facts := c.facts()
	for _, k := range sortedKeys(c.fresh) {
		if c.question.Covers(k) && c.question.Asks(k) {
			list = append(list, notMoved{k, report.FromHost, report.NotMovedCovered})
		}
	}
	for _, e := range c.host.Baseline() {
		k := e.Key
		if moved[k] == int(perturb.Levels) || !k.Network() || !c.question.Asks(k) || c.question.Covers(k) || k == devconf && len(c.possibleModes()) > 1 {
			continue
		}
		n := notMoved{k, report.FromHost, report.NotMovedRefused}
		switch {
		case c.ignored(k):
			n.why = report.NotMovedRestless
		case !e.Writable():
			n.why = report.NotMovedReadOnly
		case !e.State.OK():
			n.why = report.NotMovedUnreadable
		case lasting(k):
			n.why = report.NotMovedOneWay
		case perturb.Disruptive(k) && !c.o.AllowOneWay:
			n.why = report.NotMovedDisruptive
		default:
			if _, ok := c.hostKey(k, facts, atLevel(perturb.Small)); !ok {
				n.why = report.NotMovedNoCandidate
			}
		}
		list = append(list, n)
	}
	return list
}

// movedAfterAll takes note of keys that do not go back: each was moved alone, at the end.
func (c *creation) movedAfterAll(batches []*hostBatch) {
	c.notMoved[c.mode] = slices.DeleteFunc(c.notMoved[c.mode], func(n notMoved) bool {
		return n.namespace == report.FromHost && slices.ContainsFunc(batches, func(b *hostBatch) bool { return b.wrote(n.key) })
	})
}

// settleDefaults says of all that nothing has moved that they start with the kernel's default.
func (c *creation) settleDefaults() {
	for k := range c.fresh {
		if _, known := c.creations[k][c.modeOf(k)]; !known && c.fresh[k].State.OK() && c.asked(k) && !c.ignored(k) {
			c.settle(k, origin{kind: report.CreationDefault})
		}
	}
}

// withdraw takes back each "default" of which a source may have been missed: where keys
// were left out on purpose, and where one of the same name was not moved.
func (c *creation) withdraw() {
	names := map[string]map[string]notMoved{}
	for mode, list := range c.notMoved {
		names[mode] = map[string]notMoved{}
		for _, n := range slices.Backward(list) {
			names[mode][path.Base(string(n.key))] = n
		}
	}
	left := c.leftOut()
	for _, k := range sortedKeys(c.fresh) {
		if len(c.creations[k]) == 0 {
			switch {
			case c.ignored(k):
				c.untold[k] = "not measured: it changes without being written"
			case !c.fresh[k].State.OK():
				c.untold[k] = "not measured: it has no value that can be read"
			}
		}
		for mode, o := range c.creations[k] {
			if o.kind != report.CreationDefault {
				continue
			}
			in := mode
			if mode == report.AnyDevconf {
				in = c.devconfs[0]
			}
			n, missed := names[in][path.Base(string(k))]
			switch {
			case c.unseen[in][k]:
				c.untold[k] = "not measured: new namespaces were without it when all keys were moved"
			case left || !ofDevices(k) && len(c.devconfs) > 0 && c.devconfs[0] != report.AnyDevconf && !c.question.Asks(devconf):
				c.untold[k] = "not measured: keys that it may come from were left out by --include or --exclude"
			case missed:
				c.untold[k] = fmt.Sprintf("not measured: it may come from %s of the %s, which was not moved: %s", n.key, whose[n.namespace], n.why)
			default:
				continue
			}
			delete(c.creations[k], mode)
		}
	}
	seen := map[notMoved]bool{}
	for _, mode := range c.devconfs {
		for _, n := range c.notMoved[mode] {
			if !seen[n] {
				seen[n] = true
				c.sources = append(c.sources, n)
			}
		}
	}
}

var whose = map[string]string{report.FromHost: "host", report.FromCreator: "creating namespace"}

// leftOut tells that keys which could be moved were not to be; without devconf, of
// which each answer names its value.
func (c *creation) leftOut() bool {
	if c.creatorLeftOut {
		return true
	}
	all := Options{AllowOneWay: c.o.AllowOneWay}.WritableOnHost(c.host.Baseline())
	return slices.ContainsFunc(all, func(k sysctl.Key) bool { return !c.question.Asks(k) && k != devconf })
}
