package simkernel

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent"
)

// A leak that only some values of a shape show is found by a thorough run.
func TestStructuredValues(t *testing.T) {
	long := func(v string) bool { return len(v) > 1000 }
	for _, tt := range []struct {
		name, key, value string
		leaks            func(string) bool
	}{
		{"long list", "net/ipv4/ip_local_reserved_ports", "", long},
		{"sparse list", "net/ipv4/ip_local_reserved_ports", "8080", func(v string) bool { return strings.Count(v, ",") > 100 && !strings.Contains(v, "-") }},
		{"many ranges", "net/ipv4/ip_local_reserved_ports", "8080,9000-9010", func(v string) bool { return strings.Count(v, "-") > 100 }},
		{"last number", "net/ipv4/ip_local_reserved_ports", "", func(v string) bool { return strings.HasSuffix(v, "65535") }},
		{"over the end of a word", "net/ipv6/icmp/ratemask", "0-1,3-127", func(v string) bool { return strings.Contains(v, "63-64") }},
		{"unknown list", "net/x/cpus", "0-1", func(v string) bool { return strings.HasSuffix(v, "3") && !strings.Contains(v, "-") }},
		{"every other bit", "net/core/rps_default_mask", "0", func(v string) bool { return v == "a" }},
		{"last bit", "net/core/flow_limit_cpu_bitmap", "00000000,00000000", func(v string) bool { return strings.HasPrefix(v, "8") }},
		{"wide vector", "net/ipv4/ip_local_port_range", "32768\t60999", func(v string) bool { return v == "1 65535" }},
		{"second key", "net/ipv4/tcp_fastopen_key", "00000000-00000000-00000000-00000000", func(v string) bool { return strings.HasPrefix(v, "ffffffff-") && strings.Contains(v, ",") }},
		{"hardware address", "net/x/address", "00:11:22:33:44:55", func(v string) bool { return v == "ff:ff:ff:ff:ff:ff" }},
		{"long text", "net/x/text", "red", func(v string) bool { return len(v) >= 255 }},
		{"just below a power of two", "net/x/number", "10", func(v string) bool { return v == "32767" }},
		{"at a power of two", "net/x/number", "10", func(v string) bool { return v == "256" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cause, victim := sysctl.Key(tt.key), sysctl.Key("")
				k, _ := generate(1, func(g *generator) {
					m := g.model(format{shape: shapeText, maxLen: 1 << 12}, tt.value)
					m.name, m.host.value = cause, tt.value
					from, to := g.add(m), g.add(even(g.integer()))
					victim = g.keys[to].name
					g.rule(rule{plant: g.plant(ValueDependent, from), name: "sets another key of the host", when: func(e *event) bool { return accepted(e) && tt.leaks(e.new) },
						actions: []action{{to: toHost, key: to, value: constant(g.other(to))}}}, from)
				})
				r, err := parent.Run(context.Background(), k, parent.Options{Seed: 1, Thorough: true, Logger: zerolog.Nop()})
				if err != nil {
					t.Fatal(err)
				}
				if !leaksBy(r, cause, Effect{report.ObserverHost, victim}) {
					t.Errorf("%s is not the cause of a leak; %d leaks, unconfirmed %+v", cause, len(r.Leaks), r.Unconfirmed)
				}
			})
		})
	}
}
