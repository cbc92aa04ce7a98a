package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

const (
	bootID  = "5e7a1c9d-0b3f-4c55-9e21-d3a4b5c6e7f8"
	cmdline = "BOOT_IMAGE=/vmlinuz-9 root=LABEL=alicesroot quiet"
	telling = "pid 4711 (sshd) and process 4712 of alpha.example.org (alpha), on wg-alice, net.ipv4.conf.lan/5.rp_filter, lan.5, 'o'\\''dev', " +
		"boot " + bootID + ", 02:42:ac:11:00:02, root@buildbox, " + cmdline + ", /home/alice/x.json, /proc/4713/ns, tree-of-alice/net/core/x, 5f0c2d9a1b3e4f60"
)

// secrets is what must be nowhere.
var secrets = []string{"4711", "4712", "4713", "sshd", "alpha", "example.org", "wg-alice", "lan.5", "lan/5", "o'dev", `o'\''dev`, `\xff`, "alice", bootID, "02:42", "buildbox", "LABEL", "BOOT_IMAGE", "5f0c2d9a1b3e4f60"}

// fill puts a text into every string and a true and a number into all else.
func fill(t *testing.T, v reflect.Value, text string) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint64:
		v.SetUint(7)
	case reflect.Uint8:
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), text)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte(text))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(t, v.Index(i), text)
		}
	case reflect.Map:
		k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(t, k, text)
		fill(t, e, text)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(k, e)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(t, v.Field(i), text)
			}
		}
	default:
		t.Fatalf("Redacted does not know what a %v is", v.Type())
	}
}

// Every field holds everything that identifies a machine, and nothing of that is left.
func TestRedactedEverywhere(t *testing.T) {
	var r Report
	fill(t, reflect.ValueOf(&r).Elem(), telling)
	r.Run.ID, r.Host.BootID, r.Host.Cmdline = "5f0c2d9a1b3e4f60", bootID, cmdline
	r.Run.Arguments = []string{"run", "--root", "tree-of-alice", "--output=/home/alice/x.json", "--new-flag", "alice", "--include", "net/ipv4/conf/wg-alice/**", "--seed", "7"}
	r.Host.Devices = []Device{{Kind: "dummy", Name: "o'dev"}}
	r.Keys = append(r.Keys, Key{Key: "net/ipv4/conf/wg-alice/x"}, Key{Key: "net/ipv4/neigh/lan.5/x"}, Key{Key: "net/ipv4/neigh/\xff/x"})
	before := text(t, &r)
	out := r.Redacted(Machine{Hostnames: []string{"alpha.example.org"}, Devices: []string{"unseen"}})
	if after := text(t, &r); after != before {
		t.Error("the report itself was changed")
	}
	for _, form := range []string{text(t, out), decoded(t, out)} {
		for _, s := range secrets {
			if i := strings.Index(form, s); i >= 0 {
				t.Errorf("%q is left: ...%q", s, form[max(0, i-60):min(len(form), i+40)])
			}
		}
	}
	want := []string{"run", "--root", "<redacted>", "--output=<redacted>", "--new-flag", "<redacted>", "--include", "net/ipv4/conf/dev4/**", "--seed", "7"}
	if !slices.Equal(out.Run.Arguments, want) {
		t.Errorf("arguments %q", out.Run.Arguments)
	}
	if !out.Run.Redacted || out.Host.BootID+out.Host.Cmdline+out.Run.ID != "" {
		t.Errorf("%+v %+v", out.Run, out.Host)
	}
}

func text(t *testing.T, r *Report) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// decoded is all strings of a report, also those that JSON has in base64.
func decoded(t *testing.T, r *Report) string {
	t.Helper()
	var all []string
	(&redactor{see: func(s string) { all = append(all, s) }}).value(reflect.ValueOf(r))
	return strings.Join(all, "\n")
}

