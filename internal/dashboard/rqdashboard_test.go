package dashboard_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/dashboard"
	"github.com/distro-orchestrator/distro/internal/guard"
	"github.com/distro-orchestrator/distro/internal/service"
)

// watch makes a dashboard that only watches a queue.
func watch(t *testing.T, queue broker.Broker, change ...func(*service.Options)) *bundle {
	t.Helper()
	opts := service.Options{Broker: queue}
	for _, f := range change {
		f(&opts)
	}
	s, err := service.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	pages, err := dashboard.New(dashboard.Options{
		Service: s, Guard: guard.New(guard.Options{Listen: "127.0.0.1:9181"}),
		Assets: fstest.MapFS{"style.css": {Data: []byte("body{}")}, "icons.svg": {Data: []byte("<svg></svg>")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &bundle{t: t, service: s, pages: pages}
}

// jsonOf decodes an answer, whose numbers stay as they were written.
func jsonOf(t *testing.T, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	d := json.NewDecoder(w.Body)
	d.UseNumber()
	var body map[string]any
	if err := d.Decode(&body); err != nil {
		t.Fatalf("status %d: %v", w.Code, err)
	}
	return body
}

// data gets one of the JSON texts.
func (b *bundle) data(address string) map[string]any {
	b.t.Helper()
	w := b.send(http.MethodGet, address, "")
	if w.Code != http.StatusOK {
		b.t.Fatalf("GET %s answered %d:\n%.500s", address, w.Code, w.Body)
	}
	if kind, cache := w.Header().Get("Content-Type"), w.Header().Get("Cache-Control"); kind != "application/json" || cache != "no-store" {
		b.t.Errorf("GET %s: %q, Cache-Control %q", address, kind, cache)
	}
	return jsonOf(b.t, w)
}

// rows are the IDs of a page of jobs, gone ones in parentheses.
func rows(page map[string]any) []string {
	ids := []string{}
	for _, row := range page["jobs"].([]any) {
		fields := row.(map[string]any)
		id := fields["id"].(string)
		if fields["gone"] == true {
			id = "(" + id + ")"
		}
		ids = append(ids, id)
	}
	return ids
}

// keys are those of an object, in order.
func keys(object any) []string {
	var list []string
	for name := range object.(map[string]any) {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// call is a job of a queue.
func call(id, queue string) distro.Job {
	return distro.Job{
		ID: id, Queue: queue, Function: "m.f", ResultTTL: distro.Forever, FailureTTL: distro.Forever,
		Payload: distro.Payload{Serializer: distro.SerializerJSON, Data: fmt.Appendf(nil, `["m.f", null, ["%s"], {}]`, id)},
	}
}

// fail makes n jobs of a queue fail, in their order.
func fail(t *testing.T, queue broker.Broker, name string, n int) {
	t.Helper()
	req := broker.ExchangeRequest{Worker: distro.Worker{Name: "tester", Slots: broker.MaxExchange, PID: 77, Queues: []string{name}, Version: "1.2.3", Python: "3.11.2"}}
	req.Beat = uint64(time.Now().UnixMicro())
	exchange := func() broker.ExchangeReply {
		req.Beat++
		reply, err := queue.Exchange(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		return reply
	}
	for done := 0; done < n; {
		req.Want, req.Settle = broker.Want{Queues: []string{name}, Begun: broker.MaxExchange}, nil
		for range min(broker.MaxExchange, n-done) {
			req.Want.Tokens = append(req.Want.Tokens, distro.NewID())
		}
		claims := exchange().Claims
		if len(claims) == 0 {
			t.Fatal("nothing to claim")
		}
		req.Want = broker.Want{}
		for _, c := range claims {
			req.Settle = append(req.Settle, broker.Settlement{Claim: broker.Claim{JobID: c.Job.ID, Token: c.Token}, Result: distro.Result{
				Outcome: distro.OutcomeFailed, Failure: &distro.Failure{
					Kind: distro.FailureException, Type: "ValueError", Message: "no", Traceback: "Traceback (most recent call last):\n  ...\nValueError: no\n",
				},
			}})
		}
		exchange()
		done += len(claims)
	}
}

func TestTheFieldsAreThoseOfRQDashboard(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.enqueue(call("a", "default"), call("b", "default"), call("c", "default"))
	fail(t, b.broker, "default", 1)
	b.exchange(t, "w", 2)
	queues := b.data("/0/data/queues.json")
	var want []string
	for _, registry := range []string{"failed", "started", "deferred", "finished", "canceled", "scheduled"} {
		want = append(want, registry+"_job_registry_count", registry+"_url")
	}
	want = append(want, "name", "count", "queued_url")
	slices.Sort(want)
	for name, object := range map[string]struct {
		got  any
		want []string
	}{
		"a queue": {queues["queues"].([]any)[0], want},
		"a page":  {b.data("/0/data/jobs/default/failed/8/asc/1.json"), []string{"jobs", "name", "pagination", "registry_name"}},
		"a job of a list": {
			b.data("/0/data/jobs/default/failed/8/asc/1.json")["jobs"].([]any)[0],
			[]string{"created_at", "description", "ended_at", "exc_info", "id", "started_at"},
		},
		"a job": {b.data("/0/data/job/a.json"), []string{
			"created_at", "description", "ended_at", "enqueued_at", "exc_info", "id", "metadata", "origin", "result", "started_at", "status",
		}},
		"a worker": {b.data("/0/data/workers.json")["workers"].([]any)[0], []string{
			"birth_date", "current_job", "failed_job_count", "last_heartbeat", "name", "pid", "python_version", "queues", "state",
			"successful_job_count", "total_working_time", "version",
		}},
	} {
		if diff := cmp.Diff(object.want, keys(object.got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := b.data("/0/data/job/a.json"); got["exc_info"] != "Traceback (most recent call last):\n  ...\nValueError: no\n" || got["status"] != "failed" ||
		got["origin"] != "default" || got["description"] != "m.f('a')" || got["metadata"] != "{}" || got["result"] != nil {
		t.Errorf("a failed job: %v", got)
	}
}

// exchange lets a worker with slots begin as many jobs.
func (b *bundle) exchange(t *testing.T, name string, slots int) {
	t.Helper()
	req := broker.ExchangeRequest{Worker: distro.Worker{Name: name, Slots: slots}, Beat: 1, Want: broker.Want{Queues: []string{"default"}, Begun: slots}}
	for range slots {
		req.Want.Tokens = append(req.Want.Tokens, distro.NewID())
	}
	if _, err := b.broker.Exchange(t.Context(), req); err != nil {
		t.Fatal(err)
	}
}

func TestAWorkerWithSlotsIsAsManyWorkers(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.enqueue(call("a", "default"), call("b", "default"))
	fail(t, b.broker, "default", 1)
	b.exchange(t, "w", 2)
	busy := 0
	states := map[string]int{}
	for _, item := range b.data("/0/data/workers.json")["workers"].([]any) {
		w := item.(map[string]any)
		states[fmt.Sprint(w["state"])]++
		if job, ok := w["current_job"].(map[string]any); ok {
			busy++
			if job["job_id"] != "b" || job["call_string"] != "m.f('b')" || job["description"] != "m.f('b')" || job["created_at"] == nil {
				t.Errorf("current job: %v", job)
			}
		}
	}
	if diff := cmp.Diff(map[string]int{"idle": 33, "busy": 1}, states); diff != "" || busy != 1 {
		t.Errorf("%d are busy; states (-want +got):\n%s", busy, diff)
	}
}

func TestEveryPageIsExactAndLeadsToTheOthers(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	const n = 103
	var jobs []distro.Job
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("%03d", i))
		jobs = append(jobs, call(all[i], "default"))
	}
	b.enqueue(jobs...)
	for _, perPage := range []int{1, 8, 103, 500} {
		for _, order := range []string{"asc", "dsc"} {
			want := slices.Clone(all)
			if order == "dsc" {
				slices.Reverse(want)
			}
			last := (n + perPage - 1) / perPage
			var joined []string
			for page := 1; page <= last+1; page++ {
				address := fmt.Sprintf("/0/data/jobs/default/queued/%d/%s/%d.json", perPage, order, page)
				got := b.data(address)
				ids := rows(got)
				joined = append(joined, ids...)
				if full := min(perPage, max(n-(page-1)*perPage, 0)); len(ids) != full {
					t.Fatalf("%s has %d rows, want %d", address, len(ids), full)
				}
				p := got["pagination"].(map[string]any)
				_, next := p["next_page"]
				_, prev := p["prev_page"]
				if fmt.Sprintf("%v %v", p["current_page"], p["num_pages"]) != fmt.Sprintf("%d %d", page, last) || next != (page < last) || prev != (page > 1) {
					t.Errorf("%s: %v", address, p)
				}
			}
			if diff := cmp.Diff(want, joined); diff != "" {
				t.Errorf("%d per page, %s (-want +got):\n%s", perPage, order, diff)
			}
		}
	}
}

func TestThePagesAroundAPageAreNumbered(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	var jobs []distro.Job
	for i := range 30 {
		jobs = append(jobs, call(fmt.Sprint(i), "a/b"))
	}
	b.enqueue(jobs...)
	for page, want := range map[int][2]int{1: {1, 10}, 6: {1, 10}, 7: {2, 11}, 15: {10, 19}, 26: {21, 30}, 30: {21, 30}, 99: {21, 30}} {
		p := b.data(fmt.Sprintf("/0/data/jobs/a%%2Fb/queued/1/asc/%d.json", page))["pagination"].(map[string]any)
		window := p["pages_in_window"].([]any)
		first, last := window[0].(map[string]any), window[len(window)-1].(map[string]any)
		if fmt.Sprintf("%v %v %d", first["number"], last["number"], len(window)) != fmt.Sprintf("%d %d 10", want[0], want[1]) {
			t.Errorf("page %d: %v to %v, want %v", page, first, last, want)
		}
		if first["url"] != fmt.Sprintf("/0/view/jobs/a%%2Fb/queued/1/asc/%d", want[0]) {
			t.Errorf("page %d leads to %q", page, first["url"])
		}
	}
	empty := b.data("/0/data/jobs/none/finished/8/asc/1.json")
	want := map[string]any{
		"current_page": json.Number("1"), "num_pages": json.Number("0"), "pages_in_window": []any{},
		"first_page": map[string]any{"url": "/0/view/jobs/none/finished/8/asc/1"}, "last_page": map[string]any{"url": "/0/view/jobs/none/finished/8/asc/0"},
	}
	if diff := cmp.Diff(want, empty["pagination"]); diff != "" || len(rows(empty)) != 0 {
		t.Errorf("of nothing (-want +got):\n%s", diff)
	}
}

func TestWhatIsNotThereIsRefusedAsAProblem(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.enqueue(call("a", "default"))
	b.exchange(t, "w", 1)
	for _, tt := range []struct {
		method, address string
		status          int
	}{
		{"GET", "/0/data/job/none.json", 404}, {"GET", "/1/data/queues.json", 404}, {"GET", "/3/view/workers", 404}, {"GET", "/0/other", 404},
		{"GET", "/0/data", 404}, {"GET", "/0/data/", 404}, {"GET", "/0/data/queues", 404}, {"GET", "/0/data/jobs/default.json", 404},
		{"GET", "/0/data/jobs/default/odd/8/asc/1.json", 400}, {"GET", "/0/data/jobs/default/stopped/8/asc/1.json", 400},
		{"GET", "/0/data/jobs/default/queued/0/asc/1.json", 400}, {"GET", "/0/data/jobs/default/queued/501/asc/1.json", 400},
		{"GET", "/0/data/jobs/default/queued/x/asc/1.json", 400}, {"GET", "/0/data/jobs/default/queued/8/asc/0.json", 400},
		{"GET", "/0/data/jobs/default/queued/8/asc/-1.json", 400}, {"GET", "/0/data/jobs/default/queued/8/asc/99999999999999999999.json", 400},
		{"GET", "/0/data/jobs/default/queued/8/up/1.json", 400}, {"GET", "/0/view/jobs/default/odd/8/asc/1", 400},
		{"POST", "/0/data/queues.json", 405}, {"DELETE", "/0/view", 405},
		{"GET", "/requeue/default", 405}, {"GET", "/job/a/delete", 405}, {"GET", "/queue/default/compact", 405}, {"PUT", "/queue/default/queued/empty", 405},
		{"POST", "/job/none/requeue", 404}, {"POST", "/job/a/requeue", 409}, {"POST", "/job/a/delete", 409}, {"POST", "/queue/default/started/empty", 409},
		{"POST", "/queue/default/odd/empty", 400}, {"POST", "/requeue/default?instance=1", 404},
	} {
		w := b.send(tt.method, tt.address, "", "Sec-Fetch-Site", "same-origin")
		if w.Code != tt.status || w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: %d, %q\n%s", tt.method, tt.address, w.Code, w.Header().Get("Content-Type"), w.Body)
			continue
		}
		body := jsonOf(t, w)
		if fmt.Sprint(body["status"]) != fmt.Sprint(tt.status) || body["title"] != http.StatusText(tt.status) || body["detail"] == "" || body["code"] == "" {
			t.Errorf("%s %s: %v", tt.method, tt.address, body)
		}
		if tt.status == http.StatusMethodNotAllowed && w.Header().Get("Allow") == "" {
			t.Errorf("%s %s does not say what is allowed", tt.method, tt.address)
		}
	}
	if got := rows(b.data("/0/data/jobs/default/started/8/asc/1.json")); !slices.Equal(got, []string{"a"}) {
		t.Errorf("something was changed: %q", got)
	}
}

func TestOldPagesLeadToTheNewOnes(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	jobs := func(q, limit, order, page string) string {
		return "/jobs?" + url.Values{"instance": {"0"}, "q": {q}, "limit": {limit}, "order": {order}, "page": {page}}.Encode()
	}
	for address, want := range map[string]string{
		"/0/": "/queues?instance=0", "/0/view": "/queues?instance=0", "/0/view/": "/queues?instance=0", "/0/view/queues": "/queues?instance=0",
		"/0/view/workers": "/workers?instance=0", "/0/view/jobs": jobs("queue:default state:queued", "8", "asc", "1"),
		"/0/view/jobs/high/failed/20/dsc/3":    jobs("queue:high state:failed", "20", "dsc", "3"),
		"/0/view/jobs/a%20%22b/queued/8/asc/1": jobs(`queue:"a \"b" state:queued`, "8", "asc", "1"),
		"/0/view/job/a%2Fb":                    "/jobs/a%2Fb?instance=0", "/0/view/job/..%2F..%2Fx": "/jobs/..%2F..%2Fx?instance=0",
	} {
		w := b.send(http.MethodGet, address, "")
		if got := w.Header().Get("Location"); w.Code != http.StatusPermanentRedirect || got != want || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d to %q, want %q", address, w.Code, got, want)
		}
	}
}

// status posts an action.
func (b *bundle) status(address string) map[string]any {
	b.t.Helper()
	w := b.send(http.MethodPost, address, "", "Sec-Fetch-Site", "same-origin")
	if w.Code != http.StatusOK {
		b.t.Fatalf("POST %s answered %d:\n%s", address, w.Code, w.Body)
	}
	return jsonOf(b.t, w)
}

// each runs a test on an embedded queue and on Redis.
func each(t *testing.T, run func(t *testing.T, queue broker.Broker)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		run(t, setup(t, nil).broker)
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		run(t, onRedis(t, startRedis(t)))
	})
}

func TestActionsAreCarriedOut(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, queue broker.Broker) {
		b := watch(t, queue)
		var jobs []distro.Job
		for i := range 7 {
			jobs = append(jobs, call(fmt.Sprint(i), "q"))
		}
		if _, err := queue.Enqueue(t.Context(), jobs); err != nil {
			t.Fatal(err)
		}
		fail(t, queue, "q", 4)
		list := func(registry string) string {
			return strings.Join(rows(b.data("/0/data/jobs/q/"+registry+"/8/asc/1.json")), " ")
		}
		ok := map[string]any{"status": "OK"}
		counted := func(n int) map[string]any { return map[string]any{"status": "OK", "count": json.Number(fmt.Sprint(n))} }
		for _, tt := range []struct {
			action         string
			want           map[string]any
			queued, failed string
		}{
			{"/job/5/delete", ok, "4 6", "0 1 2 3"},
			{"/job/5/delete", map[string]any{"status": "ERROR"}, "4 6", "0 1 2 3"},
			{"/job/2/requeue?instance=0", ok, "4 6 2", "0 1 3"},
			{"/queue/q/compact", ok, "4 6 2", "0 1 3"},
			{"/queue/q/started/empty", counted(0), "4 6 2", "0 1 3"},
			{"/requeue/none", counted(0), "4 6 2", "0 1 3"},
			{"/queue/q/queued/empty", counted(3), "", "0 1 3"},
			{"/job/0/requeue", ok, "0", "1 3"},
			{"/queue/q/failed/empty", counted(2), "0", ""},
		} {
			got := b.status(tt.action)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.action, diff)
			}
			if queued, failed := list("queued"), list("failed"); queued != tt.queued || failed != tt.failed {
				t.Fatalf("%s left queued %q, failed %q; want %q, %q", tt.action, queued, failed, tt.queued, tt.failed)
			}
		}
		fail(t, queue, "q", 1)
		if diff := cmp.Diff(counted(1), b.status("/requeue/q")); diff != "" || list("queued") != "0" {
			t.Errorf("requeue all: queued %q (-want +got):\n%s", list("queued"), diff)
		}
		for _, registry := range []string{"queued", "failed", "deferred", "scheduled", "started", "finished", "canceled"} {
			b.status("/queue/q/" + registry + "/empty")
		}
	})
}

