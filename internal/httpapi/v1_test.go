package httpapi_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/httpapi"
)

func TestAJobIsCreatedAsItWasAskedFor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const body = `{"function":"pkg.report.build","args":["10"],"kwargs":{"limit":1e3},"queue":"high","id":"j","delay":"1h30m","timeout":"90s","retries":2}`
	w := b.do("POST", "/api/v1/jobs", body)
	var job httpapi.Job
	if err := json.Unmarshal(w.Body.Bytes(), &job); err != nil || w.Code != http.StatusCreated {
		t.Fatal(err, w.Code, w.Body)
	}
	if got := w.Header().Get("Location"); got != "/api/v1/jobs/j" {
		t.Errorf("Location %q", got)
	}
	if wait := job.DueAt.Sub(job.CreatedAt).Round(time.Second); wait != 90*time.Minute {
		t.Errorf("due after %v", wait)
	}
	timeout := 90.0
	want := httpapi.Job{
		ID: "j", Queue: "high", Function: "pkg.report.build", Status: "scheduled", Retries: 2, Timeout: &timeout,
		Args: json.RawMessage(`["10"]`), Kwargs: json.RawMessage(`{"limit":1000.0}`), CreatedAt: job.CreatedAt, DueAt: job.DueAt,
	}
	if diff := cmp.Diff(want, job); diff != "" {
		t.Error(diff)
	}
	again := ask[httpapi.Job](b, http.StatusCreated, "POST", "/api/v1/jobs", body)
	if diff := cmp.Diff(job, again); diff != "" {
		t.Errorf("repeated: %s", diff)
	}
	p := ask[httpapi.Problem](b, http.StatusConflict, "POST", "/api/v1/jobs", strings.Replace(body, "1e3", "1000", 1))
	if p.Field != "id" || p.Code != "conflict" {
		t.Errorf("another call: %+v", p)
	}
}

func TestAJobWithoutDetailsHasTheDefaults(t *testing.T) {
	t.Parallel()
	b := setup(t)
	job := ask[httpapi.Job](b, http.StatusCreated, "POST", "/api/v1/jobs", `{"function":"pkg.report.Tools.clean","args":null,"at":"2001-02-03T04:05:06Z"}`)
	if job.Queue != "default" || job.Function != "pkg.report.Tools.clean" || job.Status != "queued" || *job.Timeout != 1800 || len(job.ID) != 36 {
		t.Errorf("%+v", job)
	}
	forever := ask[httpapi.Job](b, http.StatusCreated, "POST", "/api/v1/jobs", `{"function":"pkg.report.Tools.clean","timeout":"none"}`)
	if forever.Timeout != nil {
		t.Errorf("timeout %v", *forever.Timeout)
	}
}

func TestWrongJobsAreRefusedWithTheFieldNamedAndNothingIsEnqueued(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := func(members string) string { return `{"function":"pkg.report.build","args":["10"],` + members + `}` }
	for _, tt := range []struct{ body, field string }{
		{"", "body"}, {"7", "body"}, {`{}`, "function"}, {`{"function":null}`, "function"},
		{body(`"function":"build"`), "function"}, {body(`"function":"os.system"`), "function"}, {body(`"function":"hello_world.os"`), "function"},
		{body(`"function":"json.loads"`), "function"}, {body(`"function":"../x.f"`), "function"}, {body(`"function":"pkg.report.build.x"`), "function"},
		{body(`"function":"a.b.c.d"`), "function"}, {body(`"function":"."`), "function"}, {body(`"kwarg":{}`), "kwarg"},
		{body(`"queue":"nothing"`), "queue"}, {body(`"id":"a b"`), "id"}, {body(`"delay":"-1s"`), "delay"}, {body(`"delay":"87601h"`), "delay"},
		{body(`"delay":"tomorrow"`), "delay"}, {body(`"delay":60`), "delay"}, {body(`"at":"tomorrow"`), "at"}, {body(`"at":"2999-01-01T00:00:00Z"`), "at"},
		{body(`"at":"2001-02-03T04:05:06Z","delay":"1s"`), "at"}, {body(`"timeout":"1ms"`), "timeout"}, {body(`"timeout":"90000h"`), "timeout"},
		{body(`"retries":1.5`), "retries"}, {body(`"kwargs":{"year":1}`), "kwargs.year"}, {body(`"args":"10"`), "args"},
		{`{"function":"pkg.report.build"}`, "kwargs.month"},
	} {
		w := b.do("POST", "/api/v1/jobs", tt.body)
		var p httpapi.Problem
		_ = json.Unmarshal(w.Body.Bytes(), &p)
		if w.Code < 400 || w.Code > 499 || p.Field != tt.field || len(p.Errors) == 0 {
			t.Errorf("%s: %d %s; want field %q", tt.body, w.Code, w.Body, tt.field)
		}
	}
	if n := len(b.jobs()); n != 0 {
		t.Errorf("%d jobs were enqueued", n)
	}
}

func TestABatchIsAllOrNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const good = `{"function":"hello_world.send_hello_world","id":"%s"}`
	p := ask[httpapi.Problem](b, http.StatusUnprocessableEntity, "POST", "/api/v1/jobs/batch",
		`{"jobs":[`+fmt.Sprintf(good, "a")+`,{"function":"pkg.report.build","kwargs":{"limit":1}},`+fmt.Sprintf(good, "b")+`,{"function":"pkg.report.build","kwargs":{"month":1,"x":2}}]}`)
	var got []string
	for _, e := range p.Errors {
		got = append(got, e.Location)
	}
	if diff := cmp.Diff([]string{"body.jobs[1].kwargs.month", "body.jobs[3].kwargs.x"}, got); diff != "" {
		t.Error(diff)
	}
	many := strings.Repeat(fmt.Sprintf(good, "x")+",", 500) + fmt.Sprintf(good, "y")
	for body, location := range map[string]string{
		`{}`: "body.jobs", `{"jobs":[]}`: "body.jobs", `{"jobs":{}}`: "body.jobs", `{"jobs":[7]}`: "body.jobs[0]", `{"jobs":[` + many + `]}`: "body.jobs",
		`{"jobs":[` + fmt.Sprintf(good, "a") + `,{"function":5}]}`: "body.jobs[1].function", `{"job":[]}`: "body.job",
	} {
		p := ask[httpapi.Problem](b, http.StatusUnprocessableEntity, "POST", "/api/v1/jobs/batch", body)
		if len(p.Errors) == 0 || p.Errors[0].Location != location {
			t.Errorf("%.60s: %+v; want %s", body, p, location)
		}
	}
	if n := len(b.jobs()); n != 0 {
		t.Fatalf("%d jobs were enqueued", n)
	}
	reply := ask[httpapi.BatchReply](b, http.StatusCreated, "POST", "/api/v1/jobs/batch",
		`{"jobs":[`+fmt.Sprintf(good, "a")+","+fmt.Sprintf(good, "a")+`,{"function":"pkg.report.Tools.clean","id":"a"},`+fmt.Sprintf(good, "b")+`]}`)
	want := httpapi.BatchReply{Jobs: []httpapi.BatchItem{{ID: "a", Result: "enqueued"}, {ID: "a", Result: "repeated"}, {ID: "a", Result: "conflict"}, {ID: "b", Result: "enqueued"}}}
	if diff := cmp.Diff(want, reply); diff != "" {
		t.Error(diff)
	}
}