// Names are replaced alike wherever they stand, keys stay unique, and what is no name
// of a machine stays as it was.
func TestRedactedConsistent(t *testing.T) {
	v := func(s string) *string { return &s }
	var r Report
	for _, d := range []string{"all", "default", "lo", "eth0", "dummy0", "sit0", "dev1", "1", "host", "wg-a", "wg-a.7", "wg-b", "wg\xff"} {
		for _, leaf := range []string{"rp_filter", "mtu"} {
			r.Keys = append(r.Keys, Key{Key: "net/ipv4/conf/" + d + "/" + leaf, Note: "1 of " + d, Writers: map[string]Writer{"root": {View: View{Value: v("1")}}}})
		}
	}
	r.Keys = append(r.Keys, Key{Key: "net/core/somaxconn", Host: &View{Value: v("4096")}})
	r.Leaks = []Leak{{
		Cause:   []Cause{{Key: "net/ipv4/conf/wg-a.7/mtu", Attempt: Attempt{Value: v("1")}, Writer: "root"}},
		Effects: []Effect{{Observer: "host", Kind: KindChanged, What: WhatSysctl, Key: "net/ipv4/conf/wg-b/mtu"}},
		Via:     ViaPath,
	}}
	r.Leaks[0].Reproducer = r.Leaks[0].Reproduction()
	r.Unconfirmed = []Effect{{Observer: "host", Kind: KindChanged, What: WhatProc, Key: "net/dev_snmp6/wg-b", Change: Change{After: v("secret table")}}}
	r.Run.ExitReason = "write /proc/sys/net/ipv4/conf/wg-a/mtu: EPERM; at /proc/sys/net/core/somaxconn: see https://example.org/a, 5.10.35; core is no device"
	r.Warnings = []string{"the device wg-a.7, (wg-b) and 1 more; my-wg-b is none"}
	r.Normalize()
	out := r.Redacted(Machine{Hostnames: []string{"core", "host"}})

	// dev1 is a device's own name, and is called dev4: no alias may be a name.
	keys := map[string]string{}
	for _, k := range out.Keys {
		if keys[k.Key] != "" {
			t.Errorf("%s twice", k.Key)
		}
		keys[k.Key] = k.Note
	}
	if len(keys) != len(r.Keys) {
		t.Errorf("%d keys of %d", len(keys), len(r.Keys))
	}
	for key, note := range map[string]string{
		"net/ipv4/conf/lo/mtu": "1 of lo", "net/ipv4/conf/eth0/mtu": "1 of eth0", "net/ipv4/conf/all/mtu": "1 of all", "net/ipv4/conf/sit0/mtu": "1 of sit0",
		"net/ipv4/conf/dev2/mtu": "1 of 1", "net/ipv4/conf/dev3/mtu": "1 of dev3", "net/ipv4/conf/dev4/mtu": "1 of host",
		"net/ipv4/conf/dev5/mtu": "1 of dev5", "net/ipv4/conf/dev6/mtu": "1 of dev6", "net/ipv4/conf/dev7/mtu": "1 of dev7",
		"net/ipv4/conf/dev8/mtu": "1 of dev8", // not UTF-8
	} {
		if got, ok := keys[key]; !ok || got != note {
			t.Errorf("%s: %q (%v), want %q", key, got, ok, note)
		}
	}
	l, u := out.Leaks[0], out.Unconfirmed[0]
	for _, x := range []struct{ got, want string }{
		{l.Cause[0].Key, "net/ipv4/conf/dev6/mtu"}, {*l.Cause[0].Value, "1"}, {l.Cause[0].Writer, "root"},
		{l.Effects[0].Key, "net/ipv4/conf/dev7/mtu"}, {l.Effects[0].Observer, "host"},
		{l.Reproducer, "sysctl net.ipv4.conf.dev7.mtu; unshare -n sysctl -qw net.ipv4.conf.dev6.mtu=1; sysctl net.ipv4.conf.dev7.mtu"},
		{u.Key, "net/dev_snmp6/dev7"}, {fmt.Sprint(u.After), "<nil>"},
		{out.Run.ExitReason, "write /proc/sys/net/ipv4/conf/dev5/mtu: EPERM; at /proc/sys/net/core/somaxconn: see https://example.org/a, 5.10.35; core is no device"},
		{out.Warnings[0], "the device dev6, (dev7) and 1 more; my-wg-b is none"},
	} {
		if x.got != x.want {
			t.Errorf("got  %s\nwant %s", x.got, x.want)
		}
	}
}

// A pattern may have a part of a name.
func TestRedactedPatterns(t *testing.T) {
	for pattern, want := range map[string]string{
		"net.ipv4.conf.alice*.rp_filter": "net.ipv4.conf.*.rp_filter", "net/ipv6/neigh/*-alice/**": "net/ipv6/neigh/*/**",
		"ipv4/conf/{alice,bob}": "ipv4/conf/*", "net/ipv4/conf/**": "net/ipv4/conf/**", "net.ipv4.tcp_*": "net.ipv4.tcp_*",
		"net/ipv4/conf/*/rp_*": "net/ipv4/conf/*/rp_*", "net.ipv4.conf.eth0.rp_*": "net.ipv4.conf.eth0.rp_*",
	} {
		r := Report{Run: Run{Arguments: []string{"run", "--include", pattern}}, Answers: []Answer{{Pattern: pattern}}}
		out := r.Redacted(Machine{})
		if got := []string{out.Run.Arguments[2], out.Answers[0].Pattern}; got[0] != want || got[1] != want {
			t.Errorf("%s: %q, want %s", pattern, got, want)
		}
	}
}

// Names that are not plain are not left in the forms that shells and texts have for them.
func TestRedactedOddNames(t *testing.T) {
	value := "1"
	for _, d := range []string{"alice\x1b[2J", "alice\xff", "ali'ce", "alice\u200b", `alice"`} {
		key := "net/ipv4/conf/" + d + "/mtu"
		l := Leak{
			Cause:   []Cause{{Key: key, Attempt: Attempt{Value: &value}, Writer: "root"}},
			Effects: []Effect{{Observer: ObserverHost, Kind: KindChanged, What: WhatSysctl, Key: key}},
			Via:     ViaPath,
		}
		l.Reproducer = l.Reproduction()
		r := Report{Leaks: []Leak{l}, Warnings: []string{"the host's " + sysctl.Key(key).Shown() + " moved", Show(d).String()}}
		r.Normalize()
		out := r.Redacted(Machine{})
		if s := text(t, out); strings.Contains(s, "ali") {
			t.Errorf("%q is left:\n%s", d, s)
		}
		if want := "sysctl net.ipv4.conf.dev1.mtu; unshare -n sysctl -qw net.ipv4.conf.dev1.mtu=1; sysctl net.ipv4.conf.dev1.mtu"; out.Leaks[0].Reproducer != want {
			t.Errorf("%q: %s", d, out.Leaks[0].Reproducer)
		}
	}
}
