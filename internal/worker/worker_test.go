package worker_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/artifact"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/sqlitebroker"
	"github.com/distro-orchestrator/distro/internal/output"
	"github.com/distro-orchestrator/distro/internal/python"
	"github.com/distro-orchestrator/distro/internal/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const jobs = `
import os, signal, time

def quick(n=0):
    return n

def touch(folder, n):
    with open(os.path.join(folder, str(n)), "a") as file:
        file.write("x")

def fail(path):
    with open(path, "a") as file:
        file.write("x")
    raise ValueError("on purpose")

def wait(ready, go):
    open(ready, "w").close()
    while not os.path.exists(go):
        time.sleep(0.005)
    return "done"

def stay(ready):
    open(ready, "w").close()
    time.sleep(600)

def leave(name, size):
    with open(os.path.join(os.environ["DISTRO_ARTIFACTS"], name), "w") as file:
        file.write("x" * size)
    with open(os.path.join(os.environ["DISTRO_ARTIFACTS"], "small"), "w") as file:
        file.write("x")

def ignore(ready):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    stay(ready)
`

// bundle is a worker on a real queue, with real processes.
type bundle struct {
	t      *testing.T
	worker *worker.Worker
	dir    string
	queue  *sqlitebroker.Broker
	flaky  *flaky
	output *output.Store
	files  *artifact.Store
	drain  context.CancelFunc // first signal
	kill   context.CancelFunc // second signal
	ended  chan struct{}
	cursor string // of the change feed, see reach
	seen   map[string]distro.Status
}

// flaky is a broker that loses replies: the call happens, the answer does not
// arrive.
type flaky struct {
	broker.Broker
	tell  chan broker.ExchangeReply // kills and drains for the next reply, as Redis tells them
	every atomic.Int64              // lose each so many-th reply; 0: none
	calls atomic.Int64
	trace func(*broker.ExchangeRequest, *broker.ExchangeReply, time.Duration)
}

var errLost = errors.New("reply lost")

func (f *flaky) Exchange(ctx context.Context, req broker.ExchangeRequest) (broker.ExchangeReply, error) {
	start := time.Now()
	reply, err := f.Broker.Exchange(ctx, req)
	if f.trace != nil {
		f.trace(&req, &reply, time.Since(start))
	}
	select {
	case told := <-f.tell:
		reply.Kill, reply.Drain = told.Kill, told.Drain
	default:
	}
	if every := f.every.Load(); err == nil && every > 0 && f.calls.Add(1)%every == 0 {
		return broker.ExchangeReply{}, errLost
	}
	return reply, err
}

func setup(t *testing.T, isolation python.Isolation, slots int, change ...func(*worker.Options)) *bundle {
	t.Helper()
	dir, err := os.MkdirTemp("", "w")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	modules, state := filepath.Join(dir, "m"), filepath.Join(dir, "s")
	for _, d := range []string{modules, state} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(modules, "j.py"), []byte(jobs), 0o600); err != nil {
		t.Fatal(err)
	}
	b := &bundle{t: t, dir: dir, ended: make(chan struct{}), seen: map[string]distro.Status{}}
	b.queue, err = sqlitebroker.Open(t.Context(), sqlitebroker.Options{Path: filepath.Join(state, "queue.db"), Clock: broker.SystemClock()})
	if err != nil {
		t.Fatal(err)
	}
	b.flaky = &flaky{Broker: b.queue, tell: make(chan broker.ExchangeReply)}
	b.output, err = output.Open(filepath.Join(state, "output"), output.Options{})
	if err != nil {
		t.Fatal(err)
	}
	interpreter, err := python.FindInterpreter(t.Context(), python.InterpreterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	runners, err := python.New(python.Options{
		Interpreter: interpreter, Modules: modules, StateDir: state, Isolation: isolation, Slots: slots,
		KillGrace: 100 * time.Millisecond, Environ: os.Environ(),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.files = artifact.New(filepath.Join(state, python.ArtifactsDir))
	opts := worker.Options{
		Artifacts: b.files, MaxArtifacts: 1000,
		Broker: b.flaky, Runners: runners, Output: worker.Stored(b.output), KillGrace: 100 * time.Millisecond, Prefetch: isolation == python.Pool,
		Worker: distro.Worker{Name: "tester", Queues: []string{"high", "default"}, Slots: slots},
	}
	for _, fn := range change {
		fn(&opts)
	}
	w := worker.New(opts)
	b.worker = w
	intake, drain := context.WithCancel(context.WithoutCancel(t.Context()))
	work, kill := context.WithCancel(context.WithoutCancel(t.Context()))
	serve, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	b.drain, b.kill = drain, kill
	pythons := make(chan error, 1)
	go func() { pythons <- runners.Run(serve) }()
	go func() {
		defer close(b.ended)
		if err := w.Run(intake, work); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		drain()
		kill()
		<-b.ended
		stop()
		if err := <-pythons; err != nil {
			t.Error(err)
		}
		if err := b.queue.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *bundle) enqueue(id, function, args string, change func(*distro.Job)) {
	b.t.Helper()
	job := call(id, function, args)
	if change != nil {
		change(&job)
	}
	b.enqueueAll(job)
}

func (b *bundle) enqueueAll(jobs ...distro.Job) {
	b.t.Helper()
	for part := range slices.Chunk(jobs, broker.MaxEnqueue) {
		if _, err := b.queue.Enqueue(b.t.Context(), part); err != nil {
			b.t.Fatal(err)
		}
	}
}

func call(id, function, args string) distro.Job {
	return distro.Job{
		ID: id, Queue: "default", Function: "j." + function, Timeout: time.Minute, ResultTTL: distro.Forever, FailureTTL: distro.Forever,
		Payload: distro.Payload{Serializer: distro.SerializerJSON, Data: fmt.Appendf(nil, `["j.%s", null, [%s], {}]`, function, args)},
	}
}

func (b *bundle) job(id string) distro.Job {
	b.t.Helper()
	found, err := b.queue.Get(b.t.Context(), []string{id})
	if err != nil || len(found) != 1 {
		b.t.Fatalf("get %q: %d jobs, %v", id, len(found), err)
	}
	return found[0]
}

// reach follows the change feed until the job has the status.
func (b *bundle) reach(id string, status distro.Status) distro.Job {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	for b.seen[id] != status {
		changes, err := b.queue.Changes(ctx, b.cursor, broker.MaxPage)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, c := range changes {
			b.cursor, b.seen[c.JobID] = c.Cursor, c.Status
		}
		if len(changes) == 0 {
			if err := b.queue.Wait(ctx, broker.Interest{Feed: true, Cursor: b.cursor}); err != nil {
				b.t.Fatalf("job %q is %s, not %s: %v", id, b.seen[id], status, err)
			}
		}
	}
	return b.job(id)
}

func (b *bundle) path(name string) string { return filepath.Join(b.dir, name) }

func TestAJobIsClaimedRunAndSettled(t *testing.T) {
	t.Parallel()
	b := setup(t, python.Fork, 2)
	b.enqueue("a", "quick", "7", nil)
	job := b.reach("a", distro.StatusFinished)
	if job.Attempt != 1 || job.Worker != "tester" || job.Result == nil || job.Result.View.Text != "7" {
		t.Errorf("%+v, result %+v", job, job.Result)
	}
}

func TestAFailingJobRunsOnceMoreForEachRetry(t *testing.T) {
	t.Parallel()
	b := setup(t, python.Fork, 2)
	b.enqueue("f", "fail", fmt.Sprintf("%q", b.path("runs")), func(j *distro.Job) { j.RetriesLeft = 2 })
	job := b.reach("f", distro.StatusFailed)
	if runs, _ := os.ReadFile(b.path("runs")); len(runs) != 3 || job.Attempt != 3 || job.RetriesLeft != 0 {
		t.Errorf("%d runs, %+v", len(runs), job)
	}
	page, err := b.output.Read(t.Context(), "f", 1, 100)
	if err != nil {
		t.Fatal(err)
	}
	tracebacks := 0
	for _, line := range page.Lines {
		if line.Text == "ValueError: on purpose" {
			tracebacks++
		}
	}
	if tracebacks != 3 {
		t.Errorf("%d tracebacks in the output: %+v", tracebacks, page.Lines)
	}
}

func TestWhatAnAttemptLeavesIsKeptAsFarAsItMayLeaveIt(t *testing.T) {
	t.Parallel()
	b := setup(t, python.Pool, 1)
	b.enqueue("fits", "leave", `"big", 999`, nil)
	b.enqueue("too-much", "leave", `"big", 1000`, nil)
	b.reach("too-much", distro.StatusFinished)
	for id, want := range map[string]string{"fits": "1/big 1/small", "too-much": "1/small"} {
		files, err := b.files.List(id)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range files {
			names = append(names, f.Name)
		}
		page, err := b.output.Read(t.Context(), id, 1, 100)
		if err != nil {
			t.Fatal(err)
		}
		told := len(page.Lines) == 1 && strings.Contains(page.Lines[0].Text, "of the files left in DISTRO_ARTIFACTS the largest are not kept (1, of 1000 bytes)")
		if got := strings.Join(names, " "); got != want || told != (id == "too-much") {
			t.Errorf("%s: %s, want %s; output %+v", id, got, want, page.Lines)
		}
	}
}

func TestTheSlotsThatRunAJobAreTold(t *testing.T) {
	t.Parallel()
	b := setup(t, python.Fork, 2)
	b.enqueue("first", "wait", fmt.Sprintf("%q, %q", b.path("ready"), b.path("go")), nil)
	waitForFile(t, b.path("ready"))
	if total, busy := b.worker.Slots(); total != 2 || busy != 1 {
		t.Errorf("%d of %d slots are busy", busy, total)
	}
	if err := os.WriteFile(b.path("go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.reach("first", distro.StatusFinished)
	if total, busy := b.worker.Slots(); total != 2 || busy != 0 {
		t.Errorf("%d of %d slots are busy afterwards", busy, total)
	}
}

func TestStopEndsARunningJob(t *testing.T) {
	t.Parallel()
	b := setup(t, python.Fork, 1)
	b.enqueue("s", "stay", fmt.Sprintf("%q", b.path("ready")), func(j *distro.Job) { j.RetriesLeft = 3 })
	waitForFile(t, b.path("ready"))
	if errs, err := b.queue.Act(t.Context(), broker.ActionStop, []string{"s"}); err != nil || errs[0] != nil {
		t.Fatal(errs, err)
	}
	if job := b.reach("s", distro.StatusStopped); job.Attempt != 1 || job.Result.Failure.Kind != distro.FailureStopped {
		t.Errorf("%+v", job)
	}
}

func TestADrainingWorkerFinishesWhatItHasAndClaimsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, python.Fork, 1)
	b.enqueue("first", "wait", fmt.Sprintf("%q, %q", b.path("ready"), b.path("go")), nil)
	waitForFile(t, b.path("ready"))
	b.enqueue("second", "quick", "", nil)
	b.drain()
	if err := os.WriteFile(b.path("go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	<-b.ended
	if got := b.job("first"); got.Status != distro.StatusFinished {
		t.Errorf("the running job is %s", got.Status)
	}
	if got := b.job("second"); got.Status != distro.StatusQueued || got.Attempt != 0 {
		t.Errorf("the waiting job is %s", got.Status)
	}
}

func TestAWorkerWhoseTimeIsOverLosesAttemptsVisibly(t *testing.T) {
	t.Parallel()
	b := setup(t, python.Fork, 2)
	b.enqueue("retried", "stay", fmt.Sprintf("%q", b.path("r1")), func(j *distro.Job) { j.RetriesLeft = 1 })
	b.enqueue("failed", "stay", fmt.Sprintf("%q", b.path("r2")), nil)
	waitForFile(t, b.path("r1"))
	waitForFile(t, b.path("r2"))
	b.drain()
	b.kill()
	<-b.ended
	if got := b.job("retried"); got.Status != distro.StatusQueued || got.RetriesLeft != 0 || got.Attempt != 1 {
		t.Errorf("with a retry left: %s, %d left", got.Status, got.RetriesLeft)
	}
	got := b.job("failed")
	if got.Status != distro.StatusFailed || got.Result.Outcome != distro.OutcomeLost || got.Result.Failure.Kind != distro.FailureLost {
		t.Errorf("without: %s, %+v", got.Status, got.Result)
	}
}

func TestPooledJobsRunOnceEachAlsoWhenRepliesAreLost(t *testing.T) {
	t.Parallel()
	for _, every := range []int64{0, 5} {
		t.Run(fmt.Sprintf("one of %d", every), func(t *testing.T) {
			t.Parallel()
			b := setup(t, python.Pool, 2)
			b.flaky.every.Store(every)
			const n = 1500
			var jobs []distro.Job
			for i := range n {
				jobs = append(jobs, call(fmt.Sprintf("j%d", i), "touch", fmt.Sprintf("%q, %d", b.path(""), i)))
			}
			b.enqueueAll(jobs...)
			for i := range n {
				if job := b.reach(fmt.Sprintf("j%d", i), distro.StatusFinished); job.Attempt != 1 {
					t.Errorf("job %d took %d attempts", i, job.Attempt)
				}
				if runs, _ := os.ReadFile(b.path(fmt.Sprint(i))); len(runs) != 1 {
					t.Errorf("job %d ran %d times", i, len(runs))
				}
			}
		})
	}
}

func TestPrefetchedJobsGoBackBehindALongOne(t *testing.T) {
	t.Parallel()
	b := setup(t, python.Pool, 1)
	var quick []distro.Job
	for i := range 300 {
		quick = append(quick, call(fmt.Sprintf("quick%d", i), "quick", ""))
	}
	b.enqueueAll(quick...)
	b.reach("quick299", distro.StatusFinished)
	jobs := []distro.Job{call("long", "wait", fmt.Sprintf("%q, %q", b.path("ready"), b.path("go")))}
	for i := range 20 {
		jobs = append(jobs, call(fmt.Sprintf("behind%d", i), "quick", ""))
	}
	b.enqueueAll(jobs...)
	waitForFile(t, b.path("ready"))
	other := distro.Worker{Name: "other", Queues: []string{"default"}, Slots: 20}
	got := map[string]bool{}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for beat := uint64(1); len(got) < 15; beat++ { // a few may have begun ahead
		tokens := make([]string, 20)
		for i := range tokens {
			tokens[i] = rand.Text()
		}
		reply, err := b.queue.Exchange(ctx, broker.ExchangeRequest{Worker: other, Beat: beat, Want: broker.Want{Queues: other.Queues, Tokens: tokens, Begun: 20}})
		if err != nil {
			t.Fatalf("%d jobs came back: %v", len(got), err)
		}
		for _, c := range reply.Claims {
			got[c.Job.ID] = true
		}
		if len(got) < 15 {
			if err := b.queue.Wait(ctx, broker.Interest{Queues: other.Queues}); err != nil {
				t.Fatalf("%d jobs came back: %v", len(got), err)
			}
		}
	}
	if err := os.WriteFile(b.path("go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.reach("long", distro.StatusFinished)
}

func waitForFile(t *testing.T, path string) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if _, err := os.Stat(path); err == nil {
				return
			}
		case <-deadline.C:
			t.Fatalf("no file %s", path)
		}
	}
}
