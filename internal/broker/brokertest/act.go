package brokertest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// everyStatus leaves one job of each status that a broker can bring about, by
// its name, and one that is prefetched.
func (s *suite) everyStatus() {
	s.Helper()
	s.add("finished", "failed", "stopped", "started", "prefetched", "queued", "canceled")
	s.enqueue(job("scheduled", dueAt(s.clock.Now().Add(time.Hour))))
	w := s.worker("holder")
	claims := w.run(4)
	w.settle(distro.OutcomeFinished, claims[0])
	w.settle(distro.OutcomeFailed, claims[1])
	w.settle(distro.OutcomeStopped, claims[2])
	w.prefetch(1)
	s.done(broker.ActionCancel, "canceled")
}

func actTests() []subtest {
	return []subtest{
		{"cancels queued and scheduled jobs", func(s *suite) {
			s.everyStatus()
			s.done(broker.ActionCancel, "queued", "scheduled")
			s.equal("statuses", s.statuses("queued", "scheduled"), "canceled canceled")
			s.equal("order", s.order("default"), "")
			s.equal("due", s.get("scheduled").DueAt, time.Time{})
			s.clock.Advance(2 * time.Hour)
			s.equal("due jobs", s.sweep().Due, 0)
			s.equal("history", s.history("scheduled"), "scheduled.0 canceled.0")
		}},
		{"takes a prefetched job from its worker when it is canceled or deleted", func(s *suite) {
			s.add("a", "b")
			w := s.worker("w")
			claims := w.prefetch(2)
			s.done(broker.ActionCancel, "a")
			s.done(broker.ActionDelete, "b")
			reply := w.call(broker.ExchangeRequest{Begin: claims, Reconcile: true, Held: claims})
			s.equal("begun", reply.Begun, []int{0, 0})
			s.equal("lost", reply.Lost, claims)
			s.equal("statuses", s.statuses("a", "b"), "canceled -")
		}},
		{"requeues failed, stopped and canceled jobs to the back of their queue", func(s *suite) {
			s.everyStatus()
			s.clock.Advance(time.Second)
			s.done(broker.ActionRequeue, "stopped", "failed", "canceled")
			s.equal("statuses", s.statuses("stopped", "failed", "canceled"), "queued queued queued")
			s.equal("enqueued", s.get("failed").EnqueuedAt, s.clock.Now())
			s.equal("order", s.order("default"), "queued stopped failed canceled")
			s.equal("history", s.history("failed"), "queued.0 started.1 failed>failed.1 queued.1")
		}},
		{"leaves retries that are spent spent when it requeues", func(s *suite) {
			s.enqueue(job("a", retries(1)))
			w := s.worker("w")
			w.settle(distro.OutcomeFailed, w.run(1)...)
			w.settle(distro.OutcomeFailed, w.run(1)...)
			s.done(broker.ActionRequeue, "a")
			s.equal("retries left", s.get("a").RetriesLeft, 0)
			s.equal("result", s.get("a").Result.Attempt, 2)
			w.settle(distro.OutcomeFailed, w.run(1)...)
			s.equal("status", s.statuses("a"), "failed")
			s.equal("attempt", s.get("a").Attempt, 3)
		}},
		{"lets a requeued job wait for its TTL anew", func(s *suite) {
			s.enqueue(job("a", waiting(time.Minute)))
			s.done(broker.ActionCancel, "a")
			s.clock.Advance(time.Hour)
			s.equal("canceled", s.sweep().Expired, 0)
			s.done(broker.ActionRequeue, "a")
			s.equal("requeued", s.sweep().Expired, 0)
			s.clock.Advance(time.Minute)
			s.equal("waited", s.sweep().Expired, 1)
		}},
		{"deletes a job with its result, and frees its ID", func(s *suite) {
			s.everyStatus()
			s.done(broker.ActionDelete, "finished", "scheduled", "queued")
			s.equal("statuses", s.statuses("finished", "scheduled", "queued"), "- - -")
			s.equal("again", s.enqueue(job("finished")), []broker.EnqueueResult{broker.Enqueued})
			s.equal("result", s.get("finished").Result, (*distro.Result)(nil))
			s.equal("history", s.history("finished"), "queued.0 started.1 finished>finished.1 deleted.1 queued.0")
		}},
	}
}

