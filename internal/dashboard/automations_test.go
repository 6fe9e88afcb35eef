package dashboard_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro"
)

// tree are modules in folders, some of which cannot be called.
func tree() []distro.Module {
	function := func(name, doc string, parameters ...distro.Parameter) distro.Function {
		return distro.Function{Name: name, Doc: doc, Line: 7, Parameters: parameters}
	}
	return []distro.Module{
		{Name: "fiscal.broken", Error: &distro.SyntaxError{Message: "invalid syntax", Line: 3, Column: 7, Text: "def f(:"}},
		{Name: "fiscal.nfse", Doc: "Service notes.\n\nMore.", Functions: []distro.Function{
			function("fetch", "Fetches the notes.\n\nArgs:\n    client: Who pays.\n    month: Which month, between 1 and 12.",
				distro.Parameter{Name: "client", Kind: distro.PositionalOrKeyword, Annotation: "str"},
				distro.Parameter{Name: "month", Kind: distro.PositionalOrKeyword, Annotation: "int", Default: text("1")},
				distro.Parameter{Name: "senha", Kind: distro.KeywordOnly, Annotation: "str", Default: text("''")}),
			function("Tools.clean", "Cleans up."),
		}},
		{Name: "json", Shadows: true, Functions: []distro.Function{function("loads", "")}},
		{Name: "root", Functions: []distro.Function{{Name: "wrapped", Decorators: []string{"retry"}, Parameters: []distro.Parameter{
			{Name: "x", Kind: distro.PositionalOrKeyword},
		}}}},
	}
}

// recorded puts n executions of a function into history, the newest of which
// failed.
func (b *bundle) recorded(module, function string, n int) {
	b.t.Helper()
	var list []distro.Execution
	for i := range n {
		x := distro.Execution{
			JobID: fmt.Sprintf("%s-%s-%d", module, function, i), Run: "1", Attempt: 1, Module: module, Function: function, Queue: "high",
			State: distro.ExecutionFinished, Arguments: "'ACME', month=3", EnqueuedAt: clock().Add(-time.Duration(i+1)*time.Minute - time.Second),
			StartedAt: clock().Add(-time.Duration(i+1) * time.Minute), EndedAt: clock().Add(-time.Duration(i+1)*time.Minute + 5*time.Second),
		}
		if i == 0 {
			x.State, x.Failure = distro.ExecutionFailed, &distro.Failure{Kind: distro.FailureException, Type: "E", Message: "no"}
		}
		list = append(list, x)
	}
	b.record(list...)
}

func TestAutomationsAreListedByFolderWithHowTheyWent(t *testing.T) {
	t.Parallel()
	b := setup(t, tree())
	b.recorded("fiscal.nfse", "fetch", 30)
	page := b.get("/automations")
	has(t, page, "4 functions", "4 files", "1 file with an error", "nfse.py", "Service notes.", "Fetches the notes.", "Line 3:", "invalid syntax", "def f(:",
		"hides a module of Python", `href="/automations/fiscal.nfse/Tools.clean"`, "97 %", `href="/jobs/fiscal.nfse-fetch-0"`)
	strip := regexp.MustCompile(`<i class="(\w+)" title="[^"]*"></i>`).FindAllStringSubmatch(page, -1)
	if len(strip) != 20 || strip[19][1] != "fail" || strip[0][1] != "done" {
		t.Errorf("the strip has %d bars: %v", len(strip), strip)
	}
	if page := b.get("/automations?q=FETCH+nótes"); !strings.Contains(page, "fetch") || strings.Contains(page, "wrapped") {
		t.Errorf("filtered: %.3000s", page)
	}
	has(t, b.get("/automations?q=nothing"), "No automation with this filter.")
	has(t, setupEmpty(t).get("/automations"), "No automations yet")
}

