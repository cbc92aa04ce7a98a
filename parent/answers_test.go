package parent

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/rs/zerolog"

	"github.com/netns-verify/netns-verify/internal/keyfile"
	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// Each line of --keys-from has an answer, for what it asks and no more.
func TestAnswers(t *testing.T) {
	picky := handler{write: func(opener, _ *space, k sysctl.Key, v string) error {
		if v == "77" {
			return syscall.EINVAL
		}
		opener.values[k] = v
		return nil
	}}
	deaf := handler{write: func(*space, *space, sysctl.Key, string) error { return nil }}
	fake := newFake(map[sysctl.Key]handler{
		"net/a": {}, "net/b": picky, "net/c": picky, "net/d": deaf, "net/w1": {}, "net/w2": {}, "net/unasked": {},
		congestion: {},
	})
	lines, err := keyfile.Parse(strings.NewReader(`# values
net.a = 4711
net/b = 77
net.c
net.d = 5
net.w* = 3
-net.w2
net.a = 10
net.ab
-net.abc = 1
kernel.panic = 10
net.ipv4.tcp_congestion_control = bbr
`))
	if err != nil {
		t.Fatal(err)
	}
	rep, err := Run(context.Background(), fake, Options{Seed: 1, Lines: lines, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	rep.Conclude(report.Ending{Strict: true})
	var got []string
	for _, a := range rep.Answers {
		s := fmt.Sprintf("%d %s %s", a.Line, a.Key, a.Verdict)
		for _, w := range a.Writers {
			s += fmt.Sprintf(" %s %s %s", w.Set, w.Errno, w.Why)
		}
		got = append(got, strings.Join(strings.Fields(s+" "+a.Why), " "))
	}
	const want = `2 net/a isolated yes
3 net/b isolated no EINVAL
4 net/c isolated yes
5 net/d untested no
6 net/w1 isolated yes
8 net/a isolated yes a fresh namespace has this value; others were tried
9 no such key: did you mean net/a or net/b?
10 no such key: did you mean net/a or net/b or net/c?
11 not below net/, so no network namespace has it
12 net/ipv4/tcp_congestion_control isolated unknown not tried: it may make the kernel load a module`
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	tried := map[string]string{}
	for _, k := range rep.Keys {
		if k.Asked() != (k.Key != "net/unasked" && k.Key != "net/w2") {
			t.Errorf("%s: excluded %v", k.Key, k.Excluded)
		}
		for _, w := range k.Writers {
			for _, a := range w.Attempts {
				tried[k.Key] += *a.Value + " "
			}
		}
	}
	if !strings.HasPrefix(tried["net/a"], "4711 ") || !strings.HasPrefix(tried["net/b"], "77 ") || !strings.HasPrefix(tried["net/w1"], "3 ") ||
		tried["net/unasked"]+tried["net/w2"] != "" || strings.Contains(tried[congestion], "bbr") {
		t.Errorf("tried %q", tried)
	}
	if want := "incomplete (--strict): 1 key could not be tested (net.d: refused), 1 line could not be answered (net.ab)"; rep.Run.ExitReason != want {
		t.Errorf("exit reason %q, want %q", rep.Run.ExitReason, want)
	}
}

const congestion = "net/ipv4/tcp_congestion_control"
