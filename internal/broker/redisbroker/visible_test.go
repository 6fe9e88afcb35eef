package redisbroker_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
)

// What RQ's own programs see of a job on a worker of Distro, key by key: they
// read the same database, and one malformed field ends their workers.

func TestAWorkerThatIsBornStandsInRedisAsRQsDo(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	w := s.hand("born", func(w *distro.Worker) { w.Queues = []string{"high", "default"} })
	w.say(broker.ExchangeRequest{})
	s.equal("keys", s.keys(), []string{
		"distro:slots:born", "distro:worker:born", "distro:workers",
		"rq:worker:born", "rq:workers", "rq:workers:default", "rq:workers:high",
	})
	for _, key := range []string{"rq:workers", "rq:workers:default", "rq:workers:high"} {
		s.equal(key, s.members(key), []string{"rq:worker:born"})
	}
	fields := s.hash("rq:worker:born")
	s.isTime("birth", fields["birth"])
	s.isTime("last_heartbeat", fields["last_heartbeat"])
	s.equal("ip_address has a port", strings.Count(fields["ip_address"], ":"), 1)
	for name, want := range map[string]string{
		"queues": "high,default", "pid": "4711", "hostname": "host", "state": "idle", "version": "1.15.1", "python_version": "3.11.2 (Distro 0.3.0)",
	} {
		s.equal(name, fields[name], want)
	}
	s.within("life of an idle worker", s.ttl("rq:worker:born"), 480*time.Second)
}

func TestARunningJobStandsInRedisAsRQWantsIt(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	s.enqueue(pickled("job", "peerjobs.add", "[1, 2]", func(j *distro.Job) { j.TTL = time.Hour }))
	s.within("life of a waiting job with a ttl", s.ttl("rq:job:job"), time.Hour)
	w := s.hand("runs")
	claim := w.run("job")
	s.equal("keys", s.keys(), []string{
		"distro:claims:runs", "distro:slots:runs", "distro:worker:runs", "distro:workers",
		"rq:job:job", "rq:queues", "rq:wip:default", "rq:worker:runs", "rq:workers", "rq:workers:default",
	})
	members := s.scores("rq:wip:default")
	s.equal("running jobs", len(members), 1)
	s.ahead("the bare id", members["job"], 90*time.Second)
	s.equal("a running job has no end", s.number("PTTL", "rq:job:job"), -1)
	job := s.hash("rq:job:job")
	s.equal("status", job["status"], "started")
	s.equal("worker_name", job["worker_name"], "runs")
	s.isTime("started_at", job["started_at"])
	s.isTime("last_heartbeat", job["last_heartbeat"])
	worker := s.hash("rq:worker:runs")
	s.equal("state", worker["state"], "busy")
	s.equal("current_job", worker["current_job"], "job")
	s.equal("current_job_working_time", worker["current_job_working_time"], "0")
	s.within("life of a busy worker", s.ttl("rq:worker:runs"), 90*time.Second)

	w.done(finished(), claim)
	worker = s.hash("rq:worker:runs")
	s.equal("state after the job", worker["state"], "idle")
	s.equal("current_job after the job", worker["current_job"], "")
	s.equal("working time after the job", worker["current_job_working_time"], "0")
	s.equal("successes", worker["successful_job_count"], "1")
	s.equal("failures", worker["failed_job_count"], "")
	s.equal("total time", strings.TrimRight(worker["total_working_time"], "0"), "1.5")
	s.within("life of an idle worker", s.ttl("rq:worker:runs"), 480*time.Second)
	s.equal("keys after the job", s.keys(), []string{
		"distro:slots:runs", "distro:worker:runs", "distro:workers",
		"rq:finished:default", "rq:job:job", "rq:queues", "rq:results:job", "rq:worker:runs", "rq:workers", "rq:workers:default",
	})
}