func TestDocstringsAreMarkdownWhereThereIsRoomAndTextInLists(t *testing.T) {
	t.Parallel()
	const doc = "Sends *the* `report` <b>.\n\n# Steps\n\n- [one](https://x.y)\n- ![two](https://x.y/a.png)\n\n<script>alert(1)</script>\n\n" +
		"Args:\n    client: Who **pays**:\n\n        - now\n        - <i>later</i>\n    other: plain"
	b := setup(t, []distro.Module{{Name: "m", Doc: "All *of* it.", Functions: []distro.Function{{Name: "f", Doc: doc, Parameters: []distro.Parameter{
		{Name: "client", Kind: distro.PositionalOrKeyword, Annotation: "str"},
	}}}}})
	page := b.get("/automations/m/f")
	has(t, page, "<p>Sends <em>the</em> <code>report</code> &lt;b&gt;.</p>", "<p><strong>Steps</strong></p>", `<a href="https://x.y" rel="noopener noreferrer nofollow">one</a>`,
		`<a href="https://x.y/a.png" rel="noopener noreferrer nofollow">two</a>`, "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>",
		"<p>Who <strong>pays</strong>:</p>\n<ul>\n<li>now\n</li>\n<li>&lt;i&gt;later&lt;/i&gt;\n</li>\n</ul>")
	if strings.Contains(page, "<img") || strings.Contains(page, "<script>alert") {
		t.Error("a docstring loads or runs something")
	}
	has(t, b.get("/automations"), "Sends the report &lt;b&gt;.", "All of it.")
}

func setupEmpty(t *testing.T) *bundle { t.Helper(); return setup(t, nil) }

func TestManyAutomationsComeInPagesThatLackNone(t *testing.T) {
	t.Parallel()
	var modules []distro.Module
	for i := range 13 {
		m := distro.Module{Name: fmt.Sprintf("m%02d", i)}
		for j := range 10 {
			m.Functions = append(m.Functions, distro.Function{Name: fmt.Sprintf("f%d", j)})
		}
		modules = append(modules, m)
	}
	b := setup(t, modules)
	link := regexp.MustCompile(`href="(/automations/m\d+/f\d)"`)
	seen, address, pages := map[string]int{}, "/automations", 0
	for ; address != ""; pages++ {
		page := b.get(address)
		for _, m := range link.FindAllStringSubmatch(page, -1) {
			seen[m[1]]++
		}
		address = ""
		if m := regexp.MustCompile(`href="([^"]*)" rel="next"`).FindStringSubmatch(page); m != nil {
			address = strings.ReplaceAll(m[1], "&amp;", "&")
		}
	}
	if len(seen) != 130 || pages != 3 {
		t.Errorf("%d functions on %d pages", len(seen), pages)
	}
}

const fetch = "/automations/fiscal.nfse/fetch"

func TestAFunctionIsRunFromItsForm(t *testing.T) {
	t.Parallel()
	b := setup(t, tree())
	shown := b.get(fetch)
	has(t, shown, "Fetches the notes.", "Who pays.", "at most 12", "required", `type="password"`, "visible in the arguments", "Run and follow")
	p := readPage(t, shown)
	w := b.submit(fetch, p, "kw.client", "ACME", "opt.queue", "low", "opt.timeout", "10min", "opt.retries", "3", "do", "follow")
	job, args, kwargs := b.ran(w)
	if w.Header().Get("Location") != "/jobs/"+job.ID || args != "[]" || kwargs != `{"client":"ACME"}` {
		t.Errorf("went to %s with %s %s", w.Header().Get("Location"), args, kwargs)
	}
	if job.Queue != "low" || job.Timeout != 10*time.Minute || job.RetriesLeft != 3 || job.Trigger != distro.TriggerAPI || job.Status != distro.StatusQueued {
		t.Errorf("%+v", job)
	}
	again := b.submit(fetch, p, "kw.client", "ACME", "opt.queue", "low", "opt.timeout", "10min", "opt.retries", "3", "do", "follow")
	if twice, _, _ := b.ran(again); twice.ID != job.ID {
		t.Error("a form that was sent twice made two jobs")
	}
	if other, _, _ := b.ran(b.submit(fetch, p, "kw.client", "Other")); other.ID == job.ID {
		t.Error("a form that was changed made no job")
	}
	stays := b.submit(fetch, readPage(t, b.get(fetch)), "kw.client", "ACME", "kw.month", "5", "do", "run")
	next := b.get(stays.Header().Get("Location"))
	made, _, _ := b.ran(stays)
	has(t, next, "Queued.", `href="/jobs/`+made.ID+`"`)
	if p := readPage(t, next); p.values.Get("kw.client") != "ACME" || p.values.Get("kw.month") != "5" {
		t.Errorf("the form lost what was entered: %v", p.values)
	}
}

