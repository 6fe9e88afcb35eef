package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/sqlitebroker"
	"github.com/distro-orchestrator/distro/internal/metrics"
	"github.com/distro-orchestrator/distro/internal/sqldb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// queue counts as it is told to.
type queue struct {
	mu     sync.Mutex
	asked  int
	counts broker.Counts
	err    error
	hangs  bool
}

func (q *queue) Counts(ctx context.Context) (broker.Counts, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.asked++
	if q.hangs {
		<-ctx.Done()
		return broker.Counts{}, ctx.Err()
	}
	return q.counts, q.err
}

// clock stands where it is put.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time           { return c.now }
func (c *clock) Monotonic() time.Duration { return time.Duration(c.now.UnixNano()) }

func noon() *clock { return &clock{time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)} }

func twoQueues() *queue {
	return &queue{counts: broker.Counts{Queues: []distro.QueueInfo{
		{Name: "high", Jobs: map[distro.Status]int{distro.StatusQueued: 3, distro.StatusFailed: 1}, OldestAt: noon().now.Add(-90 * time.Second)},
		{Name: "low", Paused: true},
	}}}
}

func scrape(t *testing.T, h http.Handler) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("%d %s: %s", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	return w.Body.String()
}

// has fails the test unless every line stands in a scrape.
func has(t *testing.T, scraped string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(scraped, "\n"+line+"\n") {
			t.Errorf("there is no %s in\n%s", line, ours(scraped))
		}
	}
}

