package house

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
)

const module = "github.com/netns-verify/netns-verify"

// house is the module's own files, whatever their build tags.
type house struct {
	files, tests []*file
	// entries is the names at the top level.
	entries []string
	// debts is what is beyond a limit for now, by what is counted.
	debts map[string]figures
}

type file struct {
	name  string // parent/run.go
	lines int
	tree  *ast.File
	// imports maps the names used in the file to import paths.
	imports map[string]string
}

// pkg is the import path of a file's package, relative to the module where it
// is ours: "parent".
func (f *file) pkg() string { return path.Dir(f.name) }

func load(root fs.FS) (*house, error) {
	h := &house{}
	fset := token.NewFileSet()
	err := fs.WalkDir(root, ".", func(at string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && at != "." && (strings.ContainsAny(d.Name()[:1], "._") || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || path.Ext(at) != ".go":
			return nil
		}
		src, err := fs.ReadFile(root, at)
		if err != nil {
			return err
		}
		tree, err := parser.ParseFile(fset, at, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		f := &file{at, bytes.Count(src, []byte("\n")), tree, importsOf(tree)}
		if strings.HasSuffix(at, "_test.go") {
			h.tests = append(h.tests, f)
		} else {
			h.files = append(h.files, f)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	return h, nil
}

func importsOf(tree *ast.File) map[string]string {
	imports := map[string]string{}
	for _, spec := range tree.Imports {
		p := strings.Trim(spec.Path.Value, "\"`")
		as := path.Base(p)
		if strings.HasPrefix(as, "v") && strings.Trim(as[1:], "0123456789") == "" {
			as = path.Base(path.Dir(p)) // .../doublestar/v4
		}
		if spec.Name != nil {
			as = spec.Name.Name
		}
		imports[as] = p
	}
	return imports
}

// in is the files of one package.
func (h *house) in(pkg string) []*file {
	return slices.DeleteFunc(slices.Clone(h.files), func(f *file) bool { return f.pkg() != pkg })
}

// below is the packages whose path begins with a directory, itself included.
func (h *house) below(dir string) (pkgs []string) {
	for _, f := range h.files {
		if within(dir, f.pkg()) && !slices.Contains(pkgs, f.pkg()) {
			pkgs = append(pkgs, f.pkg())
		}
	}
	return pkgs
}

// within tells whether a package is a directory's, or below it.
func within(dir, pkg string) bool { return pkg == dir || strings.HasPrefix(pkg, dir+"/") }

// reach is every import path that a package needs, directly or through ours,
// with a way that leads there.
func (h *house) reach(pkg string) map[string]string {
	ways := map[string]string{}
	var walk func(pkg, way string)
	walk = func(pkg, way string) {
		for _, f := range h.in(pkg) {
			for _, p := range f.imports {
				if _, known := ways[p]; known {
					continue
				}
				ways[p] = way + " -> " + p
				if ours, ok := strings.CutPrefix(p, module+"/"); ok {
					walk(ours, ways[p])
				}
			}
		}
	}
	walk(pkg, pkg)
	return ways
}

// name is something that a file takes from another package.
type name struct{ from, name string }

func (n name) String() string { return n.from + "." + n.name }

// selected is the names that a part of a file takes from packages.
func (f *file) selected(part ast.Node) []name {
	var names []name
	ast.Inspect(part, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && f.imports[x.Name] != "" {
				names = append(names, name{f.imports[x.Name], sel.Sel.Name})
			}
		}
		return true
	})
	return names
}

// toplevel is the declarations of one kind outside functions.
func (f *file) toplevel(kind token.Token) []ast.Node {
	var decls []ast.Node
	for _, d := range f.tree.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == kind {
			decls = append(decls, g)
		}
	}
	return decls
}