func TestManyJobsAreActedOnInTheBackground(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, queue broker.Broker) {
		b := watch(t, queue)
		const n = 1100
		for at := 0; at < n; at += broker.MaxEnqueue {
			var jobs []distro.Job
			for i := at; i < min(n, at+broker.MaxEnqueue); i++ {
				jobs = append(jobs, call(fmt.Sprintf("%04d", i), "q"))
			}
			if _, err := queue.Enqueue(t.Context(), jobs); err != nil {
				t.Fatal(err)
			}
		}
		fail(t, queue, "q", n)
		for _, action := range []string{"/requeue/q", "/queue/q/queued/empty"} {
			answer := b.status(action)
			id, _ := answer["operation"].(string)
			if answer["status"] != "OK" || fmt.Sprint(answer["count"]) != fmt.Sprint(n) || id == "" {
				t.Fatalf("%s: %v", action, answer)
			}
			b.carryOut(t, id)
		}
		for _, q := range b.data("/0/data/queues.json")["queues"].([]any) {
			if q := q.(map[string]any); fmt.Sprintf("%v %v", q["count"], q["failed_job_registry_count"]) != "0 0" {
				t.Errorf("left: %v", q)
			}
		}
	})
}

// carryOut runs the operations of the service until one has ended.
func (b *bundle) carryOut(t *testing.T, id string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.service.RunOperations(ctx) }()
	sub, err := service.Subscribe([]string{service.TopicOperations})
	if err != nil {
		t.Fatal(err)
	}
	var last service.Operation
	_ = b.service.Follow(ctx, sub, "", time.Hour, func(u service.Update) error {
		for _, o := range u.Operations {
			if o.ID == id && !o.EndedAt.IsZero() {
				last = o
				cancel()
			}
		}
		return nil
	})
	cancel()
	if err := <-done; err != nil || last.Failed > 0 {
		t.Errorf("%+v, %v", last, err)
	}
}

