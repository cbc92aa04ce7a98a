package journal

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

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/sysctl"
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
	return &Header{Version: Version, Tool: "v1", Place: Place{BootID: "boot", NetNS: 1, Root: "/proc/sys"}, PID: 2, Keys: len(host)}
}

func announced(key string, values ...string) Line {
	w := Write{Key: protocol.Bytes(key)}
	for _, v := range values {
		w.Values = append(w.Values, protocol.Bytes(v))
	}
	return Line{Announced: &Announced{Writes: []Write{w}}}
}

func ahead(key string, values ...string) Line {
	return Line{Ahead: announced(key, values...).Announced}
}

func values(k sysctl.Key, v string) *Values {
	return &Values{Values: []Value{ValueOf(k, sysctl.State{Value: v})}}
}

// lines is a journal of the host with more at its end.
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

// What is written is read again, whatever bytes it has.
func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "own", "journal")
	f, err := Create(path, lines())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []Line{
		announced("net/core/a", "11", "\xff"), announced("net/core/a", "12"),
		{Confirmed: KeysOf([]sysctl.Key{"net/core/vector"})}, {Restless: KeysOf([]sysctl.Key{"net/core/counter"})},
		ahead("net/core/a", "12", "13"), ahead("net/core/vector", "7"), announced("net/core/vector", "7"),
		{Theirs: values("net/core/a", "4242")}, {Theirs: values("net/core/a", "4343")}, {Overwritten: values("net/core/seen", "5")},
	} {
		if err := f.Append(l); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.file.WriteAt([]byte(`{"announced":{"writes":[{"key":"net/core/a","values":["never sent, and longer than what comes then"]}]}`), f.size); err != nil {
		t.Fatal(err) // killed in the middle of it
	}
	for _, l := range []Line{{Overwritten: values("net/core/counter", "6")}, {Overwritten: &Values{Values: []Value{{Key: "net/core/seen"}}}}} {
		if err := Append(path, l); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): fs.ModeDir | 0o700} {
		if st, err := os.Stat(file); err != nil || st.Mode() != want {
			t.Errorf("%s: mode %v, want %v (%v)", file, st.Mode(), want, err)
		}
	}
	j, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(j.Host, host) || j.Header != *header() {
		t.Errorf("read %+v", j)
	}
	if want := map[string]bool{"11": true, "12": true, "13": false, "\xff": true}; !reflect.DeepEqual(j.announced["net/core/a"], want) ||
		!j.confirmed["net/core/vector"] || !j.Restless("net/core/counter") || !j.Written() {
		t.Errorf("read %+v", j)
	}
	if got, want := j.Theirs(), (map[sysctl.Key]sysctl.State{"net/core/a": {Value: "4343"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("theirs %v", got)
	}
	if got, want := j.Overwritten(), []sysctl.Change{{Key: "net/core/counter", Before: sysctl.State{Value: "7"}, After: sysctl.State{Value: "6"}}}; !reflect.DeepEqual(got, want) {
		t.Errorf("overwritten %v", got)
	}
	if got, want := j.Announced(false), ahead("net/core/a", "13").Ahead.Writes; !reflect.DeepEqual(got, want) {
		t.Errorf("ahead %v", got)
	}
	if got, want := j.Announced(true)[1], announced("net/core/vector", "7").Announced.Writes[0]; !reflect.DeepEqual(got, want) {
		t.Errorf("under way %v", got)
	}
	if _, err := Create(path, lines()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a journal that is there was replaced: %v", err)
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
		if _, err := Create(tt.path, lines()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.path, err, tt.want)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "journal")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was made: %v", err)
	}
}

