package client

import (
	"testing"

	"github.com/netns-verify/netns-verify/parent/netns"
	"github.com/netns-verify/netns-verify/protocol"
)

// TestUserNamespace: a child that is not in the user namespace that it was started in is
// not who it is said to be.
func TestUserNamespace(t *testing.T) {
	const ours, other = 1, 2
	for _, tt := range []struct {
		own  bool
		says uint64
		ok   bool
	}{{false, ours, true}, {false, other, false}, {true, other, true}, {true, ours, false}} {
		c := &Client{proc: &netns.Process{UserNS: ours, OwnUserNS: tt.own}}
		if err := c.check(&protocol.Hello{Version: protocol.Version, UserNS: tt.says}); (err == nil) != tt.ok {
			t.Errorf("of its own %v, it says %d: %v", tt.own, tt.says, err)
		}
	}
}
