package house

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
)

// exists guards rules that name a package: without it they would hold for a
// name that is misspelt.
func (h *house) exists(pkgs ...string) (complaints []string) {
	for _, p := range pkgs {
		if len(h.in(p)) == 0 {
			complaints = append(complaints, "there is no package "+p)
		}
	}
	return complaints
}

// apart: no package of either directory needs one of the other's, not even through a third.
func apart(a, b string) func(*house) []string {
	return func(h *house) []string {
		complaints := h.exists(a, b)
		for _, pair := range [][2]string{{a, b}, {b, a}} {
			for _, pkg := range h.below(pair[0]) {
				for p, way := range h.reach(pkg) {
					if within(module+"/"+pair[1], p) {
						complaints = append(complaints, way)
					}
				}
			}
		}
		return complaints
	}
}

// imports: some package of a directory imports the other one directly.
func imports(dir, pkg string) func(*house) []string {
	return func(h *house) []string {
		for _, f := range h.files {
			for _, p := range f.imports {
				if within(dir, f.pkg()) && p == module+"/"+pkg {
					return nil
				}
			}
		}
		return []string{fmt.Sprintf("%s does not import %s", dir, pkg)}
	}
}

// noCommonTypes: no type of ours stands in the type declarations of both.
func noCommonTypes(a, b string) func(*house) []string {
	ours := func(h *house, pkg string) (names []name) {
		for _, f := range h.in(pkg) {
			for _, d := range f.toplevel(token.TYPE) {
				names = append(names, f.selected(d)...)
			}
		}
		return slices.DeleteFunc(names, func(n name) bool { return !strings.HasPrefix(n.from, module+"/") })
	}
	return func(h *house) []string {
		complaints, others := h.exists(a, b), ours(h, b)
		for _, n := range ours(h, a) {
			if slices.Contains(others, n) {
				complaints = append(complaints, fmt.Sprintf("%s and %s both have %s in their types", a, b, n))
			}
		}
		return complaints
	}
}

// floors: the packages below a directory import each other in one direction only, on so many
// floors at most, and none of them imports the directory's own, which is on top.
func floors(dir string, most int) func(*house) []string {
	return func(h *house) (complaints []string) {
		complaints = h.exists(dir)
		floor := map[string]int{} // 1 is the lowest; 0: being looked at
		var of func(pkg string) int
		of = func(pkg string) int {
			if n, known := floor[pkg]; known {
				return n
			}
			floor[pkg] = 0
			n := 1
			for _, f := range h.in(pkg) {
				for _, p := range f.imports {
					room := strings.TrimPrefix(p, module+"/")
					switch {
					case room == dir:
						complaints = append(complaints, fmt.Sprintf("%s imports %s, which is above it", f.name, dir))
					case !within(dir, room):
					case of(room) == 0:
						complaints = append(complaints, fmt.Sprintf("%s imports %s, which needs it", f.name, room))
					default:
						n = max(n, of(room)+1)
					}
				}
			}
			floor[pkg] = n
			if n == most+1 {
				complaints = append(complaints, fmt.Sprintf("%s is on floor %d, at most %d are allowed", pkg, n, most))
			}
			return n
		}
		for _, pkg := range h.below(dir) {
			if pkg != dir {
				of(pkg)
			}
		}
		return complaints
	}
}

// pure: no I/O, no clock. Errnos and signals are values: they may be named.
func pure(pkg string) func(*house) []string {
	closed := []string{"os", "net", "log", "io/ioutil", "plugin", cobra, zerolog,
		module + "/parent", module + "/child", module + "/protocol"}
	clock := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}
	return func(h *house) []string {
		complaints := h.exists(pkg)
		for _, f := range h.in(pkg) {
			for _, p := range f.imports {
				if slices.ContainsFunc(closed, func(c string) bool { return p == c || strings.HasPrefix(p, c+"/") }) {
					complaints = append(complaints, fmt.Sprintf("%s imports %s", f.name, p))
				}
			}
			for _, n := range f.selected(f.tree) {
				switch {
				case n.from == "time" && slices.Contains(clock, n.name):
					complaints = append(complaints, fmt.Sprintf("%s looks at the clock: %s", f.name, n))
				case (n.from == "syscall" || n.from == "golang.org/x/sys/unix") &&
					!strings.HasPrefix(n.name, "E") && !strings.HasPrefix(strings.ToUpper(n.name), "SIG"):
					complaints = append(complaints, fmt.Sprintf("%s makes system calls: %s", f.name, n))
				}
			}
		}
		return complaints
	}
}