func TestAFunctionIsScheduledFromItsForm(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("X", -3*3600)
	b := setup(t, tree())
	p := readPage(t, b.get(fetch))
	job, _, _ := b.ran(b.submit(fetch, p, "kw.client", "A", "opt.at", "2035-12-24T10:00"))
	if want := time.Date(2035, 12, 24, 10, 0, 0, 0, time.UTC); !job.DueAt.Equal(want) || job.Trigger != distro.TriggerSchedule {
		t.Errorf("due at %v, by %s", job.DueAt, job.Trigger)
	}
	body := url.Values{"kw.client": {"A"}, "opt.at": {"2035-12-24T10:00"}}.Encode()
	there := b.send(http.MethodPost, fetch, body, "Sec-Fetch-Site", "same-origin", "Cookie", "zone=America/Sao_Paulo")
	if job, _, _ = b.ran(there); !job.DueAt.Equal(time.Date(2035, 12, 24, 10, 0, 0, 0, zone)) {
		t.Errorf("in the reader's zone due at %v", job.DueAt)
	}
	job, _, _ = b.ran(b.post(fetch, "kw.client", "A", "opt.delay", "3000d 1h30"))
	if got := job.DueAt.Sub(clock()); got != 3000*24*time.Hour+90*time.Minute {
		t.Errorf("due in %v", got)
	}
	w := b.post(fetch, "kw.client", "A", "opt.delay", "1h30", "opt.at", "2035-12-24T10:00")
	if w.Code != http.StatusUnprocessableEntity || !strings.Contains(problems(w.Body.String()), "not both") {
		t.Errorf("both: %d %s", w.Code, problems(w.Body.String()))
	}
}

func TestAnAddressFillsInTheForm(t *testing.T) {
	t.Parallel()
	b := setup(t, tree())
	shown := b.get(fetch + "?kw.client=ACME&kw.month=7&kw.senha=x&kw.other=1&opt.queue=high&opt.delay=5min")
	p := readPage(t, shown)
	for name, want := range map[string]string{"kw.client": "ACME", "kw.month": "7", "kw.senha": "", "opt.queue": "high", "opt.delay": "5min", "kw.other": ""} {
		if got := p.values.Get(name); got != want {
			t.Errorf("%s holds %q, want %q", name, got, want)
		}
	}
	has(t, shown, "changed")
}

func TestAnEarlierJobFillsInTheForm(t *testing.T) {
	t.Parallel()
	b := setup(t, tree())
	b.recorded("fiscal.nfse", "fetch", 1)
	shown := b.get(fetch + "?from=fiscal.nfse-fetch-0") // history alone knows it
	has(t, shown, "Filled in with the arguments of", `href="/jobs/fiscal.nfse-fetch-0"`)
	if p := readPage(t, shown); p.values.Get("kw.client") != "ACME" || p.values.Get("kw.month") != "3" {
		t.Errorf("from history: %v", p.values)
	}
	has(t, b.get(fetch+"?from=nothing"), "The exact arguments of this job are not known")
	b.enqueue(distro.Job{ID: "old", Queue: "high", Function: "fiscal.nfse.fetch", Timeout: time.Minute, Payload: distro.Payload{
		Serializer: distro.SerializerJSON, Data: []byte(`["fiscal.nfse.fetch", null, ["A", 2], {"gone": 1}]`),
	}})
	has(t, b.get(fetch+"?from=old"), "do not fit the signature as it is now", `href="/jobs/old"`)
	has(t, b.get("/jobs/old"), `href="/automations/fiscal.nfse/fetch?from=old"`, "Run again with changes")
	b.enqueue(distro.Job{ID: "method", Queue: "high", Function: "fiscal.nfse.Tools.clean", Timeout: time.Minute, Payload: distro.Payload{
		Serializer: distro.SerializerJSON, Data: []byte(`["fiscal.nfse.Tools.clean", null, [], {}]`),
	}})
	has(t, b.get("/jobs/method"), `href="/automations/fiscal.nfse/Tools.clean?from=method"`)
	b.enqueue(distro.Job{ID: "foreign", Queue: "high", Function: "os.system", Timeout: time.Minute, Payload: distro.Payload{
		Serializer: distro.SerializerJSON, Data: []byte(`["os.system", null, [], {}]`),
	}})
	if strings.Contains(b.get("/jobs/foreign"), "Run again with changes") {
		t.Error("a function that is in no catalog has a form")
	}
}