// ending is how a job ends, and what RQ then reads. TTLs are -1 where the key
// never expires, and -2 where it is gone.
type ending struct {
	name   string
	fields []string // of the job as a stock producer writes it
	result distro.Result

	status    string
	registry  string
	score     string // of the registry; empty: registryIn from now
	in        time.Duration
	jobTTL    time.Duration
	streamTTL time.Duration
	entry     map[string]string
}

func endings() []ending {
	value := map[string]string{"type": "1", "worker_name": "ends", "return_value": base64.StdEncoding.EncodeToString(three())}
	none := finished()
	none.Pickle = nil
	const day, year, forever, gone = 24 * time.Hour, 365 * 24 * time.Hour, -1 * time.Millisecond, -2 * time.Millisecond
	return []ending{
		{
			"finished with the default", nil, finished(),
			"finished", "rq:finished:default", "", 500 * time.Second, 500 * time.Second, 500 * time.Second, value,
		},
		{
			"finished with a ttl", []string{"result_ttl", "86400"}, finished(),
			"finished", "rq:finished:default", "", day, day, day, value,
		},
		{
			"finished for ever", []string{"result_ttl", "-1"}, finished(),
			"finished", "rq:finished:default", "inf", 0, forever, forever, value,
		},
		{"finished and not kept", []string{"result_ttl", "0"}, finished(), "", "", "", 0, gone, gone, nil},
		{
			"finished with nothing", nil, none,
			"finished", "rq:finished:default", "", 500 * time.Second, 500 * time.Second, 500 * time.Second,
			map[string]string{"type": "1", "worker_name": "ends"},
		},
		{
			"failed with the default", nil, failed(traceback),
			"failed", "rq:failed:default", "", year, year, forever, map[string]string{"type": "2", "worker_name": "ends"},
		},
		{
			"failed with a ttl", []string{"failure_ttl", "86400"}, failed(traceback),
			"failed", "rq:failed:default", "", day, day, day, map[string]string{"type": "2", "worker_name": "ends"},
		},
		{
			"failed for ever", []string{"failure_ttl", "-1"}, failed(traceback),
			"failed", "rq:failed:default", "-1", 0, forever, forever, map[string]string{"type": "2", "worker_name": "ends"},
		},
		{"failed and not kept", []string{"failure_ttl", "0"}, failed(traceback), "", "", "", 0, gone, gone, nil},
		{
			"stopped", []string{"retries_left", "3", "retry_intervals", "[0]"}, stopped(),
			"stopped", "rq:failed:default", "", year, year, forever, map[string]string{"type": "2", "worker_name": "ends"},
		},
	}
}

func TestEachEndOfAJobStandsInRedisAsRQWritesIt(t *testing.T) {
	t.Parallel()
	for _, e := range endings() {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, redisbroker.Options{})
			s.foreignQueued("job", e.fields...)
			w := s.hand("ends")
			w.done(e.result, w.run("job"))
			e.check(s)
		})
	}
}

func (e ending) check(s *site) {
	s.Helper()
	want := []string{"distro:slots:ends", "distro:worker:ends", "distro:workers"}
	if e.status != "" {
		if e.registry == "rq:failed:default" {
			want = append(want, "rq:failed:default", "rq:job:job", "rq:queues", "rq:results:job")
		} else {
			want = append(want, "rq:finished:default", "rq:job:job", "rq:queues", "rq:results:job")
		}
	} else {
		want = append(want, "rq:queues")
	}
	want = append(want, "rq:worker:ends", "rq:workers", "rq:workers:default")
	s.equal("keys", s.keys(), want)
	if e.status == "" {
		return
	}
	job := s.hash("rq:job:job")
	s.equal("status", job["status"], e.status)
	s.isTime("ended_at", job["ended_at"])
	s.isTime("started_at", job["started_at"])
	switch score := s.scores(e.registry)["job"]; {
	case e.score != "":
		s.equal("score", score, e.score)
	default:
		s.ahead(e.registry, score, e.in)
	}
	for key, want := range map[string]time.Duration{"rq:job:job": e.jobTTL, "rq:results:job": e.streamTTL} {
		if got := s.ttl(key); want < 0 {
			s.equal("time left to "+key, got, want)
		} else {
			s.within("time left to "+key, got, want)
		}
	}
	entries := s.entries("rq:results:job")
	if len(entries) != 1 {
		s.Fatalf("%d results, want one", len(entries))
	}
	if e.entry["type"] == "2" {
		if entries[0]["exc_string"] == "" {
			s.Error("the result has no exc_string")
		}
		delete(entries[0], "exc_string")
	}
	s.equal("token", entries[0]["distro_token"], "ends-1")
	delete(entries[0], "distro_token")
	s.equal("result", entries[0], e.entry)
}

