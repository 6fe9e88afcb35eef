package redisbroker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
)

// hostile are jobs that no RQ would write, by ID.
func hostile() map[string][]string {
	large := strings.Repeat("\xff", 5<<20)
	return map[string][]string{
		"bad pickle":            {"data", deflated("\x80\x05cos\nsystem\n(S'true'\ntR"), "status", "queued"},
		"bad UTF-8":             {"data", "x", "status", "queued\xff", "worker_name", "\xc0\xaf", "success_callback_name", "\xff", "created_at", "\xff"},
		"unknown status":        {"data", "x", "status", "ready_to_enqueue"},
		"no status":             {"data", "x"},
		"bad numbers":           {"data", "x", "status", "queued", "timeout", "1h", "ttl", "-5", "result_ttl", "99999999999999999999", "retries_left", "-3", "distro_due", "NaN", "distro_attempt", "x", "distro_seq", "1e9"},
		"bad times":             {"data", "x", "status", "started", "created_at", "yesterday", "started_at", "2026-10-05T08:30:00.123456789+25:00", "ended_at", "0000-00-00T00:00:00Z"},
		"bad lists":             {"data", "x", "status", "scheduled", "retry_intervals", `[1, "a"`, "retries_left", "1"},
		"bad results":           {"data", "x", "status", "finished", "distro_result", `{"o": 5}`, "distro_earlier_0", `t o {"o": 5}`, "distro_earlier_1", "\xff", "distro_earlier_2", ` o {"o": "failed"}`, "exc_info", "\x78\x9cgarbage", "result", "\x80\xff"},
		"5 MB payload":          {"data", large, "status", "queued"},
		"5 MB everywhere":       {"data", "x", "status", "queued", "origin", "q", "description", large, "worker_name", large, "meta", large, "distro_result", large},
		"x\x00\xff\r\n:<b>/../": {"data", "x", "status", "queued"},
		"":                      {"data", "x", "status", "queued"},
		"payload is gone":       {"status", "canceled"},
		"last heartbeat only":   {"last_heartbeat", "2026-10-05T08:30:00.000000Z"},
	}
}

func TestHostileContentIsShownAndKeepsNothingElseFromBeingShown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good := b.enqueue("good", "q", 3)
	b.do("SADD", "rq:queues", "no prefix", "rq:queue:", "rq:queue:\xff\x00", "rq:queue:wrong")
	b.do("SADD", "rq:workers", "no prefix", "rq:worker:gone", "rq:worker:odd", "rq:worker:\xff")
	b.do("SADD", "distro:workers", "gone", "odd")
	b.do("HSET", "rq:worker:odd", "pid", "many", "queues", "\xff,,", "current_job", "\xff", "birth", "then", "successful_job_count", "x")
	b.do("SET", "rq:worker:\xff", "not a hash")
	b.do("HSET", "distro:worker:odd", "info", "{", "seen", "now")
	b.do("HSET", "distro:claims:odd", "token", "nowhere")
	b.do("ZADD", "distro:walks", "1", "odd", "1", "walk:q")
	for _, key := range []string{"rq:queue:wrong", "rq:wip:wrong", "rq:failed:wrong", "rq:results:good00000", "rq:job:a string", "distro:claims:gone"} {
		b.do("SET", key, "of another type")
	}
	shown := len(good)
	for id, fields := range hostile() {
		b.do(append([]string{"HSET", "rq:job:" + id}, fields...)...)
		if fields[0] == "data" {
			shown++
		}
		for _, key := range []string{"rq:wip:q", "rq:failed:q", "rq:scheduled:q"} {
			b.do("ZADD", key, "1", id)
		}
		b.do("RPUSH", "rq:queue:q", id, id)
		b.do("XADD", "rq:results:"+id, "*", "type", "2", "exc_string", "!", "return_value", "!", "execution_ended_at", "inf")
	}
	b.do("RPUSH", "rq:queue:q", "a string", "nobody")
	b.do("ZADD", "rq:wip:q", "-inf", strings.Repeat("0", 50))

	for id := range hostile() {
		jobs, err := b.broker.Get(t.Context(), []string{id, "a string", good[0]})
		if err != nil {
			t.Fatalf("%q: %v", id, err)
		}
		for _, j := range jobs {
			checkShown(t, j)
		}
	}
	for _, q := range []broker.ListQuery{{}, {Queue: "q"}, {Status: distro.StatusFailed}, {Function: "m.f"}, {Queue: "wrong"}, {Queue: "\xff\x00"}} {
		page, err := b.broker.List(t.Context(), q)
		if err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		if q == (broker.ListQuery{}) && len(page.Jobs) != shown {
			t.Errorf("listed %d jobs, want %d", len(page.Jobs), shown)
		}
		for _, j := range page.Jobs {
			checkShown(t, j)
		}
	}
	for _, status := range []distro.Status{distro.StatusStarted, distro.StatusQueued, distro.StatusFailed, distro.StatusScheduled} {
		for _, queue := range []string{"q", "wrong", "\xff\x00"} {
			page, err := b.broker.Places(t.Context(), broker.PlaceQuery{Queue: queue, Status: status})
			if err != nil || len(page.Places) != page.Total {
				t.Errorf("%d of %d places of %q, %s: %v", len(page.Places), page.Total, queue, status, err)
			}
			for _, p := range page.Places {
				if !p.Gone {
					checkShown(t, p.Job)
				}
			}
		}
	}
	b.once(b.pages(broker.ListQuery{Limit: 1}, nil), good)
	if _, err := b.broker.Counts(t.Context()); err != nil {
		t.Error(err)
	}
	workers, err := b.broker.Workers(t.Context())
	if err != nil {
		t.Error(err)
	}
	for _, w := range workers {
		if !utf8.ValidString(w.Host + w.Version + strings.Join(w.Queues, "")) {
			t.Errorf("worker %q is not fit to be shown: %+v", w.Name, w)
		}
	}
}

