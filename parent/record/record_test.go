package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/trace"
	"github.com/netns-verify/netns-verify/protocol"
)

var host = sysctl.Snapshot{
	{Key: "net/core/a", Mode: 0o644, State: sysctl.State{Value: "10"}},
	{Key: "net/core/counter", Mode: 0o644, State: sysctl.State{Value: "7"}},
	{Key: "net/core/raw\xff", Mode: 0o644, State: sysctl.State{Value: "\xfe\x00"}},
	{Key: "net/core/refuses", Mode: 0o644, State: sysctl.State{Errno: syscall.EIO}},
	{Key: "net/core/secret", Mode: 0o600, State: sysctl.State{Value: "1a2b3c4d"}},
	{Key: "net/core/seen", Mode: 0o444, State: sysctl.State{Value: "1"}},
	{Key: "net/core/vector", Mode: 0o644, State: sysctl.State{Value: "1\t2\t3"}},
}

func header() *Header {
	return &Header{
		Version: Version, Tool: "v1", Place: Place{BootID: "boot", NetNS: 1, Root: "/proc/sys"}, PID: 2, Keys: len(host), Devices: []Device{{"eth0", 2}, {"lo", 1}},
	}
}

func writes(key string, values ...string) []Write {
	w := Write{Key: protocol.Bytes(key)}
	for _, v := range values {
		w.Values = append(w.Values, protocol.Bytes(v))
	}
	return []Write{w}
}

func sent(key string, values ...string) Line {
	return Line{Sent: &Sent{Writes: writes(key, values...)}}
}

func planOf(n int, key string, values ...string) Line {
	return Line{Plan: &Batch{N: n, Writes: writes(key, values...)}}
}

func value(k sysctl.Key, v string) *Values { return ValueOf(k, sysctl.State{Value: v}) }

func keys(ks ...sysctl.Key) *Keys { return KeysOf(ks) }

// every has each kind of line once.
var every = []Line{
	planOf(1, "net/core/a", "11", "\xff"), planOf(2, "net/core/a", "12"), {Child: &Child{PID: 1 << 23, Started: 7, By: "userns"}}, {Sent: &Sent{Batch: 1}}, sent("net/core/vector", "7"),
	{ReadBack: &Writes{writes("net/core/vector", "8")}}, {Lent: value("net/core/counter", "6")}, {Lent: &Values{[]Value{{Key: "net/core/seen"}}}},
	{Theirs: value("net/core/a", "4242")}, {Confirmed: keys("net/core/vector")}, {Unresolved: keys("net/core/refuses")}, {OneWay: keys("net/core/seen")},
	{Restless: keys("net/core/counter")}, {Noise: &Noise{Loud: true}},
}

// lines is a record of the host with more at its end.
func lines(more ...Line) []Line {
	return append(append([]Line{{Header: header()}}, HostLines(host)...), more...)
}

