package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/distro-orchestrator/distro"
)

// guard decides who may ask, before any route is looked at.
type guard struct {
	names  map[string]bool // host names and addresses answered, in lower case
	any    bool            // the listener takes connections on every address
	token  [sha256.Size]byte
	secret bool // a token is set
	cross  *http.CrossOriginProtection
}

func newGuard(listen string, hosts []string, token string) *guard {
	g := &guard{names: map[string]bool{"localhost": true}, cross: http.NewCrossOriginProtection()}
	if token != "" {
		g.token, g.secret = sha256.Sum256([]byte(token)), true
	}
	host := hostOf(listen)
	if addr, err := netip.ParseAddr(host); host == "" || err == nil && addr.IsUnspecified() {
		g.any = true
	} else {
		g.names[host] = true
	}
	for _, name := range hosts {
		g.names[hostOf(name)] = true
	}
	return g
}

// hostOf is the host of host or host:port, in the one form that is compared:
// lower case, without a dot at the end, addresses in their shortest form.
func hostOf(hostport string) string {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().String()
	}
	return host
}

// check returns why a request is refused, or nil.
func (g *guard) check(w http.ResponseWriter, r *http.Request, access access) *Problem {
	if !g.answers(r) {
		return newProblem(http.StatusMisdirectedRequest, distro.CodeForbidden,
			"this server does not answer to the name in the Host header; add it to hosts in the configuration")
	}
	if access != open && g.secret && !g.holds(r.Header.Get("Authorization")) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="distro"`)
		return newProblem(http.StatusUnauthorized, "unauthorized", "a valid token is needed: Authorization: Bearer <auth_token>")
	}
	if err := g.cross.Check(r); err != nil {
		return newProblem(http.StatusForbidden, distro.CodeForbidden, "a page of another origin may not do this")
	}
	return nil
}

// answers compares the Host header, so that no web page reaches the server
// under a name of its own that it makes resolve to this machine. The address
// that a connection came in on is safe: it is no name, and resolves to itself.
func (g *guard) answers(r *http.Request) bool {
	host := hostOf(r.Host)
	if g.names[host] {
		return true
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	if addr.IsLoopback() {
		return true
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return g.any && ok && hostOf(local.String()) == host
}

// holds compares hashes, so that neither the token's length nor its beginning
// shows in the time it takes.
func (g *guard) holds(authorization string) bool {
	scheme, token, _ := strings.Cut(authorization, " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(sum[:], g.token[:]) == 1
}

// foreign reports whether a browser sent the request for a page of another
// origin. http.CrossOriginProtection lets every GET pass, and the original's
// clean-queue is a GET that deletes.
func foreign(r *http.Request) bool {
	if site := r.Header.Values("Sec-Fetch-Site"); len(site) > 0 && site[0] != "same-origin" && site[0] != "none" {
		return true
	}
	for _, name := range []string{"Origin", "Referer"} {
		for _, value := range r.Header.Values(name) {
			u, err := url.Parse(value)
			if err != nil || !strings.EqualFold(u.Host, r.Host) {
				return true
			}
		}
	}
	return false
}
