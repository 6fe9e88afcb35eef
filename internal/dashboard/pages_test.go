package dashboard_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/dashboard"
)

// nasty is text that would be something else if a page did not escape it.
const nasty = `<script>alert(1)</script>"'><img src=x onerror=alert(2)> {{.}} javascript:alert(3) ` + "\x1b[31m\x00 \u202e"

// hostile fills a dashboard with what nobody should have written.
func hostile(t *testing.T) *bundle {
	t.Helper()
	b := setup(t, []distro.Module{{Name: "m", Doc: nasty, Functions: []distro.Function{{Name: "f", Doc: nasty}}}})
	call := fmt.Appendf(nil, `["m.f", null, [%q], {"k": %q}]`, nasty, nasty)
	var jobs []distro.Job
	for i := range 4 {
		jobs = append(jobs, distro.Job{
			ID: fmt.Sprintf("job-%d", i), Queue: "high", Function: "m.f", Timeout: time.Minute, Caller: nasty, Trigger: distro.TriggerAPI,
			Payload: distro.Payload{Serializer: distro.SerializerJSON, Data: call},
		})
	}
	jobs[1].Payload = distro.Payload{Serializer: distro.SerializerPickle, Data: []byte("\x80\x04cos\nsystem\n")}
	jobs[2].DueAt = time.Now().Add(24 * time.Hour)
	b.enqueue(jobs...)
	b.record(distro.Execution{
		JobID: "gone", Run: "1", Attempt: 1, Module: nasty, Function: nasty, Queue: nasty, Arguments: nasty, Worker: nasty, Host: nasty,
		State: distro.ExecutionFailed, StartedAt: clock().Add(-time.Minute), EndedAt: clock(), Caller: nasty, Trigger: distro.TriggerRQ,
		Failure: &distro.Failure{Kind: distro.FailureException, Type: nasty, Message: nasty, Traceback: "Traceback (most recent call last):\n" +
			"  File \"/m/<b>.py\", line 3, in " + nasty + "\n    raise " + nasty + "\nX: " + nasty},
	})
	return b
}

// every is every page that can be looked at.
func every() []string {
	list := []string{
		"/", "/?window=1h", "/?window=7d", "/jobs", "/jobs?q=estado:falhou", "/jobs?q=state:queued", "/jobs?q=" + url.QueryEscape(nasty),
		"/queues", "/queues/high", "/workers", "/schedules", "/settings", "/automations", "/automations?q=x&page=9", "/automations/m/f", "/automations/m/f?tab=history", "/automations/m/f?tab=charts", "/automations/m/f?tab=source",
		"/automations/m/f?from=job-0", "/automations/m/f?from=job-1", "/automations/m/f?from=gone", "/automations/m/nothing", "/automations/nothing/f",
		"/jobs/nothing", "/nothing",
	}
	for _, id := range []string{"job-0", "job-1", "job-2", "gone"} {
		for _, tab := range []string{"", "error", "log", "arguments", "result", "attempts", "raw", "nonsense"} {
			list = append(list, "/jobs/"+id+"?tab="+tab)
		}
	}
	return list
}

func TestWhatJobsWroteIsShownAsTextOnEveryPage(t *testing.T) {
	t.Parallel()
	b := hostile(t)
	tag := regexp.MustCompile(`<(script|img)[^>]*>`)
	key := regexp.MustCompile(`>\s*(nav|state|tab|action|form|automation|automations|jobs|job|home|queue|time|unit|problem)\.[a-z]`)
	for _, address := range every() {
		for _, language := range []string{"en", "pt-BR"} {
			w := b.send(http.MethodGet, address, "", "Accept-Language", language)
			page := w.Body.String()
			if w.Code >= http.StatusInternalServerError {
				t.Errorf("GET %s answered %d: %.400s", address, w.Code, page)
			}
			for _, found := range tag.FindAllString(page, -1) {
				if found != `<script type="application/json" id="texts">` {
					t.Errorf("GET %s holds %s", address, found)
				}
			}
			if m := key.FindString(page); m != "" {
				t.Errorf("GET %s in %s shows a key: %s", address, language, m)
			}
			if got := w.Header().Get("Content-Security-Policy"); !strings.Contains(got, "default-src 'none'") || strings.Contains(got, "unsafe") {
				t.Errorf("GET %s: Content-Security-Policy %q", address, got)
			}
		}
	}
	has(t, b.get("/jobs/gone"), html.EscapeString("<script>alert(1)</script>"))
}

func TestPagesOfNothingSayWhatToDo(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	has(t, b.get("/"), "No worker is there: nothing would run.", "All set.")
	has(t, b.get("/jobs"), "Nothing has run yet.")
	has(t, b.get("/jobs?q=state:failed"), "No job with these filters.", `href="/jobs"`)
	has(t, b.get("/workers"), "No worker is connected.", "distro worker")
	has(t, b.get("/schedules"), "Nothing is scheduled.")
	has(t, b.get("/jobs", "Accept-Language", "pt-BR,pt;q=0.9"), "Nada foi executado ainda.", `lang="pt-BR"`)
}

