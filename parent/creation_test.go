package parent

import (
	"syscall"
	"testing"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// What is not below net/ is watched, and never written.
func TestWritableOnHost(t *testing.T) {
	ok := sysctl.State{Value: "1"}
	host := sysctl.Snapshot{
		{Key: "kernel/panic", Mode: 0o644, State: ok}, {Key: "net/core/somaxconn", Mode: 0o644, State: ok},
		{Key: "net/ipv4/ip_forward", Mode: 0o644, State: ok}, {Key: "net/ipv4/route/flush", Mode: 0o200, State: sysctl.State{Errno: syscall.EACCES}},
		{Key: "net/x/read_only", Mode: 0o444, State: ok}, {Key: "vm/swappiness", Mode: 0o644, State: ok},
	}
	for oneWay, want := range map[bool]int{false: 1, true: 2} {
		if got := (Options{AllowOneWay: oneWay}).WritableOnHost(host); len(got) != want || got[0] != "net/core/somaxconn" {
			t.Errorf("with one-way keys %v: %v", oneWay, got)
		}
	}
}
