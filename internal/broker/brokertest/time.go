package brokertest

import (
	"fmt"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

func sweepTests() []subtest {
	return []subtest{
		{"queues scheduled jobs whose time has come, never early, to the back and each once", func(s *suite) {
			now := s.clock.Now()
			s.enqueue(
				job("c", dueAt(now.Add(3*time.Second))), job("a", dueAt(now.Add(time.Second))),
				job("b", dueAt(now.Add(time.Second+time.Nanosecond))), job("first"))
			s.equal("next", s.sweep().NextDue, now.Add(time.Second))
			s.clock.Advance(time.Second - s.tick)
			s.equal("early", s.sweep().Due, 0)
			s.clock.Advance(s.tick)
			s.equal("due", s.sweep().Due, 1)
			s.clock.Advance(2 * time.Second)
			s.equal("due", s.sweep().Due, 2)
			s.equal("again", s.sweep().Due, 0)
			s.equal("next", s.sweep().NextDue, time.Time{})
			s.equal("enqueued", s.get("c").EnqueuedAt, s.clock.Now())
			s.equal("history", s.history("c"), "scheduled.0 queued.0")
			s.equal("order", s.order("default"), "first a b c")
		}},
		{"does at most limit jobs and says that there are more", func(s *suite) {
			for i := range 5 {
				s.enqueue(job(fmt.Sprint(i), dueAt(s.clock.Now().Add(time.Second))))
			}
			s.clock.Advance(time.Second)
			var due []int
			for more := true; more; {
				swept, err := s.broker.Sweep(s.ctx, 2)
				s.ok(err)
				due, more = append(due, swept.Due), swept.More
			}
			s.equal("due", due, []int{2, 2, 1})
		}},
		{"lets a job wait for its TTL from when it was queued", func(s *suite) {
			s.enqueue(job("a", waiting(time.Minute)), job("b", waiting(time.Minute), dueAt(s.clock.Now().Add(time.Hour))))
			s.clock.Advance(time.Minute - s.tick)
			s.equal("early", s.sweep().Expired, 0)
			s.clock.Advance(s.tick)
			s.equal("expired", s.sweep().Expired, 1)
			s.clock.Advance(time.Hour)
			s.equal("due", s.sweep().Due, 1)
			s.clock.Advance(time.Minute)
			s.equal("expired", s.sweep().Expired, 1)
		}},
		{"does not expire what is claimed", func(s *suite) {
			s.enqueue(job("a", waiting(time.Minute)), job("b", waiting(time.Minute)))
			w := s.worker("w")
			claims := refs(w.take(2, 1))
			s.clock.Advance(time.Hour)
			s.equal("expired", s.sweep().Expired, 0)
			s.equal("begun", w.call(broker.ExchangeRequest{Begin: claims[1:]}).Begun, []int{1})
		}},
	}
}

func rescueTests() []subtest {
	return []subtest{
		{"rescues a begun claim of a lost worker as a lost attempt that the retries decide on", func(s *suite) {
			s.enqueue(job("a", retries(1)), job("b", retries(1, time.Hour)), job("c"))
			s.worker("w").run(3)
			s.add("d")
			s.equal("too early", s.pass(broker.LostAfter-time.Microsecond).Rescued, 0)
			s.clock.Advance(time.Microsecond)
			s.equal("rescued", s.sweep().Rescued, 3)
			s.equal("statuses", s.statuses("a", "b", "c"), "queued scheduled failed")
			s.equal("history", s.history("a"), "queued.0 started.1 lost>queued.1")
			s.equal("retries left", s.get("a").RetriesLeft, 0)
			res := s.get("c").Result
			s.equal("outcome", res.Outcome, distro.OutcomeLost)
			s.equal("kind", res.Failure.Kind, distro.FailureLost)
			s.equal("worker", res.Worker, "w")
			s.equal("has a reason", res.Failure.Message != "", true)
			s.equal("order", s.order("default"), "d a")
		}},
		{"rescues a claim never begun to the front of its queue at no attempt", func(s *suite) {
			s.add("a", "b", "c")
			s.worker("w").prefetch(2)
			s.equal("rescued", s.pass(broker.LostAfter).Rescued, 2)
			s.equal("attempt", s.get("a").Attempt, 0)
			s.equal("history", s.history("a"), "queued.0")
			s.equal("order", s.order("default"), "a b c")
		}},
		{"rescues an attempt that was to be stopped as stopped, without a retry", func(s *suite) {
			s.enqueue(job("a", retries(3)))
			s.worker("w").run(1)
			s.act(broker.ActionStop, "a")
			s.equal("rescued", s.pass(broker.LostAfter).Rescued, 1)
			got := s.get("a")
			s.equal("status", got.Status, distro.StatusStopped)
			s.equal("outcome", got.Result.Outcome, distro.OutcomeStopped)
			s.equal("kind", got.Result.Failure.Kind, distro.FailureStopped)
			s.equal("retries left", got.RetriesLeft, 3)
		}},
		{"rescues no worker that beats", func(s *suite) {
			s.add("a", "b")
			alive, lost := s.worker("alive"), s.worker("lost")
			alive.run(1)
			lost.run(1)
			for range 8 {
				s.pass(broker.BeatEvery)
				alive.call(broker.ExchangeRequest{})
			}
			s.equal("statuses", s.statuses("a", "b"), "started failed")
		}},
		{"rescues by the monotonic clock whatever the wall clock does", func(s *suite) {
			s.add("a")
			s.worker("w").run(1)
			s.sweep()
			for _, step := range []time.Duration{time.Hour, -2 * time.Hour, 240 * time.Hour} {
				s.clock.Step(step)
				s.equal("rescued by a step", s.sweep().Rescued, 0)
			}
			s.equal("rescued", s.pass(broker.LostAfter).Rescued, 1)
		}},
		{"starts anew after a reading that comes late", func(s *suite) {
			s.add("a")
			s.worker("w").run(1)
			s.sweep()
			s.clock.Advance(time.Hour)
			s.equal("rescued after a pause", s.sweep().Rescued, 0)
			s.equal("rescued too early", s.pass(broker.LostAfter-time.Second).Rescued, 0)
			s.equal("rescued", s.pass(time.Second).Rescued, 1)
		}},
		{"needs readings over LostAfter, not one", func(s *suite) {
			s.add("a")
			s.worker("w").run(1)
			s.clock.Advance(broker.LostAfter)
			s.equal("rescued", s.sweep().Rescued, 0)
		}},
		{"lets a rescued worker come back", func(s *suite) {
			s.enqueue(job("a", retries(1)))
			w := s.worker("w")
			claims := w.run(1)
			s.pass(broker.LostAfter)
			reply := w.call(broker.ExchangeRequest{Reconcile: true, Held: claims, Want: w.want(1, 1)})
			s.equal("lost", reply.Lost, claims)
			s.equal("claims", ids(refs(reply.Claims)), "a")
			s.equal("attempt", reply.Claims[0].Job.Attempt, 2)
		}},
	}
}

func (s *suite) workers() []distro.Worker {
	s.Helper()
	list, err := s.broker.Workers(s.ctx)
	s.ok(err)
	return list
}

func workerTests() []subtest {
	return []subtest{
		{"registers a worker at its first call and keeps it up by each", func(s *suite) {
			info := distro.Worker{
				Name: "w", Host: "host", PID: 42, Queues: []string{"high", "default"}, Slots: 4, Isolation: "fork",
				Python: "3.11.2", Version: "1.0.0", StartedAt: s.clock.Now(),
			}
			s.enqueue(job("a", retries(1)), job("b"))
			w := s.worker("w")
			want := w.want(2, 2)
			_, err := s.broker.Exchange(s.ctx, broker.ExchangeRequest{Worker: info, Beat: 1, Want: want})
			s.ok(err)
			expect := info
			expect.SeenAt, expect.Running = s.clock.Now(), []string{"a", "b"}
			s.equal("registered", s.workers(), []distro.Worker{expect})

			s.clock.Advance(time.Second)
			info.Draining = true
			_, err = s.broker.Exchange(s.ctx, broker.ExchangeRequest{Worker: info, Beat: 2, Settle: []broker.Settlement{
				{Claim: broker.Claim{JobID: "a", Token: want.Tokens[0]}, Result: distro.Result{Outcome: distro.OutcomeFailed}},
				{Claim: broker.Claim{JobID: "b", Token: want.Tokens[1]}, Result: distro.Result{Outcome: distro.OutcomeFinished}},
			}})
			s.ok(err)
			expect.SeenAt, expect.Running, expect.Draining = s.clock.Now(), nil, true
			expect.Finished, expect.Failed = 2, 1
			s.equal("kept up", s.workers(), []distro.Worker{expect})
		}},
		{"lists the workers that beat lately, by name", func(s *suite) {
			for _, name := range []string{"b", "c", "a"} {
				s.worker(name).call(broker.ExchangeRequest{})
			}
			var names []string
			for _, w := range s.workers() {
				names = append(names, w.Name)
			}
			s.equal("names", names, []string{"a", "b", "c"})
			s.pass(broker.LostAfter)
			s.equal("after a while", s.workers(), []distro.Worker(nil))
		}},
		{"forgets a worker that leaves and rescues at once what it still holds", func(s *suite) {
			s.enqueue(job("a", retries(1)), job("b"), job("c"), job("d"), job("e"))
			w := s.worker("w")
			claims := refs(w.take(4, 2))
			reply := w.call(broker.ExchangeRequest{
				Leave: true, Settle: settlements(distro.OutcomeFinished, claims[1]), Return: claims[3:], Want: w.want(1, 1),
			})
			s.equal("claims", reply.Claims, []broker.Claimed(nil))
			s.equal("workers", s.workers(), []distro.Worker(nil))
			s.equal("statuses", s.statuses("a", "b", "c", "d", "e"), "queued finished queued queued queued")
			s.equal("history", s.history("a"), "queued.0 started.1 lost>queued.1")
			s.equal("order", s.order("default"), "c d e a")
		}},
	}
}
