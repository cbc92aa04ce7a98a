package guestlink

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/protocol"
)

const build = "v1 abc"

func hello() Message { return Message{Hello: &Hello{Version: Version, Build: build}} }

func sent(t testing.TB, ms ...Message) []byte {
	t.Helper()
	var buf bytes.Buffer
	s := NewSender(&buf)
	for _, m := range ms {
		if err := s.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	return buf.Bytes()
}

func TestEverythingArrives(t *testing.T) {
	value := "1"
	all := []Message{
		hello(),
		{Host: &report.Host{KernelRelease: "6.1.0", Modules: []report.Module{}}},
		{Progress: &Progress{Phase: "forward", Done: 3, Total: 9, Doing: "attributing", Leaks: 1}},
		{Writing: &Writing{Phase: "forward", Keys: []protocol.Bytes{"net/a", "net/\xff"}}},
		{Log: &Log{Line: json.RawMessage(`{"level":"info"}`)}},
		{Module: &report.Module{Name: "x25", LoadedBy: report.LoadedByUs, Error: "EPERM"}},
		{Kernel: &report.KernelMessage{Text: "WARNING", Phase: "forward", AfterWrite: "net/a"}},
		{Leak: &report.Leak{Cause: []report.Cause{{Key: "net/a", Attempt: report.Attempt{Value: &value}, Writer: "root"}}}},
		{Final: &Final{Report: &report.Report{SchemaVersion: report.SchemaVersion}, Error: "x"}},
	}
	// The other end sees each message before the next one is sent, however few
	// bytes come at a time.
	r, w := io.Pipe()
	seen := make(chan Message)
	go func() {
		s := NewSender(w)
		for _, m := range all {
			if err := s.Send(m); err != nil {
				t.Error(err)
			}
			if got := <-seen; !reflect.DeepEqual(got, m) {
				t.Errorf("sent %+v, got %+v", m, got)
			}
		}
		if err := s.Send(hello()); err != nil { // nothing follows the last word
			t.Error(err)
		}
		_ = w.Close()
	}()
	final, err := Receive(iotest.OneByteReader(r), build, func(m Message) error { seen <- m; return nil })
	if err != nil || final.Error != "x" {
		t.Errorf("%+v, %v", final, err)
	}
	for f, v := range reflect.ValueOf(Message{}).Fields() { // the list above is whole
		found := false
		for _, m := range all {
			found = found || !reflect.ValueOf(m).FieldByName(f.Name).IsZero()
		}
		if !found {
			t.Errorf("no %s was sent (%v)", f.Name, v.Type())
		}
	}
}

func TestFaults(t *testing.T) {
	whole := sent(t, hello(), Message{Final: &Final{}})
	var garbage bytes.Buffer
	z := gzip.NewWriter(&garbage)
	_, _ = z.Write([]byte("{\"hello\":1}\n"))
	_ = z.Close()
	for name, tc := range map[string]struct {
		stream []byte
		want   string
		died   bool
	}{
		"silent":        {nil, "without a last word", true},
		"only hello":    {sent(t, hello()), "without a last word", true},
		"cut short":     {whole[:len(whole)-20], "without a last word", true},
		"no gzip":       {[]byte("[    0.000000] Linux version 6.1.0, and more of that\n"), "invalid header", false},
		"no hello":      {sent(t, Message{Final: &Final{}}), "no hello", false},
		"two hellos":    {sent(t, hello(), hello()), "second hello", false},
		"other version": {sent(t, Message{Hello: &Hello{Version: Version + 1, Build: build}}), "version", false},
		"other build":   {sent(t, Message{Hello: &Hello{Version: Version, Build: "v2"}}), `"v2"`, false},
		"malformed":     {garbage.Bytes(), "malformed", false},
	} {
		_, err := Receive(bytes.NewReader(tc.stream), build, func(Message) error { return nil })
		if err == nil || !strings.Contains(err.Error(), tc.want) || errors.Is(err, ErrNoFinal) != tc.died {
			t.Errorf("%s: %v", name, err)
		}
	}
	enough := errors.New("enough")
	if _, err := Receive(bytes.NewReader(whole), build, func(Message) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("the callback's error became %v", err)
	}
}

func TestOrderIsStrict(t *testing.T) {
	glob, err := sysctl.ParseGlob("net.ipv4.tcp_*")
	if err != nil {
		t.Fatal(err)
	}
	in := Order{Run: &Run{Build: build, Seed: 7, Include: []sysctl.Glob{glob}}}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out Order
	if err := protocol.Decode(b, &out); err != nil || !reflect.DeepEqual(in, out) {
		t.Errorf("%s came back as %+v, %v", b, out, err)
	}
	for _, bad := range []string{``, `{}`, `{"run":{"speed":1}}`, `{"run":{"include":["["]}}`, `{"run":{}} x`} {
		if err := protocol.Decode([]byte(bad), new(Order)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func FuzzReceive(f *testing.F) {
	f.Add(sent(f, hello(), Message{Final: &Final{}}))
	f.Add(sent(f, hello(), Message{Log: &Log{Line: json.RawMessage(`1`)}}))
	f.Add([]byte("\x1f\x8b"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		said := false
		final, err := Receive(bytes.NewReader(stream), build, func(m Message) error {
			if said == (m.Hello != nil) {
				t.Errorf("hello at the wrong place: %+v", m)
			}
			said = true
			return nil
		})
		if (final == nil) == (err == nil) {
			t.Errorf("final %v with error %v", final, err)
		}
	})
}

// FuzzOrder: an order that is taken is the same when it is passed on.
func FuzzOrder(f *testing.F) {
	f.Add([]byte(`{"run":{"build":"v1","include":["net/ipv4/**"],"observe":["net"],"writers":["root"],"settle_ns":1}}`))
	f.Add([]byte(`{"probe":{"writes":[{"key":"net/a","value":{"b64":"/w=="}}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var o, again Order
		if protocol.Decode(data, &o) != nil {
			return
		}
		b, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := protocol.Decode(b, &again); err != nil {
			t.Errorf("%q became %q: %v", data, b, err)
		}
	})
}

// What a guest says is bounded in all, and in what one message takes in memory.
func TestTooMuch(t *testing.T) {
	var b bytes.Buffer
	s := NewSender(&b)
	if err := s.Send(hello()); err != nil {
		t.Fatal(err)
	}
	line := `{"final":{"effects":[` + strings.Repeat("null,", 2<<20) + "null]}}\n"
	if _, err := s.zip.Write([]byte(line)); err != nil {
		t.Fatal(err)
	}
	if err := s.zip.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Receive(&b, build, func(Message) error { return nil }); !errors.Is(err, protocol.ErrTooMuch) {
		t.Errorf("%.200v", err)
	}
}
