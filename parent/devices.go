package parent

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/device"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/client"
	"github.com/netns-verify/netns-verify/parent/trace"
	"github.com/netns-verify/netns-verify/parent/verdict"
	"github.com/netns-verify/netns-verify/protocol"
)

// Devices says which network devices children get beside lo. All get the same:
// otherwise they would differ without a leak.
type Devices struct {
	// Kinds are names of internal/device's table.
	Kinds []string
	// Like is devices of the host: a leak may be keyed by name or by index.
	Like []net.Interface
}

// MaxLike is how many of the host's devices children get likenesses of: each has
// some 120 keys, which are all of the same code.
const MaxLike = 32

// HostDevices is the devices of the calling process's network namespace that
// children can have likenesses of.
func HostDevices() ([]net.Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list the host's devices: %w", err)
	}
	var out []net.Interface
	for _, i := range all {
		if i.Flags&net.FlagLoopback == 0 {
			out = append(out, i)
		}
	}
	return out, nil
}

func (d Devices) wanted() bool { return len(d.Kinds) > 0 }

func (d Devices) request() *protocol.Devices {
	m := &protocol.Devices{Kinds: d.Kinds}
	for _, i := range d.Like[:min(len(d.Like), MaxLike)] {
		m.Like = append(m.Like, protocol.Like{Name: protocol.Bytes(i.Name), Index: i.Index})
	}
	return m
}

// crowd is the host's devices that fresh namespaces got no counterpart of, so that their
// keys could not be written in any.
func (r *run) crowd() map[string]bool {
	names := map[string]bool{}
	if r.o.Devices.wanted() {
		for _, d := range r.o.Devices.Like {
			names[d.Name] = true
		}
	}
	for _, d := range r.made {
		if d.Error == "" {
			delete(names, d.Name)
		}
	}
	return names
}

// Which children have devices? The writer of a pass, the control namespace and those
// that are compared with it, and the sibling: always, but where the keys of lo stand for
// those of all devices (a leak that needs another device as well is not seen there). To
// exchange the sibling would cost more than its longer sweeps. The children of a replay:
// if that writes keys of devices, or what it is about has to do with some. A leak that needs
// devices although no key of theirs is written does not come again in its batch's
// replays; it is late then, and the history of a first pass has such keys.

// startWriter starts a writer of a pass.
func (r *run) startWriter(ctx context.Context) (*client.Client, error) {
	return r.start(ctx, client.RoleOf(r.writer), r.furnished)
}

// furnish gives the sibling devices, or takes them away.
func (r *run) furnish(ctx context.Context, devices bool) error {
	if r.furnished = devices && r.o.Devices.wanted(); (r.sibling.Made() != nil) == r.furnished {
		return nil
	}
	return r.renewSibling(ctx)
}

// onDevices tells that some of the writes are to keys of devices that are made.
func onDevices(ws []trace.Write) bool {
	return slices.ContainsFunc(ws, func(w trace.Write) bool { return onDevice(w.Key) })
}

func onDevice(k sysctl.Key) bool {
	name, _ := k.Device()
	return name != "" && name != sysctl.Loopback
}

// trialDevices tells that a replay's children have devices: where its writes, or the place
// that is looked at, need them.
func (r *run) trialDevices(t trial) bool {
	return t.devices || t.later && r.furnished || onDevices(t.writes) || onDevices(t.as) || onDevice(t.until.Key)
}

// reportDevices takes note of what could be made, and of what the writer could not
// although the sibling could.
func (r *run) reportDevices(sibling, writer *client.Client) {
	if sibling != nil {
		if n := len(r.o.Devices.Like); n > MaxLike {
			r.warn("the host has %d devices: fresh namespaces were given only the first %d of these names, and the keys of the others are untested (crowded)", n, MaxLike)
		}
		var denied []string
		for _, d := range sibling.Made() {
			m := report.Device{Kind: d.Kind, Name: string(d.Name)}
			if d.Error != nil {
				if d.Error.Number() == unix.EPERM {
					denied = append(denied, string(d.Name))
				}
				m.Error = verdict.ErrnoName(d.Error.Number())
				if k, ok := device.Find(d.Kind); ok && k.Module != "" {
					m.Error += " (module " + k.Module + ")"
				}
			}
			r.made = append(r.made, m)
		}
		if len(denied) > 0 {
			r.skip(PhaseSurvey, fmt.Sprintf("fresh namespaces could not be given devices, which takes CAP_NET_ADMIN (EPERM): keys of %s were not tested", named(denied)))
		}
	}
	var refused []string
	for i, d := range writer.Made() {
		if d.Error != nil && r.made[i].Error == "" {
			refused = append(refused, fmt.Sprintf("%s (%s)", d.Name, verdict.ErrnoName(d.Error.Number())))
		}
	}
	if len(refused) > 0 {
		r.warn("the writer %s could not make devices that other namespaces have: %s", r.writer, strings.Join(refused, ", "))
	}
}

// mostNamed bounds how many names people are told.
const mostNamed = 20

// named is the first few of some names, for people.
func named(names []string) string {
	var shown []string
	for _, n := range names[:min(len(names), mostNamed)] {
		shown = append(shown, report.Show(n).String())
	}
	if more := len(names) - len(shown); more > 0 {
		shown = append(shown, fmt.Sprintf("%d more", more))
	}
	return strings.Join(shown, ", ")
}
