package kernel_test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/netns-verify/netns-verify/internal/kernel"
	"github.com/netns-verify/netns-verify/internal/kmod"
	"github.com/netns-verify/netns-verify/internal/testenv"
)

// raceDetector tells whether it is built in.
var raceDetector bool

// TestRealPackages reads the distributions' kernels that `make kernels` fetched: of the
// newest there are several packages, and its modules are compressed, too.
func TestRealPackages(t *testing.T) {
	if raceDetector {
		t.Skip("make test-kernels runs it: the race detector makes it ten times as slow, and tests of the parts have it")
	}
	dirs := map[string][]string{}
	debs, err := filepath.Glob("../../.cache/kernels/*/*.deb")
	if err != nil {
		t.Fatal(err)
	}
	for _, deb := range debs {
		dirs[filepath.Dir(deb)] = append(dirs[filepath.Dir(deb)], deb)
	}
	if len(dirs) == 0 {
		if testenv.Required("vm") {
			t.Fatalf("%s lists vm, but there are no kernels in .cache/kernels", testenv.RequireVariable)
		}
		t.Skip("no kernels in .cache/kernels")
	}
	for dir, debs := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			ks, err := kernel.FromPackages(t.Context(), debs...)
			if err != nil {
				t.Fatal(err)
			}
			if len(ks) != 1 || ks[0].Release == "" || ks[0].Arch == "" {
				t.Fatalf("got %+v", ks)
			}
			m := ks[0].Modules.Manifest()
			loaded := map[string]bool{}
			registering := 0
			for _, e := range m.Modules {
				if len(e.Problems) > 0 {
					t.Errorf("%s: %q", e.Name, e.Problems)
				}
				for _, needed := range slices.Concat(e.Depends, e.Pre) {
					if !loaded[needed] {
						t.Errorf("%s is before %s, which it needs", e.Name, needed)
					}
				}
				loaded[e.Name] = true
				if e.NetSysctl {
					registering++
				}
			}
			if registering < 10 {
				t.Errorf("only %d modules register net sysctls", registering)
			}
			boot := m.Boot()
			for _, name := range []string{"nf_conntrack", "ip_vs", "sctp", "br_netfilter", "dummy", "veth", "vxlan"} {
				if !slices.ContainsFunc(boot, func(e *kmod.Entry) bool { return e.Name == name }) {
					t.Errorf("%s is not loaded at boot", name)
				}
			}
			for _, asked := range []string{"tcp_bbr", "sch_fq", "net-pf-16-proto-4-type-2-6", "nf-logger-2-0"} {
				if len(m.Request(asked)) == 0 {
					t.Errorf("nothing answers to %s", asked)
				}
			}
			if slices.ContainsFunc(boot, func(e *kmod.Entry) bool { return e.Name == "tcp_bbr" }) {
				t.Error("tcp_bbr is loaded before the kernel asks for it")
			}
		})
	}
}
