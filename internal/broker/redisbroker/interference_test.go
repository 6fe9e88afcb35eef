package redisbroker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
)

// Stock clients change jobs while a worker of Distro has them. RQ's own workers
// then overwrite what was done; Distro's give way.

// free checks that nothing says any more that a worker has the job.
func (s *site) free(id, worker string) {
	s.Helper()
	s.equal("claims of "+worker, s.hash("distro:claims:"+worker), nil)
	s.equal("stops of "+worker, s.hash("distro:stops:"+worker), nil)
	s.equal("claimed jobs", s.scores("distro:held:default"), nil)
	s.equal("claim of "+id, s.hash("rq:job:" + id)["distro_claim"], "")
	s.equal("current job of "+worker, s.hash("rq:worker:" + worker)["current_job"], "")
	s.equal("state of "+worker, s.hash("rq:worker:" + worker)["state"], "idle")
	s.equal("successes of "+worker, s.hash("rq:worker:" + worker)["successful_job_count"], "")
}

func TestAJobThatAStockClientCancelsWhileItRunsStaysCanceled(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	p := newPeer(t)
	s.add("job")
	w := s.hand("canceled")
	claim := w.run("job")
	if errs, err := s.broker.Act(t.Context(), broker.ActionStop, []string{"job"}); err != nil || errs[0] != nil {
		t.Fatal(errs, err)
	}
	p.script(s, `Job.fetch("job", connection=c).cancel()`)
	// From 2.0 on clients leave the bare ID in the registry.
	s.do("ZADD", "rq:wip:default", "99999999999", "job")
	before := s.hash("rq:job:job")
	s.equal("settling", w.settle(finished(), claim), []broker.SettleStatus{broker.SettleLost})
	s.free("job", "canceled")
	s.equal("running jobs", s.scores("rq:wip:default"), nil)
	after := s.hash("rq:job:job")
	for _, own := range []string{"distro_claim", "distro_stop"} {
		delete(before, own)
		delete(after, own)
	}
	s.equal("job", after, before)
	s.equal("canceled jobs", len(s.scores("rq:canceled:default")), 1)
	s.equal("finished jobs", s.scores("rq:finished:default"), nil)
	s.equal("results", s.entries("rq:results:job"), nil)
}

func TestAJobThatAStockClientDeletesWhileItRunsStaysDeleted(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	p := newPeer(t)
	s.add("job")
	w := s.hand("deleted")
	claim := w.run("job")
	p.script(s, `Job.fetch("job", connection=c).delete()`)
	s.do("ZADD", "rq:wip:default", "99999999999", "job") // as above
	s.equal("settling", w.settle(finished(), claim), []broker.SettleStatus{broker.SettleGone})
	s.free("job", "deleted")
	s.equal("keys", s.keys(), []string{
		"distro:slots:deleted", "distro:worker:deleted", "distro:workers",
		"rq:queues", "rq:worker:deleted", "rq:workers", "rq:workers:default",
	})
}

// A job that is gone while its worker keeps it up must not come back as a hash
// of one field, as it does with RQ.
func TestADeletedJobDoesNotComeBackWhenItsWorkerIsKeptUp(t *testing.T) {
	t.Parallel()
	clock := newStill()
	s := newSite(t, redisbroker.Options{Clock: clock})
	s.add("job")
	w := s.hand("keeps")
	claim := w.run("job")
	s.do("DEL", "rq:job:job")
	clock.Advance(20e9)
	w.say(broker.ExchangeRequest{})
	s.equal("the job exists", s.number("EXISTS", "rq:job:job"), 0)
	reply := w.say(broker.ExchangeRequest{Reconcile: true, Held: []broker.Claim{claim}})
	s.equal("lost", reply.Lost, []broker.Claim{claim})
	s.free("job", "keeps")
	s.equal("running jobs", s.scores("rq:wip:default"), nil)
}

func TestAJobThatAStockClientRequeuesWhileItRunsRunsOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	p := newPeer(t)
	s.add("job")
	w := s.hand("requeued")
	claim := w.run("job")
	p.script(s, `
job = Job.fetch("job", connection=c)
job.cancel()
Queue("default", connection=c).enqueue_job(job)`)
	s.equal("settling", w.settle(finished(), claim), []broker.SettleStatus{broker.SettleLost})
	s.free("job", "requeued")
	s.equal("status", s.status("job"), "queued")
	s.equal("running jobs", s.scores("rq:wip:default"), nil)
	w.done(finished(), w.run("job"))
	s.equal("finished jobs", len(s.scores("rq:finished:default")), 1)
}

// The registry says that the job was abandoned: its worker was cut off, and
// stock programs go by the score alone.
func TestAJobThatStockCleanUpFailedStaysFailed(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	p := newPeer(t)
	s.add("job")
	w := s.hand("abandoned")
	claim := w.run("job")
	s.do("ZADD", "rq:wip:default", "1", "job")
	p.Info(t, s.url)
	s.equal("status", s.status("job"), "failed")
	s.equal("settling", w.settle(finished(), claim), []broker.SettleStatus{broker.SettleLost})
	s.free("job", "abandoned")
	s.equal("status", s.status("job"), "failed")
	s.equal("failed jobs", len(s.scores("rq:failed:default")), 1)
}

