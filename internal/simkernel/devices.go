package simkernel

import (
	"fmt"
	"slices"

	"github.com/netns-verify/netns-verify/child"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/netns"
	"github.com/netns-verify/netns-verify/protocol"
)

// devices is those of the host that have keys here.
var devices = []string{"eth0.100", "eth1"}

var _ child.DeviceMaker = view{}

// MakeDevices implements child.DeviceMaker: only likenesses have keys.
func (v view) MakeDevices(d *protocol.Devices) (made []protocol.Device) {
	v.k.clock.sleep(costDevice)
	v.k.mu.Lock()
	defer v.k.mu.Unlock()
	v.k.advance()
	for _, l := range d.Like {
		v.k.bear(v.ns, string(l.Name))
		made = append(made, protocol.Device{Kind: "dummy", Name: l.Name})
	}
	for _, kind := range d.Kinds {
		made = append(made, protocol.Device{Kind: kind, Name: protocol.Bytes(kind)})
	}
	return made
}

// furnished makes a namespace with all devices.
func (k *Kernel) furnished(role netns.Role) *namespace {
	ns := k.enter(role)
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, device := range k.devices {
		k.bear(ns, device)
	}
	return ns
}

// perDevice adds a key of one name and kind for each of some devices.
func (g *generator) perDevice(m keyModel) (keys []int) {
	on := append([]string{"lo"}, devices...)
	for {
		var names []sysctl.Key
		dir, leaf := pick(g.rng, "ipv4/conf", "ipv6/conf", "ipv4/neigh"), fmt.Sprintf("k%03x", g.rng.IntN(1<<12))
		for _, device := range on {
			names = append(names, sysctl.Key("net/"+dir+"/"+device+"/"+leaf))
		}
		if slices.ContainsFunc(names, func(n sysctl.Key) bool { return g.taken[n] }) {
			continue
		}
		for _, m.name = range names {
			g.taken[m.name] = true
			keys = append(keys, g.add(m))
		}
		g.rng.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		return keys
	}
}

// plantDeviceSame plants a handler that also sets the host's key of the same device, for
// one or two of three devices that have such a key.
func plantDeviceSame(g *generator, kind Kind) {
	keys := g.perDevice(g.numeric())
	for _, key := range keys[:1+g.rng.IntN(2)] {
		g.setsHost(g.plant(kind, key), key, accepted, written, 0)
	}
}

// plantDeviceCross plants a key of a device that follows the key of the same name of
// another device. The third device's key has no part in it, or is another cause or victim.
func plantDeviceCross(g *generator, kind Kind) {
	keys := g.perDevice(g.numeric())
	for _, pair := range [][2]int{{0, 1}, {2, pick(g.rng, 0, 1)}}[:1+g.rng.IntN(2)] {
		cause, victim := keys[pair[0]], keys[pair[1]]
		g.rule(rule{
			plant: g.plant(kind, cause), name: "another device's key follows", when: accepted,
			actions: []action{{
				to: pick(g.rng, toHost, toOthers, toHost|toOthers, toHost|toOthers|toLater), key: victim, value: g.follows(cause, victim),
			}},
		}, cause)
	}
}
