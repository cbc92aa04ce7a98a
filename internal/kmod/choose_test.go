package kmod_test

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/netns-verify/netns-verify/internal/kmod"
	"github.com/netns-verify/netns-verify/internal/kmod/kmodtest"
)

// module describes one for a test: entries of .modinfo and functions called.
type module struct{ info, calls string }

func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ';' })
}

func file(name string, m module) []byte {
	return kmodtest.Module(append([]string{"name=" + name}, words(m.info)...), words(m.calls)...)
}

func setOf(t *testing.T, modules map[string]module) *kmod.Set {
	t.Helper()
	dir := fstest.MapFS{}
	for name, m := range modules {
		dir["kernel/"+name+".ko"] = &fstest.MapFile{Data: file(name, m)}
	}
	s := kmod.NewSet("")
	if err := s.AddDir(t.Context(), dir, "modules"); err != nil {
		t.Fatal(err)
	}
	return s
}

func names(entries []*kmod.Entry) string {
	var list []string
	for _, e := range entries {
		list = append(list, e.Name)
	}
	return strings.Join(list, " ")
}

// network is a kernel's modules in small.
var network = map[string]module{
	"nf_conntrack":      {info: "depends=nf_defrag,libcrc32c", calls: "register_net_sysctl_sz"},
	"nf_defrag":         {},
	"libcrc32c":         {info: "softdep=pre: crc32c"},
	"crc32c_generic":    {info: "alias=crc32c;alias=crypto-crc32c"},
	"crc32c_intel":      {info: "alias=crc32c;alias=crypto-crc32c"},
	"nf_conntrack_ftp":  {info: "depends=nf_conntrack", calls: "nf_conntrack_helpers_register"},
	"dummy":             {info: "alias=rtnl-link-dummy", calls: "__rtnl_link_register"},
	"nf_log_syslog":     {info: "alias=nf-logger-2-0", calls: "nf_log_register"},
	"tcp_bbr":           {info: "softdep=pre: sch-fq", calls: "tcp_register_congestion_control"},
	"sch_fq":            {info: "alias=net-sch-fq", calls: "register_qdisc"},
	"inet_diag":         {info: "alias=net-pf-16-proto-4-type-2"},
	"tcp_diag":          {info: "depends=inet_diag;alias=net-pf-16-proto-4-type-2-6"},
	"mpls_iptunnel":     {info: "softdep=post: mpls_gso"},
	"mpls_gso":          {},
	"lapb":              {},
	"sctp":              {info: "depends=libcrc32c;softdep=pre: crypto-sha256", calls: "register_net_sysctl"},
	"snd_hda":           {info: "depends=snd"},
	"snd":               {info: "alias=char-major-116-*"},
	"usb_storage_alike": {calls: "usb_register_driver"},
}

func TestManifest(t *testing.T) {
	s := setOf(t, network)
	m := s.Manifest()
	wantBoot := "dummy lapb mpls_iptunnel mpls_gso nf_defrag crc32c_generic crc32c_intel libcrc32c nf_conntrack " +
		"nf_conntrack_ftp nf_log_syslog sctp"
	if got := names(m.Boot()); got != wantBoot {
		t.Errorf("loaded at boot:\n%s, want\n%s", got, wantBoot)
	}
	if got, want := names(m.Lean()), "nf_defrag libcrc32c nf_conntrack sctp"; got != want {
		t.Errorf("as little as can be: %s, want %s", got, want)
	}
	along := slices.DeleteFunc(slices.Clone(m.Modules), func(e *kmod.Entry) bool { return e.Load })
	if got, want := names(along), "inet_diag sch_fq tcp_bbr tcp_diag"; got != want {
		t.Errorf("come along: %s, want %s", got, want)
	}
	for _, e := range m.Modules {
		if e.Problems != nil {
			t.Errorf("%s: %q", e.Name, e.Problems)
		}
		data, err := s.Content(e)
		if err != nil {
			t.Errorf("%s: %v", e.Name, err)
		}
		if plain := file(e.Name, network[e.Name]); e.Load != bytes.Equal(data, plain) {
			t.Errorf("%s: loaded at boot: %v, but plain: %v", e.Name, e.Load, !e.Load)
		}
		if again, err := kmod.Parse(e.File+".ko", data); err != nil || again.Name != e.Name {
			t.Errorf("%s: its content is not it: %v", e.Name, err)
		}
	}
	if again := setOf(t, network).Manifest(); !reflect.DeepEqual(m, again) {
		t.Error("the same set gives another manifest")
	}
}

