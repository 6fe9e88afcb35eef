package dashboard

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/guard"
)

// sessionAge is how long a login is good.
const sessionAge = 30 * 24 * time.Hour

// sessions are the logins. A session is its cookie: role, end and a nonce,
// signed with the token it was made with, so that it outlives a restart and ends
// when the token is changed.
type sessions struct {
	guard  *guard.Guard
	secure bool
	now    func() time.Time

	mu       sync.Mutex
	failures map[string]failures // by address of the client
}

// failures are logins that failed.
type failures struct {
	left float64 // that may still fail
	at   time.Time
}

// Logins that fail: some at once, then one every few seconds from one address.
const (
	failuresAtOnce = 10
	failureEvery   = 6 * time.Second
	maxFailing     = 4096 // addresses that are remembered
)

func newSessions(g *guard.Guard, secure bool, now func() time.Time) *sessions {
	return &sessions{guard: g, secure: secure, now: now, failures: map[string]failures{}}
}

// cookieName is that of the session. A name that begins so is taken by browsers
// only from this very host, and by TLS.
func (s *sessions) cookieName() string {
	if s.secure {
		return "__Host-distro"
	}
	return "distro"
}

// role is what whoever sent a request may do: by its session, else by the token
// that programs send.
func (s *sessions) role(r *http.Request) guard.Role {
	if c, err := r.Cookie(s.cookieName()); err == nil {
		if role := s.verify(c.Value); role != guard.None {
			return role
		}
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		token = ""
	}
	return s.guard.Role(strings.TrimSpace(token))
}

// issue makes the value of a session's cookie.
func (s *sessions) issue(role guard.Role) string {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails: see crypto/rand
	text := fmt.Sprintf("%d.%d.%s", role, s.now().Add(sessionAge).Unix(), base64.RawURLEncoding.EncodeToString(nonce[:]))
	signature, _ := s.sign(role, text)
	return text + "." + signature
}

// sign has nothing to sign with for a role that no token is set for.
func (s *sessions) sign(role guard.Role, text string) (signature string, ok bool) {
	key, ok := s.guard.Key(role, "distro dashboard session")
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), ok
}

// verify is the role of a session; none where it is not one of ours, or over.
func (s *sessions) verify(value string) guard.Role {
	text, signature, found := cutLast(value, ".")
	parts := strings.Split(text, ".")
	if !found || len(parts) != 3 {
		return guard.None
	}
	number, err := strconv.Atoi(parts[0])
	ends, malformed := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || malformed != nil || s.now().Unix() >= ends {
		return guard.None
	}
	role := guard.Role(number)
	if ours, ok := s.sign(role, text); !ok || !hmac.Equal([]byte(signature), []byte(ours)) {
		return guard.None
	}
	return role
}

func cutLast(text, separator string) (before, after string, found bool) {
	at := strings.LastIndex(text, separator)
	if at < 0 {
		return text, "", false
	}
	return text[:at], text[at+len(separator):], true
}

// mayTry reports whether an address may try another login, and counts it as one
// that fails.
func (s *sessions) mayTry(address string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	f, known := s.failures[address]
	if !known {
		f = failures{failuresAtOnce, now}
	}
	f.left = min(failuresAtOnce, f.left+now.Sub(f.at).Seconds()/failureEvery.Seconds())
	f.at = now
	if f.left < 1 {
		s.failures[address] = f
		return false
	}
	f.left--
	if len(s.failures) >= maxFailing && !known {
		s.forget(now)
	}
	s.failures[address] = f
	return true
}

// forget makes room: addresses that have long not failed go first, then any.
func (s *sessions) forget(now time.Time) {
	for address, f := range s.failures {
		if now.Sub(f.at) > failuresAtOnce*failureEvery {
			delete(s.failures, address)
		}
	}
	for address := range s.failures {
		if len(s.failures) < maxFailing {
			return
		}
		delete(s.failures, address)
	}
}

// succeeded forgets the failures of an address.
func (s *sessions) succeeded(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.failures, address)
}

// sendToLogin answers who has not logged in: pages lead to the login, all else is
// refused.
func (s *Server) sendToLogin(w http.ResponseWriter, r *http.Request) {
	// The cookie does not come with a link on another site; asked for again by
	// this page, it does.
	_, err := r.Cookie(s.sessions.cookieName())
	switch {
	case r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Site") == "cross-site" && err != nil && r.URL.Query().Get("again") == "":
		s.pages.again(w, r.URL)
	case r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html"):
		http.Redirect(w, r, "/login?back="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
	default:
		w.Header().Set("WWW-Authenticate", `Bearer realm="distro"`)
		http.Error(w, "log in, or send a token: Authorization: Bearer <auth_token>", http.StatusUnauthorized)
	}
}

// loginView is the page of the login.
type loginView struct {
	Back  string
	Wrong bool
	Later bool // too many failed
}

func (s *Server) showLogin(r *request) error {
	back := within(r.query("back"))
	if r.role != guard.None {
		return r.seeOther(back)
	}
	return s.show(r, http.StatusOK, "login", "login.title", loginView{Back: back})
}

func (s *Server) login(r *request) error {
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		address = r.RemoteAddr
	}
	view := loginView{Back: r.back()}
	if !s.sessions.mayTry(address) {
		view.Later = true
		r.w.Header().Set("Retry-After", strconv.Itoa(int(failureEvery.Seconds())))
		s.opts.Logger.WarnContext(r.Context(), "login refused: too many failed", "address", address)
		return s.show(r, http.StatusTooManyRequests, "login", "login.title", view)
	}
	role := s.opts.Guard.Role(strings.TrimSpace(r.PostForm.Get("token")))
	if role == guard.None {
		view.Wrong = true
		s.opts.Logger.WarnContext(r.Context(), "login failed", "address", address)
		return s.show(r, http.StatusUnauthorized, "login", "login.title", view)
	}
	s.sessions.succeeded(address)
	http.SetCookie(r.w, s.sessionCookie(s.sessions.issue(role)))
	return r.seeOther(view.Back)
}

func (s *Server) logout(r *request) error {
	http.SetCookie(r.w, s.sessionCookie(""))
	return r.seeOther("/login")
}

func (s *Server) sessionCookie(value string) *http.Cookie {
	return s.cookie(s.sessions.cookieName(), value, sessionAge)
}

// operator refuses who may only read.
func (r *request) operator() error {
	if r.role != guard.Operator {
		return distro.Errorf(distro.CodeForbidden, "this login may only read")
	}
	return nil
}
