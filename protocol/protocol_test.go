package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"testing/quick"

	"golang.org/x/sys/unix"

	"github.com/netns-verify/netns-verify/internal/sysctl"
)

func TestValuesSurvive(t *testing.T) {
	f := func(b []byte, errno uint8) bool {
		var buf bytes.Buffer
		send := NewConn[Request, Reply](nil, &buf)
		in := Reply{Changes: &Changes{Changes: []Change{{
			Key: "net/x", Before: FromState(sysctl.State{Value: string(b)}), After: FromState(sysctl.State{Errno: unix.Errno(errno)}),
		}}}}
		if err := send.Send(in); err != nil {
			t.Log(err)
			return false
		}
		out, err := NewConn[Reply, Request](&buf, nil).Receive()
		return err == nil && reflect.DeepEqual(in, out)
	}
	if err := quick.Check(f, &quick.Config{MaxCount: 2000}); err != nil {
		t.Error(err)
	}
	for _, v := range []Bytes{"", "\n", "\x00", "\xff", "é", "\u2028<>&", Bytes(strings.Repeat("\xfe", 100_000))} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var back Bytes
		if err := json.Unmarshal(b, &back); err != nil || back != v {
			t.Errorf("%q came back as %q, %v", v, back, err)
		}
	}
}

func TestErrorsKeepTheirErrno(t *testing.T) {
	for _, in := range []error{
		&fs.PathError{Op: "write", Path: "/proc/sys/net/x", Err: unix.EPERM},
		&fs.PathError{Op: "write", Path: "/proc/sys/net/x", Err: io.ErrShortWrite},
		unix.EBUSY, errors.New("plain"), nil,
	} {
		b, err := json.Marshal(FromError(in))
		if err != nil {
			t.Fatal(err)
		}
		var e *Error
		if err := json.Unmarshal(b, &e); err != nil {
			t.Fatal(err)
		}
		out := e.Err()
		if (in == nil) != (out == nil) || in != nil && in.Error() != out.Error() {
			t.Errorf("%v came back as %v", in, out)
		}
		for _, n := range []unix.Errno{unix.EPERM, unix.EBUSY} {
			if errors.Is(in, n) != errors.Is(out, n) {
				t.Errorf("errors.Is(%v, %v) changed on the way", in, n)
			}
		}
		var a, b2 *fs.PathError
		if errors.As(in, &a) != errors.As(out, &b2) {
			t.Errorf("%v lost its path", in)
		}
	}
}

func TestStrict(t *testing.T) {
	for _, tc := range []struct{ line, want string }{
		{`{"sweep":{}}`, ""},
		{`{}`, "0 fields set"},
		{`{"sweep":{},"quit":{}}`, "2 fields set"},
		{`{"sweep":{"x":1}}`, "unknown field"},
		{`{"swoop":{}}`, "unknown field"},
		{`{"sweep":{}} {}`, "something follows"},
		{`{"sweep":{}} garbage`, "something follows"},
		{`null`, "0 fields set"},
		{`[]`, "malformed"},
		{``, "malformed"},
		{"\xff", "malformed"},
		{`{"perturb":{"items":[{"key":"a","candidates":[1],"want":1}]}}`, "malformed"},
	} {
		_, err := NewConn[Request, Reply](strings.NewReader(tc.line+"\n"), nil).Receive()
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%q: %v, want %q", tc.line, err, tc.want)
		}
	}
}

func TestEnds(t *testing.T) {
	for in, want := range map[string]error{"": io.EOF, `{"sweep":{}`: io.ErrUnexpectedEOF, `{"sweep":{}}`: io.ErrUnexpectedEOF} {
		_, err := NewConn[Request, Reply](strings.NewReader(in), nil).Receive()
		if !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", in, err, want)
		}
	}
}

// endless is a line that never ends.
type endless struct{ n int }

func (e *endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'a'
	}
	e.n += len(b)
	return len(b), nil
}

func TestLength(t *testing.T) {
	e := &endless{}
	_, err := NewConn[Request, Reply](e, nil).Receive()
	if !errors.Is(err, ErrTooLong) || e.n > 2*MaxMessage {
		t.Errorf("%v after %d bytes", err, e.n)
	}
	// One of exactly MaxMessage passes, both ways.
	overhead := len(`{"failed":{"message":""}}`)
	var buf bytes.Buffer
	out := NewConn[Request, Reply](nil, &buf)
	if err := out.Send(Reply{Failed: &Error{Message: strings.Repeat("a", MaxMessage-overhead)}}); err != nil {
		t.Fatal(err)
	}
	if r, err := NewConn[Reply, Request](&buf, nil).Receive(); err != nil || len(r.Failed.Message) != MaxMessage-overhead {
		t.Errorf("the largest message did not pass: %v", err)
	}
	if err := out.Send(Reply{Failed: &Error{Message: strings.Repeat("a", MaxMessage-overhead+1)}}); !errors.Is(err, ErrTooLong) {
		t.Errorf("a longer one was sent: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"survey":{}}`, `{"perturb":{"items":[{"key":"net/x","candidates":["1",{"b64":"/w=="}],"want":1}]}}`,
		`{"write":{"key":"net/x","value":"1","error":{"op":"write","path":"p","errno":22},"before":{},"after":{"errno":5}}}`,
		`{"hello":{"version":1,"build":"x","pid":1,"netns":1}}`, `{"done":{}}`, `{"value":{"b64":""}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		again(t, line, new(Request))
		again(t, line, new(Reply))
	})
}

// again checks that what was decoded survives another round.
func again[M any](t *testing.T, line []byte, m *M) {
	if Decode(line, m) != nil {
		return
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatalf("%q was decoded but cannot be encoded: %v", line, err)
	}
	back := new(M)
	if err := Decode(b, back); err != nil {
		t.Fatalf("%q was encoded as %q, which cannot be decoded: %v", line, b, err)
	}
	b2, err := json.Marshal(back)
	if err != nil || !bytes.Equal(b, b2) {
		t.Fatalf("%q and %q differ: %v", b, b2, err)
	}
}

// TestAllow: what is received in all is bounded where that was asked for.
func TestAllow(t *testing.T) {
	c := NewConn[Request, Reply](strings.NewReader(strings.Repeat(`{"sweep":{}}`+"\n", 4)), nil)
	for i := range 4 {
		if i == 1 {
			c.Allow(2 * int64(len(`{"sweep":{}}`)))
		}
		if _, err := c.Receive(); errors.Is(err, ErrTooMuch) != (i == 3) {
			t.Errorf("message %d: %v", i, err)
		}
	}
}

// FuzzReceive: whatever comes over a pipe, in whichever pieces, ends.
func FuzzReceive(f *testing.F) {
	f.Add([]byte(`{"survey":{}}` + "\n" + `{"quit":{}}` + "\n"))
	f.Add([]byte("\n\x00{\"look\":{\"keys\":[\"a\""))
	f.Fuzz(func(t *testing.T, stream []byte) {
		whole, pieces := NewConn[Request, Reply](bytes.NewReader(stream), nil), NewConn[Request, Reply](iotest.OneByteReader(bytes.NewReader(stream)), nil)
		for range bytes.Count(stream, []byte("\n")) + 1 {
			a, err := whole.Receive()
			b, err2 := pieces.Receive()
			if (err == nil) != (err2 == nil) || !reflect.DeepEqual(a, b) {
				t.Errorf("%+v, %v; in pieces %+v, %v", a, err, b, err2)
			}
		}
		if _, err := whole.Receive(); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("it does not end: %v", err)
		}
	})
}
