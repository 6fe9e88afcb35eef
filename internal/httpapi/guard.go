package httpapi

import (
	"net/http"
	"strings"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/guard"
)

// ServeHTTP answers one request of the API's own listener: to a name it is known
// by, and with the token that the route asks for.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.answer(w, r, func(access access) *Problem {
		if !s.guard.Answers(r) {
			return newProblem(http.StatusMisdirectedRequest, distro.CodeForbidden,
				"this server does not answer to the name in the Host header; add it to hosts in the configuration")
		}
		role := s.guard.Role(bearer(r))
		switch {
		case role >= access.needs():
			return nil
		case role == guard.None:
			w.Header().Set("WWW-Authenticate", `Bearer realm="distro"`)
			return newProblem(http.StatusUnauthorized, "unauthorized", "a valid token is needed: Authorization: Bearer <auth_token>")
		}
		return newProblem(http.StatusForbidden, distro.CodeForbidden, "auth_token_read may only read: this needs auth_token")
	})
}

// Inside returns a handler of /api/v1 for another listener of this process,
// which has decided already whether it answers to the request's Host, and knows
// of role what its sender may: neither Host nor token is looked at here. All
// else is as on the API's own listener, which never leads here: what is served
// depends on the handler that was asked, and on nothing in the request.
func (s *Server) Inside(role func(*http.Request) guard.Role) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.answer(w, r, func(access access) *Problem {
			has := role(r)
			switch {
			case has == guard.None: // also of what is open elsewhere
				return newProblem(http.StatusUnauthorized, "unauthorized", "sign in first")
			case !strings.HasPrefix(r.URL.Path, apiPath):
				return newProblem(http.StatusNotFound, distro.CodeNotFound, "there is nothing at this address")
			case has < access.needs():
				return newProblem(http.StatusForbidden, distro.CodeForbidden, "you may only read: sign in as an operator to do this")
			}
			return nil
		})
	})
}

// apiPath begins the paths of version 1.
const apiPath = "/api/v1/"

// answer answers one request unless admit says, of the access that its route
// needs, why it is refused.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, admit func(access) *Problem) {
	defer s.rescue(w, r)
	secure(w.Header())
	handler, pattern := s.mux.Handler(r)
	refused := admit(s.access[pattern])
	if refused == nil && s.guard.Cross(r) != nil {
		refused = newProblem(http.StatusForbidden, distro.CodeForbidden, "a page of another origin may not do this")
	}
	switch {
	case refused != nil:
		writeProblem(w, refused)
	case s.access[pattern] == "":
		s.noRoute(w, r, handler)
	default:
		s.mux.ServeHTTP(w, withCaller(r))
	}
}

// bearer is the token that a request brings; empty: none.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