func TestARetryAtOnceStandsInRedisAsRQWritesIt(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	s.foreignQueued("job", "retries_left", "2", "retry_intervals", "[0]")
	s.add("other")
	w := s.hand("again")
	w.done(failed(traceback), w.run("job"))
	job := s.hash("rq:job:job")
	s.equal("status", job["status"], "queued")
	s.equal("retries_left", job["retries_left"], "1")
	s.isTime("enqueued_at", job["enqueued_at"])
	s.isTime("ended_at", job["ended_at"])
	s.equal("queue", s.list("rq:queue:default"), []string{"other", "job"})
	s.equal("running jobs", s.scores("rq:wip:default"), nil)
	s.equal("failed jobs", s.scores("rq:failed:default"), nil)
	s.equal("results of a failure that is retried", s.entries("rq:results:job"), nil)
	s.equal("failures of the worker", s.hash("rq:worker:again")["failed_job_count"], "1")
}

func TestARetryThatIsAskedForAtTheFrontGoesThere(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	s.foreignQueued("job", "retries_left", "1", "retry_intervals", "[0]", "enqueue_at_front_on_retry", "1")
	s.add("other")
	w := s.hand("front")
	w.done(failed(traceback), w.run("job"))
	s.equal("queue", s.list("rq:queue:default"), []string{"job", "other"})
}

func TestARetryLaterStandsInRedisAsRQWritesIt(t *testing.T) {
	t.Parallel()
	for retries, want := range map[string]time.Duration{ // of [10, 30, 60], as RQ counts
		"5": 10 * time.Second, "3": 10 * time.Second, "2": 30 * time.Second, "1": 60 * time.Second,
	} {
		t.Run(retries, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, redisbroker.Options{})
			s.foreignQueued("job", "retries_left", retries, "retry_intervals", "[10, 30, 60]")
			w := s.hand("later")
			w.done(failed(traceback), w.run("job"))
			s.equal("status", s.status("job"), "scheduled")
			s.ahead("the retry", s.scores("rq:scheduled:default")["job"], want)
			if due := s.scores("rq:scheduled:default")["job"]; due < fmt.Sprint(time.Now().Add(want-2*time.Second).Unix()) {
				s.Errorf("due at %s, which is too early", due)
			}
			s.equal("queue", s.list("rq:queue:default"), nil)
			s.equal("running jobs", s.scores("rq:wip:default"), nil)
		})
	}
}

