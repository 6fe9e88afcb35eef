package httpapi_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/httpapi"
	"github.com/distro-orchestrator/distro/internal/output"
	"github.com/distro-orchestrator/distro/internal/pickle"
	"github.com/distro-orchestrator/distro/internal/service"
)

// counting is a broker that only takes jobs.
type counting struct {
	broker.Broker
	jobs int
	last distro.Job
}

func (c *counting) Enqueue(_ context.Context, jobs []distro.Job) ([]broker.EnqueueResult, error) {
	c.jobs += len(jobs)
	c.last = jobs[0]
	return make([]broker.EnqueueResult, len(jobs)), nil
}

func newCounting(tb testing.TB) (*counting, *httpapi.Server) {
	b := &counting{}
	out, err := output.Open(tb.TempDir(), output.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	svc, err := service.New(service.Options{Broker: b, Catalog: testCatalog(), Output: out, Queues: []string{"default", "low"}})
	if err != nil {
		tb.Fatal(err)
	}
	api, err := httpapi.New(httpapi.Options{Service: svc, Listen: "localhost:7000", AuthToken: secret})
	if err != nil {
		tb.Fatal(err)
	}
	return b, api
}

func post(tb testing.TB, api http.Handler, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(tb.Context(), "POST", path, strings.NewReader(body))
	r.Host = "localhost"
	r.Header.Set("Authorization", "Bearer "+secret)
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	return w
}

// FuzzQueueTask posts any bytes: each is answered 201 after one job whose
// payload is a call was enqueued, or refused with a problem after none was.
func FuzzQueueTask(f *testing.F) {
	f.Add([]byte(`{"module":"hello_world","function":"send_hello_world","queue":"default"}`))
	f.Add([]byte(`{"":1}`))
	for _, tt := range refusals() {
		f.Add([]byte(tt.body))
	}
	for _, tt := range delayRefusals() {
		f.Add([]byte(tt.body))
	}
	b, api := newCounting(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, path := range []string{"/scheduler/queue-task", "/scheduler/schedule-task", "/api/v1/jobs/batch"} {
			before := b.jobs
			w := post(t, api, path, string(body))
			enqueued := b.jobs - before
			switch {
			case w.Code == http.StatusCreated && enqueued > 0:
				if _, err := pickle.Call(b.last.Payload.Data); err != nil {
					t.Fatalf("payload %q: %v", b.last.Payload.Data, err)
				}
			case w.Code >= 400 && w.Code < 500 && enqueued == 0:
				var p httpapi.Problem
				if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Field == "" || p.Status != w.Code {
					t.Fatalf("%s: %d %s", path, w.Code, w.Body)
				}
			default:
				t.Fatalf("%s: %d after %d jobs: %s", path, w.Code, enqueued, w.Body)
			}
		}
	})
}

// BenchmarkQueueTask is the whole handler without the queue behind it.
func BenchmarkQueueTask(b *testing.B) {
	_, api := newCounting(b)
	const body = `{"module":"pkg.report","function":"build","queue":"default","args":["2026-10"],"job_id":"3f0c2c1e-7d5a-4d7c-9d0e-1c2d3e4f5a6b"}`
	b.ReportAllocs()
	for b.Loop() {
		if w := post(b, api, "/scheduler/queue-task", body); w.Code != http.StatusCreated {
			b.Fatal(w.Code, w.Body)
		}
	}
}
