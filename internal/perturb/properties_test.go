package perturb

import (
	"fmt"
	"math/rand"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

func TestPatternsAreWellFormed(t *testing.T) {
	patterns := slices.Clone(disruptive)
	for _, r := range rules {
		patterns = append(patterns, r.pattern)
	}
	for _, p := range patterns {
		if _, err := path.Match(p, "net/x"); err != nil {
			t.Errorf("%q: %v", p, err)
		}
	}
}

// check holds Candidates and Thorough to what they promise.
func check(t *testing.T, s Subject, f Facts) {
	t.Helper()
	for _, propose := range []func(Subject, Facts) []string{Candidates, Thorough} {
		checkOne(t, s, f, propose)
	}
}

func checkOne(t *testing.T, s Subject, f Facts, propose func(Subject, Facts) []string) {
	t.Helper()
	got := propose(s, f)
	if again := propose(s, f); !slices.Equal(got, again) {
		t.Errorf("%+v: not the same twice: %q, %q", s, got, again)
	}
	if len(got) > MaxCandidates {
		t.Errorf("%+v: %d candidates", s, len(got))
	}
	observed := false
	for i, c := range got {
		switch {
		case slices.Contains(got[:i], c):
			t.Errorf("%+v: %q twice", s, c)
		case s.State.OK() && c == s.State.Value:
			t.Errorf("%+v: its own value", s)
		case len(c) > MaxLength || strings.ContainsAny(c, "\n\x00"):
			t.Errorf("%+v: cannot be written: %q", s, c)
		}
		is := slices.ContainsFunc(s.Observed, func(st sysctl.State) bool { return st.OK() && normal(st.Value) == normal(c) })
		if observed && !is {
			t.Errorf("%+v: %q after a value that an observer has", s, c)
		}
		observed = observed || is
	}
}

func both(t *testing.T, s Subject, f Facts) {
	t.Helper()
	for _, s.Prefer = range []Direction{Up, Down} {
		check(t, s, f)
	}
}

func TestProperties(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	keys := []sysctl.Key{"net/x/unknown", "", "net/ipv4/conf/a*[/rp_filter"}
	for _, r := range rules {
		keys = append(keys, sysctl.Key(strings.ReplaceAll(r.pattern, "*", "2")))
	}
	atoms := []string{"0", "1", "-1", "7", "99999", "ffffffff", "00000003", "reno", "bbr", "-", ",", " ", "\t", "\n", ":", "\x00", "é"}
	value := func() string {
		var b strings.Builder
		for range rnd.Intn(8) {
			b.WriteString(atoms[rnd.Intn(len(atoms))])
		}
		return b.String()
	}
	for range 20_000 {
		s := Subject{Key: keys[rnd.Intn(len(keys))], Mode: 0o644, State: sysctl.State{Value: value()}}
		for range rnd.Intn(3) {
			s.Observed = append(s.Observed, sysctl.State{Value: value()})
		}
		if rnd.Intn(10) == 0 {
			s.State = sysctl.State{Errno: []syscall.Errno{syscall.EIO, syscall.EACCES, syscall.EPERM}[rnd.Intn(3)]}
		}
		both(t, s, facts)
	}
}

// Long values come from hosts with many ports or CPUs.
func TestLongValues(t *testing.T) {
	var ports strings.Builder
	for p := 1; p < 65000; p += 2 {
		fmt.Fprintf(&ports, "%d,", p)
	}
	for key, v := range map[sysctl.Key]string{
		"net/ipv4/ip_local_reserved_ports":        strings.TrimSuffix(ports.String(), ","),
		"net/core/rps_default_mask":               strings.Repeat("ffffffff,", 1000) + "ffffffff",
		"net/x/mask":                              strings.Repeat("ffffffff,", 1000) + "ffffffff",
		"net/x/vector":                            strings.Repeat("1 ", 5000),
		"net/x/digits":                            strings.Repeat("9", 1<<20),
		"net/x/words":                             strings.Repeat("word ", 5000),
		"net/ipv4/tcp_allowed_congestion_control": strings.Repeat("word ", 5000),
	} {
		s := Subject{Key: key, Mode: 0o644, State: sysctl.State{Value: v}}
		both(t, s, facts)
		if len(Candidates(s, facts)) == 0 {
			t.Errorf("%s: no candidates", key)
		}
	}
}

// An integer that can go down does so first when it should, and likewise up.
func TestDirectionIsKept(t *testing.T) {
	rnd := rand.New(rand.NewSource(2))
	for range 2000 {
		v := rnd.Int63n(1 << 40)
		s := Subject{Key: "net/x/y", Mode: 0o644, State: sysctl.State{Value: fmt.Sprint(v)}}
		for _, s.Prefer = range []Direction{Up, Down} {
			first, ok := parseInteger(Candidates(s, Facts{})[0])
			if !ok || (first.Int64() < v) != (s.Prefer == Down) {
				t.Fatalf("%d, direction %d: first %s", v, s.Prefer, first)
			}
		}
	}
}

// Sizes of what is allocated at once are only nudged, and nothing grows by more
// than a small step or a doubling that stays modest.
func TestNothingHuge(t *testing.T) {
	for _, key := range []sysctl.Key{
		"net/ipv4/tcp_child_ehash_entries", "net/ipv4/udp_child_hash_entries", "net/netfilter/nf_conntrack_buckets",
		"net/core/bpf_jit_limit", "net/mpls/platform_labels", "net/ipv4/ipfrag_high_thresh", "net/ipv6/route/gc_thresh",
		"net/ipv6/neigh/default/gc_thresh1", "net/core/rps_sock_flow_entries", "net/x/unknown",
	} {
		for _, v := range []int64{0, 1, 100, 16384, 262144, 1 << 20, 1 << 31} {
			s := Subject{Key: key, Mode: 0o644, State: sysctl.State{Value: fmt.Sprint(v)}}
			limit := v + 1000
			if key == "net/x/unknown" {
				limit = max(limit, min(2*v, maxDouble), 70000)
			}
			for _, c := range Candidates(s, Facts{}) {
				if n, ok := parseInteger(c); !ok || n.Int64() > limit {
					t.Errorf("%s at %d: %s", key, v, c)
				}
			}
		}
	}
}

func FuzzCandidates(f *testing.F) {
	for _, r := range rules {
		f.Add(strings.ReplaceAll(r.pattern, "*", "2"), "1", "0", nfLog)
	}
	for _, v := range []string{"", "-0", "0x10", "010", "1\t0", "0-1,3-127", "ffffffff,00000000", "2001:db8::1", "a b", "1,", "-"} {
		f.Add("net/x/y", v, "1", " 2 x (")
	}
	f.Fuzz(func(t *testing.T, key, value, observed, nflog string) {
		s := Subject{
			Key: sysctl.Key(key), Mode: 0o644, State: sysctl.State{Value: value},
			Observed: []sysctl.State{{Value: observed}, sysctl.Absent},
		}
		facts := Facts{NFLog: nflog, Values: map[sysctl.Key]string{
			availableCongestion: value + " " + observed, allowedCongestion: observed, "net/x/available_y": value,
		}}
		both(t, s, facts)
		for _, errno := range []syscall.Errno{syscall.EIO, syscall.EACCES, syscall.ENOENT} {
			s.State = sysctl.State{Errno: errno}
			both(t, s, facts)
		}
		Disruptive(s.Key)
	})
}
