package redisbroker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
	"github.com/distro-orchestrator/distro/internal/redistest"
)

// ownSite is a site whose server no other test uses.
func ownSite(t *testing.T, opts redisbroker.Options) *site {
	t.Helper()
	own := redistest.Start(t, redistest.Options{})
	opts.URL = own.URL()
	return &site{T: t, url: opts.URL, broker: openAs(t, opts), conn: own.Conn(t, opts.URL)}
}

// Where memory is full Redis refuses first writes, and reads go on: no worker
// may look dead for that, and what ends jobs must pass, as it makes room.
func TestAFullRedisLosesNoWorkerAndLetsJobsEnd(t *testing.T) {
	t.Parallel()
	clock := newStill()
	s := ownSite(t, redisbroker.Options{Clock: clock})
	s.add("job")
	w := s.hand("full")
	claim := w.run("job")
	s.do("CONFIG", "SET", "maxmemory", "1")
	if _, err := s.broker.Enqueue(t.Context(), []distro.Job{pickled("no room", "peerjobs.add", "[1, 2]")}); err == nil {
		t.Error("a job was stored though memory is full")
	}
	for range 12 {
		clock.Advance(time.Second)
		w.say(broker.ExchangeRequest{})
		s.equal("rescued", s.sweep(s.broker).Rescued, 0)
	}
	w.done(finished(), claim)
	s.equal("status", s.status("job"), "finished")
}

// Redis may refuse all writes for a while, as when its disk is full.
func TestARedisThatRefusesWritesRescuesNobodyAfterwards(t *testing.T) {
	t.Parallel()
	clock := newStill()
	s := ownSite(t, redisbroker.Options{Clock: clock})
	s.add("job")
	s.hand("patient").run("job")
	s.sweep(s.broker)
	s.do("CONFIG", "SET", "min-replicas-to-write", "1")
	for range 20 {
		clock.Advance(time.Second)
		if _, err := s.broker.Sweep(t.Context(), 100); err == nil {
			t.Fatal("a sweep passes though no write does")
		}
	}
	s.do("CONFIG", "SET", "min-replicas-to-write", "0")
	s.equal("rescued", s.sweep(s.broker).Rescued, 0)
}

// More dependents than one call releases are put aside, whatever becomes of the
// job that they waited for.
func TestManyDependentsAreReleasedWhateverBecomesOfTheirParent(t *testing.T) {
	t.Parallel()
	for name, fields := range map[string][]string{
		"kept":                {},
		"not kept":            {"result_ttl", "0"},
		"repeated":            {"repeats_left", "1", "repeat_intervals", "[3600]"},
		"failed and tolerant": {"fails", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, redisbroker.Options{})
			s.foreignQueued("parent", fields...)
			const many = 100
			for n := range many {
				s.deferred(fmt.Sprint("child-", n), []string{"parent"}, "allow_dependency_failures", "1")
			}
			w := s.hand("releases-" + strings.ReplaceAll(name, " ", "-"))
			result := finished()
			if len(fields) > 0 && fields[0] == "fails" {
				result = failed(traceback)
			}
			w.done(result, w.run("parent"))
			// No sweep is needed: whoever asks for work makes some, step by step.
			for step := 0; s.number("LLEN", "rq:queue:default") < many; step++ {
				if step == 10 {
					t.Fatalf("%d of %d dependents are queued", s.number("LLEN", "rq:queue:default"), many)
				}
				reply := w.say(broker.ExchangeRequest{Want: w.want(1, 0)})
				for _, c := range reply.Claims {
					w.say(broker.ExchangeRequest{Return: []broker.Claim{{JobID: c.Job.ID, Token: c.Token}}})
				}
			}
			s.equal("deferred jobs", s.scores("rq:deferred:default"), nil)
			s.equal("put aside", s.number("EXISTS", "distro:release", "distro:release:parent"), 0)
		})
	}
}

// Stock clients leave IDs in the registry whose hash is not there yet, or has
// expired.
func TestScheduledIDsWithoutAJobHoldNobodyUp(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{Schedule: []string{"default"}})
	past := fmt.Sprint(time.Now().Add(-2 * time.Second).Unix())
	for n := range 300 {
		s.do("ZADD", "rq:scheduled:default", past, fmt.Sprint("ghost-", n))
	}
	s.foreign("real", "status", "scheduled", "enqueued_at", "")
	s.do("ZADD", "rq:scheduled:default", fmt.Sprint(time.Now().Add(-time.Second).Unix()), "real")
	swept := s.sweep(s.broker)
	s.equal("due", swept.Due, 1)
	s.equal("next", swept.NextDue, time.Time{})
	s.equal("status", s.status("real"), "queued")
}