// A job that repeats is finished, and runs again: its list of pauses is used
// from its end.
func TestAJobRepeatsAsRQRepeatsIt(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	s.foreignQueued("job", "repeats_left", "2", "repeat_intervals", "[0, 60]")
	s.deferred("after", []string{"job"})
	w := s.hand("repeats")
	w.done(finished(), w.run("job"))
	s.equal("status after the first run", s.status("job"), "scheduled")
	s.equal("repeats_left", s.hash("rq:job:job")["repeats_left"], "1")
	s.ahead("the second run", s.scores("rq:scheduled:default")["job"], 60*time.Second)
	s.ahead("the first run", s.scores("rq:finished:default")["job"], 500*time.Second)
	s.equal("a job that repeats does not expire", s.number("TTL", "rq:job:job"), -1)
	s.equal("what waited for it", s.list("rq:queue:default"), []string{"after"})
	s.do("DEL", "rq:queue:default")

	s.do("ZADD", "rq:scheduled:default", "1", "job")
	b := openAs(t, redisbroker.Options{URL: s.url, Schedule: []string{"default"}})
	s.equal("jobs that are due", s.sweep(b).Due, 1)
	w.done(finished(), w.run("job"))
	s.equal("status after the second run", s.status("job"), "queued")
	s.equal("repeats_left", s.hash("rq:job:job")["repeats_left"], "0")
	w.done(finished(), w.run("job"))
	s.equal("status after the last run", s.status("job"), "finished")
	s.equal("results", len(s.entries("rq:results:job")), 3)
	s.within("life of the last run", s.ttl("rq:job:job"), 500*time.Second)
	s.equal("successes", s.hash("rq:worker:repeats")["successful_job_count"], "3")
}

func TestAClaimThatIsGivenBackLeavesNoTrace(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	s.enqueue(pickled("job", "peerjobs.add", "[1, 2]", func(j *distro.Job) { j.TTL = time.Hour }))
	s.add("other")
	w := s.hand("returns")
	w.say(broker.ExchangeRequest{Return: []broker.Claim{w.run("job")}})
	s.equal("queue", s.list("rq:queue:default"), []string{"job", "other"})
	job := s.hash("rq:job:job")
	for name, want := range map[string]string{"status": "queued", "started_at": "", "worker_name": "", "ended_at": ""} {
		s.equal(name, job[name], want)
	}
	s.within("time the job may wait", s.ttl("rq:job:job"), time.Hour)
	worker := s.hash("rq:worker:returns")
	s.equal("state", worker["state"], "idle")
	s.equal("current_job", worker["current_job"], "")
	s.equal("successes", worker["successful_job_count"]+worker["failed_job_count"], "")
	s.equal("keys", s.keys(), []string{
		"distro:slots:returns", "distro:ttl", "distro:worker:returns", "distro:workers",
		"rq:job:job", "rq:job:other", "rq:queue:default", "rq:queues", "rq:worker:returns", "rq:workers", "rq:workers:default",
	})
}

// A prefetched job is nobody's for RQ: it waits, and has no worker.
func TestAPrefetchedJobIsStillQueuedForRQ(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	s.add("one", "two")
	w := s.hand("ahead")
	claims := w.take(2, 1)
	s.equal("queue", s.list("rq:queue:default"), nil)
	s.equal("status", s.status("two"), "queued")
	s.equal("worker_name", s.hash("rq:job:two")["worker_name"], "")
	s.equal("running jobs", len(s.scores("rq:wip:default")), 1)
	w.say(broker.ExchangeRequest{Settle: []broker.Settlement{{Claim: claims[0], Result: finished()}}, Begin: claims[1:]})
	s.equal("current_job", s.hash("rq:worker:ahead")["current_job"], "two")
	s.equal("state", s.hash("rq:worker:ahead")["state"], "busy")
	members := s.scores("rq:wip:default")
	s.equal("running jobs", len(members), 1)
	s.ahead("the second job", members["two"], 90*time.Second)
}

func TestAWorkerThatLeavesDiesAsRQsDo(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	s.add("job")
	w := s.hand("leaves", func(w *distro.Worker) { w.Slots = 2 })
	claim := w.run("job")
	s.equal("RQ's workers", s.members("rq:workers"), []string{"rq:worker:leaves.1", "rq:worker:leaves.2"})
	w.say(broker.ExchangeRequest{Settle: []broker.Settlement{{Claim: claim, Result: finished()}}, Leave: true})
	s.equal("keys", s.keys(), []string{
		"rq:finished:default", "rq:job:job", "rq:queues", "rq:results:job", "rq:worker:leaves.1", "rq:worker:leaves.2",
	})
	successes := ""
	for _, key := range []string{"rq:worker:leaves.1", "rq:worker:leaves.2"} {
		worker := s.hash(key)
		s.isTime("death", worker["death"])
		s.equal("current_job", worker["current_job"], "")
		s.within("life of a dead worker", s.ttl(key), time.Minute)
		successes += worker["successful_job_count"]
	}
	s.equal("successes, with the last one", successes, "1")
}