// allowed is the files and, with a slash at the end, directories that may do a thing.
type allowed []string

func only(where ...string) allowed { return where }

func (a allowed) has(f *file) bool {
	return slices.ContainsFunc(a, func(w string) bool {
		return f.name == w || strings.HasSuffix(w, "/") && strings.HasPrefix(f.name, w)
	})
}

// mayUse: nobody else uses a name of a package, or imports the package where
// the name is "*".
func (a allowed) mayUse(from, what string) func(*house) []string {
	taken := name{from, what}
	return func(h *house) (complaints []string) {
		for _, f := range h.files {
			if a.has(f) {
				continue
			}
			for _, p := range f.imports {
				if what == "*" && p == from {
					complaints = append(complaints, fmt.Sprintf("%s imports %s", f.name, p))
				}
			}
			if slices.Contains(f.selected(f.tree), taken) {
				complaints = append(complaints, fmt.Sprintf("%s uses %s", f.name, taken))
			}
		}
		return complaints
	}
}

// noneOf: nobody uses any of these names of packages.
func noneOf(taken ...string) func(*house) []string {
	return func(h *house) (complaints []string) {
		for _, t := range taken {
			dot := strings.LastIndex(t, ".")
			complaints = append(complaints, only().mayUse(t[:dot], t[dot+1:])(h)...)
		}
		return complaints
	}
}

// noShell: no text is the name of a shell.
func noShell(h *house) (complaints []string) {
	for _, f := range h.files {
		ast.Inspect(f.tree, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			text, _ := strconv.Unquote(lit.Value)
			if slices.Contains([]string{"sh", "bash", "dash", "ash", "busybox"}, path.Base(text)) {
				complaints = append(complaints, fmt.Sprintf("%s names a shell: %s", f.name, lit.Value))
			}
			return true
		})
	}
	return complaints
}

// noFatal looks for zerolog's Fatal: a method without arguments, unlike testing's.
func noFatal(h *house) (complaints []string) {
	for _, f := range h.files {
		ast.Inspect(f.tree, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && len(call.Args) == 0 {
				if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Fatal" {
					complaints = append(complaints, f.name+" logs Fatal")
				}
			}
			return true
		})
	}
	return complaints
}

func noPackageLogger(h *house) (complaints []string) {
	for _, f := range h.files {
		for _, d := range f.toplevel(token.VAR) {
			// What a function does when it is called is not what the package keeps.
			ast.Inspect(d, func(n ast.Node) bool {
				if _, ok := n.(*ast.FuncLit); ok {
					return false
				}
				if e, ok := n.(*ast.SelectorExpr); ok && slices.ContainsFunc(f.selected(e), func(n name) bool { return n.from == zerolog }) {
					complaints = append(complaints, fmt.Sprintf("%s keeps a logger in a package variable", f.name))
				}
				return true
			})
		}
	}
	return complaints
}

func onePackageDoc(h *house) (complaints []string) {
	docs := map[string]int{}
	for _, f := range h.files {
		want := "Package " + f.tree.Name.Name + " "
		if f.tree.Name.Name == "main" {
			want = "Command "
		}
		docs[f.pkg()] += 0
		if strings.HasPrefix(f.tree.Doc.Text(), want) {
			docs[f.pkg()]++
		}
	}
	for pkg, n := range docs {
		if n != 1 {
			complaints = append(complaints, fmt.Sprintf("%s has %d package docs, want one", pkg, n))
		}
	}
	return complaints
}

func shortFiles(h *house) (complaints []string) {
	for _, f := range h.files {
		if f.lines > maxLines {
			complaints = append(complaints, fmt.Sprintf("%s has %d lines", f.name, f.lines))
		}
	}
	return complaints
}

// notShipped: the command needs none of these, not even through another package.
func notShipped(paths ...string) func(*house) []string {
	return func(h *house) []string {
		complaints := h.exists("cmd/netns-verify")
		ways := h.reach("cmd/netns-verify")
		for _, p := range paths {
			if way, ok := ways[p]; ok {
				complaints = append(complaints, way)
			}
		}
		return complaints
	}
}

func topLevel(names ...string) func(*house) []string {
	return func(h *house) (complaints []string) {
		for _, e := range h.entries {
			if !slices.Contains(names, e) {
				complaints = append(complaints, e+" does not belong at the top level")
			}
		}
		return complaints
	}
}