func TestRequest(t *testing.T) {
	m := setOf(t, network).Manifest()
	for request, want := range map[string]string{
		"tcp_bbr":                    "sch_fq tcp_bbr",
		"tcp-bbr":                    "sch_fq tcp_bbr",
		"net-pf-16-proto-4-type-2-6": "inet_diag tcp_diag",
		"nf-logger-2-0":              "nf_log_syslog",
		"crc32c":                     "crc32c_generic crc32c_intel",
		"mpls_iptunnel":              "mpls_iptunnel mpls_gso",
		"tcp_nosuch":                 "",
		"":                           "",
		"snd":                        "",
	} {
		if got := names(m.Request(request)); got != want {
			t.Errorf("%s: loads %q, want %q", request, got, want)
		}
	}
}

func TestProblems(t *testing.T) {
	m := setOf(t, map[string]module{
		"a": {info: "depends=gone;softdep=pre: nowhere", calls: "register_net_sysctl"},
		"b": {info: "depends=c", calls: "register_net_sysctl"},
		"c": {info: "depends=b"},
	}).Manifest()
	want := map[string][]string{
		"a": {"needs gone, which is missing"},
		"b": nil,
		"c": {"needs b, which needs it"},
	}
	if got := names(m.Modules); got != "a c b" {
		t.Errorf("order is %s", got)
	}
	for _, e := range m.Modules {
		if !slices.Equal(e.Problems, want[e.Name]) {
			t.Errorf("%s: problems are %q, want %q", e.Name, e.Problems, want[e.Name])
		}
	}
}

// TestExtra: what was added by hand comes after all that is loaded at boot.
func TestExtra(t *testing.T) {
	s := setOf(t, network)
	for _, name := range []string{"leaky", "dummy", "also"} {
		if err := s.AddExtra(name+".ko", file(name, module{info: "depends=nf_defrag"})); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.AddExtra("x.ko", file("leaky", module{})); err == nil {
		t.Error("the same module twice")
	}
	m := s.Manifest()
	if got := names(m.Boot()); !strings.HasSuffix(got, " sctp leaky dummy also") {
		t.Errorf("loaded at boot: %s", got)
	}
}

func TestOtherRelease(t *testing.T) {
	ours, others := file("a", module{info: "vermagic=6.1 SMP"}), file("b", module{info: "vermagic=6.2 SMP"})
	s := kmod.NewSet("6.1")
	a := s.Adder()
	a.Add("a.ko", ours)
	a.Add("x/b.ko", others)
	err := a.Wait()
	if !errors.Is(err, kmod.ErrRelease) || !strings.Contains(err.Error(), "x/b.ko") || !strings.Contains(err.Error(), "6.2") {
		t.Errorf("taken from another kernel: %v", err)
	}
	if err := s.AddExtra("a.ko", file("a", module{info: "vermagic=6.2 SMP"})); !errors.Is(err, kmod.ErrRelease) || s.Len() != 1 {
		t.Errorf("taken by hand from another kernel: %v, %d modules", err, s.Len())
	}
}

// TestUpdates: what an administrator put below updates/ counts, as for depmod.
func TestUpdates(t *testing.T) {
	for _, order := range [][]string{{"lib/kernel/a.ko", "lib/updates/a.ko"}, {"lib/updates/a.ko", "lib/kernel/a.ko"}} {
		s := kmod.NewSet("")
		a := s.Adder()
		for _, f := range order {
			a.Add(f, file("a", module{}))
		}
		if err := a.Wait(); err != nil {
			t.Fatal(err)
		}
		if got := s.All()[0].File; got != "lib/updates/a.ko" {
			t.Errorf("%v: %s counts", order, got)
		}
	}
}
