package httpapi_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro/internal/guard"
	"github.com/distro-orchestrator/distro/internal/httpapi"
)

func TestEveryRouteNeedsTheTokenButTheOpenOnes(t *testing.T) {
	t.Parallel()
	b := setup(t, withToken)
	replacer := strings.NewReplacer("{id}", "x", "{queue}", "low", "{module}", "m", "{function}", "f", "{worker}", "w", "{name}", "1/a")
	open := map[string]bool{"/healthz": true, "/readyz": true}
	b.api.EndStreams()
	for _, route := range b.api.Routes() {
		path := replacer.Replace(route.Path)
		if route.Open != open[path] {
			t.Errorf("%s %s: open is %t", route.Method, path, route.Open)
		}
		for name, header := range map[string]string{
			"none": "", "wrong": "Bearer 0123456789abcdeX", "short": "Bearer 0", "empty": "Bearer ", "another scheme": "Basic " + secret, "bare": secret,
		} {
			w := b.do(route.Method, path, "", "Authorization", header, "Cookie", "auth_token="+secret)
			if got := w.Code == http.StatusUnauthorized; got == route.Open {
				t.Errorf("%s %s with token %s: %d", route.Method, path, name, w.Code)
			}
			if !route.Open && w.Header().Get("WWW-Authenticate") != `Bearer realm="distro"` {
				t.Errorf("%s %s: WWW-Authenticate %q", route.Method, path, w.Header().Get("WWW-Authenticate"))
			}
		}
		if w := b.do(route.Method, path, "", "Authorization", "bearer "+secret); w.Code == http.StatusUnauthorized {
			t.Errorf("%s %s with the token: %d", route.Method, path, w.Code)
		}
	}
	if n := len(b.api.Routes()); n < 30 {
		t.Errorf("only %d routes were walked", n)
	}
	for _, path := range []string{"/", "/nothing", "/docs/", "/scheduler/queue-task?x", "/HEALTHZ", "//scheduler/modules", "/healthz/"} {
		if w := b.do("GET", path, ""); w.Code != http.StatusUnauthorized {
			t.Errorf("%s, which is no route: %d", path, w.Code)
		}
	}
}

// inside asks the handler for another listener.
func (b *bundle) inside(role guard.Role, method, path, body string, header ...string) *httptest.ResponseRecorder {
	b.t.Helper()
	r := httptest.NewRequestWithContext(b.t.Context(), method, path, strings.NewReader(body))
	r.Host = "dashboard.example:9181"
	for pair := range slices.Chunk(header, 2) {
		r.Header.Set(pair[0], pair[1])
	}
	w := httptest.NewRecorder()
	b.api.Inside(func(*http.Request) guard.Role { return role }).ServeHTTP(w, r)
	return w
}

func TestATokenThatMayReadChangesNothing(t *testing.T) {
	t.Parallel()
	const reading = "fedcba9876543210"
	b := setup(t, withToken, func(o *httpapi.Options) { o.ReadToken = reading })
	b.api.EndStreams()
	replacer := strings.NewReplacer("{id}", "x", "{queue}", "low", "{module}", "m", "{function}", "f", "{worker}", "w", "{stream}", "s", "presets/{name}", "presets/a", "{name}", "1/a")
	for _, route := range b.api.Routes() {
		path := replacer.Replace(route.Path)
		clean := strings.HasPrefix(route.Path, "/scheduler/clean-queue")
		reads := route.Method == http.MethodGet && !clean || route.Path == "/api/v1/events/{stream}"
		if route.Reader != (reads && !route.Open) {
			t.Errorf("%s %s: is for readers: %t", route.Method, path, route.Reader)
		}
		methods := []string{route.Method}
		if route.Method == http.MethodGet {
			methods = append(methods, "HEAD")
		}
		for _, method := range methods {
			for where, w := range map[string]*httptest.ResponseRecorder{
				"outside": b.do(method, path, "", "Authorization", "Bearer "+reading), "inside": b.inside(guard.Reader, method, path, ""),
			} {
				if where == "inside" && !strings.HasPrefix(path, "/api/v1/") {
					continue
				}
				if refused := w.Code == http.StatusForbidden; refused == reads || w.Code == http.StatusUnauthorized {
					t.Errorf("%s: %s %s: %d %s", where, method, path, w.Code, w.Body)
				}
			}
		}
	}
	w := b.do("POST", "/scheduler/queue-task", task(`"x":1`), "Authorization", "Bearer "+reading)
	if !strings.Contains(w.Body.String(), "auth_token_read may only read") || w.Header().Get("WWW-Authenticate") != "" || len(b.jobs()) != 0 {
		t.Errorf("%d %s, with %d jobs", w.Code, w.Body, len(b.jobs()))
	}
	if w := b.do("GET", "/nothing", "", "Authorization", "Bearer "+reading); w.Code != http.StatusNotFound {
		t.Errorf("no route: %d", w.Code)
	}
}

