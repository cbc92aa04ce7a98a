package record

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/trace"
	"github.com/netns-verify/netns-verify/protocol"
)

func itemOf(key string, values ...protocol.Bytes) protocol.Item {
	return protocol.Item{Key: protocol.Bytes(key), Candidates: values, Want: 1}
}

func perturbing(items ...protocol.Item) protocol.Request {
	return protocol.Request{Perturb: &protocol.Perturb{Items: items}}
}

// begun is a record of the host that is about to be written.
func begun(t *testing.T, cfg Config) *Writer {
	t.Helper()
	cfg.Place = header().Place
	w := NewWriter(cfg)
	if err := w.Begin(host, time.Second); err != nil {
		t.Fatal(err)
	}
	return w
}

// noPID is beyond what a process may have.
const noPID = 1 << 23

// What is sent is on file before: by its batch's number where it is planned, else with its
// values, and each value once. The file is there from the first line on, until the end.
func TestWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "own", "journal")
	w := begun(t, Config{Path: path})
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) || w.Record().Sent() {
		t.Errorf("it is there before anything was planned: %v", err)
	}
	a, v := itemOf("net/core/a", "11", "12"), itemOf("net/core/vector", "4")
	a.Avoid = []protocol.Bytes{"13"}
	replay := func(k, v protocol.Bytes, read bool) protocol.Request {
		return protocol.Request{Replay: &protocol.Replay{Writes: []protocol.Assign{{Key: k, Value: v, Read: read}}}}
	}
	steps := []struct {
		do   func() error
		want string // the lines that it adds
	}{
		{func() error { return w.Plan([][]protocol.Item{{a}, {v}}) }, `{"plan":{"batch":1,"writes":[{"key":"net/core/a","values":["11","12","13"]}]}}
{"plan":{"batch":2,"writes":[{"key":"net/core/vector","values":["4"]}]}}
`},
		{func() error { return w.Request(noPID, "userns", perturbing(a)) }, `{"child":{"pid":8388608,"started":0,"by":"userns"}}
{"sent":{"batch":1}}
`},
		{func() error { return w.Request(noPID, "userns", replay("net/core/a", "11", false)) }, ""},
		{func() error { return w.Request(noPID, "userns", replay("net/core/a", "14", false)) }, `{"sent":{"writes":[{"key":"net/core/a","values":["14"]}]}}
`},
		{func() error { return w.Request(noPID, "userns", replay("net/core/seen", "", true)) }, ""},
		{func() error { return w.Through([]trace.Write{{Key: "net/core/vector", Value: "5"}}) }, `{"sent":{"writes":[{"key":"net/core/vector","values":["5"]}]}}
`},
		{func() error {
			return w.ReadBack([]trace.Write{
				{Key: "net/core/a", After: sysctl.State{Value: "11,12"}}, {Key: "net/core/a", After: sysctl.State{Value: "12"}}, {Key: "net/core/a", After: sysctl.Absent},
			})
		}, `{"read_back":{"writes":[{"key":"net/core/a","values":["11,12"]}]}}
`},
		{func() error { return w.Restless([]sysctl.Key{"kernel/x", "net/core/counter"}) }, `{"restless":{"keys":["net/core/counter"]}}
`},
		{func() error { return w.Restless([]sysctl.Key{"net/core/counter"}) }, ""},
		{func() error { return w.Lend("net/core/a", sysctl.State{Value: "42"}) }, `{"lent":{"values":[{"key":"net/core/a","state":{"value":"42"}}]}}
`},
		{func() error { return w.Theirs("net/core/a", sysctl.State{Value: "42"}) }, `{"theirs":{"values":[{"key":"net/core/a","state":{"value":"42"}}]}}
`},
		{func() error { return w.Theirs("net/core/a", sysctl.State{Value: "42"}) }, ""},
		{func() error { return w.OnHost([]sysctl.Key{"net/core/a"}) }, `{"lent":{"values":[{"key":"net/core/a"}]}}
`},
		{func() error { return w.OnHost([]sysctl.Key{"net/core/a"}) }, ""},
		{func() error { return w.Learn(Line{Confirmed: keys("net/core/a")}) }, `{"confirmed":{"keys":["net/core/a"]}}
`},
		{func() error { return w.Lend("net/core/a", sysctl.State{Value: "43"}) }, ""},
		{func() error { return w.Noise(false) }, `{"noise":{"loud":false}}
`},
		// The second pass: what was sent before is not planned again.
		{func() error { return w.Plan([][]protocol.Item{{v, itemOf("net/core/a", "11")}}) }, `{"plan":{"batch":3,"writes":[{"key":"net/core/vector","values":["4"]}]}}
`},
		{func() error { return w.Request(noPID+1, "root", perturbing(v)) }, `{"child":{"pid":8388609,"started":0,"by":"root"}}
{"sent":{"batch":3}}
`},
	}
	before := ""
	for i, s := range steps {
		if err := s.do(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		added := strings.TrimPrefix(string(text), before)
		if before == "" {
			_, added, _ = strings.Cut(added, "\n")
			_, added, _ = strings.Cut(added, "\n") // the host
		}
		if added != s.want {
			t.Errorf("step %d adds %q, want %q", i, added, s.want)
		}
		before = string(text)
	}
	read, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if read.Last = w.Record().Last; !reflect.DeepEqual(read.values, w.Record().values) || !reflect.DeepEqual(read.byRun, w.Record().byRun) || read.By() != w.Record().By() {
		t.Errorf("who reads it knows %+v, who has written it %+v", read, w.Record())
	}
	if err := w.End(false); err != nil || !w.Ended() {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

// A record without a name is read through a descriptor, and is empty after the end.
func TestUnlinked(t *testing.T) {
	f, err := Unlinked()
	if err != nil {
		t.Skip(err)
	}
	defer func() { _ = f.Close() }()
	w := begun(t, Config{File: f})
	if err := w.Request(noPID, "root", perturbing(itemOf("net/core/a", "11"))); err != nil {
		t.Fatal(err)
	}
	if r, err := ReadFrom(f); err != nil || !r.UnderWay("net/core/a", "11") {
		t.Errorf("read %+v, %v", r, err)
	}
	if err := w.End(false); err != nil {
		t.Error(err)
	}
	if st, err := f.Stat(); err != nil || st.Size() != 0 {
		t.Errorf("%+v, %v", st, err)
	}
}

// What could not be appended must not be done, nor anything after it, until the run is ending.
func TestWriterFails(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	gone := errors.New("gone")
	for want, cfg := range map[error]Config{unix.ENOSPC: {File: full}, gone: {Alive: func() error { return gone }}} {
		w := begun(t, cfg)
		send := func() error { return w.Request(noPID, "root", perturbing(itemOf("net/core/a", "11"))) }
		for i, f := range []func() error{
			send, w.Err, func() error { return w.Theirs("net/core/a", sysctl.State{Value: "5"}) },
			func() error { return w.Lend("net/core/a", sysctl.State{Value: "5"}) }, func() error { return w.OnHost([]sysctl.Key{"net/core/a"}) }, send,
		} {
			if err := f(); !errors.Is(err, want) {
				t.Errorf("step %d: %v, want %v", i, err, want)
			}
		}
		w.Ending()
		if err := errors.Join(w.Err(), send()); err != nil {
			t.Errorf("when the run is ending: %v", err)
		}
	}
	_ = full.Close()
}

func TestStartOf(t *testing.T) {
	if own := StartOf(os.Getpid()); own == 0 || own != StartOf(os.Getpid()) || StartOf(noPID) != 0 {
		t.Errorf("started at %d", own)
	}
}
