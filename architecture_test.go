package distro_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/distro-orchestrator/distro"

// rows are the packages by how far up they are: a package imports packages of
// lower rows only, so never its neighbours. docs/architecture.md draws them.
func rows() map[string]int {
	return map[string]int{
		"":                  0,
		"internal/artifact": 1, "internal/broker": 1, "internal/config": 1, "internal/docstring": 1, "internal/event": 1, "internal/guard": 1, "internal/output": 1,
		"internal/pickle": 1, "internal/search": 1, "internal/service/jsonscan": 1, "internal/signature": 1, "internal/sqldb": 1,
		"internal/upload":             1,
		"internal/broker/redisbroker": 2, "internal/broker/sqlitebroker": 2, "internal/metrics": 2, "internal/python": 2,
		"internal/form": 2, "internal/store": 2, "internal/webhook": 2,
		"internal/recorder": 3, "internal/scheduler": 3, "internal/service": 3, "internal/shipping": 3, "internal/worker": 3,
		"internal/dashboard": 4, "internal/httpapi": 4, "web": 4,
		"internal/app": 5,
		"cmd/distro":   6,
	}
}

// stdOnly are the packages that import nothing of ours.
func stdOnly(pkg string) bool {
	return slices.Contains([]string{"", "internal/artifact", "internal/docstring", "internal/event", "internal/guard", "internal/pickle", "internal/service/jsonscan", "internal/sqldb", "internal/upload", "web"}, pkg)
}

// reserved says which packages alone may import something, prefixes included.
// Tests and programs that are no part of the binary may import it too.
func reserved() map[string][]string {
	return map[string][]string{
		"github.com/redis/rueidis":                       {"internal/broker/redisbroker"},
		"github.com/jackc/pgx/v5":                        {"internal/sqldb"},
		"github.com/jackc/pgx/v5/pgconn":                 {"internal/sqldb"},
		"github.com/jackc/pgx/v5/stdlib":                 {"internal/sqldb"},
		"github.com/pressly/goose/v3":                    {"internal/sqldb"},
		"github.com/prometheus/client_golang/prometheus": {"internal/metrics"},
		"github.com/yuin/goldmark":                       {"internal/docstring"},
		"github.com/yuin/goldmark/ast":                   {"internal/docstring"},
		"github.com/yuin/goldmark/parser":                {"internal/docstring"},
		"os/exec":                                        {"internal/python"},
		// Who serves HTTP; guard, which decides whom they serve; metrics, whose one handler is that of a library; and
		// webhook, which alone makes requests to hosts of others, and decides in its
		// address.go which these may be.
		"net/http":                  {"internal/httpapi", "internal/dashboard", "internal/guard", "internal/metrics", "internal/webhook", "internal/app", "cmd/distro"},
		"flag":                      {"cmd/distro"},
		"github.com/spf13/cobra":    {"cmd/distro"},
		"github.com/spf13/pflag":    {"cmd/distro"},
		module + "/internal/config": {"internal/app", "cmd/distro"},
	}
}

// maxModules bounds the direct dependencies of the binary.
const maxModules = 14

// listed is a package as go list knows it.
type listed struct {
	ImportPath   string
	Name         string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Module       *struct {
		Path     string
		Main     bool
		Indirect bool
	}
}

// rel is the package's path within the module.
func (p listed) rel() string { return rel(p.ImportPath) }

func rel(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
}

func ours(importPath string) bool {
	return importPath == module || strings.HasPrefix(importPath, module+"/")
}

// inPackage reports whether pkg is one of the packages or lies below one.
func inPackage(pkg string, of []string) bool {
	return slices.ContainsFunc(of, func(p string) bool { return pkg == p || strings.HasPrefix(pkg, p+"/") })
}

// systems are those the binary is built for: their files differ.
func systems() []string { return []string{"linux", "windows", "darwin"} }

func goList(t *testing.T, goos string, args ...string) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Name,Imports,TestImports,XTestImports,Module"}, args...)...)
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH=amd64", "CGO_ENABLED=0")
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v for %s: %v\n%s", args, goos, err, problems.String())
	}
	var found []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); err == io.EOF {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		found = append(found, p)
	}
}