func text(t testing.TB, ls []Line) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, l := range ls {
		if err := json.NewEncoder(&b).Encode(l); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func decode(t testing.TB, more ...Line) *Record {
	t.Helper()
	r, err := Decode(text(t, lines(more...)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What is written is read again, whatever bytes it has.
func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "own", "journal")
	f, err := create(path, lines())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range every {
		if err := f.append(l); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.WriteAt([]byte(`{"sent":{"writes":[{"key":"net/core/a","values":["never sent"]}]}`), f.size); err != nil {
		t.Fatal(err) // killed in the middle of it
	}
	for file, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): fs.ModeDir | 0o700} {
		if st, err := os.Stat(file); err != nil || st.Mode() != want {
			t.Errorf("%s: mode %v, want %v (%v)", file, st.Mode(), want, err)
		}
	}
	r, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if age := time.Since(r.Last); !reflect.DeepEqual(r.Host, host) || !reflect.DeepEqual(r.Header, *header()) || age < -time.Minute || age > time.Hour {
		t.Errorf("read %+v", r)
	}
	want := decode(t, every...)
	if want.Last = r.Last; !reflect.DeepEqual(r, want) {
		t.Errorf("read %+v, want %+v", r, want)
	}
	if got, want := r.values, (map[sysctl.Key]map[string]bool{"net/core/a": {"11": true, "\xff": true}, "net/core/vector": {"7": true, "8": false}}); !reflect.DeepEqual(got, want) {
		t.Errorf("sent %v", got)
	}
	if loud, measured := r.Noise(); !r.Sent() || r.By() != trace.WriterUserNS || !loud || !measured || len(r.Children) != 1 {
		t.Errorf("read %+v", r)
	}
	if !r.Asked("net/core/a") || r.Asked("net/core/secret") || r.UnderWay("net/core/a", "12") || r.Expected("net/core/a") != (sysctl.State{Value: "4242"}) {
		t.Errorf("read %+v", r)
	}
	if _, err := create(path, lines()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a record that is there was replaced: %v", err)
	}
	if err := errors.Join(f.Close(), Remove(path), Remove(path)); err != nil {
		t.Error(err)
	}
	if _, err := Read(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read what is not there: %v", err)
	}
}

// What cannot be kept leaves nothing, and the error says where it was to be.
func TestCannotKeep(t *testing.T) {
	dir := t.TempDir()
	open, link, file := filepath.Join(dir, "open"), filepath.Join(dir, "link"), filepath.Join(dir, "file")
	err := errors.Join(os.Mkdir(open, 0o700), os.Chmod(open, 0o777), os.Symlink(dir, link), os.WriteFile(file, nil, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ path, want string }{
		{filepath.Join(open, "journal"), open + " is not a directory that only this user"},
		{filepath.Join(link, "journal"), link + " is not a directory that only this user"},
		{filepath.Join(file, "journal"), file + " is not a directory that only this user"},
		{filepath.Join(dir, "absent", "below", "journal"), "no such file or directory"},
	} {
		if _, err := create(tt.path, lines()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.path, err, tt.want)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "journal")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was made: %v", err)
	}
}

// A record that others could have written is not believed.
func TestDistrusted(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"a file that others can write":      func(p string) error { return os.Chmod(p, 0o620) },
		"a directory that others can write": func(p string) error { return os.Chmod(filepath.Dir(p), 0o770) },
		"a pipe":                            func(p string) error { return errors.Join(os.Remove(p), unix.Mkfifo(p, 0o600)) },
	} {
		path := filepath.Join(t.TempDir(), "own", "journal")
		f, err := create(path, lines())
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Close(), spoil(path)); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); err == nil || !strings.Contains(err.Error(), "only this user can write") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A line that finds no room is taken back: what follows would be of no use otherwise.
func TestNoRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	if err := os.Chmod(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := create(path, lines())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	real := f.size
	f.size = maxFile - 10
	if err := f.append(sent("net/core/a", "11")); !errors.Is(err, unix.EFBIG) || !strings.Contains(err.Error(), path) {
		t.Errorf("a file without end: %v", err)
	}
	f.size = real
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	_ = f.Close()
	f.File = full
	if err := f.append(sent("net/core/a", "11")); !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), path) {
		t.Errorf("a full disk: %v", err)
	}
	if j, err := Read(path); err != nil || j.Sent() {
		t.Errorf("read %+v, %v", j, err)
	}
}

