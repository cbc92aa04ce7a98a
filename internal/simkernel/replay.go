package simkernel

import (
	"time"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/netns"
)

// replaySettle is longer than any delay.
const replaySettle = 300 * time.Millisecond

// assignment is one write of a claim that is put to the test.
type assignment struct {
	key   sysctl.Key
	value string
}

// replay makes some writes in a fresh writer of a fresh kernel and returns what
// its observers then see.
func (t Truth) replay(writes []assignment) map[Effect]bool {
	k := t.again()
	sibling := k.furnished(netns.RoleSibling)
	writer := view{k, k.furnished(netns.RoleWriter)}
	for _, w := range writes {
		_ = writer.Write(w.key, w.value) // a rejected write may be the cause
	}
	k.clock.sleep(replaySettle)
	k.advance()
	k.leave(writer.ns)
	k.clock.sleep(replaySettle)
	later := k.furnished(netns.RoleLater)
	seen := map[Effect]bool{}
	for i := range k.keys {
		if k.keys[i].restless != nil {
			continue
		}
		look := func(ns *namespace, observer string) {
			if k.state(ns, i) != ns.base[i] && k.readable(ns, i) {
				seen[Effect{observer, k.keys[i].name}] = true
			}
		}
		look(k.host, report.ObserverHost)
		look(sibling, report.ObserverSibling)
		look(later, report.ObserverLater)
	}
	return seen
}

// proves tells whether the writes cause all these effects, and none of them is
// superfluous.
func (t Truth) proves(writes []assignment, effects []Effect) bool {
	if !containsAll(t.replay(writes), effects) {
		return false
	}
	for i := range writes {
		without := append(writes[:i:i], writes[i+1:]...)
		if len(without) > 0 && containsAll(t.replay(without), effects) {
			return false
		}
	}
	return true
}

func containsAll(seen map[Effect]bool, effects []Effect) bool {
	for _, e := range effects {
		if !seen[e] {
			return false
		}
	}
	return true
}