// isTool reports whether a package is a program, or tests only, that is no
// part of the binary: nobody imports it, and the rows do not bind it.
func isTool(p listed) bool {
	return p.Name == "main" && p.rel() != "cmd/distro" || p.rel() == "internal/e2e"
}

// isSuite reports whether a package holds tests that other packages call, or
// what such tests need beside them: only tests import it.
func isSuite(pkg string) bool {
	return slices.Contains([]string{"brokertest", "browsertest", "pgtest", "porttest", "proctest", "redistest"}, path.Base(pkg))
}

func TestPackagesImportDownwardsOnly(t *testing.T) {
	t.Parallel()
	rows := rows()
	for _, goos := range systems() {
		for _, p := range goList(t, goos, "./...") {
			row, known := rows[p.rel()]
			if !known && !isTool(p) && !isSuite(p.rel()) {
				t.Errorf("%s is in no row: add it to the rows, and to docs/architecture.md", p.ImportPath)
				continue
			}
			for _, imported := range p.Imports {
				if !ours(imported) {
					continue
				}
				below, ok := rows[rel(imported)]
				switch {
				case isTool(p) || isSuite(p.rel()):
				case stdOnly(p.rel()):
					t.Errorf("%s imports %s: it may import nothing of ours", p.ImportPath, imported)
				case isSuite(rel(imported)):
					t.Errorf("%s imports %s outside its tests", p.ImportPath, imported)
				case !ok:
					t.Errorf("%s imports %s, which is no part of the binary", p.ImportPath, imported)
				case below >= row:
					t.Errorf("%s (row %d) imports %s (row %d): imports go down", p.ImportPath, row, imported, below)
				}
			}
		}
	}
}

func TestSomeImportsAreReserved(t *testing.T) {
	t.Parallel()
	for _, goos := range systems() {
		for _, p := range goList(t, goos, "./...") {
			if isTool(p) {
				continue
			}
			for _, imported := range p.Imports {
				if allowed, ok := reserved()[imported]; ok && !inPackage(p.rel(), allowed) && !isSuite(p.rel()) {
					t.Errorf("%s imports %s, which only %q may", p.ImportPath, imported, allowed)
				}
				if imported == "testing" && !isSuite(p.rel()) {
					t.Errorf("%s imports testing outside its tests", p.ImportPath)
				}
			}
		}
	}
}

func TestTheRootImportsTheStandardLibraryOnly(t *testing.T) {
	t.Parallel()
	for _, p := range goList(t, "linux", ".") {
		for _, imported := range p.Imports {
			if strings.Contains(strings.SplitN(imported, "/", 2)[0], ".") {
				t.Errorf("the root package imports %s", imported)
			}
		}
	}
}

// testModules are the modules that only tests use.
func testModules() []string {
	return []string{
		"github.com/chromedp/cdproto", "github.com/chromedp/chromedp", "github.com/google/go-cmp", "github.com/rogpeppe/go-internal", "github.com/santhosh-tekuri/jsonschema/v6", "go.uber.org/goleak", "pgregory.net/rapid",
	}
}

func TestTheBinaryHasFewDependenciesAndEachHasAReason(t *testing.T) {
	t.Parallel()
	direct := map[string]bool{}
	for _, goos := range systems() {
		// The store is part of the binary whether or not a command opens one.
		for _, p := range goList(t, goos, "-deps", "./cmd/distro", "./internal/store") {
			if p.Module == nil || p.Module.Main {
				continue
			}
			if !p.Module.Indirect {
				direct[p.Module.Path] = true
			}
			if slices.Contains(testModules(), p.Module.Path) {
				t.Errorf("%s, which is for tests, is part of the binary for %s", p.ImportPath, goos)
			}
		}
	}
	if len(direct) > maxModules {
		t.Errorf("%d direct modules, want at most %d", len(direct), maxModules)
	}
	text, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		documented[m[1]] = true
	}
	for m := range direct {
		if !documented[m] {
			t.Errorf("docs/dependencies.md does not say why the binary needs %s", m)
		}
	}
	for m := range documented {
		if !direct[m] && !slices.Contains(testModules(), m) {
			t.Errorf("docs/dependencies.md names %s, which the binary does not need", m)
		}
	}
}
