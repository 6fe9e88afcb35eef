package web_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/distro-orchestrator/distro/web"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// policy is what pages of the dashboard allow browsers to load.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; " +
	"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// watch collects what a reader would find in the console.
const watch = `
window.problems = [];
addEventListener("securitypolicyviolation", (e) => problems.push(e.violatedDirective + " " + e.blockedURI));
addEventListener("error", (e) => problems.push(String(e.message)));
addEventListener("unhandledrejection", (e) => problems.push(String(e.reason)));
for (const level of ["error", "warn"]) {
  const log = console[level];
  console[level] = (...all) => { problems.push(all.map(String).join(" ")); log(...all); };
}`

// TestInABrowser runs the scripts in Chromium: one process, a tab for each test.
func TestInABrowser(t *testing.T) {
	t.Parallel()
	scripts, err := web.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(scripts) == 0 {
		t.Skip("the scripts are not built: make assets")
	}
	browser := start(t)
	tests := map[string]func(*testing.T, *tab){
		"regions are refreshed and nothing of the reader's is lost": testRegions,
		"regions come and go": testComingAndGoing,
		"a page that cannot be had any more is left and says so":     testGone,
		"elements can be used by everybody":                          testAccessibility,
		"rows are updated in place and new ones wait for a click":    testRows,
		"the first row of an empty list appears by itself":           testFirstRow,
		"a broken stream comes back and nothing is missed":           testReconnect,
		"without a stream pages ask again and again":                 testPolling,
		"a page in the background gives its stream up":               testHidden,
		"pausing freezes the page":                                   testPause,
		"after an upgrade the reader is offered to reload":           testUpgrade,
		"an action changes the page without leaving it":              testAction,
		"an action that is refused says so beside its form":          testRefused,
		"an action that asks is done when it was answered":           testAsking,
		"an action may lead to another page":                         testLeading,
		"rows are selected by pointer and by keys":                   testSelection,
		"keys work where they should and nowhere else":               testKeys,
		"the command box finds pages and opens jobs":                 testCommand,
		"the search box suggests fields and values":                  testQuery,
		"times are told from now or as they are":                     testTimes,
		"buttons copy":                                               testCopy,
		"a chart draws its table and draws it again":                 testChart,
		"a log of a million lines opens at its end and scrolls":      testLongLog,
		"a log is searched and filtered by the server":               testSearchLog,
		"a log follows what is printed until the reader scrolls up":  testFollowLog,
		"a log opens at the traceback, and links to lines":           testLogPlaces,
		"what a job prints is text whatever it prints":               testHostileLog,
		"a log that cannot be read leaves what the server has drawn": testNoLog,
		"wrapped lines show the last one at the end":                 testWrappedLog,
	}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tests[name](t, newTab(t, browser, scripts["app.js"]))
		})
	}
}

