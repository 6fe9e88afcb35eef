package e2e_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestWhatTheDocumentsSayHappens follows each document from its begin to its
// end: every block of sh does what it says, and what the document shows of its
// output, or of an answer, is what there is.
func TestWhatTheDocumentsSayHappens(t *testing.T) {
	t.Parallel()
	for name, needs := range documents() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if ran := newReader(t, name, needs).follow(fences(t, name)); ran < 2 {
				t.Errorf("only %d blocks were run", ran)
			}
		})
	}
}

// documents are those that are followed, with what they need.
func documents() map[string]need {
	return map[string]need{
		"docs/api.md":                   {},
		"docs/getting-started.md":       {},
		"docs/getting-started.pt-BR.md": {},
		"docs/operations.md":            {redis: true, postgres: true},
		"docs/python.md":                {redis: true},
		"docs/rq-compatibility.md":      {redis: true},
		"docs/troubleshooting.md":       {redis: true},
		"docs/troubleshooting.pt-BR.md": {redis: true},
		"docs/workers.md":               {redis: true},
	}
}

// TestFiguresAndMetricsOfOperationsAreThoseOfTheirDocuments compares what is
// repeated for the reader's sake.
func TestFiguresAndMetricsOfOperationsAreThoseOfTheirDocuments(t *testing.T) {
	t.Parallel()
	text := read(t, filepath.Join(root, "docs", "operations.md"))
	metrics := read(t, filepath.Join(root, "docs", "metrics.md"))
	for _, name := range regexp.MustCompile(`distro_[a-z_]+`).FindAllString(text, -1) {
		if !strings.Contains(metrics, "`"+strings.TrimSuffix(name, "_count")+"`") {
			t.Errorf("%s is no metric", name)
		}
	}
	_, table, _ := strings.Cut(text, "| of | measured |")
	table, _, _ = strings.Cut(table, "\n\n")
	figures := regexp.MustCompile(`\d[\d,.]*\d`)
	known := figures.FindAllString(read(t, filepath.Join(root, "docs", "benchmarks.md")), -1)
	for _, figure := range figures.FindAllString(table, -1) {
		if !slices.Contains(known, figure) {
			t.Errorf("%s is no figure of benchmarks.md", figure)
		}
	}
}

// TestErrorsThatDocumentsQuoteAreTheProducts looks for each line of a block of
// text, where "…" stands for what differs, among the texts of the sources. What
// is shown as output is compared where it is produced.
func TestErrorsThatDocumentsQuoteAreTheProducts(t *testing.T) {
	t.Parallel()
	texts := textsOfTheSources(t)
	for name := range documents() {
		for _, block := range fences(t, name) {
			if block.kind != "text" {
				continue
			}
			for line := range strings.Lines(block.text) {
				var parts []string
				for part := range strings.SplitSeq(strings.TrimSpace(line), "…") {
					parts = append(parts, regexp.QuoteMeta(part))
				}
				quoted := regexp.MustCompile(strings.Join(parts, ".*"))
				if !slices.ContainsFunc(texts, quoted.MatchString) {
					t.Errorf("%s:%d: nothing says %s", name, block.line, line)
				}
			}
		}
	}
}

// textsOfTheSources are the strings of the Go sources, those that are added up
// as one.
func textsOfTheSources(t *testing.T) []string {
	t.Helper()
	var texts []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			e, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			text, whole := literal(e)
			if whole {
				texts = append(texts, text)
			}
			return !whole
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

// literal is a string, or strings and what is between them added up.
func literal(e ast.Expr) (text string, ok bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		left, isText := literal(e.X)
		right, also := literal(e.Y)
		return left + right, e.Op == token.ADD && (isText || also)
	}
	return "", false
}

// TestWhatIsShownIsTakenAtItsWord: a document that shows something else than
// there is does not pass.
func TestWhatIsShownIsTakenAtItsWord(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		shown, got string
		match      func(shown, got string) error
		same       bool
	}{
		{"ran 82ms (now)\n", "ran    1.3s (2m ago)\n", matchText, true},
		{"id 1b86f540-6ef7-487e-a3b2-5933d758b662\n", "id 00000000-6ef7-487e-a3b2-5933d758b662\n", matchText, true},
		{"first\n…\nlast\n", "first\na\nb\nlast\n", matchText, true},
		{"distro: no … here\n", "distro: no job here\n", matchText, true},
		{"first\n", "first\nsecond\n", matchText, false},
		{"one\ntwo\n", "one two\n", matchText, false},
		{"1 job\n", "1 jobs\n", matchText, false},
		{"distro: no … here\n", "distro: no\n here\n", matchText, false},
		{`{"id": "…", "n": 1}`, `{"id": "x", "n": 2}`, matchJSON, true},
		{`{"at": "2026-11-24T19:14:42.238508Z", "…": "…"}`, `{"at": "2026-11-24T00:00:00Z", "more": []}`, matchJSON, true},
		{`[1, "…"]`, `[1, 2, 3]`, matchJSON, true},
		{`{"n": 1}`, `{"n": 1, "more": 2}`, matchJSON, false},
		{`{"n": 1, "more": 2}`, `{"n": 1}`, matchJSON, false},
		{`{"n": 1}`, `{"n": "1"}`, matchJSON, false},
		{`{"text": "ended"}`, `{"text": "end"}`, matchJSON, false},
		{`[1]`, `[1, 2]`, matchJSON, false},
	} {
		if err := tt.match(tt.shown, tt.got); (err == nil) != tt.same {
			t.Errorf("%q shown for %q: %v", tt.shown, tt.got, err)
		}
	}
}
