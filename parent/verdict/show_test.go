package verdict

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/finding"
	"github.com/netns-verify/netns-verify/parent/trace"
)

// reproductions is leaks of every form, with values that a shell would mangle.
var reproductions = []struct {
	name   string
	leak   finding.Leak
	secret sysctl.Key
	// want is the words of each command that is run: those of unshare and sysctl.
	want []string
}{
	{"host", leakOf(trace.Host, "net/a/b", trace.Write{Key: "net/a/b", Value: "1"}), "",
		[]string{"sysctl|net.a.b", "unshare|-n|sysctl|-qw|net.a.b=1", "sysctl|net.a.b"}},
	{"sibling", leakOf(trace.Sibling, "net/a/b", trace.Write{Key: "net/a/b", Value: "1"}), "",
		[]string{"unshare|-n|sh|-c|sysctl net.a.b; unshare -n sysctl -qw net.a.b=1; sysctl net.a.b"}},
	{"later", leakOf(trace.Later, "net/a/b", trace.Write{Key: "net/a/b", Value: "1"}), "",
		[]string{"unshare|-n|sysctl|net.a.b", "unshare|-n|sysctl|-qw|net.a.b=1", "unshare|-n|sysctl|net.a.b"}},
	{"device with a dot", leakOf(trace.Host, "net/ipv4/conf/eth0.100/rp_filter", trace.Write{Key: "net/ipv4/conf/eth0.100/rp_filter", Value: "1"}), "",
		[]string{"sysctl|net.ipv4.conf.eth0/100.rp_filter", "unshare|-n|sysctl|-qw|net.ipv4.conf.eth0/100.rp_filter=1", "sysctl|net.ipv4.conf.eth0/100.rp_filter"}},
	{"vector", leakOf(trace.Host, "net/a", trace.Write{Key: "net/a", Value: "1\t2\t3"}), "",
		[]string{"sysctl|net.a", "unshare|-n|sysctl|-qw|net.a=1\t2\t3", "sysctl|net.a"}},
	{"several", leakOf(trace.Host, "net/a", trace.Write{Key: "net/a", Value: "1 2"}, trace.Write{Key: "net/b", Value: "x'y"}), "",
		[]string{"sysctl|net.a", `unshare|-n|sh|-c|sysctl -qw 'net.a=1 2'; sysctl -qw 'net.b=x'\''y'`, "sysctl|net.a"}},
	{"several in a sibling", leakOf(trace.Sibling, "net/a", trace.Write{Key: "net/a", Value: "$(x)"}, trace.Write{Key: "net/b", Value: ""}), "",
		[]string{`unshare|-n|sh|-c|sysctl net.a; unshare -n sh -c 'sysctl -qw '\''net.a=$(x)'\''; sysctl -qw net.b='; sysctl net.a`}},
	{"specials", leakOf(trace.Host, "net/a", trace.Write{Key: "net/a", Value: "a'b\"c\\d`e`$HOME*?[x]{1,2}~#!%^&|;<>()\n="}), "",
		[]string{"sysctl|net.a", "unshare|-n|sysctl|-qw|net.a=a'b\"c\\d`e`$HOME*?[x]{1,2}~#!%^&|;<>()\n=", "sysctl|net.a"}},
	{"key with specials", leakOf(trace.Host, "net/ipv4/conf/a b$c/x", trace.Write{Key: "net/ipv4/conf/a b$c/x", Value: "1"}), "",
		[]string{"sysctl|net.ipv4.conf.a b$c.x", "unshare|-n|sysctl|-qw|net.ipv4.conf.a b$c.x=1", "sysctl|net.ipv4.conf.a b$c.x"}},
	{"late", late(leakOf(trace.Host, "net/a", trace.Write{Key: "net/a", Value: "1"})), "",
		[]string{"sysctl|net.a", "unshare|-n|sysctl|-qw|net.a=1", "sleep|1", "sysctl|net.a"}},
	{"secret", leakOf(trace.Host, "net/a", trace.Write{Key: "net/a", Value: "hush"}), "net/a",
		[]string{"sysctl|net.a", "unshare|-n|sysctl|-qw|net.a=VALUE", "sysctl|net.a"}},
}

func late(l finding.Leak) finding.Leak { l.Delay = 300 * time.Millisecond; return l }

func leakOf(observer string, effectKey sysctl.Key, cause ...trace.Write) finding.Leak {
	return finding.Leak{Cause: cause, Effects: []trace.Effect{{Place: trace.Place{Observer: observer, Key: effectKey}}}}
}

