package dashboard

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/docstring"
	"github.com/distro-orchestrator/distro/internal/guard"
)

//go:embed templates
var templates embed.FS

// pages are the templates, one set for each language and page: a text of the
// wrong language cannot get onto a page.
type pages struct {
	sets map[string]*template.Template // by tag and name of the page: "en jobs"
}

// frame is what every page has around what is its own.
type frame struct {
	Name    string // of the page's template
	Title   string
	Nav     []navEntry
	Lang    string
	Base    string // of the language
	Zone    string
	Prefers preferences

	Style   string
	Scripts []string
	Texts   template.JS // JSON of the texts that scripts show
	Version string

	Address  string // of this page, to come back to
	Closed   bool   // there are logins
	Reader   bool   // may only read
	Entered  bool   // is let in, by a login or where none is needed
	API      bool   // /api/v1 is there: so are live updates
	Live     string // topics of them
	Position string // of the change feed, before what the page shows was read
	Behind   moment // since when history lacks what happens

	Body any // the view of the page
}

// navEntry is one of the pages in the navigation.
type navEntry struct {
	Name, Path, Icon, Key string
	Here                  bool
}

// readPages parses every template for every language.
func readPages(languages []*language, icons template.HTML) (*pages, error) {
	p := &pages{sets: map[string]*template.Template{}}
	names, err := fs.Glob(templates, "templates/page_*.html")
	if err != nil {
		return nil, fmt.Errorf("list templates: %w", err)
	}
	for _, l := range languages {
		for _, name := range names {
			set, err := template.New("layout.html").Funcs(functions(l, icons)).
				ParseFS(templates, "templates/layout.html", "templates/part_*.html", name)
			if err != nil {
				return nil, fmt.Errorf("read templates: %w", err)
			}
			page := strings.TrimSuffix(strings.TrimPrefix(path.Base(name), "page_"), ".html")
			p.sets[l.tag+" "+page] = set
		}
	}
	return p, nil
}

// functions are what templates may call.
func functions(l *language, icons template.HTML) template.FuncMap {
	return template.FuncMap{
		"t":         l.T,
		"n":         l.N,
		"number":    l.number,
		"path":      url.PathEscape,
		"docstring": func(doc string) template.HTML { return template.HTML(docstring.HTML(doc)) }, //nolint:gosec // G203: its elements are a few, its texts escaped
		"icons":     func() template.HTML { return icons },
		"pair":      func(a, b any) [2]any { return [2]any{a, b} },
		"json": func(v any) (string, error) {
			text, err := json.Marshal(v)
			return string(text), err
		},
	}
}

// query is an address with parameters, given as names and values in turn. Empty
// ones are left out.
func query(address string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return address
	}
	return address + "?" + q.Encode()
}

// option changes the frame of a page.
type option func(*frame)

// live says which topics a page wants to hear of, names in them escaped as in an
// address.
func live(topics ...string) option {
	return func(f *frame) { f.Live = strings.Join(topics, " ") }
}

// show answers with a page. title is the key of its title, or the title itself.
func (s *Server) show(r *request, status int, name, title string, body any, options ...option) error {
	f := s.frame(r, name, title)
	f.Body = body
	for _, o := range options {
		o(&f)
	}
	return s.write(r, status, name, "layout.html", f)
}

// showPart answers with a part of a page only.
func (s *Server) showPart(r *request, name, part string, body any) error {
	f := s.frame(r, name, "")
	f.Body = body
	return s.write(r, http.StatusOK, name, part, f)
}

func (s *Server) frame(r *request, name, title string) frame {
	f := frame{
		Name: name, Title: r.T(title), Lang: r.tag, Base: r.base(), Zone: r.zone.String(), Prefers: r.prefers,
		Style: s.assets.address(styleFile), Version: s.opts.Version,
		Address: r.URL.RequestURI(), Closed: s.opts.Guard.Closed(), Reader: r.role == guard.Reader,
		Entered: r.role != guard.None, API: s.opts.API != nil, Position: r.position,
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		f.Address = r.back()
	}
	if f.Entered {
		f.Nav = s.navigation(r.URL.Path)
	}
	if app := s.assets.address("app.js"); app != "" {
		f.Scripts = append(f.Scripts, app)
	}
	texts, err := json.Marshal(r.scripted())
	if err != nil {
		panic(fmt.Errorf("encode texts: %w", err)) // they are strings
	}
	f.Texts = template.JS(texts) //nolint:gosec // G203: json.Marshal escapes what could end the element
	return f
}

