package browsertest_test

import (
	"bytes"
	"fmt"
	"image/png"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro/internal/browsertest"
)

// serve serves a page whose policy is as strict as that of the dashboard.
func serve(t *testing.T, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; img-src data:; form-action 'self'")
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprintf(w, `<!doctype html><html lang="en"><title>Test</title><link rel="icon" href="data:,"><main><h1>%s</h1>%s</main>`, r.Header.Get("Accept-Language"), body)
		case "/page.js":
			w.Header().Set("Content-Type", "text/javascript")
			fmt.Fprint(w, `document.documentElement.dataset.ran = "yes"; for (const text of document.querySelectorAll("[data-do]")) (new Map(Object.entries({
  alert: () => alert("hello"), throws: () => { throw new Error("thrown") }, rejects: () => void Promise.reject(new Error("rejected")), warns: () => console.warn("a", 1),
})).get(text.dataset.do))();`)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

const script = `<script src="/page.js"></script>`

func TestInABrowser(t *testing.T) {
	t.Parallel()
	b := browsertest.Start(t)
	t.Run("problems of pages are told once", func(t *testing.T) {
		t.Parallel()
		tab := b.NewTab(t, browsertest.Options{})
		for what, want := range map[string]string{
			`<i data-do="alert"></i>` + script:                 `dialog: alert "hello"`,
			`<i data-do="throws"></i>` + script:                "thrown",
			`<i data-do="rejects"></i>` + script:               "rejected",
			`<i data-do="warns"></i>` + script:                 "warning: a 1",
			`<script>document.title = "ran"</script>`:          "inline script",
			`<img src="https://distro.invalid/a.png" alt="a">`: "https://distro.invalid/a.png",
		} {
			tab.Go(serve(t, what))
			tab.Wait(`document.readyState === "complete"`)
			problems := tab.Problems()
			if len(problems) != 1 || !strings.Contains(problems[0], want) {
				t.Errorf("%s: problems are %q, want one with %q", what, problems, want)
			}
			if again := tab.Problems(); len(again) != 0 {
				t.Errorf("%s: problems are told again: %q", what, again)
			}
		}
	})
	t.Run("a tab has the language and theme that it was opened with", func(t *testing.T) {
		t.Parallel()
		tab := b.NewTab(t, browsertest.Options{Language: "pt-BR", Dark: true, Width: 320})
		tab.Go(serve(t, ""))
		tab.Is(`document.querySelector("h1").textContent.split(",")[0]`, "pt-BR")
		tab.Is(`matchMedia("(prefers-color-scheme: dark)").matches && innerWidth`, 320)
		tab.SetTheme(false)
		tab.Is(`matchMedia("(prefers-color-scheme: dark)").matches`, false)
		picture, err := png.Decode(bytes.NewReader(tab.Screenshot(false)))
		if err != nil || picture.Bounds().Dx() != 320 {
			t.Errorf("the picture is %v (%v)", picture.Bounds(), err)
		}
	})
	t.Run("without scripts pages run none", func(t *testing.T) {
		t.Parallel()
		tab := b.NewTab(t, browsertest.Options{NoScripts: true})
		tab.Go(serve(t, script+`<form action="/#sent"><input id="a" name="a"><button>Send</button></form>`))
		tab.Is(`document.documentElement.dataset.ran ?? "no"`, "no")
		tab.Fill("#a", "old")
		tab.Fill("#a", "olá")
		tab.Click("button")
		tab.Wait(`new URLSearchParams(location.search).get("a") === "olá"`)
	})
	t.Run("requests are told with what they cost", func(t *testing.T) {
		t.Parallel()
		tab := b.NewTab(t, browsertest.Options{})
		url := serve(t, script)
		tab.Go(url + "/nothing")
		tab.Go(url)
		got := map[string]int64{}
		for _, r := range tab.Requests() {
			got[r.Type+" "+strings.TrimPrefix(r.URL, url)] = r.Status
			if r.Bytes < 200 {
				t.Errorf("%s came in %d bytes", r.URL, r.Bytes)
			}
		}
		if diff := cmp.Diff(map[string]int64{"Document /": 200, "Script /page.js": 200}, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("what a reader cannot see is a violation", func(t *testing.T) {
		t.Parallel()
		axe := browsertest.ReadAxe(t, "../../web")
		tab := b.NewTab(t, browsertest.Options{})
		tab.Go(serve(t, `<p>good</p>`))
		for _, v := range tab.Violations(axe) {
			t.Errorf("a good page: %v", v)
		}
		tab.Go(serve(t, `<input>`))
		if found := tab.Violations(axe); len(found) != 1 || !found[0].Serious() || found[0].Rule != "label" {
			t.Errorf("a field without a name: %v", found)
		}
	})
}