func TestAnotherListenerOfTheProcessDecidesWhoMay(t *testing.T) {
	t.Parallel()
	b := setup(t, withToken)
	body := `{"function":"hello_world.send_hello_world"}`
	for _, tt := range []struct {
		what         string
		role         guard.Role
		method, path string
		header       []string
		want         int
	}{
		{"nobody", guard.None, "GET", "/api/v1/queues", nil, 401}, {"a token does not help", guard.None, "GET", "/api/v1/queues", []string{"Authorization", "Bearer " + secret}, 401},
		{"a reader reads", guard.Reader, "GET", "/api/v1/queues", nil, 200}, {"and changes nothing", guard.Reader, "POST", "/api/v1/jobs", nil, 403},
		{"nor by a token", guard.Reader, "POST", "/api/v1/jobs", []string{"Authorization", "Bearer " + secret}, 403},
		{"an operator reads", guard.Operator, "GET", "/api/v1/queues", nil, 200}, {"and operates", guard.Operator, "POST", "/api/v1/jobs", nil, 201},
		{"not for another's page", guard.Operator, "POST", "/api/v1/jobs", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"the original's requests are not there", guard.Operator, "POST", "/scheduler/queue-task", nil, 404}, {"nor what is open", guard.Operator, "GET", "/healthz", nil, 404},
		{"nor the documentation", guard.Operator, "GET", "/docs", nil, 404}, {"nor round a corner", guard.Operator, "GET", "/api/v1/../../scheduler/modules", nil, 301},
		{"another method", guard.Operator, "PUT", "/api/v1/queues", nil, 405}, {"no route", guard.Operator, "GET", "/api/v1/nothing", nil, 404},
	} {
		w := b.inside(tt.role, tt.method, tt.path, body, tt.header...)
		got := w.Code
		if got == http.StatusTemporaryRedirect || got == http.StatusPermanentRedirect {
			got = http.StatusMovedPermanently
		}
		if got != tt.want || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %s %s: %d %s", tt.what, tt.method, tt.path, w.Code, w.Body)
		}
	}
	if jobs := b.jobs(); len(jobs) != 1 {
		t.Errorf("%d jobs, want 1", len(jobs))
	}
	// Nothing in a request to the API's own listener leads there.
	for _, header := range [][]string{{"Host", "dashboard.example:9181"}, {"Cookie", "session=x"}, {"X-Forwarded-Host", "dashboard.example:9181"}} {
		if w := b.do("GET", "/api/v1/queues", "", header...); w.Code != http.StatusUnauthorized && w.Code != http.StatusMisdirectedRequest {
			t.Errorf("%q: %d", header, w.Code)
		}
	}
}

func TestOnlyKnownHostsAreAnswered(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *httpapi.Options) {
		o.Listen, o.Hosts = "192.0.2.7:7000", []string{"Distro.example.org", "[2001:db8::1]"}
	})
	for _, host := range []string{
		"localhost", "LOCALHOST:7000", "localhost.", "127.0.0.1", "127.8.9.1:80", "[::1]:7000", "[::ffff:127.0.0.1]", "192.0.2.7", "192.0.2.7:9",
		"distro.example.org", "distro.example.org.:443", "[2001:db8:0::1]:7000",
	} {
		if w := b.do("GET", "/healthz", "", "Host", host); w.Code != http.StatusOK {
			t.Errorf("Host %s: %d", host, w.Code)
		}
	}
	for _, host := range []string{
		"", "evil.example", "localhost.evil.example", "x.localhost", "127.0.0.1.evil.example", "192.0.2.8", "0.0.0.0", "[::]", "example.org", "2130706433", "localhost:80:80", "a b",
	} {
		for _, path := range []string{"/healthz", "/scheduler/modules", "/nothing"} {
			w := b.do("GET", path, "", "Host", host)
			if w.Code != http.StatusMisdirectedRequest || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("Host %q at %s: %d", host, path, w.Code)
			}
		}
	}
}

