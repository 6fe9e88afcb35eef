package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro/internal/httpapi"
)

// next is the next event of a name; others before it are left out.
func next[T any](t *testing.T, stream <-chan event, name string) (T, string) {
	t.Helper()
	var data T
	for e := range stream {
		if e.name != name {
			continue
		}
		if err := json.Unmarshal([]byte(e.data), &data); err != nil {
			t.Fatalf("%+v: %v", e, err)
		}
		return data, e.id
	}
	t.Fatalf("the stream ended before an event %s", name)
	return data, ""
}

// untilJob reads events until one tells that a job has a status, and returns
// the ID to go on with.
func untilJob(t *testing.T, stream <-chan event, job, status string) string {
	t.Helper()
	for {
		jobs, id := next[httpapi.EventJobs](t, stream, "jobs")
		for _, c := range jobs.Changes {
			if c.JobID == job && c.Status == status {
				if id == "" {
					t.Errorf("the event of %s %s has no id", job, status)
				}
				return id
			}
		}
	}
}

func TestEventsTellWhatTheTopicsAskForAndGoOnBehindAnID(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.create("low") // before the stream: it is not told of
	address := b.serve()
	stream, response := events(t, address+"/api/v1/events?topics=queue:low,overview")
	if got := response.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("%s, %q", response.Status, got)
	}
	hello, _ := next[httpapi.EventHello](t, stream, "hello")
	overview, _ := next[httpapi.EventOverview](t, stream, "overview")
	if len(overview.Queues) != 3 || overview.Queues[2].Jobs["queued"] != 1 {
		t.Errorf("overview: %+v", overview)
	}
	other, job := b.create("high"), b.create("low")
	jobs, _ := next[httpapi.EventJobs](t, stream, "jobs")
	if len(jobs.Changes) != 1 || jobs.Changes[0].JobID != job || jobs.Changes[0].Status != "queued" || jobs.Changes[0].Queue != "low" {
		t.Errorf("changes: %+v", jobs)
	}
	for claimed := ""; claimed != job; { // old stands before it
		c := b.claim("low")
		claimed = c.Job.ID
		b.finish(c)
	}
	id := untilJob(t, stream, job, "finished")

	text := ask[httpapi.EventTopics](b, 200, "POST", "/api/v1/events/"+hello.Stream, fmt.Sprintf(`{"topics": ["job:%s"]}`, other))
	if diff := cmp.Diff([]string{"job:" + other}, text.Topics); diff != "" {
		t.Error(diff)
	}
	b.finish(b.claim("high"))
	untilJob(t, stream, other, "finished")

	// What was missed is told first, the newest of each job.
	again, _ := events(t, address+"/api/v1/events?topics=jobs", "Last-Event-ID", id)
	jobs, _ = next[httpapi.EventJobs](t, again, "jobs")
	if len(jobs.Changes) != 1 || jobs.Changes[0].JobID != other || jobs.Changes[0].Status != "finished" {
		t.Errorf("missed: %+v", jobs)
	}
	again, _ = events(t, address+"/api/v1/events?topics=jobs&after="+id)
	if jobs, _ = next[httpapi.EventJobs](t, again, "jobs"); len(jobs.Changes) != 1 || jobs.Changes[0].JobID != other {
		t.Errorf("missed, as the address says: %+v", jobs)
	}
	for _, strange := range []string{"x", "18446744073709551616", "999999", "1-1"} {
		lost, _ := events(t, address+"/api/v1/events?topics=jobs", "Last-Event-ID", strange)
		next[struct{}](t, lost, "resync")
	}
	b.api.EndStreams()
	for range stream {
	}
	if w := b.do("POST", "/api/v1/events/"+hello.Stream, `{"topics": []}`); w.Code != http.StatusNotFound {
		t.Errorf("topics of a stream that ended: %d", w.Code)
	}
}

func TestWrongTopicsAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	many := strings.Repeat("jobs,", 100) + "jobs"
	for _, topics := range []string{"", "job:", "queue:", "everything", "jobs,", many, "job:" + strings.Repeat("x", 1025)} {
		w := b.do("GET", "/api/v1/events?topics="+topics, "")
		if w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), `"field":"topics"`) {
			t.Errorf("topics=%.40s: %d %s", topics, w.Code, w.Body)
		}
	}
}

func TestTheOverviewCountsWhatWaitsAndRuns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.create("low")
	b.create("high")
	c := b.claim("high")
	o := ask[httpapi.Overview](b, 200, "GET", "/api/v1/overview?window=1h", "")
	if o.Workers != 1 || o.Running != 1 || len(o.Started) != 1 || o.Started[0].ID != c.Job.ID || o.Window != "1h0m0s" || o.Queues[2].Jobs["queued"] != 1 {
		t.Errorf("overview: %+v", o)
	}
	for _, window := range []string{"1s", "745h", "x", "-1h", "9999999h"} {
		if w := b.do("GET", "/api/v1/overview?window="+window, ""); w.Code != http.StatusUnprocessableEntity {
			t.Errorf("window=%s: %d", window, w.Code)
		}
	}
}
