package httpapi_test

import (
	"math"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/pickle"
)

// The expected texts are the original's, with its fields first and in order.
func TestTheOriginalsEndpointsAnswerWordForWord(t *testing.T) {
	t.Parallel()
	const hello = `{"module":"hello_world","function":"send_hello_world","queue":"default"`
	for name, tt := range map[string]struct {
		method, path, body string
		status             int
		want               string
	}{
		"modules": {"GET", "/scheduler/modules", "", 200, `[{"module":"broken"},{"module":"hello_world"},{"module":"json"},{"module":"pkg.report"}]`},
		"queue": {"POST", "/scheduler/queue-task", hello + `,"job_id":"a"}`, 201,
			`{"message":"task enqueued on default queue.","task":"hello_world.send_hello_world","id":"a"}`},
		"schedule": {"POST", "/scheduler/schedule-task", hello + `,"job_id":"a","seconds":20,"minutes":10,"hours":2}`, 201,
			`{"message":"task scheduled for 2 Hours, 10 Minutes and 20 Seconds from now on default queue.","task":"hello_world.send_hello_world","id":"a"}`},
		"seconds stay as they were sent": {"POST", "/scheduler/schedule-task", hello + `,"job_id":"a","seconds":90}`, 201,
			`{"message":"task scheduled for 0 Hours, 0 Minutes and 90 Seconds from now on default queue.","task":"hello_world.send_hello_world","id":"a"}`},
		"no delay": {"POST", "/scheduler/schedule-task", hello + `,"job_id":"a","hours":null}`, 201,
			`{"message":"task scheduled for 0 Hours, 0 Minutes and 0 Seconds from now on default queue.","task":"hello_world.send_hello_world","id":"a"}`},
		"ten years": {"POST", "/scheduler/schedule-task", hello + `,"job_id":"a","hours":87600}`, 201,
			`{"message":"task scheduled for 87600 Hours, 0 Minutes and 0 Seconds from now on default queue.","task":"hello_world.send_hello_world","id":"a"}`},
		"clean":           {"GET", "/scheduler/clean-queue", "", 200, `{"message":"queue cleaned up"}`},
		"clean by post":   {"POST", "/scheduler/clean-queue", "", 200, `{"message":"queue cleaned up"}`},
		"clean by delete": {"DELETE", "/scheduler/clean-queue?queue=low", "", 200, `{"message":"queue cleaned up"}`},
	} {
		for _, slash := range []string{"", "/"} {
			t.Run(name+slash, func(t *testing.T) {
				t.Parallel()
				b := setup(t)
				address, query, found := strings.Cut(tt.path, "?")
				if address += slash; found {
					address += "?" + query
				}
				w := b.do(tt.method, address, tt.body)
				if w.Code != tt.status || strings.TrimSpace(w.Body.String()) != tt.want {
					t.Errorf("%d %s\nwant %d %s", w.Code, w.Body, tt.status, tt.want)
				}
				if got := w.Header().Get("Content-Type"); got != "application/json" {
					t.Errorf("Content-Type %q", got)
				}
				if location := w.Header().Get("Location"); tt.status == 201 && location != "/api/v1/jobs/a" {
					t.Errorf("Location %q", location)
				}
			})
		}
	}
}

func TestATaskKeepsEveryNumberAndText(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.do("POST", "/scheduler/queue-task", `{"queue":"low","function":"anything","unknown":[1],"module":"pkg.report","job_id":"x",
		"args":[12345678901234567890123, 1.10, "é\u00e9", null], "kwargs":{"b": 1e400, "a":{"deep":[true]}}, "timeout":90, "retries":3}`)
	if w.Code != http.StatusCreated {
		t.Fatal(w.Code, w.Body)
	}
	jobs, err := b.broker.Get(t.Context(), []string{"x"})
	if err != nil || len(jobs) != 1 {
		t.Fatal(jobs, err)
	}
	large, _ := new(big.Int).SetString("12345678901234567890123", 10)
	want, err := pickle.Append(nil, pickle.Tuple{
		"pkg.report.anything", nil, pickle.Tuple{large, 1.1, "éé", nil},
		pickle.Dict{{Key: "b", Value: math.Inf(1)}, {Key: "a", Value: pickle.Dict{{Key: "deep", Value: []any{true}}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(distro.Payload{Serializer: distro.SerializerPickle, Data: want}, jobs[0].Payload); diff != "" {
		t.Error(diff)
	}
	if job := jobs[0]; job.Queue != "low" || job.Timeout != 90*time.Second || job.RetriesLeft != 3 {
		t.Errorf("queue %q, timeout %v, retries %d", job.Queue, job.Timeout, job.RetriesLeft)
	}
}

func TestARepeatedTaskIsAnsweredAsTheFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const first = `{"module":"pkg.report","function":"anything","queue":"low","job_id":"j","args":[1],"kwargs":{"a":1,"b":2.0},"minutes":1}`
	answer := b.do("POST", "/scheduler/schedule-task", first).Body.String()
	same := `{"minutes":1,"kwargs":{"b":2.0, "\u0061":1},"args":[ 1 ],"job_id":"j","queue":"low","function":"anything","module":"pkg.report","retries":5}`
	if w := b.do("POST", "/scheduler/schedule-task", same); w.Code != 201 || w.Body.String() != answer {
		t.Errorf("repeated: %d %s", w.Code, w.Body)
	}
	for what, other := range map[string]string{
		"queue": strings.Replace(first, "low", "high", 1), "args": strings.Replace(first, "[1]", "[2]", 1),
		"number's spelling": strings.Replace(first, "2.0", "2.00", 1), "delay": strings.Replace(first, `"minutes":1`, `"minutes":2`, 1),
		"function": strings.Replace(strings.Replace(first, "anything", "build", 1), `"a":1,"b":2.0`, `"limit":1`, 1),
	} {
		w := b.do("POST", "/scheduler/schedule-task", other)
		if w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), `"field":"job_id"`) {
			t.Errorf("another %s: %d %s", what, w.Code, w.Body)
		}
	}
	if w := b.do("POST", "/scheduler/queue-task", first); w.Code != http.StatusConflict {
		t.Errorf("queued instead of scheduled: %d %s", w.Code, w.Body)
	}
	if n := len(b.jobs()); n != 1 {
		t.Errorf("%d jobs", n)
	}
}

func TestCleanQueueDeletesWhatWaitsAndNothingElse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := b.broker.Enqueue(t.Context(), []distro.Job{{ID: "foreign", Queue: "other", Function: "f.f"}}); err != nil {
		t.Fatal(err)
	}
	b.create("high")
	running := b.claim("high").Job.ID
	b.create("high")
	b.create("low")
	b.do("POST", "/scheduler/schedule-task", `{"module":"hello_world","function":"send_hello_world","queue":"low","hours":1,"job_id":"later"}`)
	left := func() map[string]bool {
		ids := map[string]bool{}
		for _, job := range b.jobs() {
			ids[job.ID] = true
		}
		return ids
	}
	b.do("GET", "/scheduler/clean-queue?queue=low", "")
	if got := left(); len(got) != 4 || !got["later"] {
		t.Errorf("after cleaning low: %v", got)
	}
	b.do("GET", "/scheduler/clean-queue", "")
	if diff := cmp.Diff(map[string]bool{"foreign": true, running: true, "later": true}, left()); diff != "" {
		t.Error(diff)
	}
}