func TestAListenerOnEveryAddressAnswersToTheAddressOfTheConnection(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *httpapi.Options) { o.Listen = "0.0.0.0:7000" })
	get := func(host string) int {
		local := net.Addr(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 7000})
		r := httptest.NewRequestWithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, local), "GET", "/healthz", nil)
		r.Host = host
		w := httptest.NewRecorder()
		b.api.ServeHTTP(w, r)
		return w.Code
	}
	for host, want := range map[string]int{"192.0.2.7:7000": 200, "192.0.2.8:7000": 421, "evil.example": 421, "0.0.0.0": 421} {
		if got := get(host); got != want {
			t.Errorf("Host %s: %d, want %d", host, got, want)
		}
	}
}

func TestPagesOfOtherOriginsChangeNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create("default")
	const clean = "/scheduler/clean-queue"
	for _, tt := range []struct {
		method, path string
		header       []string
	}{
		{"GET", clean, []string{"Sec-Fetch-Site", "cross-site"}}, {"GET", clean + "/", []string{"Sec-Fetch-Site", "same-site"}},
		{"GET", clean, []string{"Sec-Fetch-Site", ""}}, {"GET", clean, []string{"Origin", "http://evil.example"}},
		{"GET", clean, []string{"Origin", "null"}}, {"GET", clean, []string{"Origin", "http://localhost:9999"}},
		{"GET", clean, []string{"Referer", "https://evil.example/page"}}, {"GET", clean, []string{"Referer", "::"}},
		{"GET", clean, []string{"Sec-Fetch-Site", "same-origin", "Referer", "https://evil.example/page"}},
		{"POST", clean, []string{"Sec-Fetch-Site", "cross-site"}}, {"DELETE", clean, []string{"Origin", "http://evil.example"}},
		{"POST", "/scheduler/queue-task", []string{"Origin", "http://evil.example", "Content-Type", "text/plain"}},
		{"POST", "/api/v1/jobs/" + id + "/cancel", []string{"Sec-Fetch-Site", "cross-site"}},
		{"DELETE", "/api/v1/jobs/" + id, []string{"Origin", "https://evil.example"}},
	} {
		w := b.do(tt.method, tt.path, task(`"x":1`), tt.header...)
		if w.Code != http.StatusForbidden || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s %q: %d %s", tt.method, tt.path, tt.header, w.Code, w.Body)
		}
	}
	if jobs := b.jobs(); len(jobs) != 1 || jobs[0].Status != "queued" {
		t.Errorf("jobs afterwards: %v", jobs)
	}
	for _, header := range [][]string{
		nil, {"Sec-Fetch-Site", "none"}, {"Sec-Fetch-Site", "same-origin"}, {"Origin", "http://localhost:7000"}, {"Referer", "http://localhost:7000/x"},
	} {
		if w := b.do("GET", clean, "", header...); w.Code != http.StatusOK {
			t.Errorf("clean-queue with %q: %d %s", header, w.Code, w.Body)
		}
	}
}

func TestEveryAnswerHasTheSecurityHeaders(t *testing.T) {
	t.Parallel()
	b := setup(t, withToken)
	for _, w := range []*httptest.ResponseRecorder{
		b.do("GET", "/healthz", ""), b.do("GET", "/nothing", ""), b.do("GET", "/healthz", "", "Host", "evil.example"),
		b.do("GET", "/api/v1/queues", "", "Authorization", "Bearer "+secret), b.do("PUT", "/healthz", "", "Authorization", "Bearer "+secret),
	} {
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Access-Control-Allow-Origin": "", "Set-Cookie": "",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %q (answer %d)", name, got, w.Code)
			}
		}
	}
}

func TestReadinessIsAskedForEachTime(t *testing.T) {
	t.Parallel()
	var fault error
	b := setup(t, func(o *httpapi.Options) { o.Ready = func(context.Context) error { return fault } })
	if w := b.do("GET", "/readyz", ""); w.Code != 200 || strings.TrimSpace(w.Body.String()) != `{"status":"ok"}` {
		t.Errorf("ready: %d %s", w.Code, w.Body)
	}
	fault = errors.New("the password is hunter2")
	w := b.do("GET", "/readyz", "")
	if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "hunter2") {
		t.Errorf("not ready: %d %s", w.Code, w.Body)
	}
	if w := b.do("GET", "/healthz", ""); w.Code != 200 || strings.TrimSpace(w.Body.String()) != `{"status":"ok"}` {
		t.Errorf("healthy: %d %s", w.Code, w.Body)
	}
}
