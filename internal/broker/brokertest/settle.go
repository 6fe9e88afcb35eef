package brokertest

import (
	"fmt"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

func settleTests() []subtest {
	return []subtest{
		{"ends the job with the outcome's status", func(s *suite) {
			s.add("a", "b", "c", "d")
			w := s.worker("w")
			for i, c := range w.run(4) {
				outcome := []distro.Outcome{distro.OutcomeFinished, distro.OutcomeFailed, distro.OutcomeStopped, distro.OutcomeLost}[i]
				s.equal("answer", w.settle(outcome, c), []broker.SettleStatus{broker.SettleDone})
			}
			s.equal("statuses", s.statuses("a", "b", "c", "d"), "finished failed stopped failed")
			s.equal("history", s.history("d"), "queued.0 started.1 lost>failed.1")
		}},
		{"keeps the result as the worker told it", func(s *suite) {
			s.add("a", "b")
			w := s.worker("w")
			claims := w.run(2)
			s.clock.Advance(time.Second)
			finished := distro.Result{
				Outcome: distro.OutcomeFinished, StartedAt: s.clock.Now(), EndedAt: s.clock.Now().Add(time.Millisecond),
				Pickle: []byte{0x80, 0, 0xff}, View: distro.View{Text: `{"a": 1}`, JSON: true, Truncated: true},
				PeakMemory: 1 << 33, CPUTime: 123456789,
			}
			failed := distro.Result{
				Outcome: distro.OutcomeFailed, StartedAt: s.clock.Now(), EndedAt: s.clock.Now(),
				Failure: &distro.Failure{
					Kind: distro.FailureException, Type: "builtins.ValueError", Message: "größer \x00",
					Traceback: "Traceback (most recent call last):\n", ExitCode: 3, Signal: 9,
				},
			}
			w.call(broker.ExchangeRequest{Settle: []broker.Settlement{
				{Claim: claims[0], Result: finished}, {Claim: claims[1], Result: failed},
			}})
			finished.Attempt, finished.Worker, failed.Attempt, failed.Worker = 1, "w", 1, "w"
			finished.Run, failed.Run = claims[0].Token, claims[1].Token
			s.equal("finished", s.get("a").Result, &finished)
			s.equal("failed", s.get("b").Result, &failed)
			s.equal("ended", s.get("a").EndedAt, s.clock.Now())
		}},
	}
}

func retryTests() []subtest {
	return []subtest{
		{"queues the job at the back when it failed and a retry is left", func(s *suite) {
			s.enqueue(job("a", retries(2)), job("b"))
			w := s.worker("w")
			claims := w.run(1)
			s.clock.Advance(time.Second)
			w.settle(distro.OutcomeFailed, claims...)
			got := s.get("a")
			s.equal("status", got.Status, distro.StatusQueued)
			s.equal("retries left", got.RetriesLeft, 1)
			s.equal("enqueued", got.EnqueuedAt, s.clock.Now())
			s.equal("history", s.history("a"), "queued.0 started.1 failed>queued.1")
			s.equal("order", s.order("default"), "b a")
		}},
		{"keeps Result readable while the job is retried", func(s *suite) {
			s.enqueue(job("a", retries(1)))
			w := s.worker("w")
			w.call(broker.ExchangeRequest{Settle: []broker.Settlement{{Claim: w.run(1)[0], Result: distro.Result{
				Outcome: distro.OutcomeFailed, Failure: &distro.Failure{Kind: distro.FailureExit, ExitCode: 4},
			}}}})
			s.equal("failure", s.get("a").Result.Failure, &distro.Failure{Kind: distro.FailureExit, ExitCode: 4})
			claims := w.run(1)
			s.equal("attempt of the old result", s.get("a").Result.Attempt, 1)
			w.settle(distro.OutcomeFinished, claims...)
			got := s.get("a").Result
			s.equal("attempt", got.Attempt, 2)
			s.equal("failure of a finished job", got.Failure, (*distro.Failure)(nil))
		}},
		{"keeps the results of the attempts before", func(s *suite) {
			const attempts = broker.MaxEarlier + 3
			s.enqueue(job("a", retries(attempts-2)))
			w := s.worker("w")
			var want []distro.Result
			fail := func(n int) {
				claims := w.run(1)
				s.clock.Advance(time.Second)
				res := distro.Result{
					Outcome: distro.OutcomeFailed, StartedAt: s.clock.Now(), EndedAt: s.clock.Now().Add(time.Millisecond),
					Failure: &distro.Failure{Kind: distro.FailureException, Type: "E", Message: fmt.Sprint("attempt ", n), Traceback: strings.Repeat("line\n", n*100)},
					View:    distro.View{Text: "null", JSON: true}, PeakMemory: int64(n), CPUTime: time.Duration(n),
				}
				w.call(broker.ExchangeRequest{Settle: []broker.Settlement{{Claim: claims[0], Result: res}}})
				res.Attempt, res.Run, res.Worker = n, claims[0].Token, "w"
				want = append(want, res)
				got := s.get("a")
				s.equal("result", got.Result, &want[n-1])
				s.equal("earlier ones", got.Earlier, want[max(n-1-broker.MaxEarlier, 0):n-1])
			}
			for n := 1; n < attempts; n++ {
				fail(n)
			}
			s.done(broker.ActionRequeue, "a")
			s.equal("earlier ones of a job that was requeued", len(s.get("a").Earlier), broker.MaxEarlier)
			s.equal("a job that is claimed has none", w.take(1, 1)[0].Job.Earlier, []distro.Result(nil))
			page, err := s.broker.List(s.ctx, broker.ListQuery{})
			s.ok(err)
			s.equal("a list has none", page.Jobs[0].Earlier, []distro.Result(nil))
		}},
		{"schedules the job after Job.RetryDelay when a retry is left", func(s *suite) {
			s.enqueue(job("a", retries(3, 10*time.Second, time.Minute)))
			w := s.worker("w")
			for _, delay := range []time.Duration{10 * time.Second, 10 * time.Second, time.Minute} {
				// With fewer intervals than retries the first ones count by
				// the retries left, as in RQ.
				w.settle(distro.OutcomeFailed, w.run(1)...)
				got := s.get("a")
				s.equal("status", got.Status, distro.StatusScheduled)
				s.equal("due", got.DueAt, s.clock.Now().Add(delay))
				s.clock.Advance(delay)
				s.equal("due jobs", s.sweep().Due, 1)
			}
			w.settle(distro.OutcomeFailed, w.run(1)...)
			s.equal("status", s.statuses("a"), "failed")
			s.equal("attempts", s.get("a").Attempt, 4)
		}},
		{"does not retry what finished or was stopped", func(s *suite) {
			s.enqueue(job("a", retries(5)), job("b", retries(5)))
			w := s.worker("w")
			claims := w.run(2)
			w.settle(distro.OutcomeFinished, claims[0])
			w.settle(distro.OutcomeStopped, claims[1])
			s.equal("statuses", s.statuses("a", "b"), "finished stopped")
			s.equal("retries left", s.get("b").RetriesLeft, 5)
		}},
	}
}

// again settles a claim whose function asked for another attempt.
func (w *worker) again(claim broker.Claim, again distro.Again) []broker.SettleStatus {
	w.Helper()
	return w.call(broker.ExchangeRequest{Settle: []broker.Settlement{{Claim: claim, Result: distro.Result{
		Outcome: distro.OutcomeFailed, Again: &again, Failure: &distro.Failure{Kind: distro.FailureRetry},
	}}}}).Settled
}

func againTests() []subtest {
	return []subtest{
		{"queues the job at the back whatever RetriesLeft says, and counts it in Asked", func(s *suite) {
			s.enqueue(job("a"), job("b"), job("c", retries(1, time.Hour)))
			w := s.worker("w")
			claims := w.run(1)
			s.clock.Advance(time.Second)
			s.equal("answer", w.again(claims[0], distro.Again{}), []broker.SettleStatus{broker.SettleDone})
			got := s.get("a")
			s.equal("status", got.Status, distro.StatusQueued)
			s.equal("asked", got.Asked, 1)
			s.equal("enqueued", got.EnqueuedAt, s.clock.Now())
			s.equal("result", got.Result.Failure.Kind, distro.FailureRetry)
			s.equal("history", s.history("a"), "queued.0 started.1 failed>queued.1")
			w.run(1)
			w.again(w.run(1)[0], distro.Again{})
			s.equal("retries left", s.get("c").RetriesLeft, 1)
			last := w.take(2, 2)
			s.equal("order", ids(refs(last)), "a c")
			s.equal("asked before", []int{last[0].Job.Asked, last[1].Job.Asked}, []int{1, 1})
			w.again(refs(last)[0], distro.Again{})
			s.equal("asked", s.get("a").Asked, 2)
		}},
		{"queues the job at the front with Again.Front", func(s *suite) {
			s.add("a", "b")
			w := s.worker("w")
			w.again(w.run(1)[0], distro.Again{Front: true})
			s.equal("order", s.order("default"), "a b")
		}},
		{"schedules the job after Again.Delay", func(s *suite) {
			s.enqueue(job("a"))
			w := s.worker("w")
			w.again(w.run(1)[0], distro.Again{Delay: time.Minute})
			got := s.get("a")
			s.equal("status", got.Status, distro.StatusScheduled)
			s.equal("due", got.DueAt, s.clock.Now().Add(time.Minute))
			s.clock.Advance(time.Minute)
			s.equal("due jobs", s.sweep().Due, 1)
			w.settle(distro.OutcomeFinished, w.run(1)...)
			s.equal("asked", s.get("a").Asked, 1)
			s.equal("history", s.history("a"), "queued.0 started.1 failed>scheduled.1 queued.1 started.2 finished>finished.2")
		}},
		{"answers SettleAlready when it is repeated after a lost reply", func(s *suite) {
			s.add("a")
			w := s.worker("w")
			claims := w.run(1)
			w.again(claims[0], distro.Again{})
			s.equal("again", w.again(claims[0], distro.Again{}), []broker.SettleStatus{broker.SettleAlready})
			s.equal("asked", s.get("a").Asked, 1)
		}},
	}
}

func keepTests() []subtest {
	return []subtest{
		{"keeps the ended job as its TTLs say", func(s *suite) {
			ttls := func(j *distro.Job) { j.ResultTTL, j.FailureTTL = 10*time.Second, 20*time.Second }
			s.enqueue(job("a", ttls), job("b", ttls), job("c", ttls), job("d"))
			w := s.worker("w")
			claims := w.run(4)
			w.settle(distro.OutcomeFinished, claims[0], claims[3])
			w.settle(distro.OutcomeFailed, claims[1])
			w.settle(distro.OutcomeStopped, claims[2])
			s.clock.Advance(10*time.Second - s.tick)
			s.equal("too early", s.sweep().Expired, 0)
			s.clock.Advance(s.tick)
			s.equal("result", s.sweep().Expired, 1)
			s.equal("statuses", s.statuses("a", "b", "c", "d"), "- failed stopped finished")
			s.clock.Advance(10 * time.Second)
			s.equal("failures", s.sweep().Expired, 2)
			s.clock.Advance(100 * 24 * time.Hour)
			s.equal("forever", s.sweep().Expired, 0)
			s.equal("history", s.history("a"), "queued.0 started.1 finished>finished.1 deleted.1")
		}},
		{"deletes an ended job in the same step when it is not to be kept", func(s *suite) {
			s.enqueue(job("a", func(j *distro.Job) { j.ResultTTL = 0 }), job("b", func(j *distro.Job) { j.FailureTTL = 0 }))
			w := s.worker("w")
			claims := w.run(2)
			w.settle(distro.OutcomeFinished, claims[0])
			w.settle(distro.OutcomeFailed, claims[1])
			s.equal("statuses", s.statuses("a", "b"), "- -")
			s.equal("history", s.history("a"), "queued.0 started.1 finished>finished.1 deleted.1")
			s.equal("history", s.history("b"), "queued.0 started.1 failed>failed.1 deleted.1")
		}},
	}
}

func answerTests() []subtest {
	return []subtest{
		{"answers SettleAlready when it is repeated after a lost reply", func(s *suite) {
			s.enqueue(job("a"), job("b", retries(1)))
			w := s.worker("w")
			claims := w.run(2)
			w.settle(distro.OutcomeFailed, claims...) // the reply is thrown away
			s.equal("answers", w.settle(distro.OutcomeFailed, claims...), []broker.SettleStatus{broker.SettleAlready, broker.SettleAlready})
			s.worker("w2").run(1)
			s.equal("while it runs again", w.settle(distro.OutcomeFailed, claims[1]), []broker.SettleStatus{broker.SettleAlready})
			s.equal("history", s.history("b"), "queued.0 started.1 failed>queued.1 started.2")
		}},
		{"answers SettleLost for another outcome, another token, another worker and an unbegun claim", func(s *suite) {
			s.add("a", "b", "c")
			w := s.worker("w")
			claims := w.run(2)
			unbegun := w.prefetch(1)
			w.settle(distro.OutcomeFinished, claims[0])
			lost := []broker.SettleStatus{broker.SettleLost}
			s.equal("outcome", w.settle(distro.OutcomeFailed, claims[0]), lost)
			s.equal("token", w.settle(distro.OutcomeFinished, broker.Claim{JobID: "b", Token: "forged"}), lost)
			s.equal("worker", s.worker("w2").settle(distro.OutcomeFinished, claims[1]), lost)
			s.equal("unbegun", w.settle(distro.OutcomeFinished, unbegun...), lost)
			s.equal("statuses", s.statuses("a", "b", "c"), "finished started queued")
		}},
		{"answers SettleLost after the claim was rescued, and records nothing", func(s *suite) {
			s.enqueue(job("a", retries(1)))
			w := s.worker("w")
			claims := w.run(1)
			s.pass(broker.LostAfter)
			s.equal("answer", w.settle(distro.OutcomeFinished, claims...), []broker.SettleStatus{broker.SettleLost})
			s.equal("status", s.statuses("a"), "queued")
		}},
		{"answers SettleGone when the job was deleted", func(s *suite) {
			s.enqueue(job("a", func(j *distro.Job) { j.ResultTTL = 0 }))
			w := s.worker("w")
			claims := w.run(1)
			w.settle(distro.OutcomeFinished, claims...)
			s.equal("answers", w.settle(distro.OutcomeFinished, claims...), []broker.SettleStatus{broker.SettleGone})
		}},
		{"answers in the order of Settle", func(s *suite) {
			s.add("a", "b")
			w := s.worker("w")
			claims := w.run(2)
			s.equal("answers",
				w.settle(distro.OutcomeFinished, claims[1], broker.Claim{JobID: "none", Token: "t"}, claims[0], claims[1]),
				[]broker.SettleStatus{broker.SettleDone, broker.SettleGone, broker.SettleDone, broker.SettleAlready})
		}},
	}
}

func beginTests() []subtest {
	return []subtest{
		{"begins a prefetched claim and answers its attempt", func(s *suite) {
			s.enqueue(job("a", retries(1)))
			w := s.worker("w")
			w.settle(distro.OutcomeFailed, w.run(1)...)
			claims := w.prefetch(1)
			s.clock.Advance(time.Second)
			s.equal("attempts", w.call(broker.ExchangeRequest{Begin: claims}).Begun, []int{2})
			got := s.get("a")
			s.equal("status", got.Status, distro.StatusStarted)
			s.equal("started", got.StartedAt, s.clock.Now())
			s.equal("worker", got.Worker, "w")
			s.equal("history", s.history("a"), "queued.0 started.1 failed>queued.1 started.2")
		}},
		{"answers the same attempt when it is repeated after a lost reply", func(s *suite) {
			s.add("a")
			w := s.worker("w")
			claims := w.prefetch(1)
			w.call(broker.ExchangeRequest{Begin: claims})
			s.equal("attempts", w.call(broker.ExchangeRequest{Begin: claims}).Begun, []int{1})
			s.equal("history", s.history("a"), "queued.0 started.1")
		}},
		{"answers 0 for a claim that is not the worker's any more", func(s *suite) {
			s.add("a", "b", "c")
			w := s.worker("w")
			claims := w.prefetch(3)
			s.done(broker.ActionCancel, "a")
			s.done(broker.ActionDelete, "b")
			forged := broker.Claim{JobID: "c", Token: "forged"}
			s.equal("attempts", w.call(broker.ExchangeRequest{Begin: append([]broker.Claim{forged}, claims...)}).Begun, []int{0, 0, 0, 1})
			s.equal("statuses", s.statuses("a", "b", "c"), "canceled - started")
		}},
		{"comes before Settle in one call", func(s *suite) {
			s.add("a")
			w := s.worker("w")
			claims := w.prefetch(1)
			reply := w.call(broker.ExchangeRequest{Begin: claims, Settle: settlements(distro.OutcomeFinished, claims...)})
			s.equal("settled", reply.Settled, []broker.SettleStatus{broker.SettleDone})
			s.equal("history", s.history("a"), "queued.0 started.1 finished>finished.1")
		}},
		{"returns claims to the front of their queue in their old order, at no attempt", func(s *suite) {
			s.enqueue(job("a"), job("x", onQueue("other")), job("b"), job("c"), job("d"))
			w := s.worker("w")
			claims := w.prefetch(4, "default", "other")
			s.equal("claims", ids(claims), "a b c d")
			claims = append(claims, w.prefetch(1, "other")...)
			w.call(broker.ExchangeRequest{Return: []broker.Claim{claims[2], claims[0], claims[1], claims[4], claims[0]}})
			s.equal("attempt", s.get("a").Attempt, 0)
			s.equal("history", s.history("a"), "queued.0")
			s.equal("order", s.order("default"), "a b c")
			s.equal("other order", s.order("other"), "x")
		}},
		{"returns ahead of what was put to the front before", func(s *suite) {
			s.add("a", "b", "c")
			w := s.worker("w")
			claims := w.prefetch(1)
			s.done(broker.ActionRunFirst, "c")
			w.call(broker.ExchangeRequest{Return: claims})
			s.equal("order", s.order("default"), "a c b")
		}},
		{"returns claims that began and did not run, at no attempt", func(s *suite) {
			s.enqueue(job("a", retries(1)), job("b"), job("c"))
			before := s.get("a")
			w := s.worker("w")
			claims := refs(w.take(3, 2))
			s.done(broker.ActionStop, "a")
			s.clock.Advance(time.Second)
			w.call(broker.ExchangeRequest{Return: claims})
			s.equal("job", s.get("a"), before)
			s.equal("history", s.history("a"), "queued.0 started.1 queued.0")
			s.equal("claims", ids(w.run(3)), "a b c")
			s.equal("stops", w.call(broker.ExchangeRequest{}).Stop, []broker.Claim(nil))
		}},
		{"does not return claims of others", func(s *suite) {
			s.add("a", "b")
			claims := refs(s.worker("w").take(2, 1))
			s.worker("w2").call(broker.ExchangeRequest{Return: claims})
			s.equal("statuses", s.statuses("a", "b"), "started queued")
			s.equal("order", s.order("default"), "")
		}},
		{"returns before it claims", func(s *suite) {
			s.add("a")
			w := s.worker("w")
			reply := w.call(broker.ExchangeRequest{Return: w.prefetch(1), Want: w.want(1, 1)})
			s.equal("claims", ids(refs(reply.Claims)), "a")
		}},
	}
}

func reconcileTests() []subtest {
	return []subtest{
		{"returns claims that never reached the worker, begun ones too, at no attempt", func(s *suite) {
			s.enqueue(job("a", retries(1)), job("b"), job("c"))
			w := s.worker("w")
			w.take(2, 1) // the reply is thrown away
			w.call(broker.ExchangeRequest{Reconcile: true})
			got := s.get("a")
			s.equal("status", got.Status, distro.StatusQueued)
			s.equal("attempt", got.Attempt, 0)
			s.equal("retries left", got.RetriesLeft, 1)
			s.equal("started", got.StartedAt, time.Time{})
			s.equal("worker", got.Worker, "")
			s.equal("history", s.history("a"), "queued.0 started.1 queued.0")
			s.equal("order", s.order("default"), "a b c")
		}},
		{"leaves the job as the attempt before left it", func(s *suite) {
			s.enqueue(job("a", retries(1)))
			w := s.worker("w")
			w.settle(distro.OutcomeFailed, w.run(1)...)
			before := s.get("a")
			s.clock.Advance(time.Second)
			w2 := s.worker("w2")
			w2.run(1)
			w2.call(broker.ExchangeRequest{Reconcile: true})
			s.equal("job", s.get("a"), before)
		}},
		{"keeps the claims that are held", func(s *suite) {
			s.add("a", "b")
			w := s.worker("w")
			claims := refs(w.take(2, 1))
			reply := w.call(broker.ExchangeRequest{Reconcile: true, Held: claims})
			s.equal("lost", reply.Lost, []broker.Claim(nil))
			s.equal("begun", w.call(broker.ExchangeRequest{Begin: claims}).Begun, []int{1, 1})
		}},
		{"answers held claims that are not the worker's any more in Lost", func(s *suite) {
			s.add("a", "b")
			w := s.worker("w")
			claims := w.prefetch(2)
			s.done(broker.ActionCancel, "a")
			forged := broker.Claim{JobID: "b", Token: "forged"}
			reply := w.call(broker.ExchangeRequest{Reconcile: true, Held: append(claims, forged)})
			s.equal("lost", reply.Lost, []broker.Claim{claims[0], forged})
		}},
		{"compares after Settle and Return were applied", func(s *suite) {
			s.add("a", "b", "c")
			w := s.worker("w")
			claims := refs(w.take(3, 1))
			reply := w.call(broker.ExchangeRequest{
				Settle: settlements(distro.OutcomeFinished, claims[0]), Return: claims[1:2],
				Reconcile: true, Held: claims,
			})
			s.equal("settled", reply.Settled, []broker.SettleStatus{broker.SettleDone})
			s.equal("lost", reply.Lost, claims[:2])
			s.equal("order", s.order("default"), "b")
		}},
		{"does not take what the same call claims", func(s *suite) {
			s.add("a")
			w := s.worker("w")
			reply := w.call(broker.ExchangeRequest{Reconcile: true, Want: w.want(1, 1)})
			s.equal("claims", ids(refs(reply.Claims)), "a")
			s.equal("status", s.statuses("a"), "started")
		}},
		{"leaves the claims of other workers alone", func(s *suite) {
			s.add("a")
			s.worker("w1").run(1)
			s.worker("w2").call(broker.ExchangeRequest{Reconcile: true})
			s.equal("status", s.statuses("a"), "started")
		}},
	}
}
