package parent

import (
	"net"
	"testing"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// What is said of a key of the host that no fresh namespace has depends on whether one
// had a device like its.
func TestCrowded(t *testing.T) {
	const there, beyond, failed = "net/ipv4/conf/br0/k", "net/ipv4/conf/br1/k", "net/ipv6/conf/br2/k"
	k := newFake(map[sysctl.Key]handler{there: {}, beyond: {}, failed: {}, "net/ipv4/neigh/br1/k": {mode: 0o444}, "net/ipv4/conf/br1/left-out": {}, "net/core/global": {}})
	for name, tt := range map[string]struct {
		kinds []string
		want  map[string]report.Verdict
	}{
		"some":            {[]string{"dummy"}, map[string]report.Verdict{beyond: report.VerdictUntested, failed: report.VerdictUntested}},
		"none, asked for": {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRun(k, Options{
				Devices: Devices{Kinds: tt.kinds, Like: []net.Interface{{Name: "br0"}, {Name: "br1"}, {Name: "br2"}}},
				Exclude: []sysctl.Glob{globOf(t, "**/left-out")},
			})
			r.made = []report.Device{{Kind: "dummy", Name: "br0"}, {Kind: "dummy", Name: "br2", Error: "EEXIST"}}
			var err error
			if r.host, err = sysctl.NewSweeper(k.Host()); err != nil {
				t.Fatal(err)
			}
			r.switchTo(trace.WriterRoot)
			r.writerBase = sysctl.Snapshot{}
			for _, v := range r.report(PhaseReport).Keys {
				want, why := report.VerdictHostOnly, report.Reason("")
				if tt.want[v.Key] != "" {
					want, why = tt.want[v.Key], report.ReasonCrowded
				}
				if v.Verdict != want || v.UntestedReason != why {
					t.Errorf("%s: %s (%s), want %s", v.Key, v.Verdict, v.UntestedReason, want)
				}
			}
		})
	}
}

func globOf(t *testing.T, s string) sysctl.Glob {
	t.Helper()
	g, err := sysctl.ParseGlob(s)
	if err != nil {
		t.Fatal(err)
	}
	return g
}
