package web_test

import (
	"encoding/json"
	"fmt"
	"html"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/distro-orchestrator/distro/internal/browsertest"
	"github.com/distro-orchestrator/distro/web"
)

// policy is what pages of the dashboard allow browsers to load.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; " +
	"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

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
	browser := browsertest.Start(t)
	tests := map[string]func(*testing.T, *tab){
		"regions are refreshed and nothing of the reader's is lost": testRegions,
		"regions come and go": testComingAndGoing,
		"a page that cannot be had any more is left and says so":     testGone,
		"elements can be used by everybody":                          testAccessibility,
		"rows are updated in place and new ones wait for a click":    testRows,
		"the first row of an empty list appears by itself":           testFirstRow,
		"a stream begins where its page was made":                    testPosition,
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
	*browsertest.Tab

	t      *testing.T
	script string
	mux    *http.ServeMux
	url    string

	mu      sync.Mutex
	main    string
	version string
	attrs   string // of the html element
	rail    string
	after   string   // where in the feed of changes pages were made
	afters  []string // that streams asked for
	texts   map[string]any
	events  map[chan string]bool // of each stream that is open
	refuse  bool                 // streams
	away    string               // where the page at / leads instead
}

func newTab(t *testing.T, browser *browsertest.Browser, script string) *tab {
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
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	s.Tab = browser.NewTab(t, browsertest.Options{Width: 1000})
	return s
}

// page writes a page of the dashboard, as far as scripts need it.
func (s *tab) page(w http.ResponseWriter, status int, main string) {
	s.mu.Lock()
	version, attrs, rail, after := s.version, s.attrs, s.rail, s.after
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
<body><header><nav>%s</nav><d-live src="/events" topics="jobs overview" after="%s" hidden></d-live></header>
<main id="main" tabindex="-1">%s</main>
<dialog id="help"><h2>Help</h2><form method="dialog"><button>Close</button></form></dialog>
<dialog id="command"><form action="/jobs"><input name="q"></form><ul><li><a href="/queues">Queues</a></li><li><a href="/workers">Workers</a></li></ul></dialog>
</body></html>`, attrs, version, s.script, words, rail, after, main)
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
	s.afters = append(s.afters, r.URL.Query().Get("after"))
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
	s.Go(s.url + path)
	s.Wait(`document.documentElement.classList.contains("js")`)
}

// live opens the page at / and waits for its stream.
func (s *tab) live() {
	s.t.Helper()
	s.open("/")
	s.Wait(`document.querySelector("d-live").dataset.state === "open"`)
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
