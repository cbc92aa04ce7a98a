package house

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// A rule says what is wrong with a house, one complaint for each breach.
type rule struct {
	name  string
	check func(*house) []string
	// breach is a house that breaks the rule: files to put into soundHouse.
	breach map[string]string
}

const (
	cobra    = "github.com/spf13/cobra"
	zerolog  = "github.com/rs/zerolog"
	reexec   = "github.com/moby/sys/reexec"
	maxLines = 400 // of a file

	maxPackage = 1200 // lines, tests left out
	maxMethods = 30
	maxFields  = 25
	maxFloors  = 5
)

var rules = []rule{
	{"parent and child never meet", apart("parent", "child"),
		map[string]string{"parent/x.go": uses("parent", module+"/internal/a", "a.X"), "internal/a/a.go": uses("a", module+"/child", "child.Main")}},
	{"parent speaks protocol", imports("parent", "protocol"),
		map[string]string{"parent/doc.go": "// Package parent is a parent.\npackage parent"}},
	{"child speaks protocol", imports("child", "protocol"),
		map[string]string{"child/doc.go": "// Package child is a child.\npackage child"}},
	{"protocol and report never meet", apart("protocol", "internal/report"),
		map[string]string{"internal/report/x.go": uses("report", module+"/protocol", "protocol.V")}},
	{"protocol and report share no types", noCommonTypes("protocol", "internal/report"),
		map[string]string{
			"protocol/x.go":        uses("protocol", module+"/internal/a", "a.X"),
			"internal/report/x.go": uses("report", module+"/internal/a", "a.X"),
			"internal/a/a.go":      "// Package a is an a.\npackage a\ntype X int",
		}},
	{"perturb is pure", pure("internal/perturb"), map[string]string{"internal/perturb/x.go": uses("perturb", "os", "os.File")}},
	{"bisect is pure", pure("internal/bisect"), map[string]string{"internal/bisect/x.go": uses("bisect", "time", "time.Timer") + "\nvar Now = time.Now"}},
	{"report is pure", pure("internal/report"), map[string]string{"internal/report/x.go": uses("report", "golang.org/x/sys/unix", "unix.Stat_t")}},
	{"known is pure", pure("internal/known"), map[string]string{"internal/known/x.go": uses("known", "net/http", "http.Client")}},
	{"only cmd knows cobra", only("cmd/").mayUse(cobra, "*"),
		map[string]string{"parent/x.go": uses("parent", cobra, "cobra.Command")}},
	{"only commands and the child's entry points exit", only("cmd/", "child/main.go", "child/drain.go", "child/offspring.go", "internal/bench/", "internal/storm/").mayUse("os", "Exit"),
		map[string]string{"child/x.go": uses("child", "os", "os.File") + "\nvar exit = os.Exit"}},
	{"nobody logs Fatal, which skips defers", noFatal,
		map[string]string{"cmd/netns-verify/x.go": uses("main", zerolog, "zerolog.Logger") + "\nfunc f(l zerolog.Logger) { l.Fatal().Msg(\"\") }"}},
	{"nobody uses a global logger", only().mayUse(zerolog+"/log", "*"),
		map[string]string{"parent/x.go": uses("parent", zerolog+"/log", "log.X")}},
	{"nobody uses package log", only().mayUse("log", "*"),
		map[string]string{"cmd/netns-verify/x.go": uses("main", "log", "log.Logger")}},
	{"loggers are passed, not kept in a package", noPackageLogger,
		map[string]string{"parent/x.go": uses("parent", zerolog, "zerolog.Event") + "\nvar log = zerolog.Nop()"}},
	{"loggers are made in cmd and the child's entry point", only("cmd/", "child/main.go").mayUse(zerolog, "New"),
		map[string]string{"parent/x.go": uses("parent", zerolog, "zerolog.Event") + "\nvar f = func() any { return zerolog.New(nil) }"}},
	{"only a guest mounts", only("internal/guest/").mayUse("golang.org/x/sys/unix", "Mount"),
		map[string]string{"parent/x.go": uses("parent", "golang.org/x/sys/unix", "unix.Stat_t") + "\nvar f = unix.Mount"}},
	{"only a guest ends its machine", only("internal/guest/", "internal/bench/poweroff/").mayUse("golang.org/x/sys/unix", "Reboot"),
		map[string]string{"parent/x.go": uses("parent", "golang.org/x/sys/unix", "unix.Stat_t") + "\nvar f = unix.Reboot"}},
	{"only QEMU, and what is measured, are other programs", only("internal/vm/", "internal/bench/", "internal/storm/", "internal/testenv/").mayUse("os/exec", "Command"),
		map[string]string{"parent/x.go": uses("parent", "os/exec", "exec.Cmd") + "\nvar f = exec.Command"}},
	{"processes are started in one way", only("internal/bench/").mayUse("os/exec", "CommandContext"),
		map[string]string{"parent/x.go": uses("parent", "os/exec", "exec.Cmd") + "\nvar f = exec.CommandContext"}},
	{"no program is started by hand", noneOf("os.StartProcess", "syscall.Exec", "syscall.ForkExec", "syscall.StartProcess", "golang.org/x/sys/unix.Exec"),
		map[string]string{"internal/vm/x.go": uses("vm", "golang.org/x/sys/unix", "unix.Stat_t") + "\nvar f = unix.Exec"}},
	{"no shell is invoked", noShell,
		map[string]string{"internal/vm/x.go": "package vm\nvar shell = \"/bin/sh\""}},
	{"every package has one package doc", onePackageDoc,
		map[string]string{"child/x.go": "// Package child is another child.\npackage child"}},
	{"files hold one concept: at most 400 lines", shortFiles,
		map[string]string{"child/x.go": "package child\n" + strings.Repeat("\n", maxLines)}},
	{"packages are small", atMost(maxPackage, "lines", lines),
		map[string]string{"child/a.go": "package child\n" + strings.Repeat("\n", maxPackage/2), "child/b.go": "package child\n" + strings.Repeat("\n", maxPackage/2)}},
	{"no type does everything", atMost(maxMethods, "methods", methods),
		map[string]string{"child/x_test.go": "package child\ntype T[P any] int\n" + numbered(maxMethods+1, "func (t *T[P]) m%d() {}\n")}},
	{"no type knows everything", atMost(maxFields, "fields", fields),
		map[string]string{"child/x_test.go": "package child\nfunc f() {\ntype T struct {\nint; a, b int\n" + numbered(maxFields-2, "f%d int\n") + "}\n}"}},
	{"the rooms below parent stand on at most 5 floors", floors("parent", maxFloors),
		map[string]string{"parent/a/a.go": roomOn("a", "b"), "parent/b/b.go": roomOn("b", "c"), "parent/c/c.go": roomOn("c", "d"), "parent/d/d.go": roomOn("d", "e"), "parent/e/e.go": roomOn("e", "f"), "parent/f/f.go": "// Package f is an f.\npackage f"}},
	{"no room imports parent", floors("parent", maxFloors),
		map[string]string{"parent/a/a.go": "// Package a is an a.\n" + uses("a", module+"/parent", "parent.Run")}},
	{"rooms do not import each other", floors("parent", maxFloors),
		map[string]string{"parent/a/a.go": roomOn("a", "b"), "parent/b/b.go": roomOn("b", "a")}},
	{"only parent/host writes to a host", atMost(0, "writes to a host", only("parent/host/").except(hostWrites)),
		map[string]string{"parent/host/x.go": "// Package host is a host.\npackage host\nfunc f() { h.Write(k, v) }", "parent/a/a.go": "// Package a is an a.\npackage a\nfunc f() { h.Write(v); h().Write(k, v) }"}},
	{"only parent/netns starts processes, and a child its own", atMost(0, "starts of a process", only("parent/netns/", "child/").except(usesOf(reexec, "Command"))),
		map[string]string{"parent/a/a.go": "// Package a is an a.\n" + uses("a", reexec, "reexec.Command")}},
	{"only parent/client sends requests", atMost(0, "uses of a request", only("parent/client/", "child/").except(usesOf(module+"/protocol", "Request"))),
		map[string]string{"parent/a/a.go": "// Package a is an a.\n" + uses("a", module+"/protocol", "protocol.Request")}},
	{"nothing made for tests is shipped", notShipped("testing", module+"/internal/simkernel", module+"/internal/testenv", module+"/internal/house", module+"/internal/kmod/kmodtest"),
		map[string]string{"parent/x.go": uses("parent", module+"/internal/a", "a.X"), "internal/a/a.go": uses("a", "testing", "testing.TB")}},
	{"the top level stays as it is", topLevel(
		"cmd", "parent", "child", "protocol", "internal", "docs", "go.mod", "go.sum", "Makefile", "README.md",
		"LICENSE", "CHANGELOG.md", "packaging", ".ci", ".gitignore", ".github"),
		map[string]string{"pkg/x/x.go": "// Package x is an x.\npackage x"}},
}

