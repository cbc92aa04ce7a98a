package main

import (
	"strings"
	"testing"

	"github.com/netns-verify/netns-verify/internal/sysctl"
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