func TestMalformed(t *testing.T) {
	good := string(text(t, lines()))
	first := strings.SplitAfterN(good, "\n", 2)
	with := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	for name, tt := range map[string]struct{ text, want string }{
		"empty":            {"", "line 1: header: it is missing"},
		"only a part":      {good[:20], "line 1: header: it is missing"},
		"no JSON":          {"hello\n", "line 1: invalid character"},
		"no header":        {first[1], "line 1: header: it is missing"},
		"newer":            {with(`"version":2`, `"version":7,"more":1`), "line 1: header.version: it is 7"},
		"no version":       {with(`"version":2`, `"version":0`), "line 1: header.version"},
		"no boot":          {with(`"boot_id":"boot"`, `"boot_id":""`), "line 1: header.boot_id"},
		"no namespace":     {with(`"netns":1`, `"netns":0`), "line 1: header.netns"},
		"negative":         {with(`"keys":7`, `"keys":-7`), "line 1: header.keys"},
		"two headers":      {first[0] + first[0], "line 2: header: there is one already"},
		"unknown field":    {good + `{"sent":{"writes":[],"x":1}}` + "\n", `line 3: json: unknown field "x"`},
		"two fields":       {good + `{"sent":{"writes":[]},"restless":{"keys":[]}}` + "\n", "line 3: 2 fields"},
		"no field":         {good + "{}\n", "line 3: 0 fields"},
		"more on the line": {good + "{} {}\n", "line 3: something follows"},
		"way out":          {good + `{"sent":{"writes":[{"key":"net/../../etc/passwd","values":["1"]}]}}` + "\n", "line 3: sent.writes[0]: key"},
		"no network's":     {good + `{"sent":{"writes":[{"key":"kernel/foo","values":["1"]}]}}` + "\n", "line 3: sent.writes[0]: key \"kernel/foo\" is not below net/"},
		"confirmed":        {good + `{"confirmed":{"keys":["net/a",""]}}` + "\n", "line 3: confirmed.keys[1]: key"},
		"host way out":     {with("net/core/a", "net/../a"), "line 2: host.entries[0]: key"},
		"not a network's":  {with("net/core/a", "kernel/a"), "line 2: host.entries[0]: key"},
		"out of order":     {with("net/core/a", "net/d/a"), "line 2: host.entries[1]: key"},
		"too many":         {with(`"keys":7`, `"keys":6`), "line 2: host.entries[6]: there are more"},
		"too few":          {with(`"keys":7`, `"keys":8`), "host: there are 7 of 8 values"},
		"too few, then":    {with(`"keys":7`, `"keys":8`) + `{"restless":{"keys":[]}}` + "\n", "line 3: host: 7 of 8"},
		"no batch":         {good + `{"sent":{"batch":3}}` + "\n", "line 3: sent.batch: batch 3 is not planned"},
		"batch 0":          {good + `{"plan":{"batch":0,"writes":[]}}` + "\n", "line 3: plan.batch"},
		"plan way out":     {good + `{"plan":{"batch":1,"writes":[{"key":"net//x","values":[]}]}}` + "\n", "line 3: plan.writes[0]: key"},
		"lent way out":     {good + `{"lent":{"values":[{"key":"../x"}]}}` + "\n", "line 3: lent.values[0]: key"},
		"no process":       {good + `{"child":{"pid":-1,"started":1}}` + "\n", "line 3: child.pid"},
		"wrong type":       {with(`"pid":2`, `"pid":"two"`), "line 1: json: cannot unmarshal string into Go struct field Header.header.pid"},
	} {
		if j, err := Decode([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v (%+v), want %q", name, err, j, tt.want)
		}
	}
	path := filepath.Join(t.TempDir(), "journal")
	if err := os.WriteFile(path, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); err == nil || !strings.Contains(err.Error(), path+": line 1: ") {
		t.Errorf("the file is not named: %v", err)
	}
	if err := os.Truncate(path, maxFile+1); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); err == nil || !strings.Contains(err.Error(), "longer than 64 MiB") {
		t.Errorf("without end: %v", err)
	}
}

