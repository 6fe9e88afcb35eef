package brokertest

import (
	"bytes"
	"fmt"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

func enqueueTests() []subtest {
	return []subtest{
		{"stores new jobs to the back of their queue in their order", func(s *suite) {
			s.enqueue(job("a"), job("b"), job("x", onQueue("other")))
			s.enqueue(job("c"))
			s.equal("order", s.order("default"), "a b c")
			s.equal("other order", s.order("other"), "x")
		}},
		{"stores a job as scheduled when DueAt lies ahead", func(s *suite) {
			now := s.clock.Now()
			s.enqueue(job("past", dueAt(now.Add(-time.Hour))), job("now", dueAt(now)), job("ahead", dueAt(now.Add(time.Minute))))
			s.equal("statuses", s.statuses("past", "now", "ahead"), "queued queued scheduled")
			s.equal("due", s.get("ahead").DueAt, now.Add(time.Minute))
			s.equal("enqueued", s.get("ahead").EnqueuedAt, time.Time{})
			s.equal("due of a queued job", s.get("past").DueAt, time.Time{})
		}},
		{"keeps every field that describes the call and its policy", func(s *suite) {
			want := distro.Job{
				ID: "id_-1", Queue: "hoch größe", Function: "pkg.mod.Class.method", Fingerprint: "ü\x00'\"", Trigger: distro.TriggerCLI, Caller: "ana@10.0.0.7 ü",
				Payload: distro.Payload{
					Serializer: distro.SerializerPickle, // ("pkg.mod.Class.method", None, ("\xff",), {})
					Data:       []byte("\x80\x03(X\x14\x00\x00\x00pkg.mod.Class.methodNX\x02\x00\x00\x00\xc3\xbf\x85}t."),
				},
				Timeout: distro.Forever, TTL: time.Hour, ResultTTL: 500 * time.Second, FailureTTL: 8760 * time.Hour,
				RetriesLeft: 7, RetryIntervals: []time.Duration{time.Second, s.tick, 0},
			}
			s.enqueue(want)
			want.Status, want.CreatedAt, want.EnqueuedAt = distro.StatusQueued, s.clock.Now(), s.clock.Now()
			s.equal("job", s.get("id_-1"), want)
		}},
		{"keeps payloads of any size", func(s *suite) {
			for _, size := range []int{0, 1, 1023, 1024, 1025, 5000, 3 << 20} {
				id := fmt.Sprint("size-", size)
				data := make([]byte, size)
				for i := range data {
					data[i] = byte(i * 7)
				}
				s.enqueue(job(id, func(j *distro.Job) { j.Payload.Data = data }))
				s.equal(id, bytes.Equal(s.get(id).Payload.Data, data), true)
				claimed := s.worker("w").take(1, 1)
				s.equal("claimed "+id, bytes.Equal(claimed[0].Job.Payload.Data, data), true)
			}
		}},
		{"sets Status, Asked, Attempt, Result and the times but DueAt itself", func(s *suite) {
			old := s.clock.Now().Add(-time.Hour)
			s.enqueue(job("a", func(j *distro.Job) {
				j.Status, j.Asked, j.Attempt, j.Worker = distro.StatusFinished, 3, 9, "someone"
				j.Result = &distro.Result{Outcome: distro.OutcomeFinished}
				j.CreatedAt, j.EnqueuedAt, j.StartedAt, j.EndedAt = old, old, old, old
			}))
			want := job("a")
			want.Status, want.CreatedAt, want.EnqueuedAt = distro.StatusQueued, s.clock.Now(), s.clock.Now()
			s.equal("job", s.get("a"), want)
		}},
		{"answers EnqueueRepeated for an ID that exists when the fingerprints are equal", func(s *suite) {
			s.add("a")
			s.equal("results", s.enqueue(job("a", onQueue("elsewhere"))), []broker.EnqueueResult{broker.EnqueueRepeated})
			s.equal("queue", s.get("a").Queue, "default")
			s.equal("order", s.order("default"), "a")
		}},
		{"answers EnqueueConflict for an ID that exists when the fingerprints differ or are empty", func(s *suite) {
			blank := func(j *distro.Job) { j.Fingerprint = "" }
			s.enqueue(job("a"), job("b", blank))
			other := job("a", func(j *distro.Job) { j.Fingerprint = "another" })
			s.equal("results", s.enqueue(other, job("b", blank), job("a", blank)),
				[]broker.EnqueueResult{broker.EnqueueConflict, broker.EnqueueConflict, broker.EnqueueConflict})
		}},
		{"stores the others all the same", func(s *suite) {
			s.add("a")
			s.equal("results", s.enqueue(job("b"), job("a"), job("c")),
				[]broker.EnqueueResult{broker.Enqueued, broker.EnqueueRepeated, broker.Enqueued})
			s.equal("order", s.order("default"), "a b c")
		}},
		{"counts the first of two jobs with one ID in a call", func(s *suite) {
			s.equal("results", s.enqueue(job("a"), job("a", onQueue("other"))),
				[]broker.EnqueueResult{broker.Enqueued, broker.EnqueueRepeated})
			s.equal("queue", s.get("a").Queue, "default")
		}},
		{"recognizes a repetition after the job ended", func(s *suite) {
			s.add("a")
			w := s.worker("w")
			w.settle(distro.OutcomeFinished, w.run(1)...)
			s.equal("results", s.enqueue(job("a")), []broker.EnqueueResult{broker.EnqueueRepeated})
			s.equal("status", s.statuses("a"), "finished")
		}},
		{"refuses more than MaxEnqueue jobs and stores none of them", func(s *suite) {
			jobs := make([]distro.Job, broker.MaxEnqueue+1)
			for i := range jobs {
				jobs[i] = job(fmt.Sprint("j", i))
			}
			_, err := s.broker.Enqueue(s.ctx, jobs)
			s.equal("code", distro.ErrorCode(err), distro.CodeInvalid)
			s.equal("first", s.statuses("j0"), "-")
			s.enqueue(jobs[1:]...)
			s.equal("last", s.statuses("j500"), "queued")
		}},
	}
}

func claimTests() []subtest {
	return []subtest{
		{"takes strictly in the order of Queues and first in first out within a queue", func(s *suite) {
			s.enqueue(job("l1", onQueue("low")), job("h1", onQueue("high")), job("l2", onQueue("low")), job("h2", onQueue("high")))
			w := s.worker("w")
			s.equal("first", ids(w.run(3, "high", "none", "low")), "h1 h2 l1")
			s.enqueue(job("h3", onQueue("high")))
			s.equal("then", ids(w.run(3, "high", "low")), "h3 l2")
		}},
		{"begins as many as Begun says, the first ones, and prefetches the others", func(s *suite) {
			s.add("a", "b", "c")
			claims := s.worker("w").take(3, 2)
			var begun []bool
			for _, c := range claims {
				begun = append(begun, c.Begun)
			}
			s.equal("begun", begun, []bool{true, true, false})
			s.equal("statuses", s.statuses("a", "b", "c"), "started started queued")
		}},
		{"hands out the job with its payload and the attempt it spends", func(s *suite) {
			s.enqueue(job("a", retries(2, time.Second)))
			s.clock.Advance(time.Second)
			got := s.worker("w").take(1, 1)[0].Job
			want := job("a", retries(2, time.Second))
			want.Status, want.Attempt, want.Worker = distro.StatusStarted, 1, "w"
			want.CreatedAt = s.clock.Now().Add(-time.Second)
			want.EnqueuedAt, want.StartedAt = want.CreatedAt, s.clock.Now()
			s.equal("claimed", got, want)
			s.equal("stored", s.get("a"), want)
		}},
		{"answers claims in the order of Tokens, at most as many", func(s *suite) {
			s.add("a", "b", "c")
			w := s.worker("w")
			want := w.want(2, 1)
			reply := w.call(broker.ExchangeRequest{Want: want})
			s.equal("claims", refs(reply.Claims), []broker.Claim{{JobID: "a", Token: want.Tokens[0]}, {JobID: "b", Token: want.Tokens[1]}})
		}},
		{"keeps a prefetched job from others without changing its status", func(s *suite) {
			s.add("a")
			s.worker("w1").prefetch(1)
			s.equal("others", ids(s.worker("w2").run(1)), "")
			s.equal("status", s.statuses("a"), "queued")
			s.equal("attempt", s.get("a").Attempt, 0)
			s.equal("history", s.history("a"), "queued.0")
		}},
		{"settles before it claims, in one step", func(s *suite) {
			s.enqueue(job("a", retries(1)))
			w := s.worker("w")
			claims := w.run(1)
			reply := w.call(broker.ExchangeRequest{Settle: settlements(distro.OutcomeFailed, claims...), Want: w.want(1, 1)})
			s.equal("claims", ids(refs(reply.Claims)), "a")
			s.equal("attempt", reply.Claims[0].Job.Attempt, 2)
		}},
		{"refuses more than MaxExchange claims or settlements, empty tokens, unknown outcomes and nameless workers", func(s *suite) {
			s.add("a")
			w := s.worker("w")
			for name, req := range map[string]broker.ExchangeRequest{
				"claims":      {Want: w.want(broker.MaxExchange+1, 0)},
				"token":       {Want: broker.Want{Queues: []string{"default"}, Tokens: []string{""}}},
				"settlements": {Settle: make([]broker.Settlement, broker.MaxExchange+1)},
				"outcome":     {Settle: settlements("exploded", broker.Claim{JobID: "a", Token: "t"})},
			} {
				_, err := w.try(req)
				s.equal(name, distro.ErrorCode(err), distro.CodeInvalid)
			}
			_, err := s.worker("").try(broker.ExchangeRequest{})
			s.equal("name", distro.ErrorCode(err), distro.CodeInvalid)
			s.equal("status", s.statuses("a"), "queued")
		}},
		{"does not hand out a job that waited longer than its TTL", func(s *suite) {
			s.enqueue(job("a", waiting(time.Minute)), job("b"), job("c", waiting(time.Hour)))
			s.clock.Advance(time.Minute)
			s.equal("claims", ids(s.worker("w").run(2)), "b c")
			s.equal("expired", s.statuses("a"), "-")
			s.equal("history", s.history("a"), "queued.0 deleted.0")
		}},
	}
}
