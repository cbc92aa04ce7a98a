package device

import (
	"strings"
	"testing"
)

// TestKinds: every name can be a device's, none comes twice, and what a device is
// put on is made before it.
func TestKinds(t *testing.T) {
	names, before, dots := map[string]bool{Peer: true}, map[string]bool{}, 0
	for _, k := range Kinds() {
		if names[k.Device] || before[k.Name] {
			t.Errorf("%s or %s comes twice", k.Name, k.Device)
		}
		if len(k.Device) > 15 || strings.ContainsAny(k.Device, "/: ") || !strings.HasPrefix(k.Device, "nv-") {
			t.Errorf("%q is no name for a device of ours", k.Device)
		}
		if strings.Contains(k.Module, "-") {
			t.Errorf("module %s is not in sysfs's spelling", k.Module)
		}
		for _, on := range k.On {
			if !before[on] {
				t.Errorf("%s is put on %s, which is not made before it", k.Name, on)
			}
		}
		l := k.Link(7)
		if a := l.Attrs(); a.Name != k.Device || a.ParentIndex != 7 {
			t.Errorf("%s: described as %+v", k.Name, *a)
		}
		if want := k.Name; k.Module != "tun" && l.Type() != want {
			t.Errorf("%s: of the type %s", k.Name, l.Type())
		}
		if strings.Contains(k.Device, ".") {
			dots++
		}
		names[k.Device], before[k.Name] = true, true
	}
	if dots == 0 {
		t.Error("no name has a dot in it")
	}
	if got := StandIns(Kinds()); len(got) != len(standIns) || got[0].Name != "dummy" {
		t.Errorf("stand-ins: %+v", got)
	}
	if a := StandIns(Kinds())[0].StandIn("eth0", 9).Attrs(); a.Name != "eth0" || a.Index != 9 {
		t.Errorf("a stand-in described as %+v", *a)
	}
}
