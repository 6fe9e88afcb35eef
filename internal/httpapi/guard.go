package httpapi

import (
	"net/http"
	"strings"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/guard"
)

// admission returns why a request is refused, or nil. It is asked before any
// route is looked at.
func (s *Server) admission(w http.ResponseWriter, r *http.Request, access access) *Problem {
	if !s.guard.Answers(r) {
		return newProblem(http.StatusMisdirectedRequest, distro.CodeForbidden,
			"this server does not answer to the name in the Host header; add it to hosts in the configuration")
	}
	if access != open && s.guard.Role(bearer(r)) == guard.None {
		w.Header().Set("WWW-Authenticate", `Bearer realm="distro"`)
		return newProblem(http.StatusUnauthorized, "unauthorized", "a valid token is needed: Authorization: Bearer <auth_token>")
	}
	if err := s.guard.Cross(r); err != nil {
		return newProblem(http.StatusForbidden, distro.CodeForbidden, "a page of another origin may not do this")
	}
	return nil
}

// bearer is the token that a request brings; empty: none.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
