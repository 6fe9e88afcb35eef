package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro/internal/redistest"
)

// report is all that the stock client reads after a worker has run jobs.
type report struct {
	Jobs        map[string]view
	Worker      map[string]any
	Order       []string
	Callbacks   []string
	Cleanups    []string
	StrangeKeys []string `json:"strange keys"`
	Queues      []string
}

// reports lets a worker of each kind do the same on a Redis of its own.
func reports(t *testing.T, run func(s *site, start startWorker) report) (stock, distro report) {
	t.Run("peers", func(t *testing.T) {
		for _, peer := range []struct {
			name  string
			start startWorker
			into  *report
		}{{"stock", stockWorker, &stock}, {"distro", distroWorker, &distro}} {
			t.Run(peer.name, func(t *testing.T) {
				t.Parallel()
				*peer.into = run(newSite(t, redistest.Options{}), peer.start)
			})
		}
	})
	return stock, distro
}

// better are the fields of jobs in which Distro does not do as RQ 1.13 does,
// with what the stock client must read instead.
func better() map[string]view {
	// A stock worker whose horse dies forgets who ran the job, and when it was seen last.
	kept := view{"worker": "peer", "heartbeat": true}
	const forward = "[created_at enqueued_at started_at ended_at]"
	return map[string]view{
		"exits-3": kept, "killed": kept, "retries-killed": {"worker": "peer", "heartbeat": true, "times": forward},
		// RQ hides that the module is missing, and 1.13 also the name of what is missing in it.
		"no-module":   {"exc_info": "ModuleNotFoundError: No module named 'no_such_module'", "results": "ModuleNotFoundError"},
		"no-function": {"exc_info": "no_such_function", "results": "no_such_function"},
		// RQ does not say what it could not decode.
		"undecodable": {"exc_info": "rq.exceptions.DeserializationError: ", "results": "stack underflow"},
		"pickled":     {"exc_info": "rq.exceptions.DeserializationError: ", "results": "UnicodeDecodeError"},
	}
}

// compare compares what the stock client read after the two workers.
func compare(t *testing.T, stock, distro report) {
	t.Helper()
	for id, fields := range better() {
		for field, want := range fields {
			got, known := distro.Jobs[id][field]
			if known && !strings.Contains(fmt.Sprint(got), fmt.Sprint(want)) {
				t.Errorf("%s: %s is %v, want %v", id, field, got, want)
			}
			delete(stock.Jobs[id], field)
			delete(distro.Jobs[id], field)
		}
	}
	if diff := cmp.Diff(stock, distro); diff != "" {
		t.Errorf("after a stock worker (-) and a Distro worker (+):\n%s", diff)
	}
}

func TestAfterABurstTheStockClientReadsWhatItReadsAfterAStockWorker(t *testing.T) {
	t.Parallel()
	stock, distro := reports(t, func(s *site, start startWorker) (r report) {
		s.client("enqueue_all")
		s.ends(start(s, "peer", "--burst", "default", "low"))
		s.ask(&r, "report", "peer", "pickle")
		return r
	})
	if len(stock.Jobs) < 50 || len(stock.Order) < 50 {
		t.Fatalf("the stock worker ran little: %v", stock.Order)
	}
	compare(t, stock, distro)
}

func TestJobsWithTheJSONSerializerRun(t *testing.T) {
	t.Parallel()
	stock, distro := reports(t, func(s *site, start startWorker) (r report) {
		s.client("enqueue_json")
		s.ends(start(s, "peer", "--burst", "-S", "rq.serializers.JSONSerializer", "default"))
		s.ask(&r, "report", "peer", "json")
		return r
	})
	if len(stock.Jobs) < 10 {
		t.Fatalf("the stock worker ran little: %v", stock.Order)
	}
	compare(t, stock, distro)
}

func TestTheSchedulerOfAWorkerRunsDelayedJobsAndRetries(t *testing.T) {
	t.Parallel()
	stock, distro := reports(t, func(s *site, start startWorker) (r report) {
		worker := start(s, "peer", "--with-scheduler", "default", "low")
		s.awaitState(worker, "peer", "idle")
		s.client("enqueue_timed")
		s.client("await_ended", "in", "at", "retried", "retried-in-vain")
		if lock, ok := s.do("GET", "rq:scheduler-lock:default").(string); !ok || lock == "" {
			s.t.Error("nobody holds the scheduler's lock")
		}
		worker.Stop(s.t)
		s.ask(&r, "report", "peer", "pickle")
		for id, job := range r.Jobs {
			if job["early"] == true {
				s.t.Errorf("%s started early", id)
			}
		}
		if lock := s.do("GET", "rq:scheduler-lock:default"); lock != nil {
			s.t.Errorf("the scheduler's lock is left: %v", lock)
		}
		return r
	})
	stock.Order, distro.Order = nil, nil // schedulers move jobs of one second in any order
	compare(t, stock, distro)
}

func TestJobsThatRQLosesOrFailsEndVisibly(t *testing.T) {
	t.Parallel()
	s := newSite(t, redistest.Options{})
	s.client("enqueue_odd")
	s.ends(s.startDistro("distro", "peer", "--burst"))
	jobs := s.views("peer", "unpicklable", "exits-0", "last")
	if got := jobs["unpicklable"]["status"]; got != "finished" && got != "failed" {
		t.Errorf("the job with a result that cannot be pickled is %v", got)
	}
	if got := jobs["exits-0"]["status"]; got != "failed" {
		t.Errorf("the job that ended its process with status 0 is %v, want failed", got)
	}
	if got := jobs["last"]["status"]; got != "finished" {
		t.Errorf("the job after them is %v, want finished", got)
	}
}

func TestAStockAndADistroWorkerShareAQueue(t *testing.T) {
	t.Parallel()
	count := soaked(400, 2000)
	s := newSite(t, redistest.Options{})
	for name, start := range map[string]startWorker{"stock": stockWorker, "distro": distroWorker} {
		s.awaitState(start(s, name, "default"), name, "idle")
	}
	s.client("enqueue_files", fmt.Sprint(count), s.dir+"/runs")
	s.await("all jobs have ended", func() bool {
		return s.do("ZCARD", "rq:finished:default").(int64)+s.do("ZCARD", "rq:failed:default").(int64) == int64(count)
	})
	s.checkRuns(count)
	var took map[string]int
	s.ask(&took, "workers_of", fmt.Sprint(count))
	if fair := count / 20; took["stock"] < fair || took["distro"] < fair || took["stock"]+took["distro"] != count {
		t.Errorf("jobs finished by worker: %v, want at least %d by each", took, fair)
	}
}
