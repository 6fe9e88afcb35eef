package dashboard_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// catalogue is a language's texts: a text or its plural forms by key.
type catalogue map[string]any

func catalogues(t *testing.T) map[string]catalogue {
	t.Helper()
	found := map[string]catalogue{}
	for _, tag := range []string{"pt-BR", "en"} {
		text, err := os.ReadFile("text/" + tag + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var c catalogue
		if err := json.Unmarshal(text, &c); err != nil {
			t.Fatal(err)
		}
		found[tag] = c
	}
	return found
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// spoken are the texts that programs name: literal keys, and beginnings of keys
// that are put together.
func spoken(t *testing.T) (keys, beginnings map[string]bool) {
	t.Helper()
	keys, beginnings = map[string]bool{}, map[string]bool{}
	key := regexp.MustCompile(`^[a-z]+(\.[A-Za-z0-9_-]+)+$`)
	beginning := regexp.MustCompile(`^[a-z]+\.([a-z_]+\.)*$`)
	add := func(text string) {
		if key.MatchString(text) {
			keys[text] = true
		}
		if beginning.MatchString(text) {
			beginnings[text] = true
		}
	}
	for _, name := range append(glob(t, "*.go"), glob(t, "../form/*.go")...) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				if text, err := strconv.Unquote(l.Value); err == nil {
					add(text)
				}
			}
			return true
		})
	}
	quoted := regexp.MustCompile(`["'` + "`" + `]([a-z]+\.[A-Za-z0-9_.-]*)["'` + "`" + `]`)
	scripts := glob(t, "../../web/src/*.ts")
	for _, name := range append(glob(t, "templates/*.html"), scripts...) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range quoted.FindAllStringSubmatch(string(text), -1) {
			if !slices.Contains(scripts, name) || strings.HasPrefix(m[1], "js.") {
				add(m[1])
			}
		}
	}
	return keys, beginnings
}

func TestEveryTextIsThereInBothLanguagesAndUsed(t *testing.T) {
	t.Parallel()
	all := catalogues(t)
	keys, beginnings := spoken(t)
	families := map[string]bool{}
	for key := range all["en"] {
		if all["pt-BR"][key] == nil {
			t.Errorf("%s is not in pt-BR", key)
		}
		families[strings.SplitN(key, ".", 2)[0]] = true
		dynamic := slices.ContainsFunc(slices.Collect(mapKeys(beginnings)), func(b string) bool { return strings.HasPrefix(key, b) })
		if !keys[key] && !dynamic {
			t.Errorf("%s is used nowhere", key)
		}
	}
	for key := range all["pt-BR"] {
		if all["en"][key] == nil {
			t.Errorf("%s is not in en", key)
		}
	}
	for key := range keys {
		// Of a family that texts have: else it is the name of a file, or a host.
		if families[strings.SplitN(key, ".", 2)[0]] && all["en"][key] == nil && !strings.HasSuffix(key, ".json") && !strings.HasSuffix(key, ".html") {
			t.Errorf("%s is used, and has no text", key)
		}
	}
}

func mapKeys(m map[string]bool) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// TestPortugueseHasOneWordForAThing: a job is an execução there, which is excluída.
func TestPortugueseHasOneWordForAThing(t *testing.T) {
	t.Parallel()
	other := regexp.MustCompile(`(?i)\b(jobs?|apagar?|apagad[oa]s?|deletar?)\b`)
	for key, text := range catalogues(t)["pt-BR"] {
		said, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		if word := other.Find(said); word != nil {
			t.Errorf("%s says %q: %s", key, word, said)
		}
	}
}

func TestTextsTakeTheSameArgumentsInBothLanguages(t *testing.T) {
	t.Parallel()
	all := catalogues(t)
	place := regexp.MustCompile(`\{\d+\}`)
	places := func(v any) []string {
		text, _ := v.(string)
		if forms, ok := v.(map[string]any); ok {
			text, _ = forms["other"].(string)
		}
		found := place.FindAllString(text, -1)
		slices.Sort(found)
		return slices.Compact(found)
	}
	for key, en := range all["en"] {
		pt := all["pt-BR"][key]
		if !slices.Equal(places(en), places(pt)) {
			t.Errorf("%s: %v and %v", key, en, pt)
		}
		_, forms := en.(map[string]any)
		if _, too := pt.(map[string]any); forms != too {
			t.Errorf("%s has plural forms in one language only", key)
		}
	}
}

// TestTemplatesHoldNoTextOfTheirOwn: every word that a reader sees has a key.
func TestTemplatesHoldNoTextOfTheirOwn(t *testing.T) {
	t.Parallel()
	drop := []*regexp.Regexp{
		regexp.MustCompile(`(?s)\{\{.*?\}\}`),
		regexp.MustCompile(`(?s)<(script|svg|kbd|code)\b.*?</(script|svg|kbd|code)>`),
	}
	shown := regexp.MustCompile(`\b(placeholder|title|aria-label|alt)="[^"]*\pL`)
	tags := regexp.MustCompile(`(?s)<[^>]*>`)
	word := regexp.MustCompile(`\pL{2,}`)
	for _, name := range glob(t, "templates/*.html") {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		for _, pattern := range drop {
			text = pattern.ReplaceAllString(text, "")
		}
		for _, m := range shown.FindAllString(text, -1) {
			t.Errorf("%s: %s", name, m)
		}
		for _, m := range word.FindAllString(tags.ReplaceAllString(text, ""), -1) {
			if !slices.Contains([]string{"Distro", "PID"}, m) {
				t.Errorf("%s: the word %q has no key", name, m)
			}
		}
	}
}

// TestTemplatesObeyTheContentSecurityPolicy: attributes it forbids would be
// ignored by browsers.
func TestTemplatesObeyTheContentSecurityPolicy(t *testing.T) {
	t.Parallel()
	forbidden := regexp.MustCompile(`(?i)<[^>]*\s(style|on[a-z]+)=|<style|javascript:`)
	for _, name := range glob(t, "templates/*.html") {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range forbidden.FindAllString(string(b), -1) {
			t.Errorf("%s: %s", name, m)
		}
	}
}