func TestJobsAreListedInPages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 5 {
		b.create([]string{"high", "low"}[i%2])
	}
	var seen []string
	for cursor := ""; ; {
		page := ask[httpapi.JobPage](b, 200, "GET", "/api/v1/jobs?queue=high&status=queued&function=hello_world.send_hello_world&limit=2&cursor="+cursor, "")
		for _, job := range page.Jobs {
			seen = append(seen, job.Queue)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if diff := cmp.Diff([]string{"high", "high", "high"}, seen); diff != "" {
		t.Error(diff)
	}
	if body := b.do("GET", "/api/v1/jobs?queue=none", "").Body.String(); strings.TrimSpace(body) != `{"jobs":[]}` {
		t.Errorf("no job: %s", body)
	}
	for query, field := range map[string]string{
		"limit=0": "limit", "limit=501": "limit", "limit=-1": "limit", "limit=x": "limit", "limit=99999999999999999999": "limit",
		"status=running": "status", "cursor=" + strings.Repeat("x", 600): "cursor", "cursor=nonsense": "cursor",
	} {
		w := b.do("GET", "/api/v1/jobs?"+query, "")
		var p httpapi.Problem
		_ = json.Unmarshal(w.Body.Bytes(), &p)
		if w.Code != 422 || p.Field != field || p.Code != "invalid" || p.Errors[0].Location != "query."+field || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
}

func TestForeignJobsAreReadable(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const id = "app/42 ä?#.."
	foreign := func(id, pickle string) distro.Job {
		return distro.Job{
			ID: id, Queue: "other app", Function: "app.tasks.run", Payload: distro.Payload{Serializer: distro.SerializerPickle, Data: []byte(pickle)},
		}
	}
	_, err := b.broker.Enqueue(t.Context(), []distro.Job{
		foreign(id, "\x80\x05."), foreign("rich", "(U\x0dapp.tasks.runNcapp\nOrder\n)\x81}U\x01nK\x07sb\x85}t."), foreign("half", "(U\x0dapp.tasks.runNV\\ud800\n\x85}t."),
	})
	if err != nil {
		t.Fatal(err)
	}
	job := ask[httpapi.Job](b, 200, "GET", "/api/v1/jobs/app%2F42%20%C3%A4%3F%23..", "")
	if job.ID != id || job.Args != nil || job.Kwargs != nil || job.Call != "" {
		t.Errorf("%+v", job)
	}
	job = ask[httpapi.Job](b, 200, "GET", "/api/v1/jobs/rich", "")
	if job.Args != nil || job.Kwargs != nil || job.Call != "app.tasks.run(<app.Order {'n': 7}>)" {
		t.Errorf("%+v", job)
	}
	job = ask[httpapi.Job](b, 200, "GET", "/api/v1/jobs/half", "")
	if string(job.Args) != `["\ud800"]` || string(job.Kwargs) != "{}" || job.Call != "" {
		t.Errorf("%+v", job)
	}
	if q := ask[httpapi.Queue](b, 200, "GET", "/api/v1/queues/other%20app", ""); q.Jobs["queued"] != 3 {
		t.Errorf("%+v", q)
	}
}

func TestActionsAnswerWithTheJobTheyLeave(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create("low")
	act := func(action string, status int) string {
		w := b.do("POST", "/api/v1/jobs/"+id+"/"+action, "")
		var answer struct{ Status, Code, Detail any }
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != status {
			t.Errorf("%s: %d %s", action, w.Code, w.Body)
		}
		if status != 200 {
			return fmt.Sprint(answer.Code)
		}
		return fmt.Sprint(answer.Status)
	}
	for _, step := range []struct {
		action string
		status int
		want   string
	}{
		{"stop", 409, "conflict"}, {"requeue", 409, "conflict"}, {"run-first", 200, "queued"}, {"cancel", 200, "canceled"},
		{"cancel", 409, "conflict"}, {"run-first", 409, "conflict"}, {"requeue", 200, "queued"},
	} {
		if got := act(step.action, step.status); got != step.want {
			t.Errorf("%s: %s, want %s", step.action, got, step.want)
		}
	}
	claimed := b.claim("low")
	if got := act("stop", 200); got != "started" {
		t.Errorf("stop: %s", got)
	}
	if w := b.do("DELETE", "/api/v1/jobs/"+id, ""); w.Code != 409 || !strings.Contains(w.Body.String(), "stop it first") {
		t.Errorf("delete started: %d %s", w.Code, w.Body)
	}
	b.settle(claimed, distro.Result{Outcome: distro.OutcomeStopped, Failure: &distro.Failure{Kind: distro.FailureStopped, Message: "stopped"}})
	if w := b.do("DELETE", "/api/v1/jobs/"+id, ""); w.Code != 204 || w.Body.Len() != 0 {
		t.Errorf("delete: %d %s", w.Code, w.Body)
	}
	for _, r := range [][2]string{{"GET", ""}, {"DELETE", ""}, {"POST", "/cancel"}, {"GET", "/log"}, {"GET", "/log.txt"}, {"GET", "/log/stream"}} {
		if w := b.do(r[0], "/api/v1/jobs/"+id+r[1], ""); w.Code != 404 || !strings.Contains(w.Body.String(), `"not_found"`) {
			t.Errorf("%s %s of a deleted job: %d %s", r[0], r[1], w.Code, w.Body)
		}
	}
}

func TestAnEndedJobShowsItsResultOrItsFailure(t *testing.T) {
	t.Parallel()
	b := setup(t)
	show := func(result distro.Result) httpapi.Job {
		b.create("low")
		claimed := b.claim("low")
		b.settle(claimed, result)
		return ask[httpapi.Job](b, 200, "GET", "/api/v1/jobs/"+claimed.Job.ID, "")
	}
	job := show(distro.Result{Outcome: distro.OutcomeFinished, View: distro.View{Text: `{"n":12345678901234567890}`, JSON: true}, PeakMemory: 9, CPUTime: time.Second / 2})
	if job.Status != "finished" || string(job.Result.Value) != `{"n":12345678901234567890}` || job.Failure != nil || *job.Usage != (httpapi.Usage{PeakMemory: 9, CPUSeconds: 0.5}) {
		t.Errorf("%+v", job)
	}
	job = show(distro.Result{Outcome: distro.OutcomeFinished, View: distro.View{Text: `{"n":123`, JSON: true, Truncated: true}})
	if diff := cmp.Diff(&httpapi.Result{Text: `{"n":123`, Truncated: true}, job.Result); diff != "" {
		t.Error(diff)
	}
	failure := distro.Failure{Kind: distro.FailureException, Type: "ValueError", Message: "no", Traceback: "Traceback…\n"}
	job = show(distro.Result{Outcome: distro.OutcomeFailed, Failure: &failure})
	want := &httpapi.Failure{Kind: "exception", Type: "ValueError", Message: "no", Traceback: "Traceback…\n"}
	if diff := cmp.Diff(want, job.Failure); diff != "" || job.Result != nil || job.Status != "failed" {
		t.Errorf("%s %+v", diff, job)
	}
}

func TestWaitingAnswersWhenTheJobEnds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create("low")
	if job := ask[httpapi.Job](b, 200, "GET", "/api/v1/jobs/"+id+"?wait=1ms", ""); job.Status != "queued" {
		t.Errorf("after 1ms: %s", job.Status)
	}
	for _, wrong := range []string{"-1s", "soon", "5"} {
		if p := ask[httpapi.Problem](b, 422, "GET", "/api/v1/jobs/"+id+"?wait="+wrong, ""); p.Field != "wait" {
			t.Errorf("wait=%s: %+v", wrong, p)
		}
	}
	answer := make(chan string)
	go func() { answer <- b.do("GET", "/api/v1/jobs/"+id+"?wait=1h", "").Body.String() }()
	b.finish(b.claim("low"))
	if body := <-answer; !strings.Contains(body, `"status":"finished"`) || !strings.Contains(body, `"value":7`) {
		t.Error(body)
	}
}

func TestAShutdownEndsWaiting(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create("low")
	answer := make(chan int)
	go func() { answer <- b.do("GET", "/api/v1/jobs/"+id+"?wait=60s", "").Code }()
	b.api.EndStreams()
	b.api.EndStreams()
	if code := <-answer; code != http.StatusServiceUnavailable {
		t.Errorf("%d", code)
	}
}

func TestQueuesAreOperated(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.create("low")
	b.create("low")
	list := ask[httpapi.QueueList](b, 200, "GET", "/api/v1/queues", "")
	var names []string
	for _, q := range list.Queues {
		names = append(names, q.Name)
	}
	if diff := cmp.Diff([]string{"high", "default", "low"}, names); diff != "" || list.Queues[2].Jobs["queued"] != 2 || list.Queues[2].Oldest == nil {
		t.Errorf("%s %+v", diff, list)
	}
	for _, paused := range []bool{true, false} {
		action := map[bool]string{true: "pause", false: "resume"}[paused]
		if q := ask[httpapi.Queue](b, 200, "POST", "/api/v1/queues/low/"+action, ""); q.Paused != paused {
			t.Errorf("%s: %+v", action, q)
		}
	}
	if e := ask[httpapi.Emptied](b, 200, "POST", "/api/v1/queues/low/empty", ""); e.Deleted != 2 {
		t.Errorf("%+v", e)
	}
	for _, path := range []string{"", "/pause", "/resume", "/empty"} {
		method := map[bool]string{true: "GET", false: "POST"}[path == ""]
		if w := b.do(method, "/api/v1/queues/lwo"+path, ""); w.Code != 404 || !strings.Contains(w.Body.String(), "did you mean low?") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestWorkersAreListedAndSuspended(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if body := b.do("GET", "/api/v1/workers", "").Body.String(); strings.TrimSpace(body) != `{"workers":[]}` {
		t.Error(body)
	}
	id := b.create("low")
	b.claim("low")
	workers := ask[httpapi.WorkerList](b, 200, "GET", "/api/v1/workers", "").Workers
	if len(workers) != 1 || workers[0].Name != "tester" || !cmp.Equal(workers[0].Running, []string{id}) {
		t.Errorf("%+v", workers)
	}
	for _, suspended := range []bool{true, false} {
		action := map[bool]string{true: "suspend", false: "resume"}[suspended]
		got := ask[httpapi.Suspension](b, 200, "POST", "/api/v1/workers/"+action, "")
		counts, err := b.broker.Counts(t.Context())
		if err != nil || got.Suspended != suspended || counts.Suspended != suspended {
			t.Errorf("%s: %+v, %+v, %v", action, got, counts, err)
		}
	}
}

func TestAutomationsAreShownWithTheirFunctions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	list := ask[httpapi.AutomationList](b, 200, "GET", "/api/v1/automations", "").Automations
	if len(list) != 4 || list[0].Error.Line != 3 || list[2].Refused == "" {
		t.Errorf("%+v", list)
	}
	module := ask[httpapi.Automation](b, 200, "GET", "/api/v1/automations/pkg.report", "")
	function := ask[httpapi.Function](b, 200, "GET", "/api/v1/automations/pkg.report/build", "")
	none := "None"
	want := httpapi.Function{Name: "build", Line: 1, Parameters: []httpapi.Parameter{
		{Name: "month", Kind: "POSITIONAL_OR_KEYWORD", Annotation: "str", Options: "options_month"}, {Name: "limit", Kind: "KEYWORD_ONLY", Default: &none},
	}}
	if !strings.Contains(string(function.Schema), `"required":["month"]`) || module.Functions[0].Schema != nil {
		t.Errorf("schema %s, in the list %s", function.Schema, module.Functions[0].Schema)
	}
	function.Schema = nil
	if diff := cmp.Diff([]httpapi.Function{want, want}, []httpapi.Function{function, module.Functions[0]}); diff != "" {
		t.Error(diff)
	}
	for _, path := range []string{"/os", "/..%2F..%2Fetc", "/pkg.report/nothing", "/nothing/f"} {
		if p := ask[httpapi.Problem](b, 404, "GET", "/api/v1/automations"+path, ""); p.Code != "not_found" {
			t.Errorf("%s: %+v", path, p)
		}
	}
}

func TestAWorkerIsToldToEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.create("default")
	b.claim("default")
	for _, action := range []string{"stop", "kill-horse"} {
		ask[httpapi.Problem](b, 404, "POST", "/api/v1/workers/none/"+action, "")
		if p := ask[httpapi.Problem](b, 409, "POST", "/api/v1/workers/tester/"+action, ""); p.Code != "conflict" || !strings.Contains(p.Detail, "embedded queue") {
			t.Errorf("%s: %+v", action, p)
		}
	}
}

func TestTheSourceOfAModuleIsText(t *testing.T) {
	t.Parallel()
	b := setup(t)
	got := ask[httpapi.ModuleSource](b, 200, "GET", "/api/v1/automations/hello_world/source", "")
	sum := sha256.Sum256([]byte("def send_hello_world():\n    print('olá \xff')\n"))
	if got.Text != "def send_hello_world():\n    print('olá \uFFFD')\n" || got.Truncated || got.Hash != hex.EncodeToString(sum[:]) || got.Commit != "c0ffee" || got.Module != "hello_world" {
		t.Errorf("%+v", got)
	}
	if got := ask[httpapi.ModuleSource](b, 200, "GET", "/api/v1/automations/long/source", ""); !got.Truncated || len(got.Text) != 1<<20 {
		t.Errorf("%d bytes, truncated %t", len(got.Text), got.Truncated)
	}
	for _, name := range []string{"none", "..%2Fconfig", "a%2Fb", "hello_world.py", "%00"} {
		ask[httpapi.Problem](b, 404, "GET", "/api/v1/automations/"+name+"/source", "")
	}
}

func TestAJobIsRunAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := ask[httpapi.Job](b, 201, "POST", "/api/v1/jobs", `{"function":"pkg.report.anything","args":[1],"kwargs":{"k":2},"queue":"low"}`).ID
	b.finish(b.claim("low"))
	path := "/api/v1/jobs/" + id + "/rerun"
	for _, tt := range []struct{ body, args, kwargs, queue string }{
		{"", "[1]", `{"k":2}`, "low"}, {"{}", "[1]", `{"k":2}`, "low"}, {`{"args":null,"queue":null}`, "[1]", `{"k":2}`, "low"},
		{`{"args":[],"queue":"high"}`, "[]", `{"k":2}`, "high"}, {`{"kwargs":{}}`, "[1]", "{}", "low"},
	} {
		w := b.do("POST", path, tt.body)
		var job httpapi.Job
		if err := json.Unmarshal(w.Body.Bytes(), &job); err != nil || w.Code != 201 || w.Header().Get("Location") != "/api/v1/jobs/"+job.ID {
			t.Fatalf("%s: %d %s", tt.body, w.Code, w.Body)
		}
		if string(job.Args) != tt.args || string(job.Kwargs) != tt.kwargs || job.Queue != tt.queue || job.ID == id || job.Status != "queued" {
			t.Errorf("%s: %+v", tt.body, job)
		}
	}
	for body, want := range map[string]struct {
		code  int
		field string
	}{
		"[]": {400, "body"}, "x": {400, "body"}, `{"argz":[]}`: {422, "argz"}, `{"args":{}}`: {422, "args"}, `{"kwargs":[]}`: {422, "kwargs"},
		`{"typed":1}`: {422, "typed"}, `{"queue":"none"}`: {422, "queue"}, `{"queue":""}`: {422, "queue"}, `{"queue":1}`: {422, "queue"},
	} {
		if p := ask[httpapi.Problem](b, want.code, "POST", path, body); p.Field != want.field {
			t.Errorf("%s: %+v", body, p)
		}
	}
	ask[httpapi.Problem](b, 404, "POST", "/api/v1/jobs/none/rerun", "")
	jobs := len(b.jobs())
	first := ask[httpapi.Job](b, 201, "POST", path, "", "Idempotency-Key", "k")
	if second := ask[httpapi.Job](b, 201, "POST", path, "", "Idempotency-Key", "k"); second.ID != first.ID || len(b.jobs()) != jobs+1 {
		t.Errorf("%s and %s, %d jobs", first.ID, second.ID, len(b.jobs())-jobs)
	}
}

func TestTheDescriptionNamesEveryOperationOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	spec := ask[struct {
		OpenAPI    string
		Info       struct{ Version string }
		Paths      map[string]map[string]struct{ OperationID string }
		Components struct {
			Schemas map[string]struct{ Properties map[string]any }
		}
	}](b, 200, "GET", "/openapi.json", "")
	if spec.OpenAPI != "3.1.0" || spec.Info.Version != "1.2.3" {
		t.Errorf("OpenAPI %s of Distro %s", spec.OpenAPI, spec.Info.Version)
	}
	ids := map[string]bool{}
	for _, route := range b.api.Routes() {
		if route.Path == "/openapi.json" || route.Path == "/docs" || strings.HasPrefix(route.Path, "/scheduler/") && strings.HasSuffix(route.Path, "/") {
			continue
		}
		id := spec.Paths[route.Path][strings.ToLower(route.Method)].OperationID
		if id == "" || ids[id] {
			t.Errorf("%s %s is described as %q", route.Method, route.Path, id)
		}
		ids[id] = true
	}
	if spec.Components.Schemas["Problem"].Properties["code"] == nil || spec.Components.Schemas["NewJob"].Properties["kwargs"] == nil {
		t.Errorf("schemas: %v", spec.Components.Schemas)
	}
}

