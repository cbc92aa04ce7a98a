package kmod_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/netns-verify/netns-verify/internal/kmod"
)

func TestManifestRoundTrip(t *testing.T) {
	m := setOf(t, network).Manifest()
	data, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := kmod.DecodeManifest(data)
	if err != nil || !reflect.DeepEqual(m, again) {
		t.Errorf("comes back as %+v, %v", again, err)
	}
}

func TestManifestRefused(t *testing.T) {
	for name, data := range map[string]string{
		"nothing":           ``,
		"an unknown field":  `{"release":"","modules":[],"more":1}`,
		"two of them":       `{"release":"","modules":[]}{}`,
		"null":              `{"release":"","modules":[null]}`,
		"a path":            `{"modules":[{"name":"a","file":"../a.ko","load":true}]}`,
		"a name with /":     `{"modules":[{"name":"a/b","file":"a/b.ko","load":true}]}`,
		"twice":             `{"modules":[{"name":"a","file":"a.ko"},{"name":"a","file":"a.ko"}]}`,
		"an unknown needed": `{"modules":[{"name":"a","file":"a.ko","depends":["b"]}]}`,
		"too much":          `{"release":"` + strings.Repeat("x", kmod.MaxManifest) + `"}`,
	} {
		if _, err := kmod.DecodeManifest([]byte(data)); !errors.Is(err, kmod.ErrManifest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAliases(t *testing.T) {
	for _, c := range []struct {
		alias, request string
		want           bool
	}{
		{"tcp-bbr", "tcp_bbr", true},
		{"char-major-116-*", "char-major-116-3", true},
		{"char-major-116-*", "char-major-117-3", false},
		{"pci:v0000[!1]d*", "pci:v00002d/7", true},
		{"pci:v0000[!1]d*", "pci:v00001d", false},
		{"x[0-9]y", "x5y", true},
		{"fs-*", "fs-a/b", true},
		{"a?c", "a-c", true},
		{"[", "[", false},
		{"", "x", false},
	} {
		m := &kmod.Manifest{Modules: []*kmod.Entry{{Name: "m", Aliases: []string{c.alias}}}}
		if got := len(m.Request(c.request)) == 1; got != c.want {
			t.Errorf("%q answers to %q: %v", c.alias, c.request, got)
		}
	}
}

func FuzzDecodeManifest(f *testing.F) {
	f.Add([]byte(`{"release":"6.1","modules":[{"name":"a","file":"a.ko","load":true,"aliases":["net-pf-*"]},
		{"name":"b","file":"b.ko.packed","load":false,"depends":["a"],"pre":["b"],"post":["a"]}]}`), "net-pf-1")
	f.Add([]byte(`{"modules":[{"name":"a","file":"a.ko","depends":["a"],"aliases":["*","[","\\"]}]}`), "a")
	f.Fuzz(func(t *testing.T, data []byte, request string) {
		m, err := kmod.DecodeManifest(data)
		if err != nil {
			return
		}
		for _, e := range m.Request(request) {
			if strings.ContainsAny(e.File, "/\x00") {
				t.Errorf("a file %q", e.File)
			}
		}
		again, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kmod.DecodeManifest(again); err != nil {
			t.Errorf("does not come back: %v", err)
		}
	})
}
