package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netns-verify/netns-verify/internal/device"
	"github.com/netns-verify/netns-verify/internal/hostinfo"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/parent"
)

// deviceKinds is which devices fresh namespaces get beside lo (pflag.Value): kinds,
// in the order of making. Not set: all in thorough runs, else plainKinds.
type deviceKinds struct {
	set   bool
	kinds []string
}

func (d *deviceKinds) Set(s string) error {
	var wanted []string
	switch s {
	case "auto":
		*d = deviceKinds{}
		return nil
	case "none":
	case "all":
		wanted = allKinds()
	default:
		wanted = strings.Split(s, ",")
	}
	*d = deviceKinds{set: true}
	for _, name := range wanted {
		if _, ok := device.Find(name); !ok {
			return fmt.Errorf("unknown %q: use auto, all, none, or kinds out of %s", name, strings.Join(allKinds(), ", "))
		}
	}
	for _, name := range allKinds() {
		if slices.Contains(wanted, name) {
			d.kinds = append(d.kinds, name)
		}
	}
	return nil
}

func (d *deviceKinds) String() string { return "auto" }
func (d *deviceKinds) Type() string   { return "LIST" }

// plainKinds stand for all kinds in quick runs: each device has some 130 keys,
// nearly all of the same code.
var plainKinds = []string{"dummy", "veth"}

// deviceKinds is the kinds that were asked for.
func (f *runFlags) deviceKinds() []string {
	switch {
	case f.devices.set:
		return f.devices.kinds
	case f.thorough:
		return allKinds()
	}
	return plainKinds
}

func allKinds() []string {
	var names []string
	for _, k := range device.Kinds() {
		names = append(names, k.Name)
	}
	return names
}

// devices is which devices children on this machine get, and what is not even
// tried: to be asked for a kind that it does not have makes the kernel load a
// module (rtnl_newlink, net/core/rtnetlink.c), and that would stay.
func (s *session) devices(release string) (d parent.Devices, spared []report.Device, err error) {
	if !s.kernels {
		return d, nil, nil // a tree of files has no keys of theirs
	}
	there := hostinfo.ModulesThere("/", release)
	for _, name := range s.f.deviceKinds() {
		k, _ := device.Find(name)
		if k.Module == "" || there(k.Module) {
			d.Kinds = append(d.Kinds, name)
			continue
		}
		spared = append(spared, report.Device{Kind: name, Name: k.Device, Error: "not tried: the module " + k.Module + " is not loaded"})
	}
	if len(d.Kinds) > 0 {
		d.Like, err = parent.HostDevices()
	}
	return d, spared, err
}