// Whoever is killed while it writes leaves a line without an end: that was not sent.
func TestCut(t *testing.T) {
	whole := text(t, lines(sent("net/core/a", "11"), sent("net/core/a", "12")))
	start := bytes.LastIndexByte(whole[:len(whole)-1], '\n') + 1
	for n := start; n < len(whole); n++ {
		j, err := Decode(whole[:n])
		if err != nil {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
		if !j.values["net/core/a"]["11"] || j.values["net/core/a"]["12"] {
			t.Fatalf("cut after %d bytes: %v", n, j.values)
		}
	}
}

func TestCheck(t *testing.T) {
	here := Place{BootID: "boot", NetNS: 1, Cookie: 5, Root: "/proc/sys"}
	for _, tt := range []struct {
		change func(*Place)
		want   string
	}{
		{func(*Place) {}, ""},
		{func(p *Place) { p.Cookie = 0 }, ""}, // an older kernel tells none
		{func(p *Place) { p.Cookie = 6 }, "another network namespace"},
		{func(p *Place) { p.NetNS = 2 }, "another network namespace (2, this is 1)"},
		{func(p *Place) { p.BootID = "other"; p.NetNS = 2 }, "another boot"},
		{func(p *Place) { p.Root = "/tmp" }, "another sysctl directory"},
	} {
		h := Header{Place: here}
		tt.change(&h.Place)
		if err := h.Check(here); tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%+v: %v, want %q", h.Place, err, tt.want)
		}
	}
	p, err := Here("/proc/sys/")
	if err != nil || p.BootID == "" || p.NetNS == 0 || p.Root != "/proc/sys" {
		t.Errorf("here: %+v, %v", p, err)
	}
}

// Whatever a file says, nothing panics; what is put back is a network key that was there and
// had a value; nothing is put back that was not sent or learnt where that has to be; and each
// change is judged once.
func FuzzDecode(f *testing.F) {
	whole := text(f, lines(every...))
	f.Add(whole)
	f.Add(whole[:len(whole)-9])
	f.Add([]byte(`{"header":{"version":3}}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Decode(b)
		if err != nil {
			return
		}
		if !r.Whole() || r.Header.Version != Version {
			t.Errorf("a record that is not whole: %+v", r.Header)
		}
		// What it says is the same when it is written again.
		again, err := Decode(text(t, append([]Line{{Header: &r.Header}}, HostLines(r.Host)...)))
		if err != nil || !reflect.DeepEqual(again.Host, r.Host) {
			t.Errorf("again: %v", err)
		}
		changes := []sysctl.Change{{Key: "net/came", Before: sysctl.Absent, After: sysctl.State{Value: "x"}}}
		for _, e := range r.Host {
			for _, v := range []string{"x", "11", "4242"} {
				changes = append(changes, sysctl.Change{Key: e.Key, Before: e.State, After: sysctl.State{Value: v}})
			}
		}
		for _, now := range []Now{{}, {Stale: true, Quiet: true}, {Quiet: true, Devices: r.Header.Devices}} {
			back, left := r.Judge(changes, now)
			for _, c := range back {
				if err := check(c.Key); err != nil || !c.Before.OK() || c.Before != r.Expected(c.Key) {
					t.Errorf("puts back %+v: %v", c, err)
				}
				_, leaks := r.effects[c.Key]
				if !leaks && !r.oneWay[c.Key] && !r.byRun[c.Key] && !r.returned[c.Key] && !r.UnderWay(c.Key, c.After.Value) && (!now.Quiet || now.Stale) {
					t.Errorf("puts back %+v, which nothing explains", c)
				}
			}
			same := 0
			for _, c := range changes {
				if c.After == r.Expected(c.Key) {
					same++
				}
			}
			if len(back)+len(left)+same != len(changes) {
				t.Errorf("%d changes, put back %+v, left %+v", len(changes), back, left)
			}
		}
		r.Loans()
		r.Hides("12345678")
	})
}

// A user's journal is looked for wherever another environment would have it.
func TestPathsOf(t *testing.T) {
	session, tmp, uid := t.TempDir(), t.TempDir(), os.Getuid()
	id := strconv.Itoa(uid)
	t.Setenv("XDG_RUNTIME_DIR", session)
	t.Setenv("TMPDIR", tmp)
	got := pathsOf(uid)
	want := []string{filepath.Join(session, "netns-verify/journal"), filepath.Join(tmp, "netns-verify-"+id, "journal"), filepath.Join("/tmp/netns-verify-"+id, "journal")}
	if got = slices.DeleteFunc(got, func(p string) bool { return strings.HasPrefix(p, "/run/user/") }); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	t.Setenv("XDG_RUNTIME_DIR", session+"/absent") // or of whoever became this user
	if got := pathsOf(uid); slices.Contains(got, session+"/absent/netns-verify/journal") || len(got) < 2 {
		t.Errorf("%q", got)
	}
}