// navigation leaves out what there is not.
func (s *Server) navigation(here string) []navEntry {
	list := []navEntry{{Name: "nav.home", Path: "/", Icon: "home", Key: "h"}}
	if s.full() {
		list = append(list, navEntry{Name: "nav.automations", Path: "/automations", Icon: "code", Key: "a"})
	}
	list = append(list,
		navEntry{Name: "nav.jobs", Path: "/jobs", Icon: "list", Key: "j"},
		navEntry{Name: "nav.queues", Path: "/queues", Icon: "queue", Key: "q"},
		navEntry{Name: "nav.workers", Path: "/workers", Icon: "worker", Key: "w"},
		navEntry{Name: "nav.schedules", Path: "/schedules", Icon: "clock", Key: "s"},
		navEntry{Name: "nav.settings", Path: "/settings", Icon: "gear", Key: ","},
	)
	for i := range list {
		p := list[i].Path
		list[i].Here = here == p || p != "/" && strings.HasPrefix(here, p+"/")
	}
	return list
}

// full reports whether an orchestrator is behind the dashboard: it has history
// and automations.
func (s *Server) full() bool { return s.opts.About.History != "" }

// write renders into memory first, so that a template that fails answers with no
// half page.
func (s *Server) write(r *request, status int, name, template string, f frame) error {
	set, ok := s.pages.sets[r.tag+" "+name]
	if !ok {
		return fmt.Errorf("there is no page %q", name)
	}
	var b bytes.Buffer
	if err := set.ExecuteTemplate(&b, template, f); err != nil {
		return fmt.Errorf("render page %s: %w", name, err)
	}
	h := r.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", r.tag)
	h.Add("Vary", "Accept-Encoding, Accept-Language, Cookie")
	if b.Len() > 1<<10 && takesGzip(r.Request) {
		h.Set("Content-Encoding", "gzip")
		r.w.WriteHeader(status)
		packed, _ := gzip.NewWriterLevel(r.w, gzip.BestSpeed) // the level is one there is
		_, _ = packed.Write(b.Bytes())                        // the client is gone, or it went well
		_ = packed.Close()
		return nil
	}
	r.w.WriteHeader(status)
	_, _ = r.w.Write(b.Bytes())
	return nil
}

// again answers with a page that asks for the same address once more.
func (p *pages) again(w http.ResponseWriter, u *url.URL) {
	q := u.Query()
	q.Set("again", "1")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	target := template.HTMLEscapeString((&url.URL{Path: u.Path, RawQuery: q.Encode()}).String())
	fmt.Fprintf(w, `<!doctype html><meta http-equiv="refresh" content="0;url=%s"><title>Distro</title><a href="%s">Distro</a>`, target, target)
}

// problemView is the page of what went wrong.
type problemView struct {
	Heading string
	Detail  string // of the service, in English
	Field   string
	Status  int
	Again   bool // it may pass by itself
}

// fail answers with what went wrong, as a page.
func (s *Server) fail(r *request, err error) {
	if r.Context().Err() != nil {
		return // nobody reads it
	}
	code := distro.ErrorCode(err)
	view := problemView{Status: code.HTTPStatus(), Heading: r.T("problem." + string(code)), Again: code == distro.CodeUnavailable}
	if e, ok := errors.AsType[*distro.Error](err); ok && code != distro.CodeInternal {
		view.Detail, view.Field = e.Message, e.Field
	}
	if view.Status == http.StatusInternalServerError || view.Again {
		s.opts.Logger.ErrorContext(r.Context(), "page could not be made", "path", r.URL.Path, "error", err)
	}
	if err := s.show(r, view.Status, "problem", "problem."+string(code), view); err != nil {
		s.opts.Logger.ErrorContext(r.Context(), "page of an error could not be made", "error", err)
		http.Error(r.w, "internal error; the log of the server says more", http.StatusInternalServerError)
	}
}