func TestAWrongSearchPointsAtTheMistake(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	w := b.send(http.MethodGet, "/jobs?q=estdo:falhou", "", "Accept-Language", "pt")
	if w.Code != http.StatusUnprocessableEntity {
		t.Errorf("answered %d", w.Code)
	}
	has(t, w.Body.String(), "Não existe o campo “estdo” (coluna 1).", "Seria “estado”?", `value="estdo:falhou"`)
}

func TestAJobThatHistoryAloneKnowsSaysSo(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.record(distro.Execution{
		JobID: "old", Run: "1", Attempt: 1, Module: "m", Function: "f", Queue: "high", State: distro.ExecutionFailed, Arguments: "month=3",
		StartedAt: clock().Add(-time.Hour), EndedAt: clock().Add(-59 * time.Minute),
		Failure: &distro.Failure{Kind: distro.FailureException, Type: "pkg.PortalError", Message: "no answer", Traceback: traceback},
	})
	page := b.get("/jobs/old")
	has(t, page, "The queue no longer keeps this job", "pkg.PortalError", "no answer", "m/portal.py:12", "1 min 00 s", "1 library frame")
	if own, library := strings.Index(page, "portal.py:12"), strings.Index(page, "library frame"); own < 0 || own > library {
		t.Error("the last call of the team's own does not come first")
	}
	if strings.Contains(page, `action="/jobs/old/requeue"`) {
		t.Error("it offers what cannot be done")
	}
}

const traceback = `Traceback (most recent call last):
  File "/usr/lib/python3.11/urllib/request.py", line 1391, in do_open
    h.request(req.get_method(), req.selector)
  File "/srv/m/portal.py", line 12, in open_page
    raise PortalError("no answer")
pkg.PortalError: no answer`

func TestButtonsDoWhatTheySay(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.enqueue(distro.Job{ID: "a", Queue: "high", Function: "m.f", Timeout: time.Minute, Payload: distro.Payload{Serializer: distro.SerializerJSON, Data: []byte(`["m.f",null,[],{}]`)}})
	if w := b.post("/jobs/a/cancel"); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/jobs/a" {
		t.Fatalf("cancel answered %d, %q: %s", w.Code, w.Header().Get("Location"), w.Body)
	}
	has(t, b.get("/jobs/a"), "canceled", `action="/jobs/a/requeue"`)
	if w := b.post("/jobs/a/stop"); w.Code != http.StatusConflict {
		t.Errorf("stop of a canceled job answered %d", w.Code)
	}
	if w := b.post("/jobs/a/requeue", "back", "https://evil.example/"); w.Header().Get("Location") != "/" {
		t.Errorf("it leads to %q", w.Header().Get("Location"))
	}
	if w := b.post("/jobs/a/explode"); w.Code != http.StatusNotFound {
		t.Errorf("an action there is not answered %d", w.Code)
	}
	if w := b.post("/queues/high/pause"); w.Code != http.StatusSeeOther {
		t.Errorf("pause answered %d: %s", w.Code, w.Body)
	}
	has(t, b.get("/queues/high"), "paused", `action="/queues/high/resume"`)
	if w := b.post("/workers/suspend"); w.Code != http.StatusSeeOther {
		t.Errorf("suspend answered %d", w.Code)
	}
	has(t, b.get("/"), "Workers are suspended")
	if w := b.post("/queues/high/empty", "name", "hgih"); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("empty with a typo answered %d", w.Code)
	}
	if w := b.post("/jobs/a/delete"); w.Header().Get("Location") != "/jobs" {
		t.Errorf("delete leads to %q", w.Header().Get("Location"))
	}
	if w := b.send(http.MethodGet, "/jobs/a", ""); w.Code != http.StatusNotFound {
		t.Errorf("a deleted job answers %d", w.Code)
	}
}

func TestAJobIsRunAgainAsANewOne(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.enqueue(distro.Job{ID: "a", Queue: "high", Function: "m.f", Timeout: time.Minute, Payload: distro.Payload{Serializer: distro.SerializerJSON, Data: []byte(`["m.f",null,["ACME"],{}]`)}})
	if w := b.post("/jobs/a/cancel"); w.Code != http.StatusSeeOther {
		t.Fatalf("cancel answered %d", w.Code)
	}
	w := b.post("/jobs/a/rerun")
	address := w.Header().Get("Location")
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(address, "/jobs/") || address == "/jobs/a" {
		t.Fatalf("it answered %d, %q: %s", w.Code, address, w.Body)
	}
	has(t, b.get(address), "queued", "ACME", "run again", "dashboard")
	has(t, b.get("/jobs/a"), "canceled")
}