func TestAStockWorkerThatTookAJobOverIsNotDisturbed(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	p := newPeer(t)
	s.enqueue(pickled("job", "peerjobs.hold", `["over"]`))
	w := s.hand("overtaken")
	claim := w.run("job")
	p.script(s, `
job = Job.fetch("job", connection=c)
job.cancel()
Queue("default", connection=c).enqueue_job(job)`)
	stock := p.worker(s, "taker", "--burst")
	s.runs("over")
	members := s.scores("rq:wip:default")
	if len(members) != 1 {
		t.Fatalf("running jobs: %v, want the stock worker's", members)
	}
	s.equal("settling", w.settle(failed(traceback), claim), []broker.SettleStatus{broker.SettleLost})
	reply := w.say(broker.ExchangeRequest{Reconcile: true, Held: []broker.Claim{claim}, Return: []broker.Claim{claim}})
	s.equal("lost", reply.Lost, []broker.Claim{claim})
	s.free("job", "overtaken")
	s.equal("running jobs", s.scores("rq:wip:default"), members)
	s.equal("worker", s.hash("rq:job:job")["worker_name"], "taker")
	s.ends("over")
	if err := stock.Wait(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, stock.Output())
	}
	jobs, err := s.broker.Get(t.Context(), []string{"job"})
	if err != nil || len(jobs) != 1 {
		t.Fatal(jobs, err)
	}
	s.equal("status", jobs[0].Status, distro.StatusFinished)
	s.equal("view", jobs[0].Result.View.Text, "true")
	s.equal("worker of the result", jobs[0].Result.Worker, "taker")
}

// What is prefetched is still queued for stock clients.
func TestWhatStockClientsDoToAPrefetchedJobIsDone(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]struct {
		script string
		status string
		queue  []string
	}{
		"cancel":  {`Job.fetch("two", connection=c).cancel()`, "canceled", nil},
		"delete":  {`Job.fetch("two", connection=c).delete()`, "", nil},
		"requeue": {`j = Job.fetch("two", connection=c); j.cancel(); Queue("default", connection=c).enqueue_job(j)`, "queued", []string{"two"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, redisbroker.Options{})
			p := newPeer(t)
			s.add("one", "two")
			w := s.hand("ahead-" + name)
			claims := w.take(2, 1)
			p.script(s, act.script)
			reply := w.say(broker.ExchangeRequest{
				Settle: []broker.Settlement{{Claim: claims[0], Result: finished()}}, Begin: claims[1:],
			})
			s.equal("begun", reply.Begun, []int{0})
			s.equal("status", s.status("two"), act.status)
			s.equal("queue", s.list("rq:queue:default"), act.queue)
			w.say(broker.ExchangeRequest{Reconcile: true})
			s.sweep(s.broker)
			s.equal("claims", s.hash("distro:claims:ahead-"+name), nil)
			s.equal("claimed jobs", s.scores("distro:held:default"), nil)
			counts, err := s.broker.Counts(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			s.equal("queued jobs", counts.Queues[0].Jobs[distro.StatusQueued], len(act.queue))
		})
	}
}

// Everything in Redis may be wrong: one bad job must not take others with it.
func TestHostileContentStopsNobody(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{Schedule: []string{"default"}})
	s.do("SET", "rq:job:string", "no hash")
	s.do("RPUSH", "rq:job:list", "no hash")
	s.do("HSET", "rq:job:empty", "status", "queued")
	s.foreign("odd", "retries_left", "many", "retry_intervals", "{", "timeout", "1h", "status", "dancing", "result_ttl", "soon", "ttl", "x",
		"distro_attempt", "first", "distro_claim", "nobody", "failure_ttl", "1.5", "repeats_left", "-", "group_id", "\xff", "worker_name", "\xff\xfe")
	s.foreign("ünïcode:id with spaces")
	s.add("good", "better")
	s.do("DEL", "rq:queue:default")
	bad := []string{"string", "list", "empty", "missing", "", "\xff\x00"}
	odd := []string{"odd", "ünïcode:id with spaces"}
	s.do(append([]string{"RPUSH", "rq:queue:default", "good"}, slices.Concat(bad, odd, []string{"better"})...)...)
	for i, id := range slices.Concat(bad, odd) {
		s.do("ZADD", "rq:scheduled:default", fmt.Sprint(i+1), id)
		for _, registry := range []string{"finished", "failed", "wip"} {
			s.do("ZADD", "rq:"+registry+":other", fmt.Sprint(i+1), id)
		}
		s.do("ZADD", "distro:ttl", "1", "default\x00"+id)
		s.do("RPUSH", "rq:queue:default:intermediate", id)
	}
	s.do("SADD", "rq:queues", "rq:queue:other", "nonsense", "")
	s.do("ZADD", "distro:ttl", "1", "no zero byte")
	s.sweep(s.broker)
	w := s.hand("hostile")
	var ran []string
	for {
		reply := w.say(broker.ExchangeRequest{Want: w.want(4, 4)})
		if len(reply.Claims) == 0 {
			break
		}
		for _, c := range reply.Claims {
			ran = append(ran, c.Job.ID)
			result := finished()
			if c.Job.ID == "odd" {
				result = failed(strings.Repeat("\xff", 10))
			}
			w.done(result, broker.Claim{JobID: c.Job.ID, Token: c.Token})
		}
	}
	slices.Sort(ran)
	s.equal("jobs that ran", slices.Compact(ran), []string{"better", "good", "odd", "ünïcode:id with spaces"})
	for _, action := range []broker.Action{broker.ActionCancel, broker.ActionRequeue, broker.ActionRunFirst, broker.ActionStop, broker.ActionDelete} {
		if _, err := s.broker.Act(t.Context(), action, slices.Concat(bad, odd)); err != nil {
			t.Errorf("%s: %v", action, err)
		}
	}
	if _, err := s.broker.Enqueue(t.Context(), []distro.Job{pickled("string", "peerjobs.add", "[1, 2]")}); err != nil {
		t.Errorf("enqueue over a key that is no hash: %v", err)
	}
}
