package simkernel

import (
	"syscall"
	"testing"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/netns"
)

// A namespace has the keys of a device once that was made in it, as it is at that
// moment, and no leak reaches them before.
func TestDevices(t *testing.T) {
	const key, follower = sysctl.Key("net/ipv4/conf/eth0.100/k"), sysctl.Key("net/ipv4/conf/eth1/k")
	k, _ := small(func(b *builder) {
		b.devices = devices
		from, to := b.add(number(key, "1")), b.add(number(follower, "1"))
		b.rule(rule{when: accepted, actions: []action{{to: toHost | toOthers | toLater, key: to, value: written}}}, from)
	})
	writer, with, without := view{k, k.enter(netns.RoleWriter)}, view{k, k.furnished(netns.RoleSibling)}, view{k, k.enter(netns.RoleSibling)}
	wantErrno(t, writer.Write(key, "2"), syscall.ENOENT)
	if made := writer.MakeDevices(likenesses(k)); len(made) != 2 || string(made[1].Name) != "eth1" {
		t.Errorf("made %+v", made)
	}
	wantErrno(t, writer.Write(key, "2"), 0)
	wantValue(t, k.Host(), key, "1")
	wantValue(t, k.Host(), follower, "2")
	wantValue(t, writer, follower, "1")
	wantValue(t, with, follower, "2")
	if st := without.Read(follower); st != sysctl.Absent {
		t.Errorf("a key reads %+v where its device is not", st)
	}
	without.MakeDevices(likenesses(k))
	wantValue(t, without, follower, "2")
}
