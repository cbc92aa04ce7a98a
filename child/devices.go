package child

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/device"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/protocol"
)

// DeviceMaker is a tree of a simulated namespace, which makes the devices itself.
type DeviceMaker interface {
	sysctl.Tree
	// MakeDevices answers as protocol.Made says.
	MakeDevices(*protocol.Devices) []protocol.Device
}

// devices makes network devices in the child's own namespace, and says of each
// how it went. They stay down: that is enough for their keys, and nothing is sent.
func (s *server) devices(d *protocol.Devices) error {
	if err := d.Check(); err != nil {
		return err
	}
	if tree, ok := s.tree.(DeviceMaker); ok {
		return s.conn.Send(protocol.Reply{Made: &protocol.Made{Devices: tree.MakeDevices(d)}})
	}
	kinds := make([]device.Kind, len(d.Kinds))
	for i, name := range d.Kinds {
		var ok bool
		if kinds[i], ok = device.Find(name); !ok {
			return fmt.Errorf("no kind of device is called %.80q", name)
		}
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("ask the kernel for devices: %w", err)
	}
	defer h.Close()
	m := maker{handle: h, made: map[string]int{}}
	tell := func(kind string, name protocol.Bytes, err error) error {
		d := protocol.Device{Kind: kind, Name: name, Error: protocol.FromError(err)}
		return s.conn.Send(protocol.Reply{Made: &protocol.Made{Devices: []protocol.Device{d}}})
	}
	for _, l := range d.Like { // first, while their indices are free
		kind, err := m.like(string(l.Name), l.Index, kinds)
		if err := tell(kind, l.Name, err); err != nil {
			return err
		}
	}
	for _, k := range kinds {
		if err := tell(k.Name, protocol.Bytes(k.Device), m.kind(k)); err != nil {
			return err
		}
	}
	return nil
}

// maker makes devices one after another.
type maker struct {
	handle *netlink.Handle
	made   map[string]int // the index of the device of a kind
}

// kind makes the one device of a kind.
func (m *maker) kind(k device.Kind) error {
	on := 0
	for _, below := range k.On {
		if on == 0 {
			on = m.made[below]
		}
	}
	if on == 0 && len(k.On) > 0 {
		return fmt.Errorf("there is no device that it could be put on: %w", unix.ENODEV)
	}
	l := k.Link(on)
	if err := m.handle.LinkAdd(l); err != nil {
		return err
	}
	m.made[k.Name] = l.Attrs().Index
	return nil
}

// like makes a device of that name, of the first kind that can be had, with that
// index if it is free. A name that every namespace of this kernel has from the
// start (tunl0, sit0) is there already. It returns the kind.
func (m *maker) like(name string, index int, kinds []device.Kind) (kind string, err error) {
	err = fmt.Errorf("no kind that can stand in for it was asked for: %w", unix.EOPNOTSUPP)
	for _, k := range device.StandIns(kinds) {
		kind = k.Name
		err = m.handle.LinkAdd(k.StandIn(name, index))
		if errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EBUSY) { // another device has the index, or the name
			err = m.handle.LinkAdd(k.StandIn(name, 0))
		}
		if err == nil || errors.Is(err, unix.EEXIST) {
			return kind, nil
		}
	}
	return kind, err
}