// A scheduler that was killed holds its locks for a minute: another one of
// Distro's sees that it is gone, and leaves those of others alone.
func TestTheLocksOfAKilledSchedulerAreTakenOver(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{Schedule: []string{"default", "stock"}})
	s.do("SET", "rq:scheduler-lock:stock", "4711", "EX", "61")
	s.sweep(s.broker)
	own := s.do("GET", "rq:scheduler-lock:default")
	next := openAs(t, redisbroker.Options{URL: s.url, Schedule: []string{"default", "stock"}})
	s.sweep(next)
	s.equal("owner while the first is alive", s.do("GET", "rq:scheduler-lock:default"), own)
	s.do("DEL", fmt.Sprint("distro:scheduler:", own)) // it expires 10 s after its last word
	s.sweep(next)
	if owner := s.do("GET", "rq:scheduler-lock:default"); owner == own || owner == nil {
		t.Errorf("the lock of a scheduler that is gone is %v, was %v", owner, own)
	}
	s.equal("a stock scheduler's lock", s.do("GET", "rq:scheduler-lock:stock"), "4711")
}

// A field that Redis would choke on in the middle of a change costs that field,
// not the job.
func TestFieldsThatRedisRefusesLoseNoJob(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	const far = "100000000000000000"
	s.foreignQueued("retried", "ttl", far, "retries_left", "1")
	s.foreignQueued("kept", "result_ttl", far)
	s.foreignQueued("later", "retries_left", "1", "retry_intervals", "[1e300]")
	s.foreignQueued("parent")
	s.do("SET", "rq:job:parent:dependents", "no set")
	s.do("SET", "rq:results:kept", "no stream")
	w := s.hand("chokes")
	for _, id := range []string{"retried", "kept", "later", "parent"} {
		result := finished()
		if id == "retried" || id == "later" {
			result = failed(traceback)
		}
		w.done(result, w.run(id))
	}
	s.equal("queue", s.list("rq:queue:default"), []string{"retried"})
	s.equal("finished jobs", len(s.scores("rq:finished:default")), 2)
	s.equal("scheduled jobs", len(s.scores("rq:scheduled:default")), 1)
}

// A key of another application that is of no use to anybody must not keep a
// process from what it is to look after.
func TestAQueueOfOthersThatIsBrokenStopsNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	s.do("SADD", "rq:queues", "rq:queue:broken")
	for _, key := range []string{"rq:queue:broken", "rq:wip:broken", "rq:finished:broken", "rq:failed:broken", "rq:scheduled:broken", "rq:queue:broken:intermediate"} {
		s.do("SET", key, "nonsense")
	}
	s.do("SET", "rq:wip:half", "nonsense")
	s.foreignQueued("half", "origin", "half")
	s.add("good")
	s.sweep(s.broker)
	w := s.hand("unimpressed", func(w *distro.Worker) { w.Queues = []string{"broken", "half", "default"} })
	claims := w.take(3, 3)
	s.equal("claims", len(claims), 1)
	s.equal("claimed", claims[0].JobID, "good")
	s.equal("the job of the half broken queue waits", s.list("rq:queue:half"), []string{"half"})
}

// A command that came while an exchange failed is told by the next one.
func TestACommandSurvivesAnExchangeThatFails(t *testing.T) {
	t.Parallel()
	s := ownSite(t, redisbroker.Options{})
	w := s.hand("obedient")
	w.say(broker.ExchangeRequest{})
	s.publish("obedient", `{"command": "shutdown"}`)
	w.wakes()
	s.do("CONFIG", "SET", "min-replicas-to-write", "1")
	if _, err := w.try(broker.ExchangeRequest{}); err == nil {
		t.Fatal("an exchange passes though no write does")
	}
	s.do("CONFIG", "SET", "min-replicas-to-write", "0")
	s.equal("drain", w.say(broker.ExchangeRequest{}).Drain, true)
	s.equal("again", w.say(broker.ExchangeRequest{}).Drain, false)
}