func runFirstAndStopTests() []subtest {
	return []subtest{
		{"puts queued and scheduled jobs to the front of their queue", func(s *suite) {
			s.add("a", "b", "c")
			s.enqueue(job("later", dueAt(s.clock.Now().Add(time.Hour)), waiting(time.Minute)))
			s.clock.Advance(time.Second)
			s.done(broker.ActionRunFirst, "b", "later", "c")
			s.equal("due", s.get("later").DueAt, time.Time{})
			s.equal("enqueued", s.get("later").EnqueuedAt, s.clock.Now())
			s.equal("history of a queued job", s.history("b"), "queued.0")
			s.equal("history of a scheduled job", s.history("later"), "scheduled.0 queued.0")
			s.equal("order", s.order("default"), "c later b a")
		}},
		{"leaves a prefetched job with its worker when it is to run first", func(s *suite) {
			s.add("a", "b")
			w := s.worker("w")
			claims := w.prefetch(1)
			s.done(broker.ActionRunFirst, "a")
			s.equal("begun", w.call(broker.ExchangeRequest{Begin: claims}).Begun, []int{1})
		}},
		{"tells the worker of a stop in each reply until the job is settled", func(s *suite) {
			s.add("a", "b")
			w := s.worker("w")
			claims := w.run(2)
			s.done(broker.ActionStop, "a")
			s.done(broker.ActionStop, "a")
			for range 2 {
				s.equal("stops", w.call(broker.ExchangeRequest{}).Stop, claims[:1])
			}
			s.equal("of others", s.worker("w2").call(broker.ExchangeRequest{}).Stop, []broker.Claim(nil))
			reply := w.call(broker.ExchangeRequest{Settle: settlements(distro.OutcomeStopped, claims[0])})
			s.equal("after", reply.Stop, []broker.Claim(nil))
			s.equal("history", s.history("a"), "queued.0 started.1 stopped>stopped.1")
		}},
		{"takes the worker's word for how a job ended that was to stop", func(s *suite) {
			s.enqueue(job("a", retries(1)))
			w := s.worker("w")
			claims := w.run(1)
			s.done(broker.ActionStop, "a")
			w.settle(distro.OutcomeFailed, claims...)
			s.equal("status", s.statuses("a"), "queued")
			reply := w.call(broker.ExchangeRequest{Want: w.want(1, 1)})
			s.equal("stops of the next attempt", reply.Stop, []broker.Claim(nil))
		}},
		{"answers in the order of ids and acts twice on an ID given twice", func(s *suite) {
			s.add("a", "b")
			errs := s.act(broker.ActionCancel, "b", "missing", "b", "a")
			s.equal("answers", errs, []error{nil, broker.ErrNotFound, broker.ErrConflict, nil})
		}},
		{"refuses an action it does not know", func(s *suite) {
			s.add("a")
			_, err := s.broker.Act(s.ctx, "explode", []string{"a"})
			s.equal("code", distro.ErrorCode(err), distro.CodeInvalid)
		}},
	}
}

// allowedTests are one subtest for each action and every status.
func allowedTests() []subtest {
	all := []string{"scheduled", "queued", "prefetched", "started", "finished", "failed", "stopped", "canceled", "missing"}
	allowed := map[broker.Action]string{
		broker.ActionCancel:   "scheduled queued prefetched",
		broker.ActionRequeue:  "failed stopped canceled",
		broker.ActionDelete:   "scheduled queued prefetched finished failed stopped canceled",
		broker.ActionRunFirst: "scheduled queued prefetched",
		broker.ActionStop:     "started",
	}
	var tests []subtest
	for action, can := range allowed {
		tests = append(tests, subtest{
			fmt.Sprintf("answers ErrConflict or ErrNotFound where %s is not allowed", action), func(s *suite) {
				s.everyStatus()
				for _, id := range all {
					err := s.act(action, id)[0]
					switch {
					case id == "missing":
						s.equal(id, errors.Is(err, broker.ErrNotFound), true)
					case strings.Contains(" "+can+" ", " "+id+" "):
						s.equal(id, err, nil)
					default:
						s.equal(id, errors.Is(err, broker.ErrConflict), true)
					}
				}
			},
		})
	}
	return tests
}
