package house

import (
	"fmt"
	"go/ast"
	"maps"
	"slices"
	"strings"
	"testing"
)

// figures is what is counted, by the name of a package or a type.
type figures map[string]int

// atMost is a rule with a limit. What is beyond it for now is a debt (debts_test.go), which
// does not grow, and is lowered or struck off the list as soon as it can be: a twentieth is
// left to small changes.
func atMost(most int, what string, count func(*house) figures) func(*house) []string {
	return func(h *house) (complaints []string) {
		counted, debts := count(h), h.debts[what]
		for _, name := range slices.Sorted(maps.Keys(counted)) {
			if n, most := counted[name], max(most, debts[name]); n > most {
				complaints = append(complaints, fmt.Sprintf("%s has %d %s, at most %d are allowed", name, n, what, most))
			}
		}
		for _, name := range slices.Sorted(maps.Keys(debts)) {
			switch n, debt := counted[name], debts[name]; {
			case n <= most:
				complaints = append(complaints, fmt.Sprintf("%s has %d %s: strike its debt off the list", name, n, what))
			case 20*n < 19*debt:
				complaints = append(complaints, fmt.Sprintf("%s has %d %s: lower its debt of %d", name, n, what, debt))
			}
		}
		return complaints
	}
}

// lines is the lines of each package, tests left out.
func lines(h *house) figures {
	n := figures{}
	for _, f := range h.files {
		n[f.pkg()] += f.lines
	}
	return n
}

// methods is the methods declared on each type, tests included.
func methods(h *house) figures {
	n := figures{}
	for _, f := range slices.Concat(h.files, h.tests) {
		for _, d := range f.tree.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv != nil {
				n[f.pkg()+"."+receiver(fn.Recv.List[0].Type)]++
			}
		}
	}
	return n
}

// receiver is the type's name in T, *T, T[P] or *T[P, Q].
func receiver(e ast.Expr) string {
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return "?"
		}
	}
}

// fields is the fields of each struct, embedded ones and tests included.
func fields(h *house) figures {
	n := figures{}
	for _, f := range slices.Concat(h.files, h.tests) {
		ast.Inspect(f.tree, func(node ast.Node) bool {
			if spec, ok := node.(*ast.TypeSpec); ok {
				if s, ok := spec.Type.(*ast.StructType); ok {
					name := f.pkg() + "." + spec.Name.Name
					n[name] = max(n[name], s.Fields.NumFields())
				}
			}
			return true
		})
	}
	return n
}

// hostWrites is the calls, by package, that write a key of a tree (a key and a value, unlike
// io.Writer's one argument), in the program outside the child.
func hostWrites(h *house) figures {
	n := figures{}
	for _, f := range h.files {
		if !within("parent", f.pkg()) && !within("cmd", f.pkg()) {
			continue
		}
		ast.Inspect(f.tree, func(node ast.Node) bool {
			if call, ok := node.(*ast.CallExpr); ok && len(call.Args) == 2 {
				if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Write" && len(f.selected(sel)) == 0 {
					n[f.pkg()]++
				}
			}
			return true
		})
	}
	return n
}

// usesOf counts, by package, how often a name of a package is used.
func usesOf(from, what string) func(*house) figures {
	return func(h *house) figures {
		n := figures{}
		for _, f := range h.files {
			for _, used := range f.selected(f.tree) {
				if used == (name{from, what}) {
					n[f.pkg()]++
				}
			}
		}
		return n
	}
}

// except leaves out packages and, with a slash at the end, directories that may do a thing.
func (a allowed) except(count func(*house) figures) func(*house) figures {
	return func(h *house) figures {
		n := count(h)
		maps.DeleteFunc(n, func(pkg string, _ int) bool {
			return slices.ContainsFunc(a, func(w string) bool { return pkg+"/" == w || strings.HasPrefix(pkg+"/", w) })
		})
		return n
	}
}

func TestAtMost(t *testing.T) {
	for _, tc := range []struct {
		n    int
		debt figures
		want string
	}{
		{50, nil, ""},
		{51, nil, "x has 51 things, at most 50 are allowed"},
		{100, figures{"x": 100}, ""},
		{95, figures{"x": 100}, ""},
		{101, figures{"x": 100}, "x has 101 things, at most 100 are allowed"},
		{94, figures{"x": 100}, "x has 94 things: lower its debt of 100"},
		{50, figures{"x": 100}, "x has 50 things: strike its debt off the list"},
		{50, figures{"y": 100}, "y has 0 things: strike its debt off the list"},
	} {
		h := &house{debts: map[string]figures{"things": tc.debt}}
		got := strings.Join(atMost(50, "things", func(*house) figures { return figures{"x": tc.n} })(h), "; ")
		if got != tc.want {
			t.Errorf("%d, debts %v: %q, want %q", tc.n, tc.debt, got, tc.want)
		}
	}
}
