package dashboard_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro/internal/dashboard"
	"github.com/distro-orchestrator/distro/internal/guard"
)

// enter logs in and returns the session's cookie.
func (b *bundle) enter(token string) string {
	b.t.Helper()
	w := b.post("/login", "token", token, "back", "/queues")
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/queues" {
		b.t.Fatalf("the login answered %d, %q", w.Code, w.Header().Get("Location"))
	}
	cookie, _, _ := strings.Cut(w.Header().Get("Set-Cookie"), ";")
	return cookie
}

func TestPagesAskForTheTokenWhereOneIsSet(t *testing.T) {
	t.Parallel()
	b := setup(t, nil, closed)
	for _, address := range []string{"/", "/jobs/x?tab=log", "/settings", "/nothing"} {
		w := b.send(http.MethodGet, address, "")
		if w.Code != http.StatusSeeOther || !strings.HasPrefix(w.Header().Get("Location"), "/login?back=") {
			t.Errorf("GET %s answered %d, %q", address, w.Code, w.Header().Get("Location"))
		}
	}
	if w := b.send(http.MethodGet, "/jobs", "", "Accept", "application/json"); w.Code != http.StatusUnauthorized {
		t.Errorf("a program is answered %d", w.Code)
	}
	if w := b.send(http.MethodGet, "/healthz", ""); w.Code != http.StatusOK || w.Body.String() != "{\"status\":\"ok\"}\n" {
		t.Errorf("whoever asks whether it lives is answered %d %s", w.Code, w.Body)
	}
	if w := b.post("/workers/suspend"); w.Code != http.StatusUnauthorized {
		t.Errorf("a form is answered %d", w.Code)
	}
	if w := b.send(http.MethodGet, "/jobs", "", "Authorization", "Bearer "+secret); w.Code != http.StatusOK {
		t.Errorf("a program with the token is answered %d", w.Code)
	}
	if w := b.post("/login", "token", "wrong"); w.Code != http.StatusUnauthorized || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("a wrong token is answered %d", w.Code)
	}
	cookie := b.enter(secret)
	has(t, b.get("/queues", "Cookie", cookie), "Log out", "Queues")
	w := b.send(http.MethodPost, "/logout", "", "Cookie", cookie)
	if got := w.Header().Get("Set-Cookie"); !strings.Contains(got, "Max-Age=0") {
		t.Errorf("the logout sets %q", got)
	}
}

func TestTheSessionsCookieIsForThisHostAndNoScript(t *testing.T) {
	t.Parallel()
	b := setup(t, nil, closed, func(o *dashboard.Options) { o.Secure = true })
	w := b.post("/login", "token", secret)
	set := w.Header().Get("Set-Cookie")
	for _, part := range []string{"__Host-distro=", "Path=/", "HttpOnly", "Secure", "SameSite=Strict"} {
		if !strings.Contains(set, part) {
			t.Errorf("Set-Cookie lacks %s: %s", part, set)
		}
	}
	if strings.Contains(set, "Domain") || strings.Contains(set, secret) {
		t.Errorf("Set-Cookie: %s", set)
	}
}

func TestASessionCannotBeMadeUpAndEnds(t *testing.T) {
	t.Parallel()
	now := clock()
	b := setup(t, nil, closed, func(o *dashboard.Options) { o.Now = func() time.Time { return now } })
	cookie := b.enter(readSecret)
	name, value, _ := strings.Cut(cookie, "=")
	parts := strings.Split(value, ".")
	for what, forged := range map[string]string{
		"another role":     strings.Join(append([]string{"2"}, parts[1:]...), "."),
		"a role there not": strings.Join(append([]string{"9"}, parts[1:]...), "."),
		"a later end":      strings.Join([]string{parts[0], "99999999999", parts[2], parts[3]}, "."),
		"no signature":     strings.Join(parts[:3], ".") + ".",
		"nothing":          "",
		"noise":            "....",
	} {
		if w := b.send(http.MethodGet, "/jobs", "", "Cookie", name+"="+forged); w.Code != http.StatusSeeOther {
			t.Errorf("%s is answered %d", what, w.Code)
		}
	}
	other := setup(t, nil, func(o *dashboard.Options) {
		o.Guard = guard.New(guard.Options{Listen: "127.0.0.1:9181", Token: secret})
	})
	if w := other.send(http.MethodGet, "/jobs", "", "Cookie", cookie); w.Code != http.StatusSeeOther {
		t.Errorf("a reader's session without a reader's token is answered %d", w.Code)
	}
	b.get("/jobs", "Cookie", cookie)
	now = now.Add(31 * 24 * time.Hour)
	if w := b.send(http.MethodGet, "/jobs", "", "Cookie", cookie); w.Code != http.StatusSeeOther {
		t.Errorf("a session of a month ago is answered %d", w.Code)
	}
}

func TestAReaderMayOnlyRead(t *testing.T) {
	t.Parallel()
	b := setup(t, nil, closed)
	cookie := b.enter(readSecret)
	page := b.get("/workers", "Cookie", cookie)
	has(t, page, "Read only")
	if strings.Contains(page, `action="/workers/suspend"`) {
		t.Error("a reader is offered to suspend all workers")
	}
	for _, address := range []string{"/workers/suspend", "/jobs/a/delete", "/queues/high/pause", "/operations", "/nothing"} {
		if w := b.send(http.MethodPost, address, "", "Cookie", cookie); w.Code != http.StatusForbidden {
			t.Errorf("POST %s answered %d", address, w.Code)
		}
	}
	if w := b.send(http.MethodPost, "/preferences", "theme=dark", "Cookie", cookie); w.Code != http.StatusSeeOther {
		t.Errorf("a reader's own preferences answered %d", w.Code)
	}
}

func TestGuessingTokensIsSlowedDown(t *testing.T) {
	t.Parallel()
	now := clock()
	b := setup(t, nil, closed, func(o *dashboard.Options) { o.Now = func() time.Time { return now } })
	for i := range 10 {
		if w := b.post("/login", "token", "guess"); w.Code != http.StatusUnauthorized {
			t.Fatalf("guess %d is answered %d", i, w.Code)
		}
	}
	if w := b.post("/login", "token", secret); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
		t.Errorf("the eleventh try is answered %d", w.Code)
	}
	now = now.Add(6 * time.Second)
	b.enter(secret)
}

func TestOtherSitesAreKeptOut(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	for _, address := range []string{"/workers/suspend", "/jobs/a/delete", "/preferences", "/logout", "/login", "/operations", "/queues/high/pause"} {
		w := b.send(http.MethodPost, address, "x=1", "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
		if w.Code != http.StatusForbidden {
			t.Errorf("POST %s of another site answered %d", address, w.Code)
		}
	}
	if w := b.send(http.MethodGet, "/", "", "Host", "evil.example"); w.Code != http.StatusMisdirectedRequest {
		t.Errorf("under another name it answered %d", w.Code)
	}
	for _, address := range []string{"https://evil.example/", "//evil.example", `/\evil.example`, "javascript:alert(1)", "/\tx"} {
		if w := b.post("/preferences", "back", address); w.Header().Get("Location") != "/" {
			t.Errorf("back to %q leads to %q", address, w.Header().Get("Location"))
		}
	}
	entered := setup(t, nil, closed)
	w := entered.send(http.MethodGet, "/jobs/a?tab=log", "", "Sec-Fetch-Site", "cross-site")
	has(t, w.Body.String(), `content="0;url=/jobs/a?again=1&amp;tab=log"`)
}
