package httpapi

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/distro-orchestrator/distro/internal/guard"
)

//go:embed docs
var docsFiles embed.FS

// docs is the documentation of the API as a page.
type docs struct {
	page    *template.Template
	style   template.CSS
	policy  string // Content-Security-Policy
	phrases map[string]string
}

// newDocs reads the page's parts, which are within the binary.
func newDocs() (*docs, error) {
	style, err := docsFiles.ReadFile("docs/style.css")
	if err != nil {
		return nil, fmt.Errorf("read the style of the documentation: %w", err)
	}
	phrases, err := docsFiles.ReadFile("docs/pt.json")
	if err != nil {
		return nil, fmt.Errorf("read the translations of the documentation: %w", err)
	}
	sum := sha256.Sum256(style)
	d := &docs{
		style: template.CSS(style), //nolint:gosec // G203: it is a file of the binary
		policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	}
	if err := json.Unmarshal(phrases, &d.phrases); err != nil {
		return nil, fmt.Errorf("read the translations of the documentation: %w", err)
	}
	d.page, err = template.New("page.html").Funcs(template.FuncMap{"t": language{}.phrase, "spans": spans}).ParseFS(docsFiles, "docs/page.html")
	if err != nil {
		return nil, fmt.Errorf("read the page of the documentation: %w", err)
	}
	return d, nil
}

// showDocs answers GET /docs.
func (s *Server) showDocs(w http.ResponseWriter, r *http.Request) {
	words := language{code: languageOf(r)}
	if words.code == portuguese {
		words.phrases = s.docs.phrases
	}
	page, err := s.docs.page.Clone()
	if err != nil {
		panic(fmt.Errorf("clone the page of the documentation: %w", err)) // it was never executed
	}
	page.Funcs(template.FuncMap{"t": words.phrase})
	var body bytes.Buffer
	view := docsView{
		Code: words.code, Style: s.docs.style, Base: s.base(r), Secret: s.guard.Role("") == guard.None, Version: s.opts.Version,
		Groups: describeGroups(s.description, s.routes, words), Problem: describeNamed(s.description, "Problem", words),
	}
	if err := page.Execute(&body, view); err != nil {
		panic(fmt.Errorf("write the documentation: %w", err)) // only a wrong template could do this
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", words.code)
	h.Set("Content-Security-Policy", s.docs.policy)
	h.Set("Vary", "Accept-Language")
	_, _ = w.Write(body.Bytes()) // the client may have gone
}

var plainHost = regexp.MustCompile(`^[A-Za-z0-9._:\[\]-]+$`)

// base is where the client reached the server: examples begin with it. What
// does not look like a host is not put into a command that people copy.
func (s *Server) base(r *http.Request) string {
	host := r.Host
	if !plainHost.MatchString(host) {
		host = s.opts.Listen
	}
	if r.TLS != nil {
		return "https://" + host
	}
	return "http://" + host
}

// The languages of the documentation.
const (
	portuguese = "pt-BR"
	inEnglish  = "en"
)

// language is what the documentation is written in. The words of the program
// are English; others are found by these.
type language struct {
	code    string
	phrases map[string]string
}

func (l language) phrase(english string) string {
	if phrase, ok := l.phrases[english]; ok {
		return phrase
	}
	return english
}

// languageOf is the language that a request asks for: by ?lang=, else by
// Accept-Language, else Portuguese.
func languageOf(r *http.Request) string {
	switch r.URL.Query().Get("lang") {
	case "pt", portuguese:
		return portuguese
	case inEnglish:
		return inEnglish
	}
	best, most := portuguese, 0.0
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, weight, weighted := strings.Cut(part, ";")
		q := 1.0
		if weighted {
			n, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(weight), "q="), 64)
			if err != nil {
				continue
			}
			q = n
		}
		main, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		if code := map[string]string{"pt": portuguese, "en": inEnglish}[main]; code != "" && q > most {
			best, most = code, q
		}
	}
	return best
}

// span is a part of a text: code, or not.
type span struct {
	Text string
	Code bool
}

// spans divides a text where it has code between backticks.
func spans(text string) []span {
	var all []span
	code := false
	for part := range strings.SplitSeq(text, "`") {
		if part != "" {
			all = append(all, span{part, code})
		}
		code = !code
	}
	return all
}
