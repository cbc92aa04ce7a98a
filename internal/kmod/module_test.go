package kmod_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/netns-verify/netns-verify/internal/kmod"
	"github.com/netns-verify/netns-verify/internal/kmod/kmodtest"
	"github.com/netns-verify/netns-verify/internal/unpack"
)

var described = []string{
	"license=GPL", "softdep=pre: crc32c other-one post: after", "alias=net-pf-10-proto-132", "alias=net-pf-2-proto-132",
	"depends=libcrc32c,udp-tunnel", "name=sctp", "vermagic=6.1.0-1-amd64 SMP preempt mod_unload modversions ",
}

func TestParse(t *testing.T) {
	data := kmodtest.Module(described, "printk", "register_net_sysctl", "kfree", "register_qdisc")
	for _, compression := range []string{"", "gz", "zst"} {
		m, err := kmod.Parse("net/sctp.ko", kmodtest.Pack(compression, data))
		if err != nil {
			t.Fatalf("%q: %v", compression, err)
		}
		want := &kmod.Module{
			Name: "sctp", File: "net/sctp.ko", Release: "6.1.0-1-amd64",
			Depends: []string{"libcrc32c", "udp_tunnel"},
			Pre:     []string{"crc32c", "other-one"}, Post: []string{"after"},
			Aliases: []string{"net-pf-10-proto-132", "net-pf-2-proto-132"},
			Uses:    []string{"register_net_sysctl", "register_qdisc"},
		}
		if !reflect.DeepEqual(m, want) {
			t.Errorf("%q: got %+v", compression, m)
		}
		if !m.NetSysctl() {
			t.Error("registers no sysctls")
		}
	}
}

// TestParseNameOfFile: modules of old kernels do not say their names.
func TestParseNameOfFile(t *testing.T) {
	m, err := kmod.Parse("a/nf-x_y.ko.xz", kmodtest.Module([]string{"license=GPL"}))
	if err != nil || m.Name != "nf_x_y" || m.NetSysctl() {
		t.Errorf("got %+v, %v", m, err)
	}
}

func TestParseRefuses(t *testing.T) {
	good := kmodtest.Module(described)
	executable := bytes.Clone(good)
	executable[16] = 2 // ET_EXEC
	for name, data := range map[string][]byte{
		"nothing":         nil,
		"text":            []byte("hello"),
		"an executable":   executable,
		"a truncated one": good[:len(good)/2],
		"a name like ../": kmodtest.Module([]string{"name=../../init"}),
		"no modinfo":      bytes.Replace(good, []byte(".modinfo"), []byte(".modinfx"), 1),
		"truncated gzip":  kmodtest.Pack("gz", good)[:50],
	} {
		_, err := kmod.Parse("net/x.ko", data)
		if err == nil || !strings.Contains(err.Error(), "net/x.ko: ") {
			t.Errorf("%s: %v does not name the file", name, err)
		}
		if !unpack.Compressed(data) && !errors.Is(err, kmod.ErrNotModule) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIsModule(t *testing.T) {
	for name, want := range map[string]bool{
		"a.ko": true, "x/a.ko.xz": true, "a.ko.zst": true, "a.ko.gz": true,
		"a.ko.sig": false, ".ko": false, "a.o": false, "modules.order": false, "a.korea.ko": false,
	} {
		if kmod.IsModule(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(kmodtest.Module(described, "register_net_sysctl"))
	f.Add(kmodtest.Pack("gz", kmodtest.Module(described)))
	f.Add(kmodtest.Module([]string{"softdep=pre:", "depends=,,", "alias", "=", "name=", "vermagic"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := kmod.Parse("x.ko", data)
		if err != nil {
			return
		}
		if m.Name == "" || strings.ContainsAny(m.Name, "/.\x00") {
			t.Errorf("a module is called %q", m.Name)
		}
	})
}
