package dashboard

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/guard"
)

// request is a request for a page, with what its reader prefers.
type request struct {
	*http.Request
	reader

	w        http.ResponseWriter
	role     guard.Role
	position string // of the change feed when the request came; empty: unknown
}

// reader is who reads a page: in which language and zone, and from when on times
// are counted.
type reader struct {
	*language
	zone    *time.Location
	now     time.Time
	prefers preferences
}

// preferences are what a reader chose, as it stands in cookies. Empty: nothing
// was chosen.
type preferences struct {
	Language string // tag of a language
	Zone     string // IANA name
	Theme    string // light or dark
	Density  string // compact
	Keys     string // off
}

const preferenceAge = 400 * 24 * time.Hour // browsers keep no cookie for longer

// names are the cookies of the preferences.
func (p *preferences) names() map[string]*string {
	return map[string]*string{"lang": &p.Language, "zone": &p.Zone, "theme": &p.Theme, "density": &p.Density, "keys": &p.Keys}
}

// allowed reports whether a value may be chosen. An empty one undoes a choice.
func (s *Server) allowed(name, value string) bool {
	switch {
	case value == "":
		return true
	case name == "zone":
		_, err := time.LoadLocation(value)
		return err == nil && value != "Local" && len(value) <= 64
	case name == "lang":
		return s.languageOf(value) != nil
	}
	return map[string]bool{"theme=light": true, "theme=dark": true, "density=compact": true, "keys=off": true}[name+"="+value]
}

func (s *Server) languageOf(tag string) *language {
	for _, l := range s.languages {
		if l.tag == tag {
			return l
		}
	}
	return nil
}

// read finds out who reads.
func (s *Server) read(w http.ResponseWriter, r *http.Request) *request {
	req := &request{Request: r, w: w, role: roleOf(r)}
	for name, value := range req.prefers.names() {
		if c, err := r.Cookie(name); err == nil && s.allowed(name, c.Value) {
			*value = c.Value
		}
	}
	req.language = s.languageOf(req.prefers.Language)
	if req.language == nil {
		req.language = s.accepted(r.Header.Get("Accept-Language"))
	}
	req.zone, req.now = s.opts.Zone, s.opts.Now()
	if req.prefers.Zone != "" {
		if zone, err := time.LoadLocation(req.prefers.Zone); err == nil {
			req.zone = zone
		}
	}
	if s.opts.API != nil && req.role != guard.None {
		req.position, _ = s.opts.Service.Position(r.Context()) // what a page is of asks the same queue, and says why it cannot
	}
	return req
}

// maxForm bounds what a form sends, in bytes.
const maxForm = 4 << 20

// readForm reads what a form sent.
func (r *request) readForm() error {
	if r.Method != http.MethodPost {
		return nil
	}
	r.Body = http.MaxBytesReader(r.w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return distro.Errorf(distro.CodeInvalid, "the form cannot be read")
	}
	return nil
}

// accepted is the first language of the header that there is. Who names none of
// them reads English, who names nothing Portuguese.
func (s *Server) accepted(header string) *language {
	for part := range strings.SplitSeq(header, ",") {
		tag, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		base, _, _ := strings.Cut(strings.ToLower(tag), "-")
		for _, l := range s.languages {
			if base == l.base() {
				return l
			}
		}
	}
	if strings.TrimSpace(header) == "" {
		return s.languages[0]
	}
	return s.languages[1]
}

// setPreferences keeps what the reader chose, and shows the page again.
func (s *Server) setPreferences(r *request) error {
	var p preferences
	for name := range p.names() {
		if _, given := r.PostForm[name]; !given {
			continue
		}
		value := r.PostForm.Get(name)
		if !s.allowed(name, value) {
			continue
		}
		c := s.cookie(name, value, preferenceAge)
		c.SameSite = http.SameSiteLaxMode // a link from elsewhere shows the page as its reader likes it
		http.SetCookie(r.w, c)
	}
	return r.seeOther(r.back())
}

// cookie is one that scripts cannot read, for this host only. An empty value
// deletes it.
func (s *Server) cookie(name, value string, age time.Duration) *http.Cookie {
	c := &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(age.Seconds()),
		HttpOnly: true, Secure: s.opts.Secure, SameSite: http.SameSiteStrictMode,
	}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

// back is the address within the dashboard that a form names to go on with.
func (r *request) back() string { return within(r.PostForm.Get("back")) }

// within is the address if it is one of this dashboard, else that of the first
// page: nobody is sent elsewhere.
func within(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil ||
		!strings.HasPrefix(address, "/") || strings.HasPrefix(address, "//") || strings.ContainsAny(address, "\\\r\n\t") {
		return "/"
	}
	return address
}

// seeOther ends an action: the browser goes on with a page.
func (r *request) seeOther(address string) error {
	http.Redirect(r.w, r.Request, address, http.StatusSeeOther)
	return nil
}

// query returns a parameter of the address.
func (r *request) query(name string) string { return r.URL.Query().Get(name) }
