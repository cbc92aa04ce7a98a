package render_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/report/render"
)

// FuzzHostile: a guest's report may be anything that has the shape of one. It can be
// completed and shown in every format, and nothing of it panics.
func FuzzHostile(f *testing.F) {
	golden, err := filepath.Glob("testdata/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range golden {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, text := range []string{
		strings.ReplaceAll(`{"leaks":[{"cause":[{"key":"X","value":"X","errno":"X","writer":"X"}],"effects":[{"observer":"X","kind":"X","what":"X","key":"X","after":"X"}],
			"known":"X","reproducer":"X","evidence":{"status":"X","why":"X"}}],"unconfirmed":[{"key":"X","what":"sysctl","why":"X"}],
			"keys":[{"key":"X","verdict":"untested","untested_reason":"X","note":"X","writers":{"X":{"attempts":[{"value":"X","errno":"X"}]}}}],
			"host":{"kernel_release":"X","machine":"X","modules":[{"name":"X","error":"X","after_write":"X"}],"devices":[{"kind":"X","name":"X"},{"kind":"X","error":"X"}]},
			"run":{"exit_reason":"X","not_restored":[{"key":"X","why":"X"}],"skipped":[{"phase":"X","why":"X"}],"writing":["X"],"phase":"X","writers":["X"],"dry_run":false,"observe":["X","X"]},
			"vm":{"accel":"X"},"kernel_messages":[{"text":"X","phase":"X"}],"warnings":["X"]}`, "X", `\u001b[2J\u009b\u202e\n\u007f`),
		`{"run":{"dry_run":true,"writers":["\u001b"]},"plan":[{"key":"\u001b","writer":"\u001b","candidates":["\u001b"],"batch":1,"why":"\u001b"}]}`,
		`{}`, `{"leaks":[{}],"keys":[{}],"unconfirmed":[{}],"plan":[{}],"kernel_messages":[{}]}`,
		`{"leaks":[{"cause":[{}],"effects":[{}],"evidence":{"status":"one-way","candidates":[{}]}}]}`,
		`{"keys":[{"key":"","verdict":"untested","writers":{"":{"attempts":[{}]}}}],"run":{"not_restored":[{}],"skipped":[{}],"writing":[""]},"vm":{}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := &report.Report{}
		if json.Unmarshal(data, r) != nil {
			return
		}
		r.Normalize()
		r.Conclude(report.Ending{})
		for _, format := range render.Formats() {
			for _, o := range []render.Options{{}, {Width: 1}, {Verbose: true, Color: true, Width: 200}, {Quiet: true}} {
				var out bytes.Buffer
				if err := format.Write(&out, r, o); err != nil {
					t.Errorf("%s: %v", format.Name, err)
				}
				if i := bytes.IndexFunc(out.Bytes(), func(r rune) bool { return r != '\n' && !strconv.IsPrint(r) }); i >= 0 && !o.Color {
					t.Errorf("%s: %q reaches a terminal", format.Name, out.Bytes()[i:min(out.Len(), i+20)])
				}
			}
			if err := format.WriteAll(io.Discard, []*report.Report{r, r}, render.Options{}); err != nil {
				t.Errorf("%s: %v", format.Name, err)
			}
		}
		for _, text := range []string{
			render.Verdict(r, render.Options{}), render.Table([]*report.Report{r}, render.Options{}), render.Opening(r, "\x1b", render.Options{}),
		} {
			if strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && !strconv.IsPrint(r) }) {
				t.Errorf("%q reaches a terminal", text)
			}
		}
	})
}
