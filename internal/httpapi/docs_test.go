package httpapi_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro/internal/httpapi"
)

func TestTheDocumentationShowsEveryOperation(t *testing.T) {
	t.Parallel()
	b := setup(t)
	spec := ask[struct {
		Paths map[string]map[string]struct {
			OperationID, Summary string
			Parameters           []struct{ Name string }
		}
	}](b, http.StatusOK, "GET", "/openapi.json", "")
	page := b.do("GET", "/docs?lang=en", "").Body.String()
	n := 0
	for path, operations := range spec.Paths {
		for method, op := range operations {
			n++
			_, article, found := strings.Cut(page, `<article id="`+op.OperationID+`"`)
			article, _, _ = strings.Cut(article, "</article>")
			wants := []string{path, strings.ToUpper(method), html.EscapeString(op.Summary), "curl"}
			for _, p := range op.Parameters {
				wants = append(wants, `<code class="name">`+p.Name+`</code>`)
			}
			for _, want := range wants {
				if !found || !strings.Contains(article, want) {
					t.Errorf("%s %s: the article lacks %q", method, path, want)
				}
			}
			if strings.Count(page, `href="#`+op.OperationID+`"`) < 2 {
				t.Errorf("%s %s is not in the contents", method, path)
			}
		}
	}
	if n < 40 {
		t.Errorf("only %d operations", n)
	}
	for _, link := range regexp.MustCompile(`href="#([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(page, ` id="`+link[1]+`"`) {
			t.Errorf("there is no %s", link[1])
		}
	}
	for part, want := range map[string]int{"<h1>": 1, "<main ": 1, "<header>": 1, "<nav ": 1, "<script": 0, " style=": 0, " onclick": 0, "src=": 0, "//": strings.Count(page, "http://localhost:7000")} {
		if got := strings.Count(page, part); got != want {
			t.Errorf("%d of %s", got, part)
		}
	}
}

func TestTheDocumentationAllowsItsStyleAndNothingElse(t *testing.T) {
	t.Parallel()
	w := setup(t, withToken).do("GET", "/docs", "", "Authorization", "Bearer "+secret)
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(w.Body.String())
	if w.Code != http.StatusOK || style == nil {
		t.Fatalf("%d %.200s", w.Code, w.Body)
	}
	sum := sha256.Sum256([]byte(style[1]))
	want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	if got := w.Header().Get("Content-Security-Policy"); got != want {
		t.Errorf("policy %s, want %s", got, want)
	}
	if got := w.Header().Get("Content-Type"); got != "text/html; charset=utf-8" || !strings.Contains(w.Body.String(), "Este servidor tem um token") {
		t.Errorf("%s, and nothing of the token", got)
	}
}

func TestTheDocumentationSpeaksTheLanguageOfTheReader(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, tt := range []struct{ query, accept, want string }{
		{"", "", "pt-BR"}, {"", "de", "pt-BR"}, {"", "en-US,en;q=0.9,pt;q=0.8", "en"}, {"", "pt-PT, en;q=0.9", "pt-BR"}, {"", "en;q=0.5, PT;q=0.7", "pt-BR"},
		{"", "en;q=0", "pt-BR"}, {"", "en;q=x,,;", "pt-BR"}, {"?lang=en", "pt", "en"}, {"?lang=pt", "en", "pt-BR"}, {"?lang=%3Cb%3E", "en", "en"},
	} {
		w := b.do("GET", "/docs"+tt.query, "", "Accept-Language", tt.accept)
		heading := map[string]string{"pt-BR": "<h1>A API do Distro", "en": "<h1>The API of Distro"}[tt.want]
		page := w.Body.String()
		if w.Header().Get("Content-Language") != tt.want || !strings.Contains(page, `<html lang="`+tt.want+`">`) || !strings.Contains(page, heading) {
			t.Errorf("%q, Accept-Language %q: %s", tt.query, tt.accept, w.Header().Get("Content-Language"))
		}
	}
}

// TestEveryTextOfTheDocumentationIsTranslated: whoever adds a field or a route
// with a description adds the Portuguese to docs/pt.json.
func TestEveryTextOfTheDocumentationIsTranslated(t *testing.T) {
	t.Parallel()
	phrases := map[string]string{}
	text, err := os.ReadFile("docs/pt.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &phrases); err != nil {
		t.Fatal(err)
	}
	template, err := os.ReadFile("docs/page.html")
	if err != nil {
		t.Fatal(err)
	}
	// Words that docs_view.go makes of the description.
	used := map[string]bool{}
	for _, word := range []string{
		"query", "path", "header", "list of %s", "object of %s by name", "any value", "string", "integer", "number", "boolean", "object", "array",
		"one of", "default", "range", "length", "elements", "pattern", "format", "example",
	} {
		used[word] = true
	}
	for _, m := range regexp.MustCompile(`\bt "([^"]+)"`).FindAllStringSubmatch(string(template), -1) {
		used[m[1]] = true
	}
	spec := ask[map[string]any](setup(t), http.StatusOK, "GET", "/openapi.json", "")
	delete(spec, "info")
	describedIn(spec, used)
	for phrase := range used {
		if phrases[phrase] == "" {
			t.Errorf("docs/pt.json lacks %q", phrase)
		}
	}
	does := regexp.MustCompile(`^(Get|List|Save|Create|Delete|Read) `)
	for phrase, said := range phrases {
		if !used[phrase] {
			t.Errorf("docs/pt.json has %q, which is written nowhere", phrase)
		}
		if verb, _, _ := strings.Cut(said, " "); does.MatchString(phrase) && strings.HasSuffix(verb, "r") {
			t.Errorf("docs/pt.json has the infinitive %q: a summary says what the request does", verb)
		}
	}
}

