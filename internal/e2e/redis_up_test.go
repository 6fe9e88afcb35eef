package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro/internal/httpapi"
	"github.com/distro-orchestrator/distro/internal/proctest"
	"github.com/distro-orchestrator/distro/internal/redistest"
)

const work = `
import os, time

def echo(*args, **kwargs):
    return {"args": list(args), "kwargs": kwargs}

def raises():
    raise ValueError("não dá")

def flaky(path):
    with open(path, "a") as file:
        file.write("x")
    if os.path.getsize(path) < 3:
        raise RuntimeError("not yet")
    return "at last"

def runs_long():
    while True:
        time.sleep(0.01)

class Numbers:
    @staticmethod
    def double(n):
        return 2 * n
`

// up starts an orchestrator without workers on the site's Redis.
func (s *site) up(settings string) *server {
	s.t.Helper()
	return newServer(s.t, "redis_url = "+s.url+"\nworkers = 0\n"+settings, map[string]string{
		"work.py": work, "pkg/inner.py": "def where():\n    return __name__\n",
	}).start()
}

// stockAt starts a stock worker that serves the queues and modules of up.
func (s *site) stockAt(up *server, name string, args ...string) *proctest.Process {
	s.t.Helper()
	return s.stock.Worker(s.t, redistest.WorkerOptions{
		URL: s.url, Dir: up.modules, Args: append([]string{"--name", name}, args...), Queues: []string{"high", "default", "low"},
	})
}

// fields picks some of a view.
func (v view) fields(names ...string) []any {
	var found []any
	for _, name := range names {
		found = append(found, v[name])
	}
	return found
}

func TestJobsOfTheAPIRunOnAStockWorker(t *testing.T) {
	t.Parallel()
	s := newSite(t, redistest.Options{})
	up := s.up("")
	worker := s.stockAt(up, "stock")
	s.awaitState(worker, "stock", "idle")
	values := `{"args": [1, -2.5, "olá \u2603", null, true, [[]], {"k": [1]}, 12345678901234567890], "kwargs": {"a": "b"}}`
	for _, body := range []string{
		`"function": "echo", "queue": "high", "job_id": "values", ` + values[1:len(values)-1],
		`"function": "echo", "queue": "low", "job_id": "low"`,
		`"function": "Numbers.double", "queue": "default", "job_id": "static", "args": [21]`,
		`"function": "raises", "queue": "default", "job_id": "raises"`,
		`"function": "runs_long", "queue": "default", "job_id": "timeout", "timeout": 1`,
		fmt.Sprintf(`"function": "flaky", "queue": "default", "job_id": "flaky", "retries": 2, "args": [%q]`, s.dir+"/flaky"),
	} {
		if status, text := up.post("/scheduler/queue-task", `{"module": "work", `+body+`}`); status != http.StatusCreated {
			t.Fatalf("%s: %d %s", body, status, text)
		}
	}
	if status, text := up.post("/scheduler/queue-task", `{"module": "pkg.inner", "function": "where", "queue": "default", "job_id": "inner"}`); status != http.StatusCreated {
		t.Fatalf("%d %s", status, text)
	}
	// up moves it to its queue, since the stock worker has no scheduler.
	if status, text := up.post("/scheduler/schedule-task", `{"module": "work", "function": "echo", "queue": "default", "job_id": "scheduled", "seconds": 1}`); status != http.StatusCreated {
		t.Fatalf("%d %s", status, text)
	}
	shown := map[string]httpapi.Job{}
	ids := []string{"values", "low", "static", "raises", "timeout", "flaky", "inner", "scheduled"}
	for _, id := range ids {
		shown[id] = up.ended(id)
	}
	got := map[string][]any{}
	for id, job := range s.views("stock", ids...) {
		got[id] = job.fields("status", "worker", "result", "retries_left")
		if shown[id].Status != job["status"] || shown[id].Worker != "stock" {
			t.Errorf("the API shows %s as %s on %q, the stock client as %v", id, shown[id].Status, shown[id].Worker, job["status"])
		}
	}
	want := map[string][]any{
		"values":    {"finished", "stock", `{'args': [1, -2.5, 'olá ☃', None, True, [[]], {'k': [1]}, 12345678901234567890], 'kwargs': {'a': 'b'}}`, nil},
		"low":       {"finished", "stock", "{'args': [], 'kwargs': {}}", nil},
		"static":    {"finished", "stock", "42", nil},
		"raises":    {"failed", "stock", "None", nil},
		"timeout":   {"failed", "stock", "None", nil},
		"flaky":     {"finished", "stock", "'at last'", 0.},
		"inner":     {"finished", "stock", "'pkg.inner'", nil},
		"scheduled": {"finished", "stock", "{'args': [], 'kwargs': {}}", nil},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the stock client reads: %s\n%s", diff, worker.Output())
	}
	// An attempt that was tried again at once leaves nothing that can be seen.
	states := map[string]string{}
	up.poll("history has what the stock worker ran", func() bool {
		for _, e := range up.found("worker:stock") {
			if _, newer := states[e.JobID]; !newer {
				states[e.JobID] = e.State
			}
		}
		return len(states) == len(ids)
	})
	for _, id := range ids {
		if states[id] != shown[id].Status {
			t.Errorf("history has %s as %q, the queue as %q", id, states[id], shown[id].Status)
		}
	}
	var result, sent any
	if shown["values"].Result == nil {
		t.Fatal("the API does not show the result")
	}
	if json.Unmarshal(shown["values"].Result.Value, &result) != nil || json.Unmarshal([]byte(values), &sent) != nil || !cmp.Equal(result, sent) {
		t.Errorf("the API shows the result as %s, want %s", shown["values"].Result.Value, values)
	}
	if f := shown["raises"].Failure; f == nil || f.Type != "ValueError" || f.Message != "não dá" {
		t.Errorf("the API shows the failure as %+v", f)
	}
	s.noStrangeKeys()
}

