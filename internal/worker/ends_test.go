package worker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/brokertest"
	"github.com/distro-orchestrator/distro/internal/python"
	"github.com/distro-orchestrator/distro/internal/worker"
)

// before enqueues jobs before the worker starts.
func before(t *testing.T, jobs ...distro.Job) func(*worker.Options) {
	return func(o *worker.Options) {
		if _, err := o.Broker.Enqueue(t.Context(), jobs); err != nil {
			t.Fatal(err)
		}
	}
}

func numbered(queue string, n int) []distro.Job {
	var jobs []distro.Job
	for i := range n {
		job := call(fmt.Sprint(queue, i), "quick", "")
		job.Queue = queue
		jobs = append(jobs, job)
	}
	return jobs
}

// begun lists the jobs in the order in which they began.
func (b *bundle) begun() []string {
	b.t.Helper()
	changes, err := b.queue.Changes(b.t.Context(), "", broker.MaxPage)
	if err != nil {
		b.t.Fatal(err)
	}
	var ids []string
	for _, c := range changes {
		if c.Status == distro.StatusStarted {
			ids = append(ids, c.JobID)
		}
	}
	return ids
}

func TestABurstEndsWhenNothingIsLeftToRun(t *testing.T) {
	t.Parallel()
	for _, isolation := range []python.Isolation{python.Fork, python.Pool} {
		t.Run(string(isolation), func(t *testing.T) {
			t.Parallel()
			runs := filepath.Join(t.TempDir(), "runs")
			retried := call("retried", "fail", fmt.Sprintf("%q", runs))
			retried.RetriesLeft = 2
			later := call("later", "quick", "")
			later.DueAt = time.Now().Add(time.Hour)
			b := setup(t, isolation, 2, before(t, append(numbered("default", 40), retried, later)...),
				func(o *worker.Options) { o.Burst = true })
			<-b.ended
			for i := range 40 {
				if job := b.job(fmt.Sprint("default", i)); job.Status != distro.StatusFinished {
					t.Errorf("job %d is %s", i, job.Status)
				}
			}
			if text, _ := os.ReadFile(runs); len(text) != 3 {
				t.Errorf("the failing job ran %d times, want 3", len(text))
			}
			if job := b.job("later"); job.Status != distro.StatusScheduled {
				t.Errorf("the scheduled job is %s", job.Status)
			}
		})
	}
}

func TestAWorkerRunsNoMoreJobsThanItIsToRun(t *testing.T) {
	t.Parallel()
	for _, isolation := range []python.Isolation{python.Fork, python.Pool} {
		t.Run(string(isolation), func(t *testing.T) {
			t.Parallel()
			b := setup(t, isolation, 2, before(t, numbered("default", 60)...), func(o *worker.Options) { o.MaxJobs = 37 })
			<-b.ended
			var want []string
			for i := range 37 {
				want = append(want, fmt.Sprint("default", i))
			}
			got := b.begun() // one that was given back has begun twice
			slices.SortFunc(got, byNumber)
			if diff := cmp.Diff(want, slices.Compact(got)); diff != "" {
				t.Errorf("jobs that ran (-want +got):\n%s", diff)
			}
			if job := b.job("default37"); job.Status != distro.StatusQueued || job.Attempt != 0 {
				t.Errorf("the next job: %+v", job)
			}
		})
	}
}

// byNumber orders numbered names by their numbers.
func byNumber(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return slices.Compare([]byte(a), []byte(b))
}

