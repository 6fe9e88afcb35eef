package dashboard_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/service"
)

// page is the form of a page, as a browser without scripts sees it.
type page struct {
	text   string
	values url.Values
	kinds  map[string]string // of controls: type of the input, select, radio or textarea
	about  map[string]string // the attributes of the controls
	all    map[string][]string
}

var (
	formPart  = regexp.MustCompile(`(?s)<form class="form run-form".*?</form>`)
	tagged    = regexp.MustCompile(`(?s)<(input|textarea|select)\b([^>]*)>`)
	attribute = regexp.MustCompile(`([a-z-]+)(?:="([^"]*)")?`)
	optioned  = regexp.MustCompile(`(?s)<option value="([^"]*)"( selected)?>`)
)

func attributes(text string) map[string]string {
	list := map[string]string{}
	for _, m := range attribute.FindAllStringSubmatch(text, -1) {
		list[m[1]] = html.UnescapeString(m[2])
	}
	return list
}

// readPage reads the form of a page.
func readPage(t *testing.T, text string) *page {
	t.Helper()
	p := &page{text: text, values: url.Values{}, kinds: map[string]string{}, about: map[string]string{}, all: map[string][]string{}}
	form := formPart.FindString(text)
	if form == "" {
		t.Fatalf("the page has no form:\n%.3000s", text)
	}
	for _, at := range tagged.FindAllStringSubmatchIndex(form, -1) {
		tag, given := form[at[2]:at[3]], attributes(form[at[4]:at[5]])
		name, rest := given["name"], form[at[1]:]
		if name == "" {
			t.Errorf("a control without a name: %s", form[at[0]:at[1]])
		}
		p.about[name] = form[at[4]:at[5]]
		switch tag {
		case "textarea":
			content, _, _ := strings.Cut(rest, "</textarea>")
			p.kinds[name] = tag
			p.values.Add(name, html.UnescapeString(strings.TrimPrefix(content, "\n")))
		case "select":
			content, _, _ := strings.Cut(rest, "</select>")
			p.kinds[name] = tag
			chosen := ""
			for i, m := range optioned.FindAllStringSubmatch(content, -1) {
				value := html.UnescapeString(m[1])
				p.all[name] = append(p.all[name], value)
				if i == 0 || m[2] != "" {
					chosen = value
				}
			}
			p.values.Add(name, chosen)
		default:
			kind := given["type"]
			if kind != "hidden" {
				p.kinds[name] = kind
			}
			_, checked := given["checked"]
			if kind == "checkbox" || kind == "radio" {
				p.all[name] = append(p.all[name], given["value"])
				if !checked {
					continue
				}
			}
			p.values.Add(name, given["value"])
		}
	}
	return p
}

// submit sends what stands in the form; pairs are put in place of it.
func (b *bundle) submit(address string, p *page, pairs ...string) *httptest.ResponseRecorder {
	b.t.Helper()
	sent := url.Values{}
	for name, list := range p.values {
		sent[name] = list
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		sent[pairs[i]] = []string{pairs[i+1]}
	}
	return b.send(http.MethodPost, address, sent.Encode(), "Sec-Fetch-Site", "same-origin")
}

// ran is the job that a form made, with its arguments.
func (b *bundle) ran(w *httptest.ResponseRecorder) (job distro.Job, args, kwargs string) {
	b.t.Helper()
	if w.Code != http.StatusSeeOther {
		b.t.Fatalf("answered %d: %s", w.Code, problems(w.Body.String()))
	}
	to, err := url.Parse(w.Header().Get("Location"))
	if err != nil {
		b.t.Fatal(err)
	}
	id := strings.TrimPrefix(to.Path, "/jobs/")
	if ran := to.Query().Get("ran"); ran != "" {
		id = ran
	}
	job, err = b.service.Get(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	at := strings.LastIndexByte(job.Function, '.')
	m, err := b.service.Automation(b.t.Context(), job.Function[:at])
	if err != nil {
		b.t.Fatal(err)
	}
	known := service.Recall(m, m.Functions[slices.IndexFunc(m.Functions, func(f distro.Function) bool { return f.Name == job.Function[at+1:] })], job.Payload)
	if known.Args == nil || known.Partly {
		b.t.Fatalf("the call of %s is not known: %s", id, service.ArgumentLine(job.Payload))
	}
	return job, string(known.Args), string(known.Kwargs)
}

var problemText = regexp.MustCompile(`(?s)<div class="problem" role="alert">.*?</div>`)

// problems are what a page says is wrong.
func problems(text string) string {
	return strings.Join(strings.Fields(html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(problemText.FindString(text), " "))), " ")
}

// jobs are how many jobs there are.
func (b *bundle) jobs() int {
	b.t.Helper()
	page, err := b.broker.List(b.t.Context(), broker.ListQuery{Limit: broker.MaxPage})
	if err != nil {
		b.t.Fatal(err)
	}
	return len(page.Jobs)
}

func text(s string) *string { return &s }