// ours are the lines of a scrape about Distro.
func ours(scraped string) string {
	var lines []string
	for line := range strings.Lines(scraped) {
		if strings.HasPrefix(line, "distro_") && !strings.Contains(line, "_bucket{") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// ended is an execution that waited for two seconds and ran for three.
func ended(function string) distro.Execution {
	start := noon().now
	return distro.Execution{
		JobID: "j", Module: "m", Function: function, Queue: "high", State: distro.ExecutionFinished,
		EnqueuedAt: start.Add(-2 * time.Second), StartedAt: start, EndedAt: start.Add(3 * time.Second),
	}
}

func TestAScrapeShowsQueuesSlotsAndExecutions(t *testing.T) {
	t.Parallel()
	m := metrics.New(metrics.Options{Version: "1.2.3"})
	m.Observe(ended("f"))
	m.Observe(ended("f"))
	running := ended("f")
	running.State = distro.ExecutionStarted
	m.Observe(running)
	m.Observe(distro.Execution{State: distro.ExecutionLost, Queue: "low"})
	got := scrape(t, m.Handler(metrics.Sources{
		Queue: twoQueues(), Clock: noon(), Worker: "host-1", Slots: func() (int, int) { return 4, 3 },
	}))
	has(t, got,
		"distro_up 1", "distro_suspended 0",
		`distro_queue_jobs{queue="high",status="queued"} 3`, `distro_queue_jobs{queue="high",status="started"} 0`,
		`distro_queue_jobs{queue="high",status="failed"} 1`, `distro_queue_oldest_seconds{queue="high"} 90`,
		`distro_queue_oldest_seconds{queue="low"} 0`, `distro_queue_paused{queue="high"} 0`, `distro_queue_paused{queue="low"} 1`,
		`distro_worker_slots{worker="host-1"} 4`, `distro_worker_slots_busy{worker="host-1"} 3`,
		`distro_executions_total{function="m.f",state="finished"} 2`, `distro_executions_total{function="unknown",state="lost"} 1`,
		`distro_execution_wait_seconds_bucket{queue="high",le="1"} 0`, `distro_execution_wait_seconds_bucket{queue="high",le="2"} 2`,
		`distro_execution_run_seconds_sum{queue="high"} 6`, `distro_execution_run_seconds_count{queue="high"} 2`,
	)
	if strings.Contains(got, `seconds_count{queue="low"}`) {
		t.Error("times that nobody wrote were counted")
	}
	if !strings.Contains(got, `version="1.2.3"} 1`) {
		t.Error("the version is missing")
	}
}

func TestLabelsAreBounded(t *testing.T) {
	t.Parallel()
	m := metrics.New(metrics.Options{Queues: []string{"mine"}})
	q := &queue{}
	for n := range metrics.MaxFunctions + 20 {
		m.Observe(ended(fmt.Sprintf("f%d", n)))
	}
	for n := range metrics.MaxQueues + 20 {
		q.counts.Queues = append(q.counts.Queues, distro.QueueInfo{
			Name: fmt.Sprintf("q%d", n), Paused: n == metrics.MaxQueues+1, OldestAt: noon().now.Add(-time.Duration(n) * time.Second),
			Jobs: map[distro.Status]int{distro.StatusQueued: 1, "invented": 1},
		})
	}
	q.counts.Queues = append(q.counts.Queues, distro.QueueInfo{Name: "mine"})
	odd := ended("\xff\"\n" + strings.Repeat("é", 300))
	odd.Module, odd.Queue, odd.State = "", "mine", "odd"
	m.Observe(odd)
	got := scrape(t, m.Handler(metrics.Sources{Queue: q, Clock: noon()}))
	has(t, got,
		`distro_executions_total{function="other",state="finished"} 20`, `distro_executions_total{function="other",state="other"} 1`,
		`distro_queue_jobs{queue="other",status="queued"} 22`, `distro_queue_jobs{queue="other",status="other"} 22`,
		`distro_queue_paused{queue="other"} 1`, `distro_queue_oldest_seconds{queue="other"} 519`,
		`distro_queue_oldest_seconds{queue="mine"} 0`, `distro_execution_run_seconds_count{queue="mine"} 1`,
	)
	if n := strings.Count(got, "\ndistro_executions_total{"); n != metrics.MaxFunctions+2 {
		t.Errorf("%d functions", n)
	}
	// The queue of the executions, "high", has a label too.
	if n := strings.Count(got, "\ndistro_queue_paused{"); n != metrics.MaxQueues {
		t.Errorf("%d queues", n)
	}
}

func TestNamesThatAreNoUTF8AreShown(t *testing.T) {
	t.Parallel()
	m := metrics.New(metrics.Options{})
	x := ended("\xff\"\n" + strings.Repeat("é", 300))
	x.Module = ""
	m.Observe(x)
	has(t, scrape(t, m.Handler(metrics.Sources{Queue: &queue{}, Clock: noon()})),
		`distro_executions_total{function="`+"\uFFFD"+`\"\n`+strings.Repeat("é", 98)+`",state="finished"} 1`)
}

func TestAQueueThatCannotBeReachedDoesNotHoldAScrapeUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := twoQueues()
		q.hangs = true
		h := metrics.New(metrics.Options{}).Handler(metrics.Sources{Queue: q, Clock: broker.SystemClock()})
		began := time.Now()
		var scrapes sync.WaitGroup
		for range 5 {
			scrapes.Go(func() {
				got := scrape(t, h)
				has(t, got, "distro_up 0")
				if strings.Contains(got, "distro_queue_") || strings.Contains(got, "distro_suspended ") {
					t.Error("it tells what it does not know")
				}
			})
		}
		scrapes.Wait()
		if took := time.Since(began); took != time.Second || q.asked != 1 {
			t.Errorf("five scrapes at once took %s and asked %d times", took, q.asked)
		}
	})
}

func TestCountsAreKeptForTwoSeconds(t *testing.T) {
	t.Parallel()
	q, c := twoQueues(), noon()
	h := metrics.New(metrics.Options{}).Handler(metrics.Sources{Queue: q, Clock: c})
	for _, step := range []struct {
		after time.Duration
		asked int
		line  string
	}{
		{0, 1, `distro_queue_oldest_seconds{queue="high"} 90`},
		{1999 * time.Millisecond, 1, `distro_queue_oldest_seconds{queue="high"} 91.999`},
		{time.Millisecond, 2, `distro_queue_oldest_seconds{queue="high"} 92`},
	} {
		c.now = c.now.Add(step.after)
		has(t, scrape(t, h), step.line)
		if q.asked != step.asked {
			t.Errorf("after %s the queue was asked %d times", step.after, q.asked)
		}
	}
	q.err = broker.ErrUnavailable
	c.now = c.now.Add(2 * time.Second)
	has(t, scrape(t, h), "distro_up 0")
}