func TestAStrategyOrdersTheQueues(t *testing.T) {
	t.Parallel()
	jobs := slices.Concat(numbered("high", 2), numbered("default", 2))
	for strategy, want := range map[worker.Strategy][]string{
		worker.InOrder:    {"high0", "high1", "default0", "default1"},
		worker.RoundRobin: {"high0", "default0", "high1", "default1"},
	} {
		t.Run(string(strategy), func(t *testing.T) {
			t.Parallel()
			b := setup(t, python.Fork, 1, before(t, jobs...), func(o *worker.Options) { o.Burst, o.Strategy = true, strategy })
			<-b.ended
			if diff := cmp.Diff(want, b.begun()); diff != "" {
				t.Errorf("order (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("random", func(t *testing.T) {
		t.Parallel()
		// 2^-40 is the chance that each of them comes first every time.
		jobs := slices.Concat(numbered("high", 40), numbered("default", 40))
		b := setup(t, python.Pool, 1, before(t, jobs...), func(o *worker.Options) {
			o.MaxJobs, o.Strategy, o.Prefetch = 40, worker.AtRandom, false
		})
		<-b.ended
		queues := map[string]int{}
		for _, id := range b.begun() {
			queues[b.job(id).Queue]++
		}
		if queues["high"] == 0 || queues["default"] == 0 {
			t.Errorf("jobs by queue: %v", queues)
		}
	})
}

func TestAKillCommandFailsTheAttemptByItsSignal(t *testing.T) {
	t.Parallel()
	b := setup(t, python.Fork, 1)
	b.enqueue("k", "stay", fmt.Sprintf("%q", b.path("ready")), func(j *distro.Job) {
		j.RetriesLeft, j.RetryIntervals = 1, []time.Duration{time.Hour}
	})
	waitForFile(t, b.path("ready"))
	b.flaky.tell <- broker.ExchangeReply{Kill: []broker.Kill{{Claim: b.claim("k")}}}
	job := b.reach("k", distro.StatusScheduled)
	if f := job.Result.Failure; job.Attempt != 1 || job.RetriesLeft != 0 || f.Kind != distro.FailureSignal || f.Signal != 9 {
		t.Errorf("%+v, failure %+v", job, f)
	}
}

func TestAStopCommandStopsTheJobAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, python.Fork, 1, func(o *worker.Options) { o.KillGrace = time.Hour })
	b.enqueue("s", "ignore", fmt.Sprintf("%q", b.path("ready")), func(j *distro.Job) { j.RetriesLeft = 1 })
	waitForFile(t, b.path("ready"))
	b.flaky.tell <- broker.ExchangeReply{Kill: []broker.Kill{{Claim: b.claim("s"), Stopped: true}}}
	if job := b.reach("s", distro.StatusStopped); job.Result.Failure.Kind != distro.FailureStopped {
		t.Errorf("%+v", job.Result.Failure)
	}
}

// claim is the claim of a job that runs.
func (b *bundle) claim(id string) broker.Claim {
	b.t.Helper()
	changes, err := b.queue.Changes(b.t.Context(), "", broker.MaxPage)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range slices.Backward(changes) {
		if c.JobID == id && c.Status == distro.StatusStarted {
			return broker.Claim{JobID: id, Token: c.Token}
		}
	}
	b.t.Fatalf("job %q does not run", id)
	return broker.Claim{}
}

func TestADrainCommandEndsTheWorkerAfterItsJobs(t *testing.T) {
	t.Parallel()
	b := setup(t, python.Fork, 1)
	b.enqueue("first", "wait", fmt.Sprintf("%q, %q", b.path("ready"), b.path("go")), nil)
	waitForFile(t, b.path("ready"))
	b.enqueue("second", "quick", "", nil)
	b.flaky.tell <- broker.ExchangeReply{Drain: true}
	if err := os.WriteFile(b.path("go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	<-b.ended
	if first, second := b.job("first"), b.job("second"); first.Status != distro.StatusFinished || second.Status != distro.StatusQueued {
		t.Errorf("first %s, second %s", first.Status, second.Status)
	}
}

// alone is a worker without jobs on a model of a broker, in a bubble.
func alone(t *testing.T, b broker.Broker, change func(*worker.Options)) (took time.Duration, err error) {
	t.Helper()
	opts := worker.Options{Broker: b, Worker: distro.Worker{Name: "lonely", Queues: []string{"default"}, Slots: 1}}
	change(&opts)
	start := time.Now()
	err = worker.New(opts).Run(t.Context(), t.Context())
	return time.Since(start), err
}

func TestAnIdleWorkerEndsWhenItWasIdleForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		took, err := alone(t, brokertest.NewModel(broker.SystemClock(), 10), func(o *worker.Options) { o.MaxIdle = 7 * time.Second })
		if took < 7*time.Second || took > 7500*time.Millisecond || err != nil {
			t.Errorf("ended after %s: %v", took, err)
		}
	})
}

// named is a broker where another worker has the name until a moment.
type named struct {
	broker.Broker
	until time.Time
}

func (n named) Exchange(ctx context.Context, req broker.ExchangeRequest) (broker.ExchangeReply, error) {
	if time.Now().Before(n.until) {
		return broker.ExchangeReply{}, fmt.Errorf("register worker %q: %w", req.Worker.Name, broker.ErrNameTaken)
	}
	return n.Broker.Exchange(ctx, req)
}

func TestAWorkerThatWaitsForItsNameEndsWhenItIsAskedTo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		intake, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		err := worker.New(worker.Options{
			Broker: named{brokertest.NewModel(broker.SystemClock(), 10), start.Add(time.Hour)},
			Worker: distro.Worker{Name: "lonely", Queues: []string{"default"}, Slots: 1},
		}).Run(intake, t.Context())
		if took := time.Since(start); took > 5*time.Second || err != nil {
			t.Errorf("ended after %s: %v", took, err)
		}
	})
}

func TestAWorkerWaitsForItsNameUntilADeadPredecessorIsRescued(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		model := brokertest.NewModel(broker.SystemClock(), 10)
		took, err := alone(t, named{model, time.Now().Add(broker.LostAfter + time.Second)}, func(o *worker.Options) { o.Burst = true })
		if took < broker.LostAfter+time.Second || took > broker.LostAfter+3*time.Second || err != nil {
			t.Errorf("ended after %s: %v", took, err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		model := brokertest.NewModel(broker.SystemClock(), 10)
		took, err := alone(t, named{model, time.Now().Add(time.Hour)}, func(*worker.Options) {})
		if took < broker.LostAfter || took > broker.LostAfter+10*time.Second || !errors.Is(err, broker.ErrNameTaken) {
			t.Errorf("ended after %s: %v", took, err)
		}
		if err != nil && distro.ErrorCode(err) != distro.CodeConflict {
			t.Errorf("code %s", distro.ErrorCode(err))
		}
	})
}
