package device

import (
	"net"
	"slices"

	"github.com/vishvananda/netlink"
)

// Kind is a kind of device, as rtnetlink names it; tap and tun, which are not
// made through rtnetlink, are kinds like others here.
type Kind struct {
	Name string
	// Device is the name of the device made: the same in every child.
	Device string
	// Module is the kernel module that brings the kind, in sysfs's spelling; empty
	// where it is never a module.
	Module string
	// On is the kinds of devices that this one can be put on: the first that was
	// made is taken. Empty: it stands alone.
	On []string

	link func(netlink.LinkAttrs) netlink.Link // nil: nothing has to be said but the kind
}

// Link describes one device of the kind, on the device of that index (0: none).
func (k Kind) Link(on int) netlink.Link {
	a := netlink.NewLinkAttrs()
	a.Name, a.ParentIndex = k.Device, on
	if k.link == nil {
		return &netlink.GenericLink{LinkAttrs: a, LinkType: k.Name}
	}
	return k.link(a)
}

// Peer is the name of a pair's other end.
const Peer = "nv-peer"

// Addresses of tunnels' ends: the fallback devices of a namespace have none, and
// two tunnels with the same are one. They are for documentation (RFC 5737, 3849).
var (
	far4 = net.IPv4(192, 0, 2, 1)
	far6 = net.ParseIP("2001:db8::1")
	near = net.ParseIP("2001:db8::2")
)

// lower is what most devices can be put on. macvlan and ipvlan cannot share one:
// each takes all that it receives (netdev_rx_handler_register).
var lower = []string{"veth", "dummy", "bridge", "ifb"}

