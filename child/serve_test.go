package child

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/protocol"
)

// talk serves a tree on pipes and returns the parent's end.
func talk(t *testing.T, tree sysctl.Tree) (conn *protocol.ParentConn, hangUp func(), ended chan error) {
	t.Helper()
	requests, toChild := io.Pipe()
	fromChild, replies := io.Pipe()
	ended = make(chan error, 1)
	go func() {
		err := Serve(tree, protocol.Hello{Version: protocol.Version}, requests, replies, zerolog.Nop())
		_ = replies.Close()
		ended <- err
	}()
	conn = protocol.NewConn[protocol.Reply, protocol.Request](fromChild, toChild)
	if r, err := conn.Receive(); err != nil || r.Hello == nil {
		t.Fatalf("no hello: %+v, %v", r, err)
	}
	return conn, func() { _ = toChild.Close() }, ended
}

// ask sends a request and collects the replies up to and with done or failed.
func ask(t *testing.T, conn *protocol.ParentConn, req protocol.Request) []protocol.Reply {
	t.Helper()
	if err := conn.Send(req); err != nil {
		t.Fatal(err)
	}
	var replies []protocol.Reply
	for {
		r, err := conn.Receive()
		if err != nil {
			t.Fatal(err)
		}
		replies = append(replies, r)
		if r.Done != nil || r.Failed != nil {
			return replies
		}
	}
}

