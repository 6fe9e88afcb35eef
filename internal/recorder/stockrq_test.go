package recorder_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
	"github.com/distro-orchestrator/distro/internal/proctest"
	"github.com/distro-orchestrator/distro/internal/recorder"
	"github.com/distro-orchestrator/distro/internal/redistest"
	"github.com/distro-orchestrator/distro/internal/store"
)

// kept is a history on SQLite that says when something was recorded.
type kept struct {
	*store.Store
	mu      sync.Mutex
	changed chan struct{} // closed at each Record
}

func (k *kept) Record(ctx context.Context, list []distro.Execution, feed, cursor string) error {
	err := k.Store.Record(ctx, list, feed, cursor)
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.changed)
	k.changed = make(chan struct{})
	return err
}

// rq is a Redis with stock workers, and a recorder of what they do.
type rq struct {
	*testing.T
	server  *redistest.Server
	stock   *redistest.Stock
	dir     string
	url     string
	conn    *redistest.Conn
	broker  *redisbroker.Broker
	history *kept

	mu   sync.Mutex
	ends []string
}

const rqJobs = `
import os, redis, time

def add(a, b):
    return a + b

def boom():
    raise ValueError("kaput")

def hold(key):
    "Says that it runs, and ends as it is told."
    connection = redis.from_url(os.environ["REDIS_URL"])
    connection.rpush(key + ":runs", os.getpid())
    how = connection.blpop(key + ":ends", 60)[1]
    if how == b"fail":
        raise ValueError("kaput")
    return how.decode()

def nap():
    time.sleep(60)
`