// kinds is in the order of making: what others are put on comes first.
var kinds = []Kind{
	{Name: "dummy", Module: "dummy"},
	{Name: "bridge", Module: "bridge"},
	{Name: "veth", Module: "veth", link: func(a netlink.LinkAttrs) netlink.Link {
		v := netlink.NewVeth(a)
		v.PeerName = Peer
		return v
	}},
	{Name: "ifb", Module: "ifb"},
	{Name: "tap", Module: "tun", link: func(a netlink.LinkAttrs) netlink.Link {
		return &netlink.Tuntap{LinkAttrs: a, Mode: netlink.TUNTAP_MODE_TAP}
	}},
	{Name: "tun", Module: "tun", link: func(a netlink.LinkAttrs) netlink.Link {
		return &netlink.Tuntap{LinkAttrs: a, Mode: netlink.TUNTAP_MODE_TUN}
	}},
	{Name: "bond", Module: "bonding"},
	{Name: "team", Module: "team"},
	{Name: "vrf", Module: "vrf", link: func(a netlink.LinkAttrs) netlink.Link {
		return &netlink.Vrf{LinkAttrs: a, Table: 100}
	}},
	{Name: "netkit"},
	{Name: "nlmon", Module: "nlmon"},
	{Name: "vcan", Module: "vcan"},
	{Name: "vxcan", Module: "vxcan"},
	{Name: "wireguard", Module: "wireguard"},
	{Name: "batadv", Module: "batman_adv"},

	{Name: "vlan", Device: "nv-vlan.100", Module: "8021q", On: lower, link: func(a netlink.LinkAttrs) netlink.Link {
		return &netlink.Vlan{LinkAttrs: a, VlanId: 100}
	}},
	{Name: "macvlan", Module: "macvlan", On: lower},
	{Name: "macvtap", Module: "macvtap", On: lower},
	{Name: "ipvlan", Module: "ipvlan", On: []string{"bridge", "dummy", "ifb"}},
	{Name: "ipvtap", Module: "ipvtap", On: []string{"bridge", "dummy", "ifb"}},
	{Name: "macsec", Module: "macsec", On: lower},

	{Name: "vxlan", Module: "vxlan", link: func(a netlink.LinkAttrs) netlink.Link {
		return &netlink.Vxlan{LinkAttrs: a, VxlanId: 100, Port: 4789}
	}},
	{Name: "geneve", Module: "geneve", link: func(a netlink.LinkAttrs) netlink.Link {
		return &netlink.Geneve{LinkAttrs: a, ID: 100, Remote: far4}
	}},
	{Name: "bareudp", Module: "bareudp", link: func(a netlink.LinkAttrs) netlink.Link {
		return &netlink.BareUDP{LinkAttrs: a, Port: 6635, EtherType: 0x8847} // MPLS over UDP (RFC 7510)
	}},
	{Name: "ipip", Module: "ipip", link: func(a netlink.LinkAttrs) netlink.Link {
		return &netlink.Iptun{LinkAttrs: a, Remote: far4}
	}},
	{Name: "sit", Module: "sit", link: func(a netlink.LinkAttrs) netlink.Link {
		return &netlink.Sittun{LinkAttrs: a, Remote: far4}
	}},
	{Name: "gre", Module: "ip_gre", link: func(a netlink.LinkAttrs) netlink.Link {
		return &netlink.Gretun{LinkAttrs: a, Local: net.IPv4zero, Remote: far4}
	}},
	{Name: "gretap", Module: "ip_gre", link: func(a netlink.LinkAttrs) netlink.Link {
		return &netlink.Gretap{LinkAttrs: a, Local: net.IPv4zero, Remote: far4}
	}},
	{Name: "vti", Module: "ip_vti", link: func(a netlink.LinkAttrs) netlink.Link {
		return &netlink.Vti{LinkAttrs: a, Local: net.IPv4zero, Remote: far4}
	}},
	{Name: "ip6tnl", Module: "ip6_tunnel", link: func(a netlink.LinkAttrs) netlink.Link {
		return &netlink.Ip6tnl{LinkAttrs: a, Local: near, Remote: far6}
	}},
	{Name: "ip6gre", Module: "ip6_gre", link: func(a netlink.LinkAttrs) netlink.Link {
		return &netlink.Gretun{LinkAttrs: a, Local: near, Remote: far6}
	}},
	{Name: "ip6gretap", Module: "ip6_gre", link: func(a netlink.LinkAttrs) netlink.Link {
		return &netlink.Gretap{LinkAttrs: a, Local: near, Remote: far6}
	}},
	{Name: "vti6", Module: "ip6_vti", link: func(a netlink.LinkAttrs) netlink.Link {
		return &netlink.Vti{LinkAttrs: a, Local: near, Remote: far6}
	}},
	{Name: "xfrm", Module: "xfrm_interface", link: func(a netlink.LinkAttrs) netlink.Link {
		return &netlink.Xfrmi{LinkAttrs: a, Ifid: 100}
	}},
}

func init() {
	for i := range kinds {
		if kinds[i].Device == "" {
			kinds[i].Device = "nv-" + kinds[i].Name
		}
	}
}

// Kinds is all kinds, in the order of making.
func Kinds() []Kind { return slices.Clone(kinds) }

// Find looks a kind up by its name.
func Find(name string) (Kind, bool) {
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		return Kind{}, false
	}
	return kinds[i], true
}

// standIns are the kinds that can stand in for a device of any kind: nothing but
// the name, and the index if it is free, is the same.
var standIns = []string{"dummy", "bridge", "ifb", "veth"}

// StandIns is those of some kinds that can stand in for others, best first.
func StandIns(of []Kind) []Kind {
	var out []Kind
	for _, name := range standIns {
		if i := slices.IndexFunc(of, func(k Kind) bool { return k.Name == name }); i >= 0 {
			out = append(out, of[i])
		}
	}
	return out
}

// StandIn describes such a device of that name, with an index (0: a free one).
func (k Kind) StandIn(name string, index int) netlink.Link {
	a := netlink.NewLinkAttrs()
	a.Name, a.Index = name, index
	return &netlink.GenericLink{LinkAttrs: a, LinkType: k.Name}
}