// TestReproducer has a shell read each line, with unshare and sysctl replaced by
// functions that print their words.
func TestReproducer(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	const words = `say() { first=$1; shift; printf %s "$first"; [ $# = 0 ] || printf '|%s' "$@"; printf '\1'; }
unshare() { say unshare "$@"; }
sysctl() { say sysctl "$@"; }
sleep() { say sleep "$@"; }
`
	for _, tt := range reproductions {
		t.Run(tt.name, func(t *testing.T) {
			r := NewSecrets(false)
			if tt.secret != "" {
				r.keys[tt.secret] = true
			}
			line := r.reproducer(&tt.leak)
			if out, err := exec.Command(sh, "-n", "-c", line).CombinedOutput(); err != nil {
				t.Fatalf("sh -n: %v: %s\n%s", err, out, line)
			}
			out, err := exec.Command(sh, "-c", words+line).Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, line)
			}
			if got := strings.TrimSuffix(string(out), "\x01"); got != strings.Join(tt.want, "\x01") {
				t.Errorf("got  %q\nwant %q\nline %s", strings.Split(got, "\x01"), tt.want, line)
			}
			if tt.secret != "" && strings.Contains(line, "hush") {
				t.Errorf("a secret is in %s", line)
			}
		})
	}
	r := NewSecrets(false)
	for _, l := range []finding.Leak{{}, leakOf(trace.Host, "net/a"), {Cause: []trace.Write{{Key: "net/a"}}}} {
		if got := r.reproducer(&l); got != "" {
			t.Errorf("without a cause or an effect: %s", got)
		}
	}
}

// TestQuote: every character comes through a shell, wherever it stands.
func TestQuote(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	var words, line []string
	for c := range 256 {
		if c == 0 {
			continue // no argument holds a NUL byte
		}
		for _, w := range []string{string([]byte{byte(c)}), "a" + string([]byte{byte(c)}) + "b", "a" + string([]byte{byte(c)})} {
			words = append(words, w)
			line = append(line, report.Quote(w))
		}
	}
	out, err := exec.Command(sh, "-c", `printf '%s\0' `+strings.Join(line, " ")).Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	for i, w := range words {
		if i >= len(got) || got[i] != w {
			t.Fatalf("%q became %q", w, got[min(i, len(got)-1)])
		}
	}
}

func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "a", "a b", "'", "\\", "$x", "a\nb", "-n", "=", "é", "%s", "^"} {
		f.Add(s)
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		f.Skip(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsRune(s, 0) {
			t.Skip("no argument holds a NUL byte")
		}
		out, err := exec.Command(sh, "-c", "printf '%s|' x"+report.Quote(s)).Output()
		if err != nil || string(out) != "x"+s+"|" {
			t.Errorf("%q became %q, %v", s, out, err)
		}
	})
}

func TestShown(t *testing.T) {
	const secret, short = "1a2b3c4d-5e6f7a8b", "7"
	r := NewSecrets(false)
	r.Learn(sysctl.Snapshot{
		{Key: "net/long", Mode: 0o600, State: sysctl.State{Value: secret}},
		{Key: "net/open", Mode: 0o644, State: sysctl.State{Value: "for everybody"}},
		{Key: "net/short", Mode: 0o640, State: sysctl.State{Value: short}},
		{Key: "net/unset", Mode: 0o600, State: sysctl.State{Errno: unix.EIO}},
		{Key: "net/writeonly", Mode: 0o200, State: sysctl.State{Errno: unix.EACCES}},
	})
	is := func(st sysctl.State, k sysctl.Key) string { return r.Show(k, st).String() }
	value := func(v string) sysctl.State { return sysctl.State{Value: v} }
	for _, tt := range []struct {
		key    sysctl.Key
		value  string
		hidden bool
	}{
		{"net/long", secret, true},
		{"net/long", "anything written to it", true},
		{"net/long", "", true},
		{"net/short", short, true},
		{"net/unset", "set meanwhile", true},
		{"net/open", "for everybody", false},
		{"net/open", short, false}, // too short to be known by
		{"net/open", secret, true}, // it has come to another key
		{"net/writeonly", "1", false},
		{"net/unheard-of", secret, true},
	} {
		got := is(value(tt.value), tt.key)
		if hidden := strings.HasPrefix(got, "secret:"); hidden != tt.hidden || hidden && len(tt.value) > 4 && strings.Contains(got, tt.value) {
			t.Errorf("%s %q is shown as %q", tt.key, tt.value, got)
		}
	}
	if is(value(secret), "net/long") != is(value(secret), "net/open") || is(value(secret), "net/long") == is(value("other"), "net/long") {
		t.Error("digests do not tell equal values from others")
	}
	other := NewSecrets(false)
	other.keys["net/long"] = true
	if got := other.Show("net/long", value(secret)).String(); got == is(value(secret), "net/long") {
		t.Error("two runs give one digest: it can be looked up")
	}
	if s := r.Show("net/unset", sysctl.State{Errno: unix.EIO}); s.Errno != "EIO" || s.Text != nil {
		t.Errorf("a failed read is shown as %+v", s)
	}
	if s := r.Show("net/long", sysctl.Absent); s.Text != nil || s.Errno != "" {
		t.Errorf("an absent key is shown as %+v", s)
	}
}
