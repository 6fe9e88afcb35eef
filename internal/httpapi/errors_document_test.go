package httpapi_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro"
)

// statuses are the names that http has for those a problem can have.
func statuses() map[string]int {
	return map[string]int{
		"StatusBadRequest": 400, "StatusUnauthorized": 401, "StatusForbidden": 403, "StatusNotFound": 404, "StatusMethodNotAllowed": 405,
		"StatusConflict": 409, "StatusRequestEntityTooLarge": 413, "StatusMisdirectedRequest": 421, "StatusUnprocessableEntity": 422,
		"StatusTooManyRequests": 429, "StatusInternalServerError": 500, "StatusServiceUnavailable": 503, "StatusInsufficientStorage": 507,
	}
}

// codes are the names of the root package.
func codes() map[string]distro.Code {
	return map[string]distro.Code{
		"CodeInvalid": distro.CodeInvalid, "CodeNotFound": distro.CodeNotFound, "CodeConflict": distro.CodeConflict, "CodeForbidden": distro.CodeForbidden,
		"CodeUnavailable": distro.CodeUnavailable, "CodeFull": distro.CodeFull, "CodeInternal": distro.CodeInternal,
	}
}

// problemsOfTheCode are the pairs of code and status that the package writes.
func problemsOfTheCode(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{
		"invalid 415": true, // of the framework, which asProblem passes on
		"invalid 416": true, // of http.ServeContent
	}
	for _, code := range codes() {
		found[string(code)+" "+strconv.Itoa(code.HTTPStatus())] = true
	}
	add := func(status, code ast.Expr) {
		s, isStatus := status.(*ast.SelectorExpr)
		if !isStatus || fmt.Sprint(s.X) != "http" {
			return // told above
		}
		number, known := statuses()[s.Sel.Name]
		if !known {
			t.Errorf("%s is new to this test", s.Sel.Name)
		}
		switch code := code.(type) {
		case *ast.SelectorExpr:
			value, known := codes()[code.Sel.Name]
			if known {
				found[string(value)+" "+strconv.Itoa(number)] = true
			}
		case *ast.BasicLit:
			found[strings.Trim(code.Value, `"`)+" "+strconv.Itoa(number)] = true
		}
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if f, ok := call.Fun.(*ast.Ident); ok && f.Name == "newProblem" {
					add(call.Args[0], call.Args[1])
				}
			}
			return true
		})
	}
	return found
}

func TestTheDocumentsTableHasEveryCodeWithItsStatuses(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "api.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| ([\\d, ]+) \\|").FindAllStringSubmatch(string(text), -1) {
		for status := range strings.SplitSeq(row[2], ", ") {
			documented[row[1]+" "+status] = true
			if number, err := strconv.Atoi(status); err != nil || http.StatusText(number) == "" {
				t.Errorf("%q is no status", status)
			}
		}
	}
	if diff := cmp.Diff(problemsOfTheCode(t), documented); diff != "" {
		t.Errorf("docs/api.md (+) differs from the code (-):\n%s", diff)
	}
}