// A journal that others could have written is not believed.
func TestDistrusted(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"a file that others can write":      func(p string) error { return os.Chmod(p, 0o620) },
		"a directory that others can write": func(p string) error { return os.Chmod(filepath.Dir(p), 0o770) },
		"a pipe":                            func(p string) error { return errors.Join(os.Remove(p), unix.Mkfifo(p, 0o600)) },
	} {
		path := filepath.Join(t.TempDir(), "own", "journal")
		f, err := Create(path, lines())
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
	f, err := Create(path, lines())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	real := f.size
	f.size = maxFile - 10
	if err := f.Append(announced("net/core/a", "11")); !errors.Is(err, unix.EFBIG) || !strings.Contains(err.Error(), path) {
		t.Errorf("a file without end: %v", err)
	}
	f.size = real
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	_ = f.file.Close()
	f.file = full
	if err := f.Append(announced("net/core/a", "11")); !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), path) {
		t.Errorf("a full disk: %v", err)
	}
	if j, err := Read(path); err != nil || j.Written() {
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
		"newer":            {with(`"version":1`, `"version":7,"more":1`), "line 1: header.version: it is 7"},
		"no version":       {with(`"version":1`, `"version":0`), "line 1: header.version"},
		"no boot":          {with(`"boot_id":"boot"`, `"boot_id":""`), "line 1: header.boot_id"},
		"no namespace":     {with(`"netns":1`, `"netns":0`), "line 1: header.netns"},
		"negative":         {with(`"keys":7`, `"keys":-7`), "line 1: header.keys"},
		"two headers":      {first[0] + first[0], "line 2: header: there is one already"},
		"unknown field":    {good + `{"announced":{"writes":[],"x":1}}` + "\n", `line 3: json: unknown field "x"`},
		"two fields":       {good + `{"announced":{"writes":[]},"restless":{"keys":[]}}` + "\n", "line 3: 2 fields"},
		"no field":         {good + "{}\n", "line 3: 0 fields"},
		"more on the line": {good + "{} {}\n", "line 3: something follows"},
		"way out":          {good + `{"announced":{"writes":[{"key":"net/../../etc/passwd","values":["1"]}]}}` + "\n", "line 3: announced.writes[0]: key"},
		"no network's":     {good + `{"announced":{"writes":[{"key":"kernel/foo","values":["1"]}]}}` + "\n", "line 3: announced.writes[0]: key \"kernel/foo\" is not below net/"},
		"confirmed":        {good + `{"confirmed":{"keys":["net/a",""]}}` + "\n", "line 3: confirmed.keys[1]: key"},
		"host way out":     {with("net/core/a", "net/../a"), "line 2: host.entries[0]: key"},
		"not a network's":  {with("net/core/a", "kernel/a"), "line 2: host.entries[0]: key"},
		"out of order":     {with("net/core/a", "net/d/a"), "line 2: host.entries[1]: key"},
		"too many":         {with(`"keys":7`, `"keys":6`), "line 2: host.entries[6]: there are more"},
		"too few":          {with(`"keys":7`, `"keys":8`), "host: there are 7 of 8 values"},
		"too few, then":    {with(`"keys":7`, `"keys":8`) + `{"restless":{"keys":[]}}` + "\n", "line 3: host: 7 of 8"},
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
	whole := text(t, lines(announced("net/core/a", "11"), announced("net/core/a", "12")))
	start := bytes.LastIndexByte(whole[:len(whole)-1], '\n') + 1
	for n := start; n < len(whole); n++ {
		j, err := Decode(whole[:n])
		if err != nil {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
		if !j.announced["net/core/a"]["11"] || j.announced["net/core/a"]["12"] {
			t.Fatalf("cut after %d bytes: %v", n, j.announced)
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

func FuzzDecode(f *testing.F) {
	whole := text(f, lines(
		announced("net/core/a", "11"), ahead("net/core/a", "12"), Line{Theirs: values("net/core/a", "13")}, Line{Overwritten: values("net/core/seen", "5")},
		Line{Confirmed: KeysOf([]sysctl.Key{"net/core/a"})}, Line{Restless: KeysOf([]sysctl.Key{"net/core/b"})},
	))
	f.Add(whole)
	f.Add(whole[:len(whole)-9])
	f.Add([]byte(`{"header":{"version":2}}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		j, err := Decode(b)
		if err != nil {
			return
		}
		if !j.Whole() || j.Header.Version != Version {
			t.Errorf("a journal that is not whole: %+v", j.Header)
		}
		// What it says is the same when it is written again.
		again, err := Decode(text(t, append([]Line{{Header: &j.Header}}, HostLines(j.Host)...)))
		if err != nil || !reflect.DeepEqual(again.Host, j.Host) {
			t.Errorf("again: %v", err)
		}
		var changes []sysctl.Change
		for _, e := range j.Host {
			changes = append(changes, sysctl.Change{Key: e.Key, Before: e.State, After: sysctl.State{Value: "x"}})
		}
		if got := j.Judge(changes); len(got.Ours)+len(got.Open)+len(got.Left) != len(changes) {
			t.Errorf("%d changes, judged %+v", len(changes), got)
		}
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
