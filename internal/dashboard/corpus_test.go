package dashboard_test

import (
	"cmp"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/python"
)

// corpus is what the catalog knows of the functions in testdata. Some of the
// files import packages that are not installed: none is ever imported.
func corpus(t *testing.T) []distro.Module {
	t.Helper()
	interpreter, err := python.FindInterpreter(t.Context(), python.InterpreterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := python.NewCatalog(python.CatalogOptions{Interpreter: interpreter, Dir: "testdata/automations"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = catalog.Close() })
	modules, err := catalog.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return modules
}

var jsonControl = regexp.MustCompile(`data-control="json"`)

// sample is what somebody might enter into a control that is empty.
func sample(p *page, name string, turn int) string {
	given := attributes(p.about[name])
	switch p.kinds[name] {
	case "number":
		return cmp.Or(given["min"], given["max"], "7")
	case "date":
		return "2026-01-31"
	case "datetime-local":
		return "2026-01-31T10:00"
	case "time":
		return "10:30"
	case "email":
		return "ana@exemplo.com.br"
	case "url":
		return "https://exemplo.com.br"
	case "textarea":
		return []string{"a = 1\nb = 2", "1\n2", "2026-01-31", "10:30", "12345678-1234-5678-1234-567812345678"}[turn]
	case "select", "radio":
		for _, value := range p.all[name] {
			if value != "" {
				return value
			}
		}
	}
	return []string{"texto", "1h30", "2026-01-31", "7", "12345678-1234-5678-1234-567812345678"}[turn]
}

// TestFormsOfRealFunctionsAreFilledInWithoutJSON fills in the form of every
// function of the corpus, all of its controls that are empty, and runs it.
func TestFormsOfRealFunctionsAreFilledInWithoutJSON(t *testing.T) {
	t.Parallel()
	modules := corpus(t)
	b := setup(t, modules)
	functions, usable := 0, 0
	for _, m := range modules {
		if m.Error != nil {
			t.Errorf("%s: %+v", m.Name, m.Error)
		}
		for _, f := range m.Functions {
			functions++
			address := "/automations/" + m.Name + "/" + f.Name
			shown := b.get(address, "Accept-Language", "pt-BR")
			if jsonControl.MatchString(shown) {
				t.Logf("%s.%s asks for JSON", m.Name, f.Name)
				continue
			}
			problem := b.fill(address, readPage(t, shown))
			if problem != "" {
				t.Errorf("%s.%s: %s", m.Name, f.Name, problem)
				continue
			}
			usable++
		}
	}
	t.Logf("%d of %d forms can be filled in without JSON: %.1f %%", usable, functions, 100*float64(usable)/float64(functions))
	if functions < 200 || 100*usable < 98*functions {
		t.Errorf("%d of %d", usable, functions)
	}
}

// fill enters something into every empty control, and returns what is wrong with
// the last attempt.
func (b *bundle) fill(address string, p *page) (problem string) {
	b.t.Helper()
	for turn := range 5 {
		var pairs []string
		for name, kind := range p.kinds {
			if strings.HasPrefix(name, "opt.") || strings.HasPrefix(name, "null:") || kind == "checkbox" {
				continue
			}
			if p.values.Get(name) == "" {
				pairs = append(pairs, name, sample(p, name, turn))
			}
		}
		for name, kind := range p.kinds { // some of a few
			if kind == "checkbox" && !strings.HasPrefix(name, "null:") && len(p.all[name]) > 1 && p.values.Get(name) == "" {
				pairs = append(pairs, name, p.all[name][0])
			}
		}
		w := b.submit(address, p, pairs...)
		if w.Code == http.StatusSeeOther {
			return ""
		}
		if problem = problems(w.Body.String()); problem == "" {
			return w.Body.String()
		}
		p = readPage(b.t, w.Body.String()) // what was right stays
		for name, about := range p.about {
			if strings.Contains(about, "aria-invalid") {
				p.values.Set(name, "")
			}
		}
	}
	return problem
}
