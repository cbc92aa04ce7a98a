package parent

import (
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// A question about no key is refused, with what kind of nothing it is about.
func TestQuestion(t *testing.T) {
	globs := func(texts ...string) (all []sysctl.Glob) {
		for _, s := range texts {
			g, err := sysctl.ParseGlob(s)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, g)
		}
		return all
	}
	snapshot := func(keys ...sysctl.Key) (s sysctl.Snapshot) {
		for _, k := range keys {
			s = append(s, sysctl.Entry{Key: k, Mode: 0o644, State: sysctl.State{Value: "10"}})
		}
		return s
	}
	const shared, hidden, hostOnly = "net/core/somaxconn", "net/core/xfrm_acq_expires", "net/core/netdev_max_backlog"
	both := []trace.Writer{trace.WriterUserNS, trace.WriterRoot}
	for _, tt := range []struct {
		name string
		o    Options
		want string // part of the error; empty: none
	}{
		{"everything", Options{}, ""},
		{"a key", Options{Include: globs("net.core.somaxconn")}, ""},
		{"only the host has it", Options{Include: globs(hostOnly)}, ""},
		{"hidden from the writer", Options{Include: globs(hidden)}, "--include net/core/xfrm_acq_expires: hidden from the writer userns"},
		{"hidden from one of two", Options{Include: globs(hidden), Writers: both}, ""},
		{"some hidden, some not", Options{Include: globs("net/core/*")}, ""},
		{"hidden and left out", Options{Exclude: globs(hidden)}, ""},
		{"mistyped", Options{Include: globs("net.core.somaxcon")}, "--include net.core.somaxcon: no such key: did you mean net/core/somaxconn?"},
		{"one of two mistyped", Options{Include: globs(shared, "net.core.somaxcon")}, "did you mean"},
		{"like nothing", Options{Include: globs("net.zzz.yyyyyyyyyyyy.x")}, "no such key below net/"},
		{"not of the network", Options{Include: globs("kernel.panic")}, "--include kernel.panic: not below net/"},
		{"wildcards", Options{Include: globs("net/co*")}, "** spans"},
		{"left out, mistyped", Options{Exclude: globs("net.core.somaxcon")}, "--exclude net.core.somaxcon: no such key"},
		{"allowed, mistyped", Options{AllowUntested: globs("net.core.somaxcon")}, "--allow-untested net.core.somaxcon: no such key"},
		{"nothing is left", Options{Include: globs(shared), Exclude: globs("net")}, "no key to ask about"},
		{"for another kernel", Options{Include: globs(shared, "net/other"), Exclude: globs("net/more"), Lenient: true}, ""},
		{"for another kernel, nothing here", Options{Include: globs("net/other"), Lenient: true}, "no key to ask about"},
	} {
		fake := newFake(map[sysctl.Key]handler{shared: {}, hidden: {}, hostOnly: {}})
		r := newRun(fake, tt.o)
		r.log = zerolog.Nop()
		r.switchTo(trace.WriterUserNS)
		r.writerBase = snapshot(shared)
		r.siblingBase = snapshot(shared, hidden).Map()
		var err error
		if r.host, err = sysctl.NewSweeper(fake.Host()); err != nil {
			t.Fatal(err)
		}
		err = r.checkQuestion()
		if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
		if tt.o.Lenient != (len(r.warnings) > 0) {
			t.Errorf("%s: warnings %q", tt.name, r.warnings)
		}
	}
}
