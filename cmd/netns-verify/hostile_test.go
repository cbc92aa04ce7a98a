package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/internal/testenv"
	"github.com/netns-verify/netns-verify/parent"
)

// Names that a terminal would act on, that are not UTF-8, and one that looks as
// such a one is shown.
const (
	hostileDir = "\x1b]0;owned\a\u009b31m\u202e"
	hostileKey = "net/core/a\x1b[2J\r\n\x7f"
	notUTF8    = "net/core/b\xff"
	alike      = `net/core/b\xff`
)

// hostileTree is a tree of files with such names in a directory with such a name.
func hostileTree(t *testing.T) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), hostileDir)
	if err := os.MkdirAll(filepath.Join(root, "net", "core"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{hostileKey, notUTF8, alike, "net/core/keya", "net/core/keyb"} {
		if err := os.WriteFile(filepath.Join(root, k), []byte("100\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// plain complains about what a terminal would act on.
func plain(t *testing.T, where, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Errorf("%s is not UTF-8: %q", where, text)
	}
	if i := strings.IndexFunc(text, func(r rune) bool {
		return r != '\n' && r != '\t' && (r < ' ' || r == 0x7f || r == '\u009b' || r == '\u202e')
	}); i >= 0 {
		t.Errorf("%s has a control character: %q", where, text[max(0, i-60):min(len(text), i+60)])
	}
}

// Whatever names are hostile, nothing of them reaches a terminal as it is.
func TestHostileNames(t *testing.T) {
	testenv.OwnMachine(t)
	for _, tt := range []struct {
		name string
		args []string // ROOT is a tree of that kind
		says []string // on one of the two streams
	}{
		{"report", []string{"run", "--root", "ROOT", "--verbose"}, []string{`"net.core.a\x1b[2J\r\n\x7f"`, `"net.core.b\xff"`, `net.core.b\xff:`, `\033[2J\015\012\177`, `b\377=`}},
		{"leaks and losses", []string{"run", "--root", "ROOT", "--quiet"}, []string{`"net.core.b\xff" ->`}},
		{"JSON", []string{"run", "--root", "ROOT", "--json"}, []string{`"key_b64"`, `\u001b[2J\r\n\u007f`}},
		{"log for people", []string{"run", "--root", "ROOT", "--log-format", "console", "--log-level", "debug"}, []string{`net/core/b\\xff`}},
		{"log for machines", []string{"run", "--root", "ROOT", "--log-format", "json", "--log-level", "debug"}, []string{`"key":"net/core/b\\xff"`}},
		{"plan", []string{"run", "--root", "ROOT", "--dry-run", "--verbose"}, []string{`"net.core.b\xff": 101`}},
		{"no such tree", []string{"run", "--root", "ROOT" + "/none" + hostileDir, "--log-format", "console"}, []string{`\x1b]0;owned\a`}},
		{"no such tree, on file", []string{"run", "--root", "ROOT" + "/none", "--log-format", "json"}, []string{`\u001b]0;owned`}},
		{"pattern", []string{"run", "--root", "ROOT", "--include", "net/\x1b[31m\xff["}, []string{`\x1b[31m\xff[`}},
		{"report file", []string{"run", "--root", "ROOT", "--output", "ROOT"}, []string{"not a regular file"}},
		{"command line", []string{"\x1b[31m"}, []string{`\x1b[31m`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := hostileTree(t)
			for i := range tt.args {
				tt.args[i] = strings.Replace(tt.args[i], "ROOT", root, 1)
			}
			_, stdout, stderr := cli(t, tt.args...)
			plain(t, "stdout", stdout)
			plain(t, "stderr", stderr)
			for _, s := range tt.says {
				if !strings.Contains(stdout+stderr, s) {
					t.Errorf("no %s in\n%s\n%s", s, stdout, stderr)
				}
			}
		})
	}
}

// In JSON each key can be told from all others.
func TestHostileKeysInJSON(t *testing.T) {
	testenv.OwnMachine(t)
	root := hostileTree(t)
	_, stdout, stderr := cli(t, "run", "--root", root, "--json")
	var r report.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	keys, causes, effects := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, k := range r.Keys {
		keys[report.Whole(k.Key, k.KeyB64)] = true
	}
	for _, l := range r.Leaks {
		causes[report.Whole(l.Cause[0].Key, l.Cause[0].KeyB64)] = true
		for _, e := range l.Effects {
			effects[report.Whole(e.Key, e.KeyB64)] = true
		}
	}
	for where, got := range map[string]map[string]bool{"keys": keys, "causes": causes, "effects": effects} {
		for _, k := range []string{hostileKey, notUTF8, alike} {
			if !got[k] {
				t.Errorf("%s: no %q among %v", where, k, got)
			}
		}
	}
}

// restore shows the same keys, from a journal that has them.
func TestHostileNamesRestored(t *testing.T) {
	testenv.OwnMachine(t)
	root := hostileTree(t)
	leaveJournal(t, root, nil)
	for _, k := range []string{hostileKey, notUTF8} {
		setKey(t, root, k, "101\x1b[2J")
	}
	for _, args := range [][]string{{"--dry-run"}, {"--dry-run", "--json"}, {}, {"--yes"}} {
		_, stdout, stderr := cli(t, append([]string{"restore", "--root", root}, args...)...)
		plain(t, "stdout", stdout)
		plain(t, "stderr", stderr)
		want := `"net.core.b\xff"`
		if slices.Contains(args, "--json") {
			want = `"key_b64"`
		}
		if !strings.Contains(stdout, want) {
			t.Errorf("%v: no %s in\n%s%s", args, want, stdout, stderr)
		}
	}
	_, stdout, stderr := cli(t, "restore", "--root", filepath.Join(root, "none"))
	plain(t, "an error", stdout+stderr)
}

// The live line is one line.
func TestHostileProgress(t *testing.T) {
	s, out := testScreen(false, 200)
	s.moves = true
	s.progress(parent.Progress{Phase: parent.Phase("x\x1b[2J"), Doing: "writing " + string(sysctl.Key(hostileKey))})
	s.draw()
	s.settle()
	text := strings.ReplaceAll(strings.ReplaceAll(out.String(), "\r", ""), "\x1b[K", "")
	plain(t, "the live line", text)
	if strings.Count(text, "\n") != 1 {
		t.Errorf("%q", text)
	}
}