func fixture(t *testing.T, files map[string]string) *sysctl.Proc {
	t.Helper()
	root := t.TempDir()
	for name, value := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(value+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return sysctl.NewProc(root)
}

func TestSession(t *testing.T) {
	tree := fixture(t, map[string]string{"net/a": "1", "net/b": "\xff"})
	conn, _, ended := talk(t, tree)
	survey := ask(t, conn, protocol.Request{Survey: &protocol.Survey{}})
	if len(survey) != 2 || len(survey[0].Entries.Entries) != 2 || survey[0].Entries.Entries[1].State.Value != "\xff" {
		t.Fatalf("survey: %+v", survey)
	}
	got := ask(t, conn, protocol.Request{Perturb: &protocol.Perturb{Items: []protocol.Item{
		{Key: "net/a", Candidates: []protocol.Bytes{"1", "2", "3", "4"}, Avoid: []protocol.Bytes{"2"}, Want: 1},
	}}})
	if len(got) != 2 || got[0].Write.Value != "3" || got[0].Write.Before.Value != "1" || got[0].Write.After.Value != "3" {
		t.Fatalf("perturb: %+v", got[0].Write)
	}
	got = ask(t, conn, protocol.Request{Replay: &protocol.Replay{Writes: []protocol.Assign{{Key: "net/a", Value: "3"}, {Key: "net/none", Value: "x"}}}})
	if len(got) != 3 || got[0].Write.Error != nil || !errors.Is(got[1].Write.Error.Err(), unix.ENOENT) {
		t.Fatalf("replay: %+v", got)
	}
	got = ask(t, conn, protocol.Request{Sweep: &protocol.Sweep{}})
	if c := got[0].Changes.Changes; len(c) != 1 || c[0].Key != "net/a" || c[0].Before.Value != "1" || c[0].After.Value != "3" {
		t.Fatalf("sweep: %+v", got)
	}
	ask(t, conn, protocol.Request{Quit: &protocol.Quit{}})
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestEffectiveWritesAreCounted(t *testing.T) {
	for _, tc := range []struct {
		want int
		n    int
	}{{0, 1}, {1, 1}, {2, 2}, {9, 3}} {
		conn, hangUp, ended := talk(t, fixture(t, map[string]string{"net/a": "1"}))
		got := ask(t, conn, protocol.Request{Perturb: &protocol.Perturb{Items: []protocol.Item{
			{Key: "net/a", Candidates: []protocol.Bytes{"2", "3", "4"}, Want: tc.want},
		}}})
		if len(got)-1 != tc.n {
			t.Errorf("%d wanted: %d writes, want %d", tc.want, len(got)-1, tc.n)
		}
		hangUp()
		<-ended
	}
}

// unreadable is a tree with a state for one of its keys, whatever was written.
type unreadable struct {
	sysctl.Tree
	mode  fs.FileMode
	errno unix.Errno
}

func (u unreadable) Mode(sysctl.Key) (fs.FileMode, error) { return u.mode, nil }
func (u unreadable) Read(sysctl.Key) sysctl.State         { return sysctl.State{Errno: u.errno} }
func (u unreadable) Keep() sysctl.Reader                  { return u }
func (u unreadable) Close() error                         { return nil }

// A key that cannot be read at the moment of writing is not written, unless that is in
// its nature.
func TestUnreadIsNotWritten(t *testing.T) {
	for _, tt := range []struct {
		mode  fs.FileMode
		errno unix.Errno
		wrote bool
	}{
		{0o644, unix.EFBIG, false}, {0o644, unix.EACCES, false}, {0o600, unix.EINVAL, false}, {0o666, unix.ENOMEM, false},
		{0o200, unix.EACCES, true}, {0o600, unix.EIO, true}, {0o644, unix.EIO, true},
	} {
		tree := fixture(t, map[string]string{"net/a": "1"})
		conn, hangUp, ended := talk(t, unreadable{tree, tt.mode, tt.errno})
		got := ask(t, conn, protocol.Request{Perturb: &protocol.Perturb{Items: []protocol.Item{
			{Key: "net/a", Candidates: []protocol.Bytes{"2"}, Avoid: []protocol.Bytes{"1"}, Want: 1},
		}}})
		if wrote := tree.Read("net/a").Value == "2"; wrote != tt.wrote || (len(got) > 1) != tt.wrote {
			t.Errorf("mode %04o, %v: written: %v, %+v", tt.mode, tt.errno, wrote, got)
		}
		hangUp()
		<-ended
	}
}

func TestFailuresLeaveTheChildServing(t *testing.T) {
	conn, hangUp, ended := talk(t, fixture(t, map[string]string{"net/a": "1"}))
	got := ask(t, conn, protocol.Request{Sweep: &protocol.Sweep{}})
	if got[0].Failed == nil || !strings.Contains(got[0].Failed.Err().Error(), "before survey") {
		t.Fatalf("sweep before survey: %+v", got)
	}
	if got = ask(t, conn, protocol.Request{Survey: &protocol.Survey{}}); got[0].Entries == nil {
		t.Fatalf("survey after a failure: %+v", got)
	}
	hangUp()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "without saying quit") {
		t.Errorf("a parent that went away: %v", err)
	}
}

// panicky is a tree with a bug.
type panicky struct{ sysctl.Tree }

func (panicky) List() ([]sysctl.Key, error)          { panic("no list") }
func (panicky) Keep() sysctl.Reader                  { return nil }
func (panicky) Mode(sysctl.Key) (fs.FileMode, error) { return 0, nil }

func TestPanicIsAFailure(t *testing.T) {
	conn, _, ended := talk(t, panicky{})
	got := ask(t, conn, protocol.Request{Survey: &protocol.Survey{}})
	if f := got[0].Failed; f == nil || !strings.Contains(f.Message, "no list") {
		t.Fatalf("panic: %+v", got)
	}
	if err := <-ended; err == nil {
		t.Error("the child went on after a panic")
	}
}

// bearing is a tree from which another namespace can be made, if with an error.
type bearing struct {
	sysctl.Tree
	born protocol.Entries
	err  error
}

func (b bearing) Offspring(pass func(*protocol.Entries) error) error {
	return errors.Join(pass(&b.born), b.err)
}

func TestOffspring(t *testing.T) {
	tree := fixture(t, map[string]string{"net/a": "1"})
	born := protocol.Entries{Entries: []protocol.Entry{{Key: "net/a", Mode: 0o644, State: protocol.State{Value: "2"}}}}
	for _, tc := range []struct {
		tree    sysctl.Tree
		failure string
	}{
		{bearing{tree, born, nil}, ""},
		{bearing{tree, born, unix.ENOSPC}, "no space left"},
		{tree, "no namespace can be made"},
	} {
		conn, hangUp, ended := talk(t, tc.tree)
		got := ask(t, conn, protocol.Request{Offspring: &protocol.Offspring{}})
		last := got[len(got)-1]
		if tc.failure == "" && (len(got) != 2 || got[0].Entries == nil || got[0].Entries.Entries[0].State.Value != "2" || last.Done == nil) {
			t.Errorf("offspring: %+v", got)
		}
		if tc.failure != "" && (last.Failed == nil || !strings.Contains(last.Failed.Err().Error(), tc.failure)) {
			t.Errorf("%s: %+v", tc.failure, got)
		}
		hangUp()
		<-ended
	}
}

func TestGarbageEndsTheChild(t *testing.T) {
	requests, toChild := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- Serve(fixture(t, nil), protocol.Hello{}, requests, io.Discard, zerolog.Nop())
	}()
	if _, err := io.WriteString(toChild, "garbage\n"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "malformed") {
		t.Errorf("garbage: %v", err)
	}
}

// sluggish is a tree to which each write takes long.
type sluggish struct{ sysctl.Tree }

func (sluggish) Write(sysctl.Key, string) error { time.Sleep(time.Minute); return nil }

// What takes long is told as it goes on: silence means that a child hangs.
func TestSlowWritesAreTold(t *testing.T) {
	tree := sluggish{fixture(t, map[string]string{"net/a": "1"})}
	synctest.Test(t, func(t *testing.T) {
		conn, hangUp, ended := talk(t, tree)
		began := time.Now()
		err := conn.Send(protocol.Request{Replay: &protocol.Replay{Writes: []protocol.Assign{{Key: "net/a", Value: "2"}, {Key: "net/a", Value: "3"}, {Key: "net/a", Value: "4"}}}})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if r, err := conn.Receive(); err != nil || r.Write == nil {
				t.Fatalf("%+v, %v", r, err)
			}
			if at := time.Since(began); at != time.Duration(i+1)*time.Minute {
				t.Errorf("write %d is told after %v", i+1, at)
			}
		}
		if r, err := conn.Receive(); err != nil || r.Done == nil {
			t.Fatalf("%+v, %v", r, err)
		}
		hangUp()
		<-ended
	})
}