// What the stock client says of jobs that ended, wait or run with Distro.
func TestTheStockClientReadsWhatADistroWorkerLeft(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	p := newPeer(t)
	w := s.hand("reads")
	s.add("good")
	w.done(finished(), w.run("good"))
	s.add("bad")
	w.done(failed(traceback), w.run("bad"))
	s.add("halted")
	w.done(stopped(), w.run("halted"))
	s.add("killed")
	signal := failed("")
	signal.Failure = &distro.Failure{Kind: distro.FailureSignal, Signal: 9, Message: "killed"}
	w.done(signal, w.run("killed"))
	s.add("runs")
	w.run("runs")
	s.add("waits", "dropped")
	s.enqueue(pickled("later", "peerjobs.add", "[1, 2]", func(j *distro.Job) { j.DueAt = time.Now().Add(time.Hour) }))
	if errs, err := s.broker.Act(t.Context(), broker.ActionCancel, []string{"dropped"}); err != nil || errs[0] != nil {
		t.Fatal(errs, err)
	}
	got := map[string]any{}
	text := p.script(s, `
q = Queue("default", connection=c)
out = {}
for id in ["good", "bad", "halted", "killed", "runs", "waits", "dropped", "later"]:
    job = Job.fetch(id, connection=c)
    latest = job.latest_result()
    out[id] = [job.get_status(), job.result, latest and latest.type.name, latest and latest.return_value,
               job.exc_info, job.func_name, list(job.args), job.worker_name, job.timeout]
out["registries"] = {r.__class__.__name__: sorted(r.get_job_ids()) for r in [
    q.started_job_registry, q.finished_job_registry, q.failed_job_registry, q.deferred_job_registry,
    q.scheduled_job_registry, q.canceled_job_registry]}
out["queue"] = q.job_ids
out["workers"] = [[w.name, w.get_state(), w.get_current_job_id(), w.successful_job_count, w.failed_job_count,
                   w.queue_names(), w.pid, w.hostname, w.version] for w in Worker.all(queue=q)]
out["same"] = [w.name for w in Worker.all(connection=c)]
print(json.dumps(out))`)
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err, text)
	}
	job := func(status string, result, kind, value, exc, worker any) []any {
		return []any{status, result, kind, value, exc, "peerjobs.add", []any{1.0, 2.0}, worker, 60.0}
	}
	s.equal("what the stock client says", got, map[string]any{
		"good":    job("finished", 3.0, "SUCCESSFUL", 3.0, nil, "reads"),
		"bad":     job("failed", nil, "FAILED", nil, traceback, "reads"),
		"halted":  job("stopped", nil, "FAILED", nil, "Job stopped by user, work-horse terminated.", "reads"),
		"killed":  job("failed", nil, "FAILED", nil, "Work-horse terminated unexpectedly; waitpid returned 9 (signal 9); ", "reads"),
		"runs":    job("started", nil, nil, nil, nil, "reads"),
		"waits":   job("queued", nil, nil, nil, nil, nil),
		"dropped": job("canceled", nil, nil, nil, nil, nil),
		"later":   job("scheduled", nil, nil, nil, nil, nil),
		"registries": map[string]any{
			"StartedJobRegistry": []any{"runs"}, "FinishedJobRegistry": []any{"good"}, "FailedJobRegistry": []any{"bad", "halted", "killed"},
			"DeferredJobRegistry": []any{}, "ScheduledJobRegistry": []any{"later"}, "CanceledJobRegistry": []any{"dropped"},
		},
		"queue":   []any{"waits"},
		"workers": []any{[]any{"reads", "busy", "runs", 1.0, 3.0, []any{"default"}, 4711.0, "host", "1.15.1"}},
		"same":    []any{"reads"},
	})
	if info := p.Info(t, s.url); !strings.Contains(info, "worker reads (host ") || !strings.Contains(info, ") busy default\n") {
		t.Errorf("rq info says\n%s", info)
	}
}

