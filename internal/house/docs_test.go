package house

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/netns-verify/netns-verify/protocol"
)

// TestTourIsWhole wants every package in docs/architecture.md.
func TestTourIsWhole(t *testing.T) {
	doc, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	h, err := load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]bool{}
	for _, f := range h.files {
		missing[f.pkg()] = !strings.Contains(string(doc), "`"+f.pkg()+"`")
	}
	for pkg, is := range missing {
		if is {
			t.Errorf("docs/architecture.md does not say what %s is for", pkg)
		}
	}
}

// TestProtocolExamples reads every message in docs/protocol.md and wants an
// example of each.
func TestProtocolExamples(t *testing.T) {
	doc, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for line := range strings.Lines(string(doc)) {
		if !strings.HasPrefix(line, "{") {
			continue
		}
		var req protocol.Request
		var rep protocol.Reply
		var m any = &req
		if protocol.Decode([]byte(line), &req) != nil {
			m = &rep
			if err := protocol.Decode([]byte(line), &rep); err != nil {
				t.Errorf("%s is no message: %v", strings.TrimSpace(line), err)
				continue
			}
		}
		for f, v := range reflect.ValueOf(m).Elem().Fields() {
			shown[f.Name] = shown[f.Name] || !v.IsNil()
		}
	}
	for _, m := range []any{protocol.Request{}, protocol.Reply{}} {
		for f := range reflect.TypeOf(m).Fields() {
			if !shown[f.Name] {
				t.Errorf("docs/protocol.md shows no %s", f.Name)
			}
		}
	}
}
