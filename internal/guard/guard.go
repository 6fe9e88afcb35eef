// Package guard decides who may ask a listener of Distro: under which names it
// answers, what a token allows, and which requests of browsers come from
// elsewhere. Every listener holds a Guard of its own and asks it before it looks
// at a route; what a refusal looks like is the listener's to say.
package guard

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// Role is what somebody may do.
type Role int

// The roles; each may what those before it may.
const (
	None     Role = iota // nothing but what is open to everybody
	Reader               // look at everything, and change nothing
	Operator             // everything
)

// Options configure a Guard.
type Options struct {
	Listen    string   // host:port the listener is reached at
	Hosts     []string // names answered beside loopback addresses and Listen
	Token     string   // of operators; empty: everybody is one
	ReadToken string   // of readers, differs from Token; empty: nobody is one
}

// Guard decides for one listener. It is safe for concurrent use.
type Guard struct {
	names    map[string]bool // host names and addresses answered, in lower case
	any      bool            // the listener takes connections on every address
	operator secret
	reader   secret
	cross    *http.CrossOriginProtection
}

// New returns a Guard.
func New(opts Options) *Guard {
	g := &Guard{
		names: map[string]bool{"localhost": true}, cross: http.NewCrossOriginProtection(),
		operator: newSecret(opts.Token), reader: newSecret(opts.ReadToken),
	}
	host := hostOf(opts.Listen)
	if addr, err := netip.ParseAddr(host); host == "" || err == nil && addr.IsUnspecified() {
		g.any = true
	} else {
		g.names[host] = true
	}
	for _, name := range opts.Hosts {
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

// Answers reports whether the listener answers to the Host of a request, so
// that no web page reaches it under a name of its own that it makes resolve to
// this machine. The address that a connection came in on is safe: it is no name,
// and resolves to itself.
func (g *Guard) Answers(r *http.Request) bool {
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

// Role is what the bearer of a token may. Where no token of operators is set,
// everybody is one.
func (g *Guard) Role(token string) Role {
	if !g.operator.set {
		return Operator
	}
	// Both are compared for every token: the time tells nothing.
	operator, reader := g.operator.is(token), g.reader.is(token)
	switch {
	case operator:
		return Operator
	case reader:
		return Reader
	}
	return None
}

// secret is a token that is known by its hash, so that neither its length nor
// its beginning shows in the time that a comparison takes.
type secret struct {
	hash [sha256.Size]byte
	set  bool
}

func newSecret(token string) secret {
	if token == "" {
		return secret{}
	}
	return secret{sha256.Sum256([]byte(token)), true}
}

func (s secret) is(token string) bool {
	sum := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(sum[:], s.hash[:]) == 1 && s.set
}

// Cross returns an error for a request that a browser sends for a page of
// another origin, unless its method is one that changes nothing.
func (g *Guard) Cross(r *http.Request) error { return g.cross.Check(r) }

// Foreign reports whether a browser sent the request for a page of another
// origin, whatever its method: Cross lets every GET pass, and some change
// something.
func Foreign(r *http.Request) bool {
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
