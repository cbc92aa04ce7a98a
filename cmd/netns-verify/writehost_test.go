package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/internal/testenv"
)

func TestAsk(t *testing.T) {
	keys := []sysctl.Key{"net/a", "net/b", "net/c", "net/d", "net/e", "net/conf/eth0.1/last"}
	for _, tc := range []struct {
		anybody, verbose bool
		answer, want     string // part of the error; empty for none
	}{
		{true, false, "y\n", ""},
		{true, false, "Yes\n", ""},
		{true, false, "y", ""},
		{true, false, "\n", "not agreed to"},
		{true, false, "", "not agreed to"},
		{true, false, "no\n", "not agreed to"},
		{false, false, "y\n", "6 keys of this host"},
		{false, true, "y\n", "net.conf.eth0/1.last"},
	} {
		var out strings.Builder
		f := &runFlags{verbose: tc.verbose}
		err := f.ask(keys, tc.anybody, strings.NewReader(tc.answer), &out)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%+v: %v", tc, err)
		}
		said := out.String()
		if tc.anybody && !strings.Contains(said, "net.a, net.b") || !tc.anybody && said != "" {
			t.Errorf("%+v: said %q", tc, said)
		}
		if tc.anybody && strings.Contains(said, "last") != tc.verbose {
			t.Errorf("%+v: said %q", tc, said)
		}
	}
}

// TestWriteHost writes a real namespace that is the host here: what it makes
// follows it where the kernel looks at the creating namespace, and it is as it was.
func TestWriteHost(t *testing.T) {
	testenv.NeedNetNS(t)
	testenv.OwnMachine(t)
	if os.Geteuid() != 0 {
		t.Skip("not root")
	}
	status, stdout, stderr := in(t, worldPlain, "run", "--write-host", "--yes", "--devices", "none", "--json")
	if status != report.ExitClean && status != report.ExitLeak {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	r := decode(t, stdout)
	if len(r.Run.NotRestored)+len(r.Unconfirmed) > 0 {
		t.Errorf("not restored %+v, unconfirmed %+v", r.Run.NotRestored, r.Unconfirmed)
	}
	told := 0
	for _, k := range r.Keys {
		if len(k.Creation) > 0 {
			told++
		}
		if k.Key == "net/core/somaxconn" && k.Creation[report.AnyDevconf] != report.CreationDefault {
			t.Errorf("%s: %v", k.Key, k.Creation) // netns_core_table, net/core/sysctl_net_core.c
		}
		// tcp_set_hashinfo, net/ipv4/tcp_ipv4.c, 6.1 on
		if from := k.CreationFrom[report.AnyDevconf]; k.Key == "net/ipv4/tcp_ehash_entries" &&
			(k.Creation[report.AnyDevconf] != report.CreationDerived || from.Namespace != report.FromCreator || !slices.Equal(from.Keys, []string{"net/ipv4/tcp_child_ehash_entries"})) {
			t.Errorf("%s: %v from %+v", k.Key, k.Creation, k.CreationFrom)
		}
	}
	if told*10 < r.Counts.ChildKeys*8 {
		t.Errorf("told where %d of %d keys come from", told, r.Counts.ChildKeys)
	}
	t.Logf("%d of %d keys told, %v, %d ms", told, r.Counts.ChildKeys, r.Counts.Creation, r.Run.DurationMS)
}
