package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/netns-verify/netns-verify/internal/device"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/internal/testenv"
	"github.com/netns-verify/netns-verify/parent"
)

// worldDevices is a host with devices, such as one of containers and machines.
const worldDevices world = "devices"

var hostDevices = []string{"br0", "br1", "br2", "br3.100", "ve0", "ve1", "ve2", "ve3", "tap0"}

func makeHostDevices() error {
	var all error
	for _, name := range hostDevices {
		a := netlink.NewLinkAttrs()
		a.Name = name
		var l netlink.Link
		switch {
		case strings.HasPrefix(name, "br"):
			l = &netlink.Bridge{LinkAttrs: a}
		case name == "ve0" || name == "ve2":
			v := netlink.NewVeth(a)
			v.PeerName = map[string]string{"ve0": "ve1", "ve2": "ve3"}[name]
			l = v
		case name == "tap0":
			l = &netlink.Tuntap{LinkAttrs: a, Mode: netlink.TUNTAP_MODE_TAP}
		default:
			continue // the other end
		}
		if err := netlink.LinkAdd(l); err != nil {
			all = errors.Join(all, fmt.Errorf("make %s: %w", name, err))
		}
	}
	return all
}

// worldCrowd is a host with more devices than children get.
const worldCrowd world = "crowd"

const crowdSize = 40

func makeCrowd() error {
	for i := range crowdSize {
		a := netlink.NewLinkAttrs()
		a.Name = fmt.Sprintf("br%d", i)
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: a}); err != nil {
			return fmt.Errorf("make %s: %w", a.Name, err)
		}
	}
	return nil
}

// TestCrowd: the keys of a device that no fresh namespace has one like are untested, and
// not said to be the host's alone.
func TestCrowd(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	status, stdout, stderr := in(t, worldCrowd, "run", "--include", "net/ipv4/conf/*/arp_ignore", "--json")
	if status != report.ExitClean {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	r := decode(t, stdout)
	got := map[report.Reason]int{}
	for _, k := range r.Keys {
		if name, of := sysctl.Key(k.Key).Device(); strings.HasPrefix(name, "br") && k.Verdict != report.VerdictReadOnly {
			if !strings.HasSuffix(string(of), "/arp_ignore") {
				continue
			}
			got[k.UntestedReason]++
			if k.Verdict != report.VerdictIsolated && k.Verdict != report.VerdictUntested {
				t.Errorf("%s: %s", k.Key, k.Verdict)
			}
		}
	}
	if got[report.ReasonCrowded] != crowdSize-parent.MaxLike || got[""] != parent.MaxLike || r.Run.Complete {
		t.Errorf("%d devices: %v by reason, complete: %v", crowdSize, got, r.Run.Complete)
	}
}

// TestDevices: on a host with devices, the keys of one device of every kind that
// the kernel can make, and of one of each name that the host has, are written with
// effect, and what could not be made is said with its errno.
func TestDevices(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	status, stdout, stderr := in(t, worldDevices, "run", "--devices", "all", "--json")
	if status != report.ExitClean && status != report.ExitLeak {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	r := decode(t, stdout)
	type sum struct{ keys, perturbed, isolated int }
	of := map[string]sum{}
	for _, k := range r.Keys {
		name, _ := sysctl.Key(k.Key).Device()
		w, ok := k.Writers["root"]
		if name == "" || !ok || w.Verdict == report.VerdictReadOnly {
			continue
		}
		s := of[name]
		s.keys++
		if slices.ContainsFunc(w.Attempts, func(a report.Attempt) bool { return a.Errno == "" && a.After != nil }) {
			s.perturbed++
		}
		if k.Verdict == report.VerdictIsolated {
			s.isolated++
		}
		of[name] = s
	}
	made := 0
	var lacking []string
	for _, d := range r.Host.Devices {
		if d.Error != "" {
			lacking = append(lacking, d.Kind+": "+d.Error)
			if d.Error == "EIO" || !strings.HasPrefix(d.Error, "E") && !strings.HasPrefix(d.Error, "not tried") {
				t.Errorf("%s: no errno says why it was not made: %q", d.Kind, d.Error)
			}
			continue
		}
		made++
		s := of[d.Name]
		t.Logf("%-12s %-9s %3d writable keys, %3d written with effect, %3d isolated", d.Name, d.Kind, s.keys, s.perturbed, s.isolated)
		if s.keys < 20 || s.perturbed != s.keys || s.isolated != s.keys {
			t.Errorf("%s (%s): %+v", d.Name, d.Kind, s)
		}
	}
	t.Logf("not made: %s", strings.Join(lacking, ", "))
	t.Logf("counts %+v, %d batches, %d replays, %d ms", r.Counts, r.Run.Batches, r.Run.Replays, r.Run.DurationMS)
	for _, name := range hostDevices {
		if !slices.ContainsFunc(r.Host.Devices, func(d report.Device) bool { return d.Name == name && d.Error == "" }) {
			t.Errorf("no device was made that is named like the host's %s", name)
		}
	}
	if len(r.Host.Devices) != len(device.Kinds())+len(hostDevices) {
		t.Errorf("%d devices are accounted for", len(r.Host.Devices))
	}
}

// TestDevicesChosen: --devices says which.
func TestDevicesChosen(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	for flag, want := range map[string][]string{"none": nil, "bridge,veth": {"bridge", "veth"}} {
		_, stdout, stderr := in(t, worldPlain, "run", "--json", "--dry-run", "--devices", flag)
		var got []string
		for _, d := range decode(t, stdout).Host.Devices {
			if strings.HasPrefix(d.Name, "nv-") {
				got = append(got, d.Kind)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("--devices %s: %q, want %q: %s", flag, got, want, stderr)
		}
	}
	status, _, stderr := cli(t, "run", "--devices", "veth,warpdrive")
	if status != report.ExitUsage || !strings.Contains(stderr, `"warpdrive"`) {
		t.Errorf("an unknown kind: exit status %d: %s", status, stderr)
	}
}