// start starts the browser. Its own sandbox does not work for root.
func start(t *testing.T) context.Context {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = cmp.Or(path, found)
		}
	}
	if path == "" {
		t.Skip("there is no Chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.Flag("lang", "en"))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, closeFirst := chromedp.NewContext(ctx)
	t.Cleanup(closeFirst)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// dist is the folder of the scripts.
func dist(t *testing.T) fs.FS {
	t.Helper()
	folder, err := fs.Sub(web.Assets(), "dist")
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// tab is a tab of the browser, and the server that it looks at.
type tab struct {
	t      *testing.T
	ctx    context.Context //nolint:containedctx // it is the tab
	script string
	mux    *http.ServeMux
	url    string

	mu      sync.Mutex
	main    string
	version string
	attrs   string // of the html element
	rail    string
	texts   map[string]any
	events  map[chan string]bool // of each stream that is open
	refuse  bool                 // streams
	away    string               // where the page at / leads instead
}

func newTab(t *testing.T, browser context.Context, script string) *tab {
	t.Helper()
	s := &tab{t: t, script: script, mux: http.NewServeMux(), version: "1", events: map[chan string]bool{}, texts: texts()}
	s.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		away := s.away
		s.mu.Unlock()
		if away != "" {
			http.Redirect(w, r, away, http.StatusSeeOther)
			return
		}
		s.page(w, http.StatusOK, s.body())
	})
	s.mux.HandleFunc("GET /events", s.stream)
	s.mux.Handle("GET /assets/", http.StripPrefix("/assets/", http.FileServerFS(dist(t))))
	s.mux.Handle("GET /static/", http.FileServerFS(web.Assets()))
	server := httptest.NewServer(s.mux)
	s.url = server.URL
	ctx, closeTab := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	ctx, stop := context.WithTimeout(ctx, 4*patience)
	s.ctx = ctx
	t.Cleanup(func() {
		if !t.Failed() {
			var problems []string
			s.eval("window.problems", &problems)
			for _, p := range problems {
				t.Errorf("in the console: %s", p)
			}
		}
		stop()
		closeTab()
		server.CloseClientConnections()
		server.Close()
	})
	return s
}

// page writes a page of the dashboard, as far as scripts need it.
func (s *tab) page(w http.ResponseWriter, status int, main string) {
	s.mu.Lock()
	version, attrs, rail := s.version, s.attrs, s.rail
	words, err := json.Marshal(s.texts)
	s.mu.Unlock()
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Security-Policy", policy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<!doctype html><html lang="en"%s><head><title>Test</title>
<meta name="distro-version" content="%s"><meta name="htmx-config" content='{"includeIndicatorCSS":false}'>
<link rel="icon" href="data:,"><link rel="stylesheet" href="/static/style.css"><script type="module" src="/assets/%s"></script>
<script type="application/json" id="texts">%s</script></head>
<body><header><nav>%s</nav><d-live src="/events" topics="jobs overview" hidden></d-live></header>
<main id="main" tabindex="-1">%s</main>
<dialog id="help"><h2>Help</h2><form method="dialog"><button>Close</button></form></dialog>
<dialog id="command"><form action="/jobs"><input name="q"></form><ul><li><a href="/queues">Queues</a></li><li><a href="/workers">Workers</a></li></ul></dialog>
</body></html>`, attrs, version, s.script, words, rail, main)
}

func (s *tab) body() string { s.mu.Lock(); defer s.mu.Unlock(); return s.main }

// show sets what the page at / is from now on.
func (s *tab) show(main string) { s.mu.Lock(); defer s.mu.Unlock(); s.main = main }

// set changes the server under its lock.
func (s *tab) set(change func()) { s.mu.Lock(); defer s.mu.Unlock(); change() }

// stream is GET /events, as docs/events.md has it.
func (s *tab) stream(w http.ResponseWriter, r *http.Request) {
	events := make(chan string, 64)
	s.mu.Lock()
	refused := s.refuse
	if !refused {
		s.events[events] = true
	}
	s.mu.Unlock()
	if refused {
		http.Error(w, "no", http.StatusServiceUnavailable)
		return
	}
	defer s.set(func() { delete(s.events, events) })
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprint(w, "event: hello\ndata: {\"stream\": \"x\"}\n\n")
	control := http.NewResponseController(w)
	for control.Flush() == nil {
		select {
		case event, open := <-events:
			if !open {
				return
			}
			fmt.Fprint(w, event)
		case <-r.Context().Done():
			return
		}
	}
}

// tell sends an event to all streams.
func (s *tab) tell(event, data string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for events := range s.events {
		events <- fmt.Sprintf("event: %s\ndata: %s\n\n", event, data)
	}
}

// changed tells that jobs took a status.
func (s *tab) changed(ids ...string) {
	var list []string
	for _, id := range ids {
		list = append(list, fmt.Sprintf(`{"job_id": %q, "queue": "high", "status": "started", "attempt": 1}`, id))
	}
	s.tell("jobs", `{"changes": [`+strings.Join(list, ",")+`]}`)
}

// hangUp ends all streams.
func (s *tab) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for events := range s.events {
		close(events)
		delete(s.events, events)
	}
}

// open goes to a page and waits until its scripts run.
func (s *tab) open(path string) {
	s.t.Helper()
	err := chromedp.Do(s.ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: watch})
		return err
	}), chromedp.EmulateViewport(1000, 800), chromedp.Navigate(s.url+path))
	if err != nil {
		s.t.Fatal(err)
	}
	s.wait(`document.documentElement.classList.contains("js")`)
}

// live opens the page at / and waits for its stream.
func (s *tab) live() {
	s.t.Helper()
	s.open("/")
	s.wait(`document.querySelector("d-live").dataset.state === "open"`)
}

// eval runs an expression, and waits where it is a promise.
func (s *tab) eval(expression string, into any) {
	s.t.Helper()
	text, err := chromedp.Run(s.ctx, chromedp.Evaluate[string](
		`(async () => JSON.stringify(await (`+expression+`)) ?? "null")()`, chromedp.EvalAwaitPromise))
	if err != nil {
		s.t.Fatalf("%s: %v", expression, err)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		s.t.Fatalf("%s: %q: %v", expression, text, err)
	}
}

// do runs statements.
func (s *tab) do(statements string) {
	s.t.Helper()
	s.eval("(async () => {"+statements+"})()", nil)
}

// is compares what an expression is with what it must be.
func (s *tab) is(expression string, want any) {
	s.t.Helper()
	var got any
	s.eval(expression, &got)
	if n, ok := want.(int); ok {
		want = float64(n)
	}
	if got != want {
		s.t.Errorf("%s is %v, want %v", expression, got, want)
	}
}

// wait waits until an expression is true, on whatever page the tab is then.
func (s *tab) wait(expression string) {
	s.t.Helper()
	// Not chromedp.Poll: the policy of pages forbids what it does.
	look := fmt.Sprintf(`new Promise((resolve) => {
  const end = Date.now() + %d;
  const look = () => {
    let found = false;
    try { found = Boolean(%s); } catch { }
    if (found || Date.now() > end) resolve(found);
    else setTimeout(look, 20);
  };
  look();
})`, patience.Milliseconds(), expression)
	for end := time.Now().Add(patience); ; {
		found, err := chromedp.Run(s.ctx, chromedp.Evaluate[bool](look, chromedp.EvalAwaitPromise))
		if found {
			return
		}
		// What is asked while the page is left has no answer.
		if err == nil || time.Now().After(end) {
			var page string
			s.eval(`JSON.stringify(window.problems) + document.body.innerHTML.slice(0, 2500)`, &page)
			s.t.Fatalf("%s is not true after %v (%v): %s", expression, patience, err, page)
		}
	}
}

// press presses keys, one after the other. Unlike with chromedp.KeyEvent, nothing
// is typed where a script took the key.
func (s *tab) press(keys string, modifiers ...chromedp.Modifier) {
	s.t.Helper()
	for _, r := range keys {
		text := ""
		events := kb.Encode(r)
		for _, event := range events {
			text = cmp.Or(text, event.Text)
		}
		for _, event := range events {
			switch event.Type {
			case input.DispatchKeyEventTypeChar:
				continue
			case input.DispatchKeyEventTypeKeyUp:
			default:
				event.Type = input.DispatchKeyEventTypeKeyDown
				if len(modifiers) == 0 {
					event.Text = text
				}
			}
			for _, m := range modifiers {
				event.Modifiers |= int64(m)
			}
			if err := chromedp.Do(s.ctx, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
				_, err := chromedp.Call(ctx, input.DispatchKeyEvent, *event)
				return err
			})); err != nil {
				s.t.Fatalf("press %q: %v", r, err)
			}
		}
	}
}

func (s *tab) click(selector string) {
	s.t.Helper()
	if err := chromedp.Do(s.ctx, chromedp.Click(selector)); err != nil {
		s.t.Fatalf("click on %s: %v", selector, err)
	}
}

func esc(text string) string { return html.EscapeString(text) }

// texts are some of what pages bring, as Go writes them.
func texts() map[string]any {
	return map[string]any{
		"js.live":     "live",
		"js.new":      map[string]string{"One": "{0} new one", "Other": "{0} new"},
		"js.selected": map[string]string{"One": "{0} selected", "Other": "{0} selected"},
		"js.updated":  map[string]string{"One": "{0} s ago", "Other": "{0} s ago"},
		"js.log.new":  map[string]string{"One": "{0} new line", "Other": "{0} new lines"},
		"js.version":  "reload",
		"js.failed":   "it did not work",
	}
}

func TestScriptsAreSmall(t *testing.T) {
	t.Parallel()
	const most = 60_000
	sizes, all := map[string]int64{}, int64(0)
	err := fs.WalkDir(dist(t), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".js.gz") {
			return err
		}
		info, err := d.Info()
		sizes[name] = info.Size()
		all += info.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if all > most {
		t.Errorf("scripts are %d bytes compressed, want at most %d: %v", all, most, sizes)
	}
}

func TestTheManifestNamesWhatThereIs(t *testing.T) {
	t.Parallel()
	names, err := web.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		for _, name := range []string{name, name + ".gz"} {
			if _, err := fs.Stat(dist(t), name); err != nil {
				t.Error(err)
			}
		}
	}
}