// checkShown checks that what is shown of a job is text, and that a worker can
// do something with it.
func checkShown(t *testing.T, j distro.Job) {
	t.Helper()
	text := string(j.Status) + j.Function + j.Worker + j.OnSuccess.Name + j.OnFailure.Name + j.OnStopped.Name
	if r := j.Result; r != nil {
		text += r.Worker + r.View.Text
		if f := r.Failure; f != nil {
			text += f.Type + f.Message + f.Traceback
		}
	}
	if !utf8.ValidString(text) {
		t.Errorf("job %q is not fit to be shown: %q", j.ID, text[:min(len(text), 200)])
	}
	if j.Timeout == 0 || j.TTL < 0 || j.RetriesLeft < 0 || j.Attempt < 0 || len(j.Payload.Data) > redisbroker.MaxPayload {
		t.Errorf("job %q: %s timeout, %s ttl, %d retries, attempt %d", j.ID, j.Timeout, j.TTL, j.RetriesLeft, j.Attempt)
	}
	if j.RetryDelay() < 0 || j.RetryDelay() > 290*365*24*time.Hour {
		t.Errorf("job %q: a retry after %s", j.ID, j.RetryDelay())
	}
}

func TestAListOfJobsWithLargePayloadsIsQuick(t *testing.T) {
	t.Parallel()
	b := setup(t)
	payload := `["m.large", null, ["` + strings.Repeat("x", 2<<20) + `"], {}]`
	var want []string
	for i := range 20 {
		id := fmt.Sprint("large", i)
		want = append(want, id)
		b.do("HSET", "rq:job:"+id, "status", "queued", "origin", "q", "data", payload)
		b.do("RPUSH", "rq:queue:q", id)
	}
	b.do("SADD", "rq:queues", "rq:queue:q")
	b.once(b.pages(broker.ListQuery{Function: "m.large", Limit: 5}, nil), want)
}

func FuzzDecodeJob(f *testing.F) {
	for id, fields := range hostile() {
		if len(id) > 0 && fields[0] == "data" && len(fields[1]) < 1<<10 {
			f.Add(fields[1], "queued", "2026-10-05T08:30:00.123456Z", "5", "[1, 2]", `{"o":"finished","p":true}`, "1", encoded(fields[1]))
		}
	}
	f.Add(deflated("\x80\x05(X\x03\x00\x00\x00m.fNK\x07\x85}t."), "failed", "", "-1", "[0]", `{"o":"failed","f":{"k":"exception","z":"AA"}}`, "2", encoded(deflated(rqTraceback)))
	f.Add(`["m.f", null, [], {}]`, "stopped", "x", "1e3", "[]", "", "4", "")
	f.Fuzz(func(t *testing.T, data, status, at, number, intervals, result, kind, value string) {
		fields := map[string]string{
			"data": data, "status": status, "created_at": at, "enqueued_at": at, "started_at": at, "ended_at": at, "origin": status,
			"timeout": number, "ttl": number, "result_ttl": number, "failure_ttl": number, "retries_left": number, "number_of_retries": number,
			"success_callback_timeout": number, "success_callback_name": data, "worker_name": at,
			"retry_intervals": intervals, "distro_attempt": number, "distro_due": number, "distro_result": result, "exc_info": data, "result": data,
		}
		newest := map[string]string{
			"type": kind, "return_value": value, "exc_string": value, "worker_name": status, "execution_started_at": number, "execution_ended_at": number,
		}
		got, listed := redisbroker.Decode("id", fields, newest)
		checkShown(t, got)
		checkShown(t, listed)
		if got.Function != listed.Function && len(got.Function) < 4000 {
			t.Errorf("function %q, in a list %q", got.Function, listed.Function)
		}
	})
}