// soundHouse breaks no rule: the breaches are put into it.
func soundHouse() map[string]string {
	return map[string]string{
		"cmd/netns-verify/main.go":     "// Command netns-verify is a command.\npackage main\nimport (\"os\"; \"" + cobra + "\"; \"" + module + "/parent\"; \"" + module + "/child\")\nvar C cobra.Command\nfunc main() { parent.Run(); child.Main(); os.Exit(0) }",
		"cmd/netns-verify/x_test.go":   uses("main", "testing", "testing.TB"),
		"parent/doc.go":                "// Package parent is a parent.\n" + uses("parent", module+"/protocol", "protocol.V"),
		"child/doc.go":                 "// Package child is a child.\n" + uses("child", module+"/protocol", "protocol.V"),
		"child/main.go":                uses("child", "os", "os.File") + "\nfunc Main() { os.Exit(0) }",
		"protocol/doc.go":              "// Package protocol is a protocol.\npackage protocol\ntype V int",
		"internal/report/doc.go":       "// Package report is a report.\npackage report",
		"internal/perturb/doc.go":      "// Package perturb perturbs.\n" + uses("perturb", "syscall", "syscall.Errno") + "\nvar E = syscall.EINVAL",
		"internal/bisect/doc.go":       "// Package bisect bisects.\npackage bisect",
		"internal/known/doc.go":        "// Package known knows.\n" + uses("known", "time", "time.Duration"),
		"internal/simkernel/doc.go":    "// Package simkernel simulates.\n" + uses("simkernel", "testing", "testing.TB"),
		"internal/house/doc.go":        "// Package house houses.\npackage house",
		"internal/x/testdata/bad/x.go": "package bad\nimport \"log\"",
	}
}