// noStrangeKeys checks that every key is RQ's or says that it is Distro's.
func (s *site) noStrangeKeys() {
	s.t.Helper()
	var strange []string
	s.ask(&strange, "strange_keys")
	if len(strange) != 0 {
		s.t.Errorf("strange keys: %q", strange)
	}
}

func TestScheduledJobsOfTheAPIRunThroughTheStockScheduler(t *testing.T) {
	t.Parallel()
	s := newSite(t, redistest.Options{})
	up := s.up("")
	for n := range 3 {
		body := fmt.Sprintf(`{"module": "work", "function": "echo", "queue": "low", "job_id": "job-%d", "args": [%d], "seconds": %d}`, n, n, 3600*(n/2)+1)
		if status, text := up.post("/scheduler/schedule-task", body); status != http.StatusCreated {
			t.Fatalf("%d %s", status, text)
		}
	}
	up.stop()
	if lock := s.do("GET", "rq:scheduler-lock:low"); lock != nil {
		t.Errorf("the orchestrator left its scheduler's lock: %v", lock)
	}
	worker := s.stockAt(up, "stock", "--with-scheduler")
	s.client("await_ended", "job-0", "job-1")
	got := map[string][]any{}
	for id, job := range s.views("stock", "job-0", "job-1", "job-2") {
		got[id] = job.fields("status", "result", "registries")
	}
	finished, scheduled := map[string]any{"rq:finished:low": 500.}, map[string]any{"rq:scheduled:low": 3500.}
	want := map[string][]any{
		"job-0": {"finished", "{'args': [0], 'kwargs': {}}", finished},
		"job-1": {"finished", "{'args': [1], 'kwargs': {}}", finished},
		"job-2": {"scheduled", "None", scheduled},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the stock client reads: %s\n%s", diff, worker.Output())
	}
	worker.Stop(t)
}

func TestAPausedQueueNamesTheWorkersThatIgnoreIt(t *testing.T) {
	t.Parallel()
	s := newSite(t, redistest.Options{})
	up := s.up("")
	s.awaitState(s.stockAt(up, "stock"), "stock", "idle")
	s.awaitState(distroWorker(s, "distro", "low"), "distro", "idle")
	_, text := up.post("/api/v1/queues/low/pause", "")
	var paused httpapi.PausedQueue
	if err := json.Unmarshal([]byte(text), &paused); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if !paused.Paused || !slices.Equal(paused.IgnoredBy, []string{"stock"}) {
		t.Errorf("the pause answers %s, want it to name the stock worker", text)
	}
}

func TestTheAPIActsOnJobsOfStockProducers(t *testing.T) {
	t.Parallel()
	s := newSite(t, redistest.Options{})
	up := s.up("")
	for _, id := range []string{"canceled", "deleted", "failed", "last", "first"} {
		s.client("enqueue", "default", id, map[bool]string{true: "raises", false: "nothing"}[id == "failed"])
	}
	act := func(method, path string) {
		t.Helper()
		if status, text, err := up.try(method, "/api/v1/jobs/"+path, ""); err != nil || status >= 300 {
			t.Errorf("%s %s: %d %s %v", method, path, status, text, err)
		}
	}
	act("POST", "canceled/cancel")
	act("DELETE", "deleted")
	act("POST", "first/run-first")
	s.ends(stockWorker(s, "stock", "--burst"))
	act("POST", "failed/requeue")
	got := map[string][]any{}
	for id, job := range s.views("stock", "canceled", "deleted", "failed", "last", "first") {
		got[id] = job.fields("gone", "status", "registries")
	}
	finished := map[string]any{"rq:finished:default": 500.}
	want := map[string][]any{
		"canceled": {nil, "canceled", map[string]any{"rq:canceled:default": 0.}},
		"deleted":  {true, nil, map[string]any{}},
		"failed":   {nil, "queued", map[string]any{"default": "waiting"}},
		"last":     {nil, "finished", finished},
		"first":    {nil, "finished", finished},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the stock client reads: %s", diff)
	}
	s.checkOrder([]string{"first", "failed", "last"})
	s.ends(stockWorker(s, "stock", "--burst"))
	s.checkOrder([]string{"failed", "last", "failed"})
	var workers struct{ Workers []httpapi.Worker }
	s.awaitState(stockWorker(s, "listed", "high", "low"), "listed", "idle")
	up.get("/api/v1/workers", &workers)
	if !slices.ContainsFunc(workers.Workers, func(w httpapi.Worker) bool { return w.Name == "listed" }) {
		t.Errorf("the API does not list the stock worker: %+v", workers.Workers)
	}
}