func TestAClientThatLeavesSpoilsNothing(t *testing.T) {
	t.Parallel()
	h := metrics.New(metrics.Options{}).Handler(metrics.Sources{Queue: twoQueues(), Clock: noon()})
	ctx, leave := context.WithCancel(t.Context())
	leave()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "/metrics", nil))
	has(t, scrape(t, h), "distro_up 1")
}

// answers is a broker whose calls end with an error.
type answers struct {
	broker.Broker
	err error
}

func (a answers) Get(context.Context, []string) ([]distro.Job, error) { return nil, a.err }

func TestCallsOfTheQueueAreMeasuredByOutcome(t *testing.T) {
	t.Parallel()
	m := metrics.New(metrics.Options{})
	for _, err := range []error{
		nil, broker.ErrUnavailable, broker.ErrFull, broker.ErrNotFound, broker.ErrConflict, broker.ErrCursorLost, broker.ErrNameTaken,
		broker.ErrClosed, context.Canceled, context.DeadlineExceeded, os.ErrInvalid,
	} {
		if _, got := m.Broker(answers{err: err}).Get(t.Context(), nil); !errors.Is(got, err) {
			t.Errorf("%v became %v", err, got)
		}
	}
	got := scrape(t, m.Handler(metrics.Sources{Queue: &queue{}, Clock: noon()}))
	for _, outcome := range []string{
		"ok", "unavailable", "full", "not_found", "conflict", "cursor_lost", "name_taken", "closed", "canceled", "timeout", "error",
	} {
		has(t, got, `distro_broker_call_seconds_count{operation="get",outcome="`+outcome+`"} 1`)
	}
}

func TestOperationsOfDatabasesAreMeasuredByOutcome(t *testing.T) {
	t.Parallel()
	m := metrics.New(metrics.Options{})
	file, err := sqldb.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "small.db"), sqldb.Options{
		Migrations: fstest.MapFS{"00001_t.sql": {Data: []byte("-- +goose Up\nCREATE TABLE t (data BLOB NOT NULL);\n")}},
		MaxBytes:   1 << 20, Observe: m.Database("history"),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	insert := func(ctx context.Context, bytes int) {
		_ = file.Write(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			_, err := tx.Exec(ctx, "INSERT INTO t VALUES ($1)", make([]byte, bytes))
			return err
		})
	}
	insert(t.Context(), 1)
	insert(t.Context(), 2<<20)
	insert(gone, 1)
	_ = file.Row(t.Context(), "SELECT count(*) FROM t", nil, new(int))
	_ = file.Row(t.Context(), "SELECT nonsense", nil, new(int))
	for _, err := range []error{context.DeadlineExceeded, io.ErrUnexpectedEOF} {
		m.Database("history")("read", 3*time.Second, err)
	}
	got := scrape(t, m.Handler(metrics.Sources{Queue: &queue{}, Clock: noon()}))
	const count = `distro_database_seconds_count{database="history",operation=`
	has(t, got,
		count+`"write",outcome="ok"} 1`, count+`"write",outcome="full"} 1`, count+`"write",outcome="canceled"} 1`,
		count+`"read",outcome="ok"} 1`, count+`"read",outcome="error"} 1`, count+`"read",outcome="timeout"} 1`, count+`"read",outcome="unavailable"} 1`,
		`distro_database_seconds_sum{database="history",operation="read",outcome="timeout"} 3`,
	)
}