// Stock programs clean up for others whenever they look: a running job that is
// kept up is none of that.
func TestStockCleanUpLeavesARunningJobAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	p := newPeer(t)
	s.add("job")
	w := s.hand("undisturbed")
	claim := w.run("job")
	before, score := s.hash("rq:job:job"), s.scores("rq:wip:default")
	p.Info(t, s.url)
	burst := p.worker(s, "undisturbed-stock", "--burst", "--with-scheduler")
	if err := burst.Wait(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, burst.Output())
	}
	p.script(s, `
from rq.registry import clean_registries
from rq.worker_registration import clean_worker_registry
q = Queue("default", connection=c)
clean_registries(q)
clean_worker_registry(q)`)
	s.equal("job", s.hash("rq:job:job"), before)
	s.equal("running jobs", s.scores("rq:wip:default"), score)
	s.equal("workers", s.members("rq:workers"), []string{"rq:worker:undisturbed"})
	w.done(finished(), claim)
	s.equal("status", s.status("job"), "finished")
}

// A worker and its jobs are kept up for RQ twice as often as RQ does, whatever
// else it has to say.
func TestRunningJobsAreKeptUpForRQ(t *testing.T) {
	t.Parallel()
	clock := newStill()
	s := newSite(t, redisbroker.Options{Clock: clock})
	s.add("job")
	w := s.hand("upkeep")
	w.run("job")
	first := s.scores("rq:wip:default")["job"]
	for range 8 {
		clock.Advance(broker.BeatEvery)
		w.say(broker.ExchangeRequest{})
	}
	s.equal("score after 16 s", s.scores("rq:wip:default")["job"], plus(t, first, 16))
	worker := s.hash("rq:worker:upkeep")
	s.equal("working time", worker["current_job_working_time"], "16.000000")
	s.equal("heartbeat of the job", s.hash("rq:job:job")["last_heartbeat"], worker["last_heartbeat"])
	s.within("life of a busy worker", s.ttl("rq:worker:upkeep"), 90*time.Second)

	// Somebody took it off the registry: it is not put back.
	s.do("ZREM", "rq:wip:default", "job")
	for range 8 {
		clock.Advance(broker.BeatEvery)
		w.say(broker.ExchangeRequest{})
	}
	s.equal("running jobs", s.scores("rq:wip:default"), nil)
}

// What RQ has forgotten of a worker that was silent for long is written again.
func TestAWorkerThatRQHasForgottenIsBornAgain(t *testing.T) {
	t.Parallel()
	clock := newStill()
	s := newSite(t, redisbroker.Options{Clock: clock})
	s.add("job")
	w := s.hand("forgotten")
	claim := w.run("job")
	s.do("DEL", "rq:worker:forgotten") // it expired
	s.do("SREM", "rq:workers", "rq:worker:forgotten")
	s.do("SREM", "rq:workers:default", "rq:worker:forgotten")
	clock.Advance(100 * time.Second)
	w.say(broker.ExchangeRequest{Reconcile: true, Held: []broker.Claim{claim}})
	worker := s.hash("rq:worker:forgotten")
	s.isTime("birth", worker["birth"])
	s.equal("queues", worker["queues"], "default")
	s.equal("state", worker["state"], "busy")
	s.equal("current_job", worker["current_job"], "job")
	s.equal("workers", s.members("rq:workers"), []string{"rq:worker:forgotten"})
	s.equal("workers of the queue", s.members("rq:workers:default"), []string{"rq:worker:forgotten"})
	w.done(finished(), claim)
	if s.number("TTL", "rq:worker:forgotten") < 0 {
		t.Error("the worker's hash stays for ever")
	}
	s.equal("status", s.status("job"), "finished")
}
