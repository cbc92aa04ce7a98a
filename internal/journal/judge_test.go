package journal

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"testing"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

func TestJudge(t *testing.T) {
	j, err := Decode(text(t, lines(
		announced("net/core/a", "11", "0x20"), announced("net/core/vector", "4  5 6"), announced("net/core/counter", "8", "9"),
		announced("net/core/seen", "2"), announced("net/core/refuses", "1"), announced("net/core/raw\xff", "\xfd"), announced("net/core/new", "1"),
		Line{Restless: KeysOf([]sysctl.Key{"net/core/counter"})},
		ahead("net/core/a", "13"), announced("net/core/a", "14"), Line{Theirs: values("net/core/a", "14")}, Line{Theirs: values("net/core/a", "15")},
	)))
	if err != nil {
		t.Fatal(err)
	}
	confirmed, err := Decode(text(t, lines(
		announced("net/core/counter", "9"),
		Line{Restless: KeysOf([]sysctl.Key{"net/core/counter"})},
		Line{Confirmed: KeysOf([]sysctl.Key{"net/core/a", "net/core/counter", "net/core/seen", "net/core/new"})},
	)))
	if err != nil {
		t.Fatal(err)
	}
	was := host.Map()
	for _, tt := range []struct {
		j     *Journal
		key   sysctl.Key
		after sysctl.State
		want  string
	}{
		{j, "net/core/a", sysctl.State{Value: "11"}, "ours"},
		{j, "net/core/a", sysctl.State{Value: "32"}, "ours"}, // as the kernel prints 0x20
		{j, "net/core/a", sysctl.State{Value: "12"}, "open"},
		{j, "net/core/a", sysctl.State{Value: "13"}, "open"}, // was to be written later
		{j, "net/core/a", sysctl.State{Value: "14"}, "open"}, // had been somebody else's, too
		{j, "net/core/a", sysctl.State{Value: "15"}, "open"},
		{j, "net/core/a", sysctl.Absent, "left"},
		{j, "net/core/a", sysctl.State{Errno: 5}, "open"},
		{j, "net/core/vector", sysctl.State{Value: "4\t5\t6"}, "ours"},
		{j, "net/core/vector", sysctl.State{Value: "4\t5"}, "open"},
		{j, "net/core/raw\xff", sysctl.State{Value: "\xfd"}, "ours"},
		{j, "net/core/counter", sysctl.State{Value: "8"}, "left"},
		{j, "net/core/seen", sysctl.State{Value: "2"}, "ours"},    // although nobody can write it
		{j, "net/core/refuses", sysctl.State{Value: "1"}, "ours"}, // although it has no value to go back to
		{j, "net/core/new", sysctl.State{Value: "1"}, "left"},     // was not there
		{j, "net/core/secret", sysctl.State{Value: "x"}, "open"},
		{confirmed, "net/core/a", sysctl.State{Value: "12"}, "ours"},
		{confirmed, "net/core/vector", sysctl.State{Value: "12"}, "open"},
		{confirmed, "net/core/counter", sysctl.State{Value: "9"}, "ours"},
		{confirmed, "net/core/counter", sysctl.State{Value: "8"}, "left"},
		{confirmed, "net/core/seen", sysctl.State{Value: "2"}, "ours"},
		{confirmed, "net/core/refuses", sysctl.State{Value: "5"}, "left"},
	} {
		before, known := was[tt.key]
		if !known {
			before.State = sysctl.Absent
		}
		got := tt.j.Judge([]sysctl.Change{{Key: tt.key, Before: before.State, After: tt.after}})
		for name, has := range map[string]int{"ours": len(got.Ours), "open": len(got.Open), "left": len(got.Left)} {
			if (has == 1) != (name == tt.want) {
				t.Errorf("%s is %+v: %s %v, want %s", tt.key, tt.after, name, has == 1, tt.want)
			}
		}
	}
	for k, secret := range map[sysctl.Key]bool{"net/core/a": false, "net/core/secret": true, "net/core/new": true} {
		if j.Secret(k) != secret {
			t.Errorf("%s: secret %v", k, !secret)
		}
	}
}

// Whatever changed: each change is judged once; nothing is put back that neither a
// confirmed cause nor an announced value explains; and what was announced is, if
// its key can be put back and does not move by itself.
func TestJudgeProperties(t *testing.T) {
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 0))
		h := &Header{Version: Version, Place: Place{BootID: "b", NetNS: 1}, Keys: 1 + rng.IntN(8)}
		j := &Journal{}
		if err := j.Add(Line{Header: h}); err != nil {
			t.Fatal(err)
		}
		var s sysctl.Snapshot
		for i := range h.Keys {
			s = append(s, sysctl.Entry{Key: sysctl.Key(fmt.Sprintf("net/k%d", i)), Mode: []fs.FileMode{0o644, 0o644, 0o444}[rng.IntN(3)], State: sysctl.State{Value: "0"}})
		}
		for _, l := range HostLines(s) {
			if err := j.Add(l); err != nil {
				t.Fatal(err)
			}
		}
		announcedTo, confirmed, restless := map[sysctl.Key]string{}, map[sysctl.Key]bool{}, map[sysctl.Key]bool{}
		var changes []sysctl.Change
		for _, e := range s {
			var err error
			if rng.IntN(2) == 0 {
				announcedTo[e.Key] = fmt.Sprint(1 + rng.IntN(3))
				err = j.Add(announced(string(e.Key), announcedTo[e.Key]))
			}
			if confirmed[e.Key] = rng.IntN(4) == 0; confirmed[e.Key] && err == nil {
				err = j.Add(Line{Confirmed: KeysOf([]sysctl.Key{e.Key})})
			}
			if restless[e.Key] = rng.IntN(4) == 0; restless[e.Key] && err == nil {
				err = j.Add(Line{Restless: KeysOf([]sysctl.Key{e.Key})})
			}
			if err != nil {
				t.Fatal(err)
			}
			changes = append(changes, sysctl.Change{Key: e.Key, Before: e.State, After: sysctl.State{Value: fmt.Sprint(1 + rng.IntN(3))}})
		}
		got := j.Judge(changes)
		judged := map[sysctl.Key]string{}
		for name, some := range map[string][]sysctl.Change{"ours": got.Ours, "open": got.Open, "left": got.Left} {
			for _, c := range some {
				if judged[c.Key] != "" {
					t.Errorf("seed %d: %s is judged twice", seed, c.Key)
				}
				judged[c.Key] = name
			}
		}
		for i, c := range changes {
			explained := announcedTo[c.Key] == c.After.Value
			switch is := judged[c.Key]; {
			case is == "", is == "ours" && !explained && !confirmed[c.Key]:
				t.Errorf("seed %d: %s is %q", seed, c.Key, is)
			case explained && !restless[c.Key] && is != "ours":
				t.Errorf("seed %d: %s has what was announced, and is %q", seed, c.Key, is)
			case is == "open" && (restless[c.Key] || !s[i].Writable()):
				t.Errorf("seed %d: %s is %q", seed, c.Key, is)
			}
		}
	}
}