func TestDisabledDeletesAreSaidToBe(t *testing.T) {
	t.Parallel()
	queue := setup(t, nil).broker
	b := watch(t, queue, func(o *service.Options) { o.DisableDelete = true })
	if _, err := queue.Enqueue(t.Context(), []distro.Job{call("a", "q")}); err != nil {
		t.Fatal(err)
	}
	fail(t, queue, "q", 1)
	for action, want := range map[string]string{
		"/job/a/delete": "DISABLED", "/queue/q/failed/empty": "DISABLED", "/queue/q/compact": "OK",
	} {
		if got := b.status(action); got["status"] != want {
			t.Errorf("%s: %v, want %s", action, got, want)
		}
	}
	if got := b.status("/job/a/requeue"); got["status"] != "OK" {
		t.Errorf("requeue: %v", got)
	}
}

func TestPagesOfOtherOriginsAndReadersActOnNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, nil, closed)
	b.enqueue(call("a", "default"))
	reader, operator := "Bearer "+readSecret, "Bearer "+secret
	actions := []string{"/job/a/delete", "/job/a/requeue", "/requeue/default", "/queue/default/queued/empty", "/queue/default/compact"}
	for _, action := range actions {
		for status, header := range map[int][]string{
			http.StatusUnauthorized: {"Accept", "*/*"},
			http.StatusForbidden:    {"Authorization", reader},
			421:                     {"Authorization", operator, "Host", "evil.example"},
		} {
			if w := b.send(http.MethodPost, action, "", header...); w.Code != status {
				t.Errorf("%s with %q: %d, want %d", action, header, w.Code, status)
			}
		}
		for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}} {
			if w := b.send(http.MethodPost, action, "", append(header, "Authorization", operator)...); w.Code != http.StatusForbidden {
				t.Errorf("%s with %q: %d", action, header, w.Code)
			}
		}
	}
	w := b.send(http.MethodGet, "/0/data/jobs/default/queued/8/asc/1.json", "", "Authorization", reader)
	if got := rows(jsonOf(t, w)); !slices.Equal(got, []string{"a"}) {
		t.Errorf("left: %q", got)
	}
}
