// Package httpapi serves the API of Distro: the endpoints of the system it
// replaces, word for word, and /api/v1. It decides who may ask, reads requests
// that anybody may have written, and leaves every other decision to the
// service.
package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/guard"
	"github.com/distro-orchestrator/distro/internal/service"
)

// Options are what a Server works with. Service is required.
type Options struct {
	Service   *service.Service
	AuthToken string                      // bearer token; empty: everybody may, whom the listener lets in
	ReadToken string                      // bearer token that may only read; empty: there is none
	Hosts     []string                    // names answered beside loopback and Listen
	Listen    string                      // host:port the server is reached at
	MaxBody   int64                       // bytes of a request's body; default 32 MiB
	Version   string                      // of Distro, for the API's description
	Logger    *slog.Logger                // default: none
	Ready     func(context.Context) error // whether work can be taken; default: always
	Metrics   http.Handler                // answers GET /metrics; nil: there are none
}

func (o Options) withDefaults() Options {
	if o.MaxBody <= 0 {
		o.MaxBody = 32 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Ready == nil {
		o.Ready = func(context.Context) error { return nil }
	}
	if o.Metrics == nil {
		o.Metrics = http.HandlerFunc(nothingHere)
	}
	return o
}

// maxStreams bounds the answers that stay open at a time.
const maxStreams = 256

// Server is the HTTP handler of the API.
type Server struct {
	opts   Options
	guard  *guard.Guard
	mux    *http.ServeMux
	access map[string]access // by pattern
	routes []Route
	spec   []byte // OpenAPI, JSON

	docs        *docs
	description *huma.OpenAPI // the same, for GET /docs; read only
	streams     chan struct{}

	subscriptions sync.Map // of open streams of events: *service.Subscription by name
	busy          sync.Map // idempotency keys of requests that are being carried out

	closing chan struct{}
	close   sync.Once
}

// New returns a Server.
func New(opts Options) (*Server, error) {
	if opts.Service == nil {
		return nil, errors.New("an API server needs a service")
	}
	s := &Server{
		opts:    opts.withDefaults(),
		guard:   guard.New(guard.Options{Listen: opts.Listen, Hosts: opts.Hosts, Token: opts.AuthToken, ReadToken: opts.ReadToken}),
		mux:     http.NewServeMux(),
		access:  map[string]access{},
		streams: make(chan struct{}, maxStreams),
		closing: make(chan struct{}),
	}
	var err error
	if s.docs, err = newDocs(); err != nil {
		return nil, err
	}
	if err := s.register(); err != nil {
		return nil, fmt.Errorf("register routes: %w", err)
	}
	return s, nil
}

// Times of a connection. Answers that stay open move their own deadlines.
const (
	headerTimeout = 10 * time.Second
	readTimeout   = 90 * time.Second // longer than service.MaxWait: its end ends a wait too
	writeTimeout  = 2 * time.Minute
	idleTimeout   = 2 * time.Minute
	maxHeader     = 64 << 10
)

// HTTPServer returns an http.Server around handler, which is s or leads to it,
// whose limits hold against slow clients, and whose Shutdown ends what would stay
// open.
func (s *Server) HTTPServer(handler http.Handler) *http.Server {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		// The general handler would answer OPTIONS * before the guard.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(s.opts.Logger.Handler(), slog.LevelDebug),
	}
	server.RegisterOnShutdown(s.EndStreams)
	return server
}

// EndStreams ends the answers that stay open: log streams and waits for a
// job's end. Clients may ask again elsewhere, where they were.
func (s *Server) EndStreams() { s.close.Do(func() { close(s.closing) }) }

// secure sets the headers that every answer has. Nothing here is a page.
func secure(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
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
	s.opts.Logger.ErrorContext(r.Context(), "request panicked", "panic", fmt.Sprint(fault), "stack", string(debug.Stack()))
	writeProblem(w, newProblem(http.StatusInternalServerError, distro.CodeInternal, "internal error; the log of the server says more"))
}

// noRoute answers where no route matched. The mux knows which methods would
// have, and says so in a form that is not ours.
func (s *Server) noRoute(w http.ResponseWriter, r *http.Request, fallback http.Handler) {
	answer := &headerOnly{header: http.Header{}}
	fallback.ServeHTTP(answer, r)
	if allow := answer.header.Get("Allow"); allow != "" {
		if strings.TrimSuffix(r.URL.Path, "/") == cleanPath {
			allow = cleanMethods
		}
		methodNotAllowed(w, r, allow)
		return
	}
	nothingHere(w, r)
}

func nothingHere(w http.ResponseWriter, _ *http.Request) {
	writeProblem(w, newProblem(http.StatusNotFound, distro.CodeNotFound, "there is nothing at this address"))
}

func methodNotAllowed(w http.ResponseWriter, r *http.Request, allow string) {
	w.Header().Set("Allow", allow)
	writeProblem(w, newProblem(http.StatusMethodNotAllowed, "method_not_allowed",
		fmt.Sprintf("%.20s is not possible here; %s is", r.Method, allow)))
}

// headerOnly takes the headers of an answer and drops its body.
type headerOnly struct{ header http.Header }

func (h *headerOnly) Header() http.Header         { return h.header }
func (h *headerOnly) Write(b []byte) (int, error) { return len(b), nil }
func (h *headerOnly) WriteHeader(int)             {}
