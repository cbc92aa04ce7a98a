package client

import (
	"errors"
	"fmt"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/protocol"
)

// MakeDevices has the child make its devices. It tells of each, since a kernel that has to
// load modules for them takes its time.
func (c *Client) MakeDevices(req *protocol.Devices) error {
	const what = "make devices"
	made, wanted := []protocol.Device{}, len(req.Kinds)+len(req.Like)
	err := c.call(what, protocol.Request{Devices: req}, func(r protocol.Reply) error {
		if r.Made == nil || len(made)+len(r.Made.Devices) > wanted {
			return errors.New("the answer is not one to a request for devices")
		}
		made = append(made, r.Made.Devices...)
		return nil
	})
	if err == nil && len(made) != wanted {
		err = c.fail(what, fmt.Errorf("%d of %d devices were answered", len(made), wanted))
	}
	c.made = made
	return err
}

// Look asks for some keys, which must be sorted.
func (c *Client) Look(keys []sysctl.Key) (sysctl.Snapshot, error) {
	m := &protocol.Look{Keys: make([]protocol.Bytes, len(keys))}
	for i, k := range keys {
		m.Keys[i] = protocol.Bytes(k)
	}
	s, err := c.entries("look", protocol.Request{Look: m})
	if err == nil && len(s) != len(keys) {
		err = c.fail("look", fmt.Errorf("%s to a request for %d", report.Plural(len(s), "answer"), len(keys)))
	}
	return s, err
}

// Offspring asks for what is in a namespace that the child makes.
func (c *Client) Offspring() (sysctl.Snapshot, error) {
	return c.entries("offspring", protocol.Request{Offspring: &protocol.Offspring{}})
}
