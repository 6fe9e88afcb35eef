package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro/internal/browsertest"
)

const (
	operatorToken = "a-token-that-may-do-everything"
	readerToken   = "a-token-that-may-only-look"
)

// enter logs in, on the page that a closed one led to.
func enter(tab *browsertest.Tab, token string) {
	tab.Fill("#token", token)
	tab.Click("form .primary")
}

func testLogin(t *testing.T, browser *browsertest.Browser) {
	b := &board{t: t, browser: browser}
	b.server = newServer(t, "auth_token = "+operatorToken+"\nauth_token_read = "+readerToken+"\n", map[string]string{"fluxo.py": flows})
	b.token = operatorToken
	b.start()
	id := b.failed(1, "fluxo.fails", "")[0]
	axe := browsertest.ReadAxe(t, "../../web")
	for _, without := range []bool{false, true} {
		tab := browser.NewTab(t, browsertest.Options{NoScripts: without})
		for _, path := range []string{"/", "/jobs?q=state:failed", job(id) + "?tab=log", "/queues", "/settings", "/nothing"} {
			tab.Go(b.pages + path)
			tab.Is(`location.pathname + new URLSearchParams(location.search).get("back")`, "/login"+path)
			tab.Is(fmt.Sprintf(`document.documentElement.outerHTML.includes(%q)`, id), strings.Contains(path, id))
		}
		tab.Go(b.pages + job(id))
		enter(tab, "a-token-that-is-wrong")
		tab.Wait(`document.querySelector("[role=alert]")?.textContent.trim() === "This token is not valid."`)
		for _, dark := range []bool{false, true} {
			tab.SetTheme(dark)
			for _, v := range accessible(tab, axe, without) {
				t.Errorf("the login, dark %v: %v", dark, v)
			}
		}
		enter(tab, readerToken)
		tab.Wait(`location.pathname === "` + job(id) + `" && document.querySelector(".error-title")`)
		for _, path := range []string{"/", "/jobs?q=state:failed", job(id), "/queues/default", "/workers", "/schedules"} {
			tab.Go(b.pages + path)
			tab.Is(`[...document.querySelectorAll("main form[method=post] button, main button[form]")].filter((b) => b.checkVisibility()).map((b) => b.textContent.trim()).join()`, "")
			tab.Is(`document.querySelector(".role").textContent`, "Read only")
		}
		if !without {
			tab.Is(`fetch("`+job(id)+`/requeue", { method: "POST", redirect: "manual" }).then((answer) => answer.status)`, http.StatusForbidden)
			tab.Is(`fetch("/api/v1/jobs/`+id+`", { method: "DELETE" }).then((answer) => answer.status)`, http.StatusForbidden)
		}
		tab.Go(b.pages + "/settings")
		tab.Click(`main form[action="/logout"] button`)
		tab.Wait(`location.pathname === "/login"`)
		tab.Go(b.pages + job(id))
		enter(tab, operatorToken)
		tab.Wait(`document.querySelector('form[action$="/requeue"]')`)
	}
	for _, secret := range []string{operatorToken, readerToken, "a-token-that-is-wrong"} {
		if strings.Contains(b.log(), secret) {
			t.Errorf("the log holds the token %q", secret)
		}
	}
}

// accessible is what keeps people from using the page; without scripts nothing can
// look for it.
func accessible(tab *browsertest.Tab, axe browsertest.Axe, noScripts bool) []browsertest.Violation {
	if noScripts {
		return nil
	}
	return slices.DeleteFunc(tab.Violations(axe), func(v browsertest.Violation) bool { return !v.Serious() })
}

// testOtherSites lets a page of another site do what forms and scripts can do from
// there, to a dashboard that asks for no login.
func (b *board) testOtherSites() {
	id := b.failed(1, "alheia.fails", "")[0]
	waiting := b.enqueue("fluxo.works", "", `, "delay": "1h"`)
	addresses := []string{
		job(id) + "/requeue", job(id) + "/delete", job(id) + "/rerun", job(waiting) + "/cancel", job(waiting) + "/run-first", job(waiting) + "/stop",
		"/queues/default/pause", "/queues/default/resume", "/queues/default/empty?name=default", "/workers/suspend", "/workers/resume", "/workers/x/stop",
		"/operations/new?action=delete&all=1&q=", "/operations?action=requeue&ids=" + id, "/operations/x/cancel", "/preferences?lang=en", "/login", "/logout",
		"/api/v1/jobs", "/api/v1/jobs/" + id + "/requeue", "/api/v1/queues/default/pause", "/api/v1/workers/suspend", "/job/" + id + "/requeue", "/queue/default/queued/empty",
	}
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><link rel="icon" href="data:,"><form method="post" action="%s%s/requeue"><button>Win a prize</button></form>`, b.pages, job(id))
	}))
	defer other.Close()
	tab := b.browser.NewTab(b.t, browsertest.Options{})
	home := strings.Replace(other.URL, "127.0.0.1", "localhost", 1)
	tab.Go(home)
	for _, path := range addresses {
		tab.Do(fmt.Sprintf(`await fetch(%q, { method: "POST", mode: "no-cors", credentials: "include" }).catch(() => 0)`, b.pages+path))
	}
	refused := 0
	for _, r := range tab.Requests() {
		if r.Type == "Fetch" && r.Status != http.StatusForbidden {
			b.t.Errorf("POST %s from another site is answered %d", r.URL, r.Status)
		} else if r.Type == "Fetch" {
			refused++
		}
	}
	if refused != len(addresses) {
		b.t.Errorf("%d posts were refused, of %d", refused, len(addresses))
	}
	tab.Click("button")
	tab.Wait(`document.body.textContent.includes("a page of another origin may not do this")`)
	for path, status := range map[string]string{id: "failed", waiting: "scheduled"} {
		var got struct{ Status string }
		b.get("/api/v1/jobs/"+path, &got)
		if got.Status != status {
			b.t.Errorf("a job that was %s is %s", status, got.Status)
		}
	}
}
