package distro_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The rules of CONTRIBUTING.md that a program can check, over every Go file of
// every system.

const (
	maxFileLines     = 700
	maxFunctionLines = 100
)

// source is one parsed Go file.
type source struct {
	name string // path within the module, with slashes
	dir  string
	fset *token.FileSet
	file *ast.File
}

func (s source) isTest() bool { return strings.HasSuffix(s.name, "_test.go") || isSuite(s.dir) }

// isProgram reports whether the file belongs to a main package.
func (s source) isProgram() bool { return s.file.Name.Name == "main" }

func (s source) at(n ast.Node) string { return s.fset.Position(n.Pos()).String() }

// sources parses every Go file of the module.
func sources(t *testing.T) []source {
	t.Helper()
	var found []source
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := len(d.Name()) > 1 && (d.Name()[0] == '.' || d.Name()[0] == '_')
		if d.IsDir() && (hidden || d.Name() == "testdata" || d.Name() == "node_modules" || name == "bin") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		file, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		name = filepath.ToSlash(name)
		found = append(found, source{name: name, dir: path.Dir(name), fset: fset, file: file})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestFilesAndFunctionsAreShort(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if n := s.fset.Position(s.file.FileEnd).Line; n > maxFileLines {
			t.Errorf("%s has %d lines, want at most %d", s.name, n, maxFileLines)
		}
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1
				if n > maxFunctionLines {
					t.Errorf("%s: %s has %d lines, want at most %d", s.at(f), f.Name, n, maxFunctionLines)
				}
			}
		}
	}
}

func TestEveryPackageHasExactlyOnePackageComment(t *testing.T) {
	t.Parallel()
	production, comments := map[string]bool{}, map[string][]string{}
	all := sources(t)
	for _, s := range all {
		production[s.dir] = production[s.dir] || !strings.HasSuffix(s.name, "_test.go")
	}
	for _, s := range all {
		if production[s.dir] && strings.HasSuffix(s.name, "_test.go") {
			continue
		}
		if s.file.Doc != nil {
			comments[s.dir] = append(comments[s.dir], s.name)
		} else if comments[s.dir] == nil {
			comments[s.dir] = []string{}
		}
	}
	for dir, files := range comments {
		if len(files) != 1 {
			t.Errorf("package %s has %d package comments, want one: %q", dir, len(files), files)
		}
	}
}

func TestThereIsNoInitAndNoMutablePackageVariable(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.Name == "init" {
					t.Errorf("%s: init function", s.at(d))
				}
			case *ast.GenDecl:
				if d.Tok == token.VAR && !s.isTest() {
					checkVariables(t, s, d)
				}
			}
		}
	}
}

// checkVariables allows errors, regular expressions, embedded files, and proofs
// that a type implements an interface.
func checkVariables(t *testing.T, s source, d *ast.GenDecl) {
	t.Helper()
	for _, spec := range d.Specs {
		v := spec.(*ast.ValueSpec)
		for i, name := range v.Names {
			switch {
			case name.Name == "_" || embedded(d.Doc) || embedded(v.Doc):
			case i < len(v.Values) && constant(v.Values[i]):
			default:
				t.Errorf("%s: package variable %s", s.at(name), name.Name)
			}
		}
	}
}

func embedded(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool {
		return strings.HasPrefix(c.Text, "//go:embed ")
	})
}

// constant reports whether a value never changes although Go has no constants
// of its type.
func constant(value ast.Expr) bool {
	call, ok := value.(*ast.CallExpr)
	return ok && slices.Contains([]string{"errors.New", "fmt.Errorf", "regexp.MustCompile"}, selector(call.Fun))
}

// selector writes a call's function as "package.Name".
func selector(e ast.Expr) string {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	x, ok := sel.X.(*ast.Ident)
	if !ok {
		return ""
	}
	return x.Name + "." + sel.Sel.Name
}

func TestSomeCallsAreReserved(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		settings := inPackage(s.dir, []string{"internal/config", "cmd/distro"}) || s.isTest() || s.isProgram()
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			switch name := selector(call.Fun); name {
			case "context.Background", "context.TODO":
				if !s.isProgram() && !s.isTest() {
					t.Errorf("%s: %s below cmd: take the caller's context", s.at(call), name)
				}
			case "os.Getenv", "os.LookupEnv":
				if !settings {
					t.Errorf("%s: %s: settings are read in config and cmd only", s.at(call), name)
				}
			case "os.Exit", "log.Fatal", "log.Fatalf", "log.Panic":
				if !s.isProgram() && !s.isTest() {
					t.Errorf("%s: %s below main", s.at(call), name)
				}
			case "time.Sleep":
				if s.isTest() {
					t.Errorf("%s: time.Sleep in a test: wait for what it waits for", s.at(call))
				}
			}
			return true
		})
	}
}

func TestErrorsSayWhatWasTried(t *testing.T) {
	t.Parallel()
	chain := regexp.MustCompile(`(?i)^(failed to|unable to|error\b)`)
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || s.isTest() {
				return true
			}
			if !slices.Contains([]string{"fmt.Errorf", "errors.New", "distro.Errorf", "distro.Invalid"}, selector(call.Fun)) {
				return true
			}
			for _, arg := range call.Args {
				if text, ok := literal(arg); ok && chain.MatchString(text) {
					t.Errorf("%s: message %q: name the operation, not that it failed", s.at(arg), text)
				}
			}
			return true
		})
	}
}

func literal(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(l.Value)
	return text, err == nil
}

// TestPackagesThatStartGoroutinesLookForLeaks: their tests call goleak.
func TestPackagesThatStartGoroutinesLookForLeaks(t *testing.T) {
	t.Parallel()
	starts, looks := map[string]string{}, map[string]bool{}
	for _, s := range sources(t) {
		if strings.HasSuffix(s.name, "_test.go") {
			for _, i := range s.file.Imports {
				looks[s.dir] = looks[s.dir] || i.Path.Value == `"go.uber.org/goleak"`
			}
			continue
		}
		if s.isProgram() || isSuite(s.dir) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				starts[s.dir] = s.at(g)
			}
			return true
		})
	}
	for dir, at := range starts {
		if !looks[dir] {
			t.Errorf("%s: package %s starts a goroutine and its tests do not look for leaks", at, dir)
		}
	}
}