// uses is a file that imports a path and names something of it in a type.
func uses(pkg, imported, name string) string {
	return "package " + pkg + "\nimport \"" + imported + "\"\ntype T struct { x " + name + " }"
}

// roomOn is a room that imports another.
func roomOn(pkg, below string) string {
	return "// Package " + pkg + " is a room.\n" + uses(pkg, module+"/parent/"+below, below+".X")
}

// numbered is lines with the numbers up to n.
func numbered(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestRules(t *testing.T) {
	ours, err := load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	ours.entries, ours.debts = tracked(t), debts
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, complaint := range r.check(ours) {
				t.Error(complaint)
			}
			if c := r.check(build(t, nil)); len(c) > 0 {
				t.Errorf("complains about a sound house: %q", c)
			}
			if len(r.check(build(t, r.breach))) == 0 {
				t.Error("does not notice its breach")
			}
		})
	}
}

// TestLoad proves that the house that is checked is the whole one.
func TestLoad(t *testing.T) {
	h, err := load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"child/main.go", "internal/sysctl/key.go", "parent/doc.go"} {
		if !slices.ContainsFunc(h.files, func(f *file) bool { return f.name == name }) {
			t.Errorf("%s is not among the files that are checked", name)
		}
	}
	if slices.ContainsFunc(h.files, func(f *file) bool { return strings.HasSuffix(f.name, "_test.go") }) {
		t.Error("tests are among them")
	}
}

func build(t *testing.T, breach map[string]string) *house {
	t.Helper()
	tree := fstest.MapFS{}
	for _, files := range []map[string]string{soundHouse(), breach} {
		for name, src := range files {
			tree[name] = &fstest.MapFile{Data: []byte(src)}
		}
	}
	h, err := load(tree)
	if err != nil {
		t.Fatal(err)
	}
	for name := range tree {
		h.entries = append(h.entries, strings.SplitN(name, "/", 2)[0])
	}
	return h
}

// tracked is the top-level entries that git knows, so that a report somebody
// left lying there is no breach.
func tracked(t *testing.T) []string {
	t.Helper()
	if _, err := os.Stat("../../.git"); err != nil {
		t.Log("not a git checkout: the top-level entries are not checked")
		return nil
	}
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("git", "-c", "safe.directory="+path.Dir(path.Dir(root)), "ls-files", "-z", "--", ":/")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	var entries []string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		entries = append(entries, strings.SplitN(name, "/", 2)[0])
	}
	slices.Sort(entries)
	return slices.Compact(entries)
}
