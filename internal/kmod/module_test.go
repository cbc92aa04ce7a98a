package kmod_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

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

// TestParseBombs: what a module says is taken with limits in time and memory, however
// small the file may be packed.
func TestParseBombs(t *testing.T) {
	long := strings.Repeat("x", 8<<20)
	manySymbols := make([]string, 100_000)
	for i := range manySymbols {
		manySymbols[i] = "" // each is what comes before the first NUL
	}
	for name, tt := range map[string]struct {
		data []byte
		says string
	}{
		"long info":     {kmodtest.Module([]string{"description=" + long}), ".modinfo: "},
		"long name":     {kmodtest.Module([]string{"name=" + long[:100]}), "its name is"},
		"needs many":    {kmodtest.Module([]string{"name=a", "depends=" + strings.Repeat("a,", 1001)}), "needs 1001 others"},
		"a long symbol": {kmodtest.Module([]string{"name=a"}, append(manySymbols, long)...), ""},
	} {
		_, err := kmod.Parse("x.ko", tt.data)
		if (err == nil) != (tt.says == "") || err != nil && (!strings.Contains(err.Error(), tt.says) || len(err.Error()) > 300) {
			t.Errorf("%s: %.300v", name, err)
		}
	}
	// Sections and symbols that all have the same endless name.
	for name, change := range map[string]func(h *elf.Header64, s []elf.Section64){
		"as they are":         func(*elf.Header64, []elf.Section64) {},
		"many sections":       func(h *elf.Header64, s []elf.Section64) { h.Shnum, s[0].Size = 0, 1<<17 },
		"too many sections":   func(h *elf.Header64, s []elf.Section64) { h.Shnum, s[0].Size = 0, 1<<60 },
		"sections beyond":     func(h *elf.Header64, s []elf.Section64) { h.Shoff = 1<<64 - 1 },
		"names beyond":        func(h *elf.Header64, s []elf.Section64) { h.Shstrndx = 0xffff; s[0].Link = 1 << 31 },
		"info beyond":         func(h *elf.Header64, s []elf.Section64) { s[1].Off = 1<<64 - 1; s[1].Size = 2 },
		"symbols without end": func(h *elf.Header64, s []elf.Section64) { s[2].Size = 1<<64 - 1 },
		"names of no section": func(h *elf.Header64, s []elf.Section64) { s[2].Link = 99 },
		"compressed":          func(h *elf.Header64, s []elf.Section64) { s[1].Flags = uint64(elf.SHF_COMPRESSED) },
	} {
		data := kmodtest.Module([]string{"name=a"}, "printk", long)
		var h elf.Header64
		sections := make([]elf.Section64, 5)
		decode(t, data, &h)
		decode(t, data[h.Shoff:], sections)
		at := h.Shoff
		change(&h, sections)
		encode(t, data, h)
		encode(t, data[at:], sections)
		if h.Shnum == 0 {
			data = append(data, make([]byte, 64<<17)...)
		}
		_, err := kmod.Parse("x.ko", data)
		if fine := name == "as they are" || name == "many sections"; (err == nil) != fine || err != nil && !errors.Is(err, kmod.ErrNotModule) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func decode(t *testing.T, data []byte, v any) {
	t.Helper()
	if _, err := binary.Decode(data, binary.LittleEndian, v); err != nil {
		t.Fatal(err)
	}
}

func encode(t *testing.T, data []byte, v any) {
	t.Helper()
	if _, err := binary.Encode(data, binary.LittleEndian, v); err != nil {
		t.Fatal(err)
	}
}

// TestTooMany: as many modules, aliases and softdeps as no kernel has are refused
// before they are compared with each other.
func TestTooMany(t *testing.T) {
	s := kmod.NewSet("")
	a := s.Adder()
	for i := range 3 {
		name := "name=m" + string(rune('a'+i))
		a.Add("x.ko", kmodtest.Module([]string{name, strings.Repeat("alias=*\x00", 100_000)}))
	}
	if err := a.Wait(); !errors.Is(err, kmod.ErrTooMany) {
		t.Errorf("aliases: %v", err)
	}
	s = kmod.NewSet("")
	if err := s.AddExtra("x.ko", kmodtest.Module([]string{"name=a", "softdep=pre: " + strings.Repeat("a ", 600)})); !errors.Is(err, kmod.ErrTooMany) {
		t.Errorf("softdeps: %v", err)
	}
}

// TestFirstError: after a module that is none the rest is not looked at.
func TestFirstError(t *testing.T) {
	a := kmod.NewSet("").Adder()
	a.Add("first.ko", []byte("text"))
	for range 100 {
		a.Add("later.ko", kmodtest.Module([]string{"name=a"}))
	}
	if err := a.Wait(); err == nil || !strings.Contains(err.Error(), "first.ko") {
		t.Errorf("%v", err)
	}
}

// FuzzRequest: what a module says of others is no code either.
func FuzzRequest(f *testing.F) {
	f.Add("net-pf-2", []byte("pre: net-pf-2 a post: [a-"))
	f.Fuzz(func(t *testing.T, request string, softdep []byte) {
		s := kmod.NewSet("")
		entry := "softdep=" + strings.ReplaceAll(string(softdep), "\x00", "")
		if err := s.AddExtra("x.ko", kmodtest.Module([]string{"name=x", "alias=" + request, entry})); err != nil {
			return
		}
		data, err := s.Manifest().Encode()
		if err != nil {
			t.Fatal(err)
		}
		if utf8.Valid(softdep) && utf8.ValidString(request) {
			if _, err := kmod.DecodeManifest(data); err != nil {
				t.Errorf("%s: %v", data, err)
			}
		}
		s.Manifest().Request(request)
	})
}