// describedIn collects the summaries and descriptions of a document.
func describedIn(node any, into map[string]bool) {
	switch node := node.(type) {
	case map[string]any:
		for name, value := range node {
			if text, ok := value.(string); ok && text != "" && (name == "description" || name == "summary") {
				into[text] = true
			}
			describedIn(value, into)
		}
	case []any:
		for _, value := range node {
			describedIn(value, into)
		}
	}
}

func TestNothingThatOthersWriteGetsIntoTheDocumentationUnescaped(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *httpapi.Options) { o.Version = `1"><script>alert(1)</script>` })
	page := b.do("GET", "/docs?lang="+`"><script>`, "", "Host", "localhost:7000").Body.String()
	if strings.Contains(page, "<script") || !strings.Contains(page, "&lt;script&gt;alert(1)") {
		t.Error("the version is not escaped")
	}
	for _, host := range []string{"localhost:$(id)", "localhost:`id`", "localhost:7';id'", `localhost:"><script>`} {
		page := b.do("GET", "/docs", "", "Host", host).Body.String()
		if !strings.Contains(page, "export DISTRO=http://127.0.0.1:7000 ") {
			t.Errorf("Host %s is in a command that people copy", host)
		}
	}
	if page := b.do("GET", "/docs", "", "Host", "[::1]:9").Body.String(); !strings.Contains(page, "export DISTRO=http://[::1]:9 ") {
		t.Error("the address that the client used is not shown")
	}
}

func TestAnswersOfTheDescriptionAreLooserThanRequests(t *testing.T) {
	t.Parallel()
	spec := ask[struct {
		Components struct {
			Schemas map[string]struct {
				AdditionalProperties any
				Properties           map[string]struct{ Type any }
			}
		}
	}](setup(t), http.StatusOK, "GET", "/openapi.json", "")
	for name, s := range spec.Components.Schemas {
		request := slices.Contains([]string{"NewJob", "RerunJob", "BatchRequest", "NewOperation", "NewPreset", "EventTopics"}, name)
		if closed := s.AdditionalProperties == false; closed != request {
			t.Errorf("%s is closed to other members: %t", name, closed)
		}
		for property, p := range s.Properties {
			if _, several := p.Type.([]any); several && !request {
				t.Errorf("%s.%s may be null", name, property)
			}
		}
	}
}
