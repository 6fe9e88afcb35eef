package guard_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/distro-orchestrator/distro/internal/guard"
)

func TestATokenGivesTheRoleItIsOf(t *testing.T) {
	t.Parallel()
	const operators, readers = "0123456789abcdef", "fedcba9876543210"
	open, one, both := guard.New(guard.Options{}), guard.New(guard.Options{Token: operators}), guard.New(guard.Options{Token: operators, ReadToken: readers})
	for _, tt := range []struct {
		what  string
		guard *guard.Guard
		token string
		want  guard.Role
	}{
		{"without a token set everybody operates", open, "", guard.Operator},
		{"a token of readers alone guards nothing", guard.New(guard.Options{ReadToken: readers}), "x", guard.Operator},
		{"no token", one, "", guard.None}, {"a wrong token", one, operators + "x", guard.None}, {"the beginning", one, operators[:15], guard.None},
		{"the token", one, operators, guard.Operator}, {"no reader is known", one, readers, guard.None},
		{"the token of operators", both, operators, guard.Operator}, {"the token of readers", both, readers, guard.Reader}, {"neither", both, "x", guard.None},
		{"nothing", both, "", guard.None},
	} {
		if got := tt.guard.Role(tt.token); got != tt.want {
			t.Errorf("%s: role %d, want %d", tt.what, got, tt.want)
		}
	}
	if guard.None >= guard.Reader || guard.Reader >= guard.Operator {
		t.Error("roles do not grow")
	}
}

func request(t *testing.T, method, host string, header ...string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/", nil)
	r.Host = host
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func TestOnlyNamesThatAreKnownAreAnswered(t *testing.T) {
	t.Parallel()
	g := guard.New(guard.Options{Listen: "192.0.2.7:7000", Hosts: []string{"Distro.example.org", "[2001:db8::1]"}})
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST.:7000": true, "127.9.1.1": true, "[::1]:7000": true, "192.0.2.7:9": true, "distro.example.org.:443": true, "[2001:db8:0::1]": true,
		"": false, "evil.example": false, "x.localhost": false, "localhost.evil.example": false, "192.0.2.8": false, "0.0.0.0": false, "2130706433": false,
	} {
		if got := g.Answers(request(t, "GET", host)); got != want {
			t.Errorf("Host %q: answered %t", host, got)
		}
	}
}

func TestAListenerOnEveryAddressAnswersToTheAddressOfTheConnection(t *testing.T) {
	t.Parallel()
	g := guard.New(guard.Options{Listen: ":9181"})
	for host, want := range map[string]bool{"192.0.2.7:9181": true, "192.0.2.8": false, "evil.example": false} {
		r := request(t, "GET", host)
		local := net.Addr(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 9181})
		if got := g.Answers(r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local))); got != want {
			t.Errorf("Host %q: answered %t", host, got)
		}
	}
}

func TestRequestsForPagesOfOtherOriginsAreTold(t *testing.T) {
	t.Parallel()
	g := guard.New(guard.Options{})
	for _, tt := range []struct {
		method         string
		header         []string
		cross, foreign bool
	}{
		{"POST", nil, false, false},
		{"POST", []string{"Origin", "http://localhost:1"}, false, false},
		{"POST", []string{"Sec-Fetch-Site", "cross-site"}, true, true},
		{"POST", []string{"Origin", "http://evil.example"}, true, true},
		{"GET", []string{"Sec-Fetch-Site", "cross-site"}, false, true},
		{"GET", []string{"Sec-Fetch-Site", ""}, false, true},
		{"GET", []string{"Sec-Fetch-Site", "none"}, false, false},
		{"GET", []string{"Origin", "null"}, false, true},
		{"GET", []string{"Referer", "https://evil.example/"}, false, true},
		{"GET", []string{"Referer", "http://localhost:1/x"}, false, false},
	} {
		r := request(t, tt.method, "localhost:1", tt.header...)
		if err := g.Cross(r); (err != nil) != tt.cross {
			t.Errorf("%s %q: error %v", tt.method, tt.header, err)
		}
		if got := guard.Foreign(r); got != tt.foreign {
			t.Errorf("%s %q: foreign is %t", tt.method, tt.header, got)
		}
	}
}