func newRQ(t *testing.T) *rq {
	t.Helper()
	q := &rq{T: t, server: redistest.Start(t, redistest.Options{}), dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(q.dir, "rqjobs.py"), []byte(rqJobs), 0o600); err != nil {
		t.Fatal(err)
	}
	q.stock = redistest.FindStock(t).WithPath(q.dir)
	q.url = q.server.URL()
	q.conn = q.server.Conn(t, q.url)
	var err error
	q.broker, err = redisbroker.Open(t.Context(), redisbroker.Options{URL: q.url, Clock: broker.SystemClock(), Feed: true, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.broker.Close() })
	history, err := store.Open(t.Context(), store.Options{Path: filepath.Join(q.dir, "history.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = history.Close() })
	q.history = &kept{Store: history, changed: make(chan struct{})}
	return q
}

// record runs a recorder until the returned function is called.
func (q *rq) record() (stop func()) {
	r := recorder.New(recorder.Options{
		Broker: q.broker, History: q.history, Feed: "redis", Stock: q.broker.Stock(),
		Ended: func(e distro.Execution, last bool) {
			q.mu.Lock()
			defer q.mu.Unlock()
			q.ends = append(q.ends, fmt.Sprint(e.JobID, " ", e.State, " ", last))
		},
	})
	ctx, cancel := context.WithCancel(q.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			q.Error(err)
		}
	})
	q.Cleanup(stop)
	return stop
}

// script runs Python where the names of RQ are known, and a queue q.
func (q *rq) script(source string) {
	q.Helper()
	const head = `
import os, redis, rq, rqjobs
from rq import Queue, Retry, command
from rq.job import Job
c = redis.from_url(os.environ["REDIS_URL"])
q = Queue(connection=c)
`
	q.stock.Run(q.T, q.url, head+source)
}

// worker starts a stock worker.
func (q *rq) worker(name string, args ...string) *proctest.Process {
	q.Helper()
	return q.stock.Worker(q.T, redistest.WorkerOptions{URL: q.url, Dir: q.dir, Queues: []string{"default"}, Args: append([]string{"--name", name}, args...)})
}

// burst lets a stock worker run what waits.
func (q *rq) burst(name string) {
	q.Helper()
	w := q.worker(name, "--burst")
	if err := w.Wait(q.Context()); err != nil {
		q.Fatalf("worker: %v\n%s", err, w.Output())
	}
}

// runs waits until hold runs, and returns its process.
func (q *rq) runs(key string) int {
	q.Helper()
	answer, ok := q.conn.Do("BLPOP", key+":runs", "50").([]any)
	if !ok {
		q.Fatalf("%s does not run", key)
	}
	pid, err := strconv.Atoi(answer[1].(string))
	if err != nil {
		q.Fatal(err)
	}
	return pid
}

func (q *rq) release(key, how string) { q.conn.Do("RPUSH", key+":ends", how) }

// await waits until history has these states of attempts, in the order in which
// they started, those of stock workers marked.
func (q *rq) await(want map[string][]string) map[string][]distro.Execution {
	q.Helper()
	limit := time.NewTimer(50 * time.Second)
	defer limit.Stop()
	for {
		q.history.mu.Lock()
		changed := q.history.changed
		q.history.mu.Unlock()
		rows, got := map[string][]distro.Execution{}, map[string][]string{}
		for _, id := range slices.Sorted(maps.Keys(want)) {
			list, err := q.history.Attempts(q.Context(), id)
			if err != nil {
				q.Fatal(err)
			}
			rows[id] = list
			for _, e := range list {
				text := string(e.State)
				if e.Stock {
					text = "stock " + text
				}
				got[id] = append(got[id], text)
			}
		}
		diff := cmp.Diff(want, got)
		if diff == "" {
			return rows
		}
		select {
		case <-changed:
		case <-limit.C:
			q.Fatalf("history (-want +got):\n%s", diff)
		}
	}
}

func TestWhatStockWorkersDidIsRecordedWithWhatRQWrote(t *testing.T) {
	t.Parallel()
	q := newRQ(t)
	q.script(`q.enqueue(rqjobs.boom, job_id="old")`)
	q.burst("w0")
	q.record()
	q.await(map[string][]string{"old": {"stock failed"}})
	q.script(`
q.enqueue(rqjobs.add, 1, b=2, job_id="adds")
q.enqueue(rqjobs.boom, job_id="raises")
q.enqueue(rqjobs.nap, job_id="naps", job_timeout=1)
q.enqueue(rqjobs.boom, job_id="later", retry=Retry(max=1, interval=3600))
q.enqueue(rqjobs.hold, "sees", result_ttl=0, job_id="seen")
`)
	w := q.worker("w1")
	q.runs("sees")
	q.await(map[string][]string{"seen": {"stock started"}})
	q.release("sees", "return")
	rows := q.await(map[string][]string{
		"adds": {"stock finished"}, "raises": {"stock failed"}, "naps": {"stock failed"}, "later": {"stock retried"}, "seen": {"stock finished"},
	})
	w.Stop(t)
	for id, list := range rows {
		if e := list[0]; e.Worker != "w1" || e.Host == "" || e.Python == "" || e.Queue != "default" || e.Module != "rqjobs" || e.StartedAt.IsZero() {
			t.Errorf("%s lacks something: %+v", id, e)
		}
		if e := list[0]; id != "seen" && e.Took() == 0 {
			t.Errorf("%s has no end: %+v", id, e)
		}
	}
	if e := rows["adds"][0]; e.Result.Text != "3" || e.Arguments != "1, b=2" || e.Function != "add" || e.EnqueuedAt.IsZero() {
		t.Errorf("the one that finished: %+v", e)
	}
	if f := rows["raises"][0].Failure; f == nil || f.Type != "ValueError" || f.Message != "kaput" || f.Traceback == "" {
		t.Errorf("failure: %+v", f)
	}
	if f := rows["naps"][0].Failure; f == nil || f.Kind != distro.FailureTimeout {
		t.Errorf("failure of the one that took too long: %+v", f)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	slices.Sort(q.ends) // what had ended before history began is no news
	want := []string{"adds finished true", "later retried false", "naps failed true", "raises failed true", "seen finished true"}
	if diff := cmp.Diff(want, q.ends); diff != "" {
		t.Errorf("ends (-want +got):\n%s", diff)
	}
}

func TestKilledStoppedAndRetriedStockAttemptsAreRecordedOnce(t *testing.T) {
	t.Parallel()
	q := newRQ(t)
	stop := q.record()
	w := q.worker("w2")
	q.script(`q.enqueue(rqjobs.hold, "killed", job_id="killed")`)
	pid := q.runs("killed")
	started := q.await(map[string][]string{"killed": {"stock started"}})["killed"][0]
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	killed := q.await(map[string][]string{"killed": {"stock failed"}})["killed"][0]
	if f := killed.Failure; killed.Run != started.Run || killed.Worker != "w2" || f == nil || f.Kind != distro.FailureSignal || f.Signal != 9 {
		t.Errorf("killed: %+v, %+v", killed, f)
	}
	q.script(`q.enqueue(rqjobs.hold, "stopped", job_id="stopped")`)
	q.runs("stopped")
	q.await(map[string][]string{"stopped": {"stock started"}})
	q.script(`command.send_stop_job_command(c, "stopped")`)
	q.await(map[string][]string{"stopped": {"stock stopped"}})

	q.script(`q.enqueue(rqjobs.hold, "again", job_id="again", retry=Retry(max=2))`)
	q.runs("again")
	q.await(map[string][]string{"again": {"stock started"}})
	q.release("again", "fail")
	q.runs("again")
	q.await(map[string][]string{"again": {"stock retried", "stock started"}})
	stop() // and another recorder goes on, which has seen nothing of it
	q.release("again", "fail")
	pid = q.runs("again")
	q.record()
	q.await(map[string][]string{"again": {"stock retried", "stock retried", "stock started"}})
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{
		"again": {"stock retried", "stock retried", "stock failed"}, "killed": {"stock failed"}, "stopped": {"stock stopped"},
	}
	before := q.await(all)
	w.Stop(t)
	fresh := recorder.New(recorder.Options{History: q.history, Stock: q.broker.Stock()})
	for range 2 { // which finds all of it anew, and nothing that is not known
		if err := fresh.RecordStock(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(before, q.await(all)); diff != "" {
		t.Errorf("it changed (-before +after):\n%s", diff)
	}
	// Of what history deletes nothing comes back but the last, which ended behind
	// the begin of the newest that was deleted.
	if _, _, err := q.history.Trim(t.Context(), store.Retention{MaxBytes: 1}, 100); err != nil {
		t.Fatal(err)
	}
	forgetful := recorder.New(recorder.Options{History: q.history, Stock: q.broker.Stock()})
	if err := forgetful.RecordStock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, _, err := q.history.Totals(t.Context()); n > 1 || err != nil {
		t.Errorf("%d executions came back, %v", n, err)
	}
}

func TestAJobThatStockAndDistroWorkersRunInTurnIsRecordedOncePerAttempt(t *testing.T) {
	t.Parallel()
	q := newRQ(t)
	q.record()
	q.script(`q.enqueue(rqjobs.boom, job_id="turns", retry=Retry(max=2))`)
	beat := uint64(0)
	say := func(req broker.ExchangeRequest) broker.ExchangeReply {
		beat++
		req.Beat, req.Worker = beat, distro.Worker{Name: "d", Host: "host", Python: "3.11.2", Queues: []string{"default"}, Slots: 1}
		reply, err := q.broker.Exchange(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		return reply
	}
	run := func(token string, outcome distro.Outcome) {
		claims := say(broker.ExchangeRequest{Want: broker.Want{Queues: []string{"default"}, Tokens: []string{token}, Begun: 1}}).Claims
		if len(claims) != 1 {
			t.Fatal("nothing to claim")
		}
		res := distro.Result{Outcome: outcome}
		if outcome != distro.OutcomeFinished {
			res.Failure = &distro.Failure{Kind: distro.FailureException, Message: "no"}
		}
		say(broker.ExchangeRequest{Settle: []broker.Settlement{{Claim: broker.Claim{JobID: "turns", Token: token}, Result: res}}})
	}
	run("one", distro.OutcomeFailed)
	q.await(map[string][]string{"turns": {"failed"}})
	w := q.worker("w3", "--max-jobs", "1")
	if err := w.Wait(t.Context()); err != nil {
		t.Fatalf("worker: %v\n%s", err, w.Output())
	}
	q.await(map[string][]string{"turns": {"failed", "stock retried"}})
	run("two", distro.OutcomeFailed)
	q.await(map[string][]string{"turns": {"failed", "stock retried", "failed"}})
	q.script(`Job.fetch("turns", connection=c).requeue()`)
	q.burst("w4")
	q.await(map[string][]string{"turns": {"failed", "stock retried", "failed", "stock failed"}})
	q.script(`Job.fetch("turns", connection=c).requeue()`)
	run("three", distro.OutcomeFinished)
	all := map[string][]string{"turns": {"failed", "stock retried", "failed", "stock failed", "finished"}}
	rows := q.await(all)["turns"]
	for i, worker := range []string{"d", "w3", "d", "w4", "d"} {
		if rows[i].Worker != worker {
			t.Errorf("attempt %d ran on %q, want %q", i+1, rows[i].Worker, worker)
		}
	}
	fresh := recorder.New(recorder.Options{History: q.history, Stock: q.broker.Stock()})
	if err := fresh.RecordStock(t.Context()); err != nil {
		t.Fatal(err)
	}
	q.await(all)
}
