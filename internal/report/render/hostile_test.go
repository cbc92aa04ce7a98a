package render_test

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
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
				if err := format.Write(io.Discard, r, o); err != nil {
					t.Errorf("%s: %v", format.Name, err)
				}
			}
			if err := format.WriteAll(io.Discard, []*report.Report{r, r}, render.Options{}); err != nil {
				t.Errorf("%s: %v", format.Name, err)
			}
		}
		render.Verdict(r, render.Options{})
		render.Table([]*report.Report{r}, render.Options{})
		render.Opening(r, "", render.Options{})
	})
}
