package record

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"testing"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

// ruled is a host with a key for each clause of the rule.
var ruled = sysctl.Snapshot{
	{Key: "net/core/a", Mode: 0o644, State: sysctl.State{Value: "10"}},
	{Key: "net/core/none", Mode: 0o644, State: sysctl.State{Errno: 5}},
	{Key: "net/core/seen", Mode: 0o444, State: sysctl.State{Value: "1"}},
	{Key: "net/core/vector", Mode: 0o644, State: sysctl.State{Value: "1\t2\t3"}},
	{Key: "net/ipv4/conf/eth0/x", Mode: 0o644, State: sysctl.State{Value: "1"}},
	{Key: "net/ipv4/conf/eth1/x", Mode: 0o644, State: sysctl.State{Value: "1"}},
	{Key: "net/ipv6/conf/all/disable_ipv6", Mode: 0o644, State: sysctl.State{Value: "0"}},
	{Key: "net/netfilter/nf_hooks_lwtunnel", Mode: 0o644, State: sysctl.State{Value: "0"}},
}

func ruledBy(t *testing.T, more ...Line) *Record {
	t.Helper()
	r := &Record{}
	h := &Header{Version: Version, Place: Place{BootID: "b", NetNS: 1}, Keys: len(ruled), Devices: []Device{{"eth0", 2}, {"eth1", 3}}}
	for _, l := range append(append([]Line{{Header: h}}, HostLines(ruled)...), more...) {
		if err := r.Add(l); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// Each clause of the rule.
func TestJudge(t *testing.T) {
	devices := []Device{{"eth0", 2}, {"eth1", 9}}
	quiet, loud, stale := Now{Quiet: true, Devices: devices}, Now{Devices: devices}, Now{Quiet: true, Stale: true, Devices: devices}
	const a, dev, lwtunnel = sysctl.Key("net/core/a"), sysctl.Key("net/ipv4/conf/eth1/x"), sysctl.Key("net/netfilter/nf_hooks_lwtunnel")
	is := func(v string) sysctl.State { return sysctl.State{Value: v} }
	byRun := Line{Lent: &Values{[]Value{{Key: "net/core/a"}}}}
	for name, tt := range map[string]struct {
		lines []Line
		now   Now
		key   sysctl.Key
		after sysctl.State
		why   string // it is left alone; empty: it is put back
		to    string // what it gets, where that is not what it was found with
	}{
		"sent":                              {[]Line{sent("net/core/a", "11")}, loud, a, is("11"), "", ""},
		"sent, as the kernel prints it":     {[]Line{sent("net/core/a", "0x20")}, loud, a, is("32"), "", ""},
		"sent, with tabs":                   {[]Line{sent("net/core/vector", "4  5 6")}, loud, "net/core/vector", is("4\t5\t6"), "", ""},
		"sent to another key":               {[]Line{sent("net/core/vector", "11")}, loud, a, is("11"), WhyLoud, ""},
		"in the plan only":                  {[]Line{planOf(1, "net/core/a", "11")}, loud, a, is("11"), WhyLoud, ""},
		"of a batch that was sent":          {[]Line{planOf(1, "net/core/a", "11"), {Sent: &Sent{Batch: 1}}}, loud, a, is("11"), "", ""},
		"read back":                         {[]Line{{ReadBack: &Writes{writes("net/core/a", "12")}}}, loud, a, is("12"), "", ""},
		"confirmed":                         {[]Line{{Confirmed: keys(a)}}, loud, a, is("77"), "", ""},
		"unresolved":                        {[]Line{{Unresolved: keys(a)}}, loud, a, is("77"), "", ""},
		"one-way":                           {[]Line{{OneWay: keys(a)}}, loud, a, is("77"), "", ""},
		"written on the host":               {[]Line{byRun}, loud, a, is("77"), "", ""},
		"explained, long ago":               {[]Line{sent("net/core/a", "11")}, stale, a, is("11"), "", ""},
		"unexplained, quiet":                {nil, quiet, a, is("77"), "", ""},
		"unexplained, loud":                 {nil, loud, a, is("77"), WhyLoud, ""},
		"unexplained, long ago":             {nil, stale, a, is("77"), WhyStale, ""},
		"unreadable now":                    {nil, quiet, a, sysctl.State{Errno: 5}, "", ""},
		"restless, sent":                    {[]Line{{Restless: keys(a)}, sent("net/core/a", "11")}, quiet, a, is("11"), whyRestless, ""},
		"restless, unresolved":              {[]Line{{Restless: keys(a)}, {Unresolved: keys(a)}}, quiet, a, is("11"), whyRestless, ""},
		"restless, confirmed":               {[]Line{{Confirmed: keys(a)}, {Restless: keys(a)}}, quiet, a, is("11"), "", ""},
		"restless, written on the host":     {[]Line{{Restless: keys(a)}, byRun}, quiet, a, is("11"), "", ""},
		"restless by now":                   {nil, Now{Quiet: true, Restless: map[sysctl.Key]bool{a: true}}, a, is("77"), whyRestless, ""},
		"disruptive":                        {nil, quiet, "net/ipv6/conf/all/disable_ipv6", is("1"), whyDisruptive, ""},
		"disruptive, sent":                  {[]Line{sent("net/ipv6/conf/all/disable_ipv6", "1")}, loud, "net/ipv6/conf/all/disable_ipv6", is("1"), "", ""},
		"of the same device":                {nil, quiet, "net/ipv4/conf/eth0/x", is("2"), "", ""},
		"of a device made again":            {nil, quiet, dev, is("2"), whyDevice, ""},
		"of a device made again, sent":      {[]Line{sent(string(dev), "2")}, quiet, dev, is("2"), "", ""},
		"nobody can write it":               {nil, quiet, "net/core/seen", is("2"), whyReadOnly, ""},
		"nobody can write it, sent":         {[]Line{sent("net/core/seen", "2")}, quiet, "net/core/seen", is("2"), "", ""},
		"it had no value":                   {[]Line{sent("net/core/none", "2")}, quiet, "net/core/none", is("2"), whyNoValue, ""},
		"gone":                              {[]Line{sent("net/core/a", "11")}, quiet, a, sysctl.Absent, whyCame, ""},
		"new":                               {[]Line{sent("net/new", "1")}, quiet, "net/new", is("1"), whyCame, ""},
		"theirs":                            {[]Line{{Theirs: value(a, "42")}, sent("net/core/a", "11")}, loud, a, is("11"), "", "42"},
		"theirs, the last":                  {[]Line{{Theirs: value(a, "41")}, {Theirs: value(a, "42")}}, quiet, a, is("11"), "", "42"},
		"theirs, and then it leaks":         {[]Line{{Theirs: value(a, "42")}, {Confirmed: keys(a)}}, loud, a, is("42"), "", ""},
		"it leaks, and then theirs":         {[]Line{{Confirmed: keys(a)}, {Theirs: value(a, "42")}}, loud, a, is("11"), "", "42"},
		"a loan, off again":                 {[]Line{{Lent: value(a, "42")}}, loud, a, is("43"), WhyLoud, ""},
		"a loan that is given back":         {[]Line{{Lent: value(a, "42")}, {Theirs: value(a, "42")}}, loud, a, is("10"), "", "42"},
		"a loan that was given back, off":   {[]Line{{Lent: value(a, "42")}, {Theirs: value(a, "42")}}, loud, a, is("43"), WhyLoud, "42"},
		"known to be one-way, for no cause": {nil, quiet, lwtunnel, is("1"), "", ""},
	} {
		r := ruledBy(t, tt.lines...)
		back, left := r.Judge([]sysctl.Change{{Key: tt.key, After: tt.after}}, tt.now)
		want := r.Expected(tt.key)
		if tt.to != "" {
			want = is(tt.to)
		}
		switch all := append(back, left...); {
		case len(all) != 1 || all[0].Why != tt.why || (len(back) == 1) != (tt.why == "") || all[0].Before != want:
			t.Errorf("%s: put back %+v, left %+v", name, back, left)
		case all[0].OneWay != (tt.key == lwtunnel || name == "one-way"):
			t.Errorf("%s: one-way %v", name, all[0].OneWay)
		}
	}
	r := ruledBy(t, Line{Lent: value(a, "42")}, Line{Lent: value("net/core/vector", "9")}, Line{Theirs: value("net/core/vector", "9")}, Line{Theirs: value("net/core/seen", "3")})
	back, left := r.Judge([]sysctl.Change{{Key: a, After: is("10")}, {Key: "net/core/seen", After: is("3")}}, quiet)
	if loans := r.Loans(); len(back)+len(left) != 0 || len(loans) != 1 || loans[0].Key != a || loans[0].After != is("42") {
		t.Errorf("what is as it is to be: put back %+v, left %+v; lent %+v", back, left, loans)
	}
	old := decode(t)
	for k, secret := range map[sysctl.Key]bool{"net/core/a": false, "net/core/secret": true, "net/core/new": true} {
		if old.Secret(k) != secret {
			t.Errorf("%s: secret %v", k, !secret)
		}
	}
	for _, l := range []Line{{}, sent("net/core/secret", "5a5b5c5d"), {Theirs: value("net/core/secret", "5a5b5c5d")}, {Lent: value("net/core/secret", "5a5b5c5d")}} {
		r := old
		if l != (Line{}) {
			r = decode(t, l)
		}
		if r.Hides("5a5b5c5d") != (l != (Line{})) || !r.Hides("1a2b3c4d") {
			t.Errorf("%+v: it hides %v", l, r.Hides("5a5b5c5d"))
		}
	}
}

// Whatever changed: each change is judged once; on a loud machine nothing is put back that
// nothing explains; and what was sent is, if its key does not move by itself.
func TestJudgeProperties(t *testing.T) {
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 0))
		h := &Header{Version: Version, Place: Place{BootID: "b", NetNS: 1}, Keys: 1 + rng.IntN(8)}
		r := &Record{}
		if err := r.Add(Line{Header: h}); err != nil {
			t.Fatal(err)
		}
		var s sysctl.Snapshot
		for i := range h.Keys {
			s = append(s, sysctl.Entry{Key: sysctl.Key(fmt.Sprintf("net/k%d", i)), Mode: []fs.FileMode{0o644, 0o644, 0o444}[rng.IntN(3)], State: sysctl.State{Value: "0"}})
		}
		for _, l := range HostLines(s) {
			if err := r.Add(l); err != nil {
				t.Fatal(err)
			}
		}
		sentTo, confirmed, restless := map[sysctl.Key]string{}, map[sysctl.Key]bool{}, map[sysctl.Key]bool{}
		var changes []sysctl.Change
		for _, e := range s {
			var err error
			if rng.IntN(2) == 0 {
				sentTo[e.Key] = fmt.Sprint(1 + rng.IntN(3))
				err = r.Add(sent(string(e.Key), sentTo[e.Key]))
			}
			if confirmed[e.Key] = rng.IntN(4) == 0; confirmed[e.Key] && err == nil {
				err = r.Add(Line{Confirmed: keys(e.Key)})
			}
			if restless[e.Key] = rng.IntN(4) == 0; restless[e.Key] && err == nil {
				err = r.Add(Line{Restless: keys(e.Key)})
			}
			if err != nil {
				t.Fatal(err)
			}
			changes = append(changes, sysctl.Change{Key: e.Key, Before: e.State, After: sysctl.State{Value: fmt.Sprint(1 + rng.IntN(3))}})
		}
		quiet := rng.IntN(2) == 0
		back, left := r.Judge(changes, Now{Quiet: quiet})
		judged := map[sysctl.Key]string{}
		for name, some := range map[string][]Change{"back": back, "left": left} {
			for _, c := range some {
				if judged[c.Key] != "" {
					t.Errorf("seed %d: %s is judged twice", seed, c.Key)
				}
				judged[c.Key] = name
			}
		}
		for i, c := range changes {
			explained := sentTo[c.Key] == c.After.Value
			switch is := judged[c.Key]; {
			case is == "", is == "back" && !explained && !confirmed[c.Key] && !quiet:
				t.Errorf("seed %d: %s is %q", seed, c.Key, is)
			case (explained || confirmed[c.Key]) && !restless[c.Key] && is != "back":
				t.Errorf("seed %d: %s has what was sent, or leaks, and is %q", seed, c.Key, is)
			case is == "back" && !explained && !confirmed[c.Key] && (restless[c.Key] || !s[i].Writable()):
				t.Errorf("seed %d: %s is %q", seed, c.Key, is)
			}
		}
	}
}