func TestFunctionsThatCannotBeCalledSayWhy(t *testing.T) {
	t.Parallel()
	b := setup(t, tree())
	has(t, b.get("/automations/json/loads"), "rename the file")
	has(t, b.get("/automations/fiscal.broken/anything"), "cannot read this file", "Line 3:", "def f(:")
	for _, address := range []string{"/automations/json/loads", "/automations/fiscal.broken/anything"} {
		if w := b.post(address, "kw.x", "1"); w.Code != http.StatusConflict {
			t.Errorf("POST %s answered %d", address, w.Code)
		}
	}
	for _, address := range []string{"/automations/fiscal.nfse/nothing", "/automations/nothing/f", "/automations/..%2f/f"} {
		if w := b.send(http.MethodGet, address, ""); w.Code != http.StatusNotFound {
			t.Errorf("GET %s answered %d", address, w.Code)
		}
	}
	shown := b.get("/automations/root/wrapped")
	has(t, shown, "@retry", "nothing is required here")
	if _, _, kwargs := b.ran(b.submit("/automations/root/wrapped", readPage(t, shown), "kw.**", "other = 5")); kwargs != `{"other":5}` {
		t.Errorf("a decorated function got %s", kwargs)
	}
	if n := b.jobs(); n != 1 {
		t.Errorf("%d jobs", n)
	}
}

func TestTheViewsOfAFunctionShowWhatItDid(t *testing.T) {
	t.Parallel()
	b := setup(t, tree())
	b.recorded("fiscal.nfse", "fetch", 60)
	page := b.get(fetch + "?tab=history")
	next := regexp.MustCompile(`href="([^"]*)" rel="next"`).FindStringSubmatch(page)
	if n := strings.Count(page, "<tr class="); n != 50 || next == nil {
		t.Fatalf("%d rows, next %v", n, next)
	}
	rest := b.get(strings.ReplaceAll(next[1], "&amp;", "&"))
	if n := strings.Count(rest, "<tr class="); n != 10 {
		t.Errorf("%d rows on the second page", n)
	}
	charts := b.get(fetch + "?tab=charts")
	has(t, charts, `kind="bars"`, `kind="lines"`, `kind="dots"`, "1.7 % of 60 runs failed.", "How long the last 60 runs took", `<td data-label="State">failed</td>`, `data-v="5.000"`)
	has(t, b.get("/automations/fiscal.nfse/Tools.clean?tab=history"), "This function has not run yet.")
}

func TestWhoMayOnlyReadRunsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, tree(), closed)
	login := b.post("/login", "token", readSecret, "back", "/")
	cookie := strings.Split(login.Header().Get("Set-Cookie"), ";")[0]
	page := b.get(fetch, "Cookie", cookie)
	has(t, page, "This login may only read")
	if strings.Contains(page, `value="follow"`) {
		t.Error("a reader is offered to run it")
	}
	w := b.send(http.MethodPost, fetch, "kw.client=A", "Sec-Fetch-Site", "same-origin", "Cookie", cookie)
	if w.Code != http.StatusForbidden || b.jobs() != 0 {
		t.Errorf("a reader's form answered %d, %d jobs", w.Code, b.jobs())
	}
	if w := setup(t, tree()).send(http.MethodPost, fetch, "kw.client=A", "Sec-Fetch-Site", "cross-site"); w.Code != http.StatusForbidden {
		t.Errorf("a form of another site answered %d", w.Code)
	}
}