// callAll calls every method of a broker once.
func callAll(t *testing.T, b broker.Broker) {
	t.Helper()
	ctx := t.Context()
	check := func(name string, ok bool, err error) {
		t.Helper()
		if !ok || err != nil {
			t.Errorf("%s: %t, %v", name, ok, err)
		}
	}
	enqueued, err := b.Enqueue(ctx, []distro.Job{{ID: "a", Queue: "q"}, {ID: "b", Queue: "q"}})
	check("Enqueue", len(enqueued) == 2, err)
	reply, err := b.Exchange(ctx, broker.ExchangeRequest{
		Worker: distro.Worker{Name: "w", Slots: 1}, Beat: 1, Want: broker.Want{Queues: []string{"q"}, Tokens: []string{"t"}, Begun: 1},
	})
	check("Exchange", len(reply.Claims) == 1 && reply.Claims[0].Job.ID == "a", err)
	check("Wait", true, b.Wait(ctx, broker.Interest{Queues: []string{"q"}}))
	acted, err := b.Act(ctx, broker.ActionCancel, []string{"a"})
	check("Act", len(acted) == 1 && acted[0] != nil, err)
	jobs, err := b.Get(ctx, []string{"b"})
	check("Get", len(jobs) == 1, err)
	page, err := b.List(ctx, broker.ListQuery{Limit: 1})
	check("List", len(page.Jobs) == 1 && page.Next != "", err)
	check("SetPaused", true, b.SetPaused(ctx, "q", true))
	counts, err := b.Counts(ctx)
	check("Counts", len(counts.Queues) == 1 && counts.Queues[0].Paused, err)
	deleted, next, err := b.Empty(ctx, "q", "", 10)
	check("Empty", deleted == 1 && next == "", err)
	swept, err := b.Sweep(ctx, 10)
	check("Sweep", !swept.More, err)
	workers, err := b.Workers(ctx)
	check("Workers", len(workers) == 1 && workers[0].Name == "w", err)
	changes, err := b.Changes(ctx, "", 1)
	check("Changes", len(changes) == 1, err)
}

func TestAMeasuredBrokerDoesWhatTheBrokerDoes(t *testing.T) {
	t.Parallel()
	b, err := sqlitebroker.Open(t.Context(), sqlitebroker.Options{Path: filepath.Join(t.TempDir(), "queue.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	m := metrics.New(metrics.Options{})
	callAll(t, m.Broker(b))
	got := scrape(t, m.Handler(metrics.Sources{Queue: b, Clock: broker.SystemClock()}))
	for _, operation := range []string{
		"enqueue", "exchange", "act", "get", "list", "set_paused", "counts", "empty", "sweep", "workers", "changes",
	} {
		has(t, got, `distro_broker_call_seconds_count{operation="`+operation+`",outcome="ok"} 1`)
	}
}

// metric is a row of docs/metrics.md.
type metric struct{ Type, Labels, Help string }

func TestEveryMetricIsDocumented(t *testing.T) {
	t.Parallel()
	m := metrics.New(metrics.Options{})
	m.Observe(ended("f"))
	_, _ = m.Broker(answers{}).Get(t.Context(), nil)
	m.Database("queue")("write", time.Second, nil)
	got := scrape(t, m.Handler(metrics.Sources{Queue: twoQueues(), Clock: noon(), Worker: "w", Slots: func() (int, int) { return 1, 0 }}))

	served := map[string]metric{}
	for _, match := range regexp.MustCompile(`(?m)^# HELP (distro_\S+) (.*)\n# TYPE \S+ (\S+)\n\S*?\{?([^}\n]*)\}? \S+$`).FindAllStringSubmatch(got, -1) {
		var labels []string
		for _, label := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(match[4], -1) {
			if label[1] != "le" {
				labels = append(labels, label[1])
			}
		}
		slices.Sort(labels)
		served[match[1]] = metric{match[3], strings.Join(labels, ", "), match[2]}
	}
	for _, prefix := range []string{"go_", "process_"} {
		if !strings.Contains(got, "\n# TYPE "+prefix) {
			t.Errorf("there are no metrics %s*", prefix)
		}
	}
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]metric{}
	for _, match := range regexp.MustCompile("(?m)^\\| `(distro_\\w+)` \\| (\\w+) \\| (.*?) ?\\| (.*) \\|$").FindAllStringSubmatch(string(page), -1) {
		documented[match[1]] = metric{match[2], strings.ReplaceAll(match[3], "`", ""), match[4]}
	}
	if diff := cmp.Diff(documented, served); diff != "" {
		t.Errorf("docs/metrics.md differs from what is served (-documented +served):\n%s", diff)
	}
	if len(served) != 13 {
		t.Errorf("metrics: %q", slices.Sorted(maps.Keys(served)))
	}
}
