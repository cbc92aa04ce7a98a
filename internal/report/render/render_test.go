package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/netns-verify/netns-verify/internal/report"
)

func TestGolden(t *testing.T) {
	for name, r := range samples() {
		for _, tt := range []struct {
			file   string
			format string
			o      Options
		}{
			{name + ".json", "json", Options{}},
			{name + ".80.txt", "text", Options{}},
			{name + ".200.verbose.txt", "text", Options{Width: 200, Verbose: true}},
			{name + ".quiet.color.txt", "text", Options{Quiet: true, Color: true}},
		} {
			t.Run(tt.file, func(t *testing.T) {
				f, err := Find(tt.format)
				if err != nil {
					t.Fatal(err)
				}
				var got bytes.Buffer
				if err := f.Write(&got, r, tt.o); err != nil {
					t.Fatal(err)
				}
				golden(t, tt.file, got.String())
			})
		}
	}
	for _, name := range []string{"incomplete", "dryrun"} {
		golden(t, name+".opening.txt", Opening(samples()[name], "/proc/sys", Options{}))
	}
}

func TestSeveral(t *testing.T) {
	rs := []*report.Report{samples()["clean"], samples()["died"], samples()["leaks"]}
	for i, r := range rs {
		r.Host.KernelRelease = []string{"5.10.0-32-cloud-amd64", "6.1.0", "7.3-rc7"}[i]
	}
	rs[2].Counts.Creation = map[report.Creation]int{report.CreationInherited: 3, report.CreationShared: 1}
	for _, f := range Formats() {
		var got bytes.Buffer
		if err := f.WriteAll(&got, rs, Options{Quiet: true}); err != nil {
			t.Fatal(err)
		}
		golden(t, "several."+f.Name, got.String())
		if err := f.WriteAll(full{}, rs, Options{}); !errors.Is(err, errFull) {
			t.Errorf("%s: got %v", f.Name, err)
		}
	}
	golden(t, "vm.opening.txt", OpeningVM(rs[0].Tool, []string{"5.10.0-32-cloud-amd64", "6.1.0"}, 42, Options{}))
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update rewrites it); got:\n%s", file, got)
	}
}

// Registered once for the package: `go test ./internal/report/render -update`.
func init() { flag.Bool("update", false, "rewrite the golden files") }

func TestJSONHoldsEverything(t *testing.T) {
	for name, r := range samples() {
		var text bytes.Buffer
		if err := JSON(&text, r, Options{}); err != nil {
			t.Fatal(err)
		}
		var back report.Report
		d := json.NewDecoder(&text)
		d.DisallowUnknownFields()
		if err := d.Decode(&back); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var again bytes.Buffer
		if err := JSON(&again, &back, Options{}); err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join("testdata", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		if again.String() != string(want) {
			t.Errorf("%s does not survive reading and writing", name)
		}
	}
}

// Only what is to be copied whole may be wider than the page.
func TestWidth(t *testing.T) {
	for name, r := range samples() {
		for _, width := range []int{60, 80, 120} {
			var text bytes.Buffer
			if err := Text(&text, r, Options{Width: width}); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(text.String()) {
				line = strings.TrimRight(line, "\n")
				words := strings.Fields(line)
				copied := strings.Contains(line, "sudo sysctl") || len(words) <= 2
				if utf8.RuneCountInString(line) > width && !copied {
					t.Errorf("%s at %d columns: %q", name, width, line)
				}
				if strings.TrimRight(line, " ") != line && strings.TrimSpace(line) != "" {
					t.Errorf("%s: space at the end of %q", name, line)
				}
			}
		}
	}
}

func TestPlain(t *testing.T) {
	for name, r := range samples() {
		var text bytes.Buffer
		if err := Text(&text, r, Options{Verbose: true}); err != nil {
			t.Fatal(err)
		}
		for _, c := range text.String() {
			if c < ' ' && c != '\n' {
				t.Errorf("%s: control character %q without colour", name, c)
			}
		}
		if v := Verdict(r, Options{}); strings.Count(v, "\n") != 1 {
			t.Errorf("%s: the verdict is not one line: %q", name, v)
		}
	}
}

func TestFind(t *testing.T) {
	if _, err := Find("yaml"); err == nil || !strings.Contains(err.Error(), `"yaml"`) || !strings.Contains(err.Error(), "text, json") {
		t.Errorf("unhelpful error: %v", err)
	}
}

func TestWriteFails(t *testing.T) {
	for _, f := range Formats() {
		if err := f.Write(full{}, samples()["leaks"], Options{}); !errors.Is(err, errFull) {
			t.Errorf("%s: got %v", f.Name, err)
		}
	}
}

var errFull = errors.New("no space")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
