// Package dashboard serves the pages on port 9181. Every page is whole when it
// leaves the server: scripts only make it livelier. A page is a view, made of
// what the service answers, and a template that shows it; neither decides
// anything.
package dashboard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/guard"
	"github.com/distro-orchestrator/distro/internal/service"
)

// Options are what a Server works with. Service, Guard and Assets are required.
type Options struct {
	Service *service.Service
	Guard   *guard.Guard
	Assets  fs.FS // style.css and icons.svg; scripts where they were built
	API     API   // nil: there is none

	Secure  bool           // it is served by TLS
	Zone    *time.Location // of times, until a reader chooses another; default UTC
	Version string
	Host    string // the name of this machine, as its workers have it; empty: not known
	About   About
	Logger  *slog.Logger // default: none

	Now func() time.Time // default time.Now
}

// API makes the handler of /api/v1 for requests that the dashboard let in. role tells what their senders may do.
type API func(role func(*http.Request) guard.Role) http.Handler

// About is what the page of settings tells of the installation. Addresses are
// without passwords.
type About struct {
	Queue   string // where the queue is
	History string // where history is; empty: there is none
	Modules string // the folder of the automations; empty: there is none
	Data    string // the folder of the data
	API     string // the address of the API
	Python  string // version of the interpreter
	Started time.Time
}

func (o Options) withDefaults() Options {
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Server is the HTTP handler of the dashboard.
type Server struct {
	opts      Options
	mux       *http.ServeMux
	assets    *assets
	languages []*language
	pages     *pages
	sessions  *sessions
}

// New returns a Server.
func New(opts Options) (*Server, error) {
	if opts.Service == nil || opts.Guard == nil || opts.Assets == nil {
		return nil, errors.New("a dashboard needs a service, a guard and its assets")
	}
	s := &Server{opts: opts.withDefaults(), mux: http.NewServeMux()}
	var err error
	if s.languages, err = readLanguages(); err != nil {
		return nil, err
	}
	if s.assets, err = readAssets(opts.Assets); err != nil {
		return nil, err
	}
	if s.pages, err = readPages(s.languages, s.assets.icons); err != nil {
		return nil, err
	}
	s.sessions = newSessions(s.opts.Guard, s.opts.Secure, s.opts.Now)
	s.routes()
	return s, nil
}

// routes is every address of the dashboard.
func (s *Server) routes() {
	s.page("GET /{$}", s.home)
	s.page("GET /automations", s.automations)
	s.page("GET /automations/{module}/{function}", s.automation)
	s.mount("POST /automations/{module}/{function}", s.runAutomation) // it reads its form itself: there may be files in it
	s.page("POST /automations/{module}/{function}/options/{parameter}", s.suggestions)
	s.page("POST /automations/{module}/{function}/presets/delete", s.deletePreset)
	s.page("GET /jobs", s.jobs)
	s.page("GET /jobs/rows", s.jobRows)
	s.page("GET /jobs/{id}", s.job)
	s.page("POST /jobs/{id}/{action}", s.actOnJob)
	s.page("GET /queues", s.queues)
	s.page("GET /queues/{queue}", s.queue)
	s.page("POST /queues/{queue}/{action}", s.actOnQueue)
	s.page("GET /workers", s.workers)
	s.page("GET /workers/{worker}", s.worker)
	s.page("POST /workers/{action}", s.actOnWorkers)
	s.page("POST /workers/{worker}/{action}", s.actOnWorker)
	s.page("GET /schedules", s.schedules)
	s.page("POST /operations/new", s.newOperation)
	s.page("POST /operations", s.createOperation)
	s.page("GET /operations/{id}", s.operation)
	s.page("POST /operations/{id}/cancel", s.cancelOperation)
	s.page("GET /settings", s.settings)

	s.page("GET /login", s.showLogin)
	s.page("POST /login", s.login)
	s.page("POST /logout", s.logout)
	s.page("POST /preferences", s.setPreferences)
	s.mux.HandleFunc("GET /assets/{name}", s.assets.serve)
	s.mux.HandleFunc("GET /healthz", health)
	if s.opts.API != nil {
		s.mux.Handle("/api/v1/", s.opts.API(roleOf))
	}
	(&rqDashboard{s.opts.Service, s.opts.Logger}).register(s.mux)
	s.page("/", func(*request) error { return distro.Errorf(distro.CodeNotFound, "there is nothing at this address") })
}

// health answers whoever asks whether this process lives, as the API's own does.
func health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"status":"ok"}`+"\n") // the client may have gone
}

// page mounts a handler of a page or an action. What it returns as an error is
// shown as a page of its own.
func (s *Server) page(pattern string, handle func(*request) error) {
	s.mount(pattern, func(r *request) error {
		if err := r.readForm(); err != nil {
			return err
		}
		return handle(r)
	})
}

// mount is page for a handler that reads the form itself.
func (s *Server) mount(pattern string, handle func(*request) error) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		req := s.read(w, r)
		if err := handle(req); err != nil {
			s.fail(req, err)
		}
	})
}

// open reports whether an address is answered without a login.
func open(path string) bool {
	return path == "/login" || path == "/healthz" || strings.HasPrefix(path, "/assets/")
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer s.rescue(w, r)
	secure(w.Header())
	if !s.opts.Guard.Answers(r) {
		http.Error(w, "this server does not answer to the name in the Host header; add it to hosts in the configuration", http.StatusMisdirectedRequest)
		return
	}
	if err := s.opts.Guard.Cross(r); err != nil {
		http.Error(w, "a page of another origin may not do this", http.StatusForbidden)
		return
	}
	role := s.sessions.role(r)
	switch {
	case role == guard.None && !open(r.URL.Path):
		s.sendToLogin(w, r)
		return
	case role == guard.Reader && r.Method != http.MethodGet && r.Method != http.MethodHead && !ownSession(r.URL.Path):
		s.fail(s.read(w, r), distro.Errorf(distro.CodeForbidden, "this login may only read"))
		return
	}
	s.mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), roleKey{}, role)))
}

// ownSession reports whether a change is one of the reader's own session.
func ownSession(path string) bool {
	return path == "/login" || path == "/logout" || path == "/preferences" || strings.HasPrefix(path, "/api/v1/events/")
}

type roleKey struct{}

// roleOf is what the sender of a request may do, once ServeHTTP found out.
func roleOf(r *http.Request) guard.Role {
	role, _ := r.Context().Value(roleKey{}).(guard.Role) // else guard.None
	return role
}

// secure sets the headers that every answer has. Scripts, styles and pictures
// come from this origin only, and nothing a job wrote is ever one of them but
// pictures.
func secure(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "+
		"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}

// rescue answers for a handler that panicked.
func (s *Server) rescue(w http.ResponseWriter, r *http.Request) {
	fault := recover()
	if fault == nil {
		return
	}
	if fault == http.ErrAbortHandler {
		panic(fault)
	}
	s.opts.Logger.ErrorContext(r.Context(), "page panicked", "panic", fmt.Sprint(fault), "stack", string(debug.Stack()))
	http.Error(w, "internal error; the log of the server says more", http.StatusInternalServerError)
}