func TestJobsAreSearchedPageByPage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var months []string
	for n := range 60 {
		id := ask[httpapi.Job](b, 201, "POST", "/api/v1/jobs",
			fmt.Sprintf(`{"function":"pkg.report.anything","queue":"low","kwargs":{"month":%d,"client":"Ação %d"}}`, n%12, n)).ID
		if n%12 == 7 {
			months = append([]string{id}, months...)
		}
	}
	other := b.create("high")
	for _, limit := range []int{1, 2, 4, 5, 50} {
		got := []string{}
		for page, cursor := 1, ""; page == 1 || cursor != ""; page++ {
			list := ask[httpapi.JobPage](b, 200, "GET", fmt.Sprintf("/api/v1/jobs?q=kw.month=7+estado:na-fila&limit=%d&cursor=%s", limit, cursor), "")
			if len(list.Jobs) > limit || list.Partial || page > 100 {
				t.Fatalf("page %d of %d: %d jobs, partial %v", page, limit, len(list.Jobs), list.Partial)
			}
			for _, job := range list.Jobs {
				got = append(got, job.ID)
			}
			cursor = list.Next
		}
		if diff := cmp.Diff(months, got); diff != "" {
			t.Errorf("limit %d: %s", limit, diff)
		}
	}
	for query, want := range map[string]int{
		"acao": 60, "fila:high": 1, "fila:HIGH": 1, "-fila:high": 60, "id:" + other: 1, "state:started": 0, "função:pkg.report.anything": 60, "%22a%C3%A7%C3%A3o+7%22": 1,
	} {
		if list := ask[httpapi.JobPage](b, 200, "GET", "/api/v1/jobs?limit=500&q="+query, ""); len(list.Jobs) != want {
			t.Errorf("q=%s: %d jobs, want %d", query, len(list.Jobs), want)
		}
	}
	for query, want := range map[string]int{
		"": 61, "q=fila:high": 1, "q=-fila:high": 60, "q=estado:na-fila+-fila:low": 1, "q=state:started": 0, "q=(fila:high+OR+fila:l*)": 61, "q=kw.month=7": 5, "q=acao+fila:low": 60,
		"queue=low": 60, "queue=low&q=fila:high": 0, "status=queued&q=-kw.month=7": 56, "function=pkg.report.anything": 60, "q=id:" + other: 1,
	} {
		if got := ask[httpapi.JobCount](b, 200, "GET", "/api/v1/jobs/count?"+query, ""); got.Count != want || !got.Exact {
			t.Errorf("count of %s: %+v, want %d", query, got, want)
		}
	}
	ask[httpapi.Problem](b, 422, "GET", "/api/v1/jobs/count?q=stat:failed", "")
	ask[httpapi.Problem](b, 422, "GET", "/api/v1/jobs/count?status=none", "")
	w := b.do("GET", "/api/v1/jobs?q=fila:high+stat:failed", "")
	if w.Code != 422 || !strings.Contains(w.Body.String(), "column 11") {
		t.Errorf("a wrong search: %d %s", w.Code, w.Body)
	}
}