func TestManyJobsAreActedOnAsAnOperationThatIsAskedForFirst(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	var jobs []distro.Job
	for i := range 120 {
		jobs = append(jobs, distro.Job{
			ID: fmt.Sprintf("j%d", i), Queue: "high", Function: "m.f", Timeout: time.Minute,
			Payload: distro.Payload{Serializer: distro.SerializerJSON, Data: []byte(`["m.f",null,[],{}]`)},
		})
	}
	b.enqueue(jobs...)
	w := b.post("/operations/new", "action", "delete", "all", "1", "q", "state:queued queue:high")
	has(t, w.Body.String(), "120 jobs are deleted with their output", "Type “delete” to confirm", `href="/jobs/j`)
	if w := b.post("/operations", "action", "delete", "all", "1", "q", "state:queued queue:high"); w.Code != http.StatusUnprocessableEntity {
		t.Fatalf("without the word it answered %d", w.Code)
	}
	w = b.post("/operations", "action", "cancel", "all", "1", "q", "state:queued queue:high")
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(w.Header().Get("Location"), "/operations/") {
		t.Fatalf("it answered %d, %q", w.Code, w.Header().Get("Location"))
	}
	has(t, b.get(w.Header().Get("Location")), "Cancel jobs", "0 of 120", "waiting", "Cancel operation")
	if w := b.post("/operations/new", "action", "cancel"); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("with nothing marked it answered %d", w.Code)
	}
	if w := b.post("/operations/new", "action", "cancel", "all", "1", "q", "state:queued ACME"); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("a selection that the queue cannot make answered %d", w.Code)
	}
	page, err := b.service.List(t.Context(), broker.ListQuery{Status: distro.StatusQueued, Limit: 500})
	if err != nil || len(page.Jobs) != 120 {
		t.Errorf("before it runs %d jobs wait: %v", len(page.Jobs), err)
	}
}

func TestAReaderSeesTimesInTheirZoneAndPagesInTheirLanguage(t *testing.T) {
	t.Parallel()
	b := setup(t, nil, func(o *dashboard.Options) {
		zone, err := time.LoadLocation("America/Sao_Paulo")
		if err != nil {
			t.Fatal(err)
		}
		o.Zone = zone
	})
	b.record(distro.Execution{
		JobID: "old", Run: "1", Attempt: 1, Module: "m", Function: "f", Queue: "high", State: distro.ExecutionFinished,
		StartedAt: clock().Add(-26 * time.Hour), EndedAt: clock().Add(-25 * time.Hour),
	})
	has(t, b.get("/jobs/old", "Accept-Language", "pt-BR"), "23/11/2026 10:00:00 -03", "há 26 h", "1 h 00 min")
	has(t, b.get("/jobs/old", "Cookie", "zone=UTC; lang=en"), "23 Nov 2026 13:00:00 UTC", "26 h ago")
	has(t, b.get("/", "Cookie", "theme=dark; density=compact"), `data-theme="dark"`, `data-density="compact"`)
	has(t, b.get("/", "Cookie", `theme="><script>; zone=../../etc/passwd; lang=xx`), `<html lang="en"`)
	w := b.post("/preferences", "theme", "dark", "zone", "UTC", "lang", "nonsense", "back", "/jobs?q=a")
	set := strings.Join(w.Header().Values("Set-Cookie"), "\n")
	if w.Header().Get("Location") != "/jobs?q=a" || !strings.Contains(set, "theme=dark") || !strings.Contains(set, "zone=UTC") || strings.Contains(set, "nonsense") {
		t.Errorf("it leads to %q and sets %s", w.Header().Get("Location"), set)
	}
}

func TestPagesWithNumbersHaveExactlyTheirLines(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	var jobs []distro.Job
	for i := range 95 {
		jobs = append(jobs, distro.Job{
			ID: fmt.Sprintf("j%02d", i), Queue: "high", Function: "m.f", Timeout: time.Minute,
			Payload: distro.Payload{Serializer: distro.SerializerJSON, Data: []byte(`["m.f",null,[],{}]`)},
		})
	}
	b.enqueue(jobs...)
	row := regexp.MustCompile(`data-job="(j\d\d)"`)
	for _, order := range []string{"asc", "dsc"} {
		seen := map[string]bool{}
		for page := range 12 {
			address := fmt.Sprintf("/0/view/jobs/high/queued/8/%s/%d", order, page+1)
			w := b.send(http.MethodGet, address, "")
			found := row.FindAllStringSubmatch(b.get(w.Header().Get("Location")), -1)
			if want := min(8, 95-8*page); len(found) != want {
				t.Errorf("%s has %d lines, want %d", address, len(found), want)
			}
			for _, m := range found {
				seen[m[1]] = true
			}
		}
		if len(seen) != 95 {
			t.Errorf("all pages in order %s have %d of 95 jobs", order, len(seen))
		}
	}
	has(t, b.get("/jobs?q=state:queued+queue:high&page=12&limit=8"), `aria-current="page">12</a>`, "<span>…</span>", "page=1&amp;")
}
