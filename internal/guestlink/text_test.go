package guestlink

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/protocol"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "plain": "plain", " a\tb\r\nc\n": "a b c", "\x1b[2Jx\x07\u009b1m\u202ey": "[2Jx1my", "gr\u00fc\u00df": "gr\u00fc\u00df",
	} {
		if got := Printable(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// No text of a message can do anything to a terminal; values stay what they are.
func TestHarmless(t *testing.T) {
	const evil = "\x1b]0;x\x07"
	value := evil
	line, err := json.Marshal(map[string]any{"message": evil, evil: []any{evil, map[string]any{"n": 12345678901234567}}})
	if err != nil {
		t.Fatal(err)
	}
	r := &report.Report{
		Warnings: []string{evil + "two\nlines"},
		Keys:     []report.Key{{Key: evil, Writers: map[string]report.Writer{evil: {}}}},
		Leaks:    []report.Leak{{Known: evil, Cause: []report.Cause{{Key: evil, Attempt: report.Attempt{Value: &value}}}}},
	}
	var heard []Message
	stream := sent(t, hello(),
		Message{Progress: &Progress{Phase: evil, Doing: evil + "\nx"}},
		Message{Writing: &Writing{Phase: evil, Keys: []protocol.Bytes{evil, "net/\xff"}}},
		Message{Log: &Log{Line: line}}, Message{Log: &Log{Line: json.RawMessage(`{"z":1,"a":2}`)}},
		Message{Module: &report.Module{Name: evil, Error: evil}},
		Message{Kernel: &report.KernelMessage{Text: evil}},
		Message{Final: &Final{Report: r, Error: evil}},
	)
	_, err = Receive(bytes.NewReader(stream), build, func(m Message) error {
		heard = append(heard, m)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	final := heard[len(heard)-1].Final
	if got := final.Report.Leaks[0].Cause[0].Value; got == nil || *got != evil {
		t.Errorf("the value is %v", got)
	}
	final.Report.Leaks[0].Cause[0].Value = nil
	const tame = "]0;x"
	for _, m := range heard {
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), `\u00`) || m.Hello == nil && m.Log == nil && !strings.Contains(string(text), tame) {
			t.Errorf("%s", text)
		}
	}
	if p := heard[1].Progress; p.Doing != tame+" x" {
		t.Errorf("%+v", p)
	}
	if k := heard[2].Writing.Keys[1]; k != "net/\xff" {
		t.Errorf("a key became %q", k)
	}
	if got, want := string(heard[3].Log.Line), `{"]0;x":["]0;x",{"n":12345678901234567}],"message":"]0;x"}`; got != want {
		t.Errorf("logged %s", got)
	}
	if got := string(heard[4].Log.Line); got != `{"z":1,"a":2}` {
		t.Errorf("logged %s", got)
	}
	if got := final.Report.Keys[0].Writers; !reflect.DeepEqual(got, map[string]report.Writer{tame: {}}) {
		t.Errorf("writers %v", got)
	}
	if got := final.Report.Warnings; got[0] != tame+"two\nlines" {
		t.Errorf("warnings %q", got)
	}
}
