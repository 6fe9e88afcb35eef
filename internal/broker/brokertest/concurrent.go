package brokertest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// soon is how long a test waits for what has to happen at once.
const soon = 20 * time.Second

// woken waits for an interest while change makes it come about. Whether the
// waiter sleeps by then does not matter: a broker that misses the change either
// way does not return in time.
func (s *suite) woken(in broker.Interest, change func()) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, soon)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.broker.Wait(ctx, in) }()
	change()
	s.ok(<-done)
}

func waitTests() []subtest {
	onDefault := broker.Interest{Queues: []string{"none", "default"}}
	return []subtest{
		{"returns when a job may be claimable", func(s *suite) {
			w := s.worker("w")
			s.woken(onDefault, func() { s.add("a") })
			claims := w.prefetch(1)
			s.woken(onDefault, func() { w.call(broker.ExchangeRequest{Return: claims}) })
			claims = w.run(1)
			w.settle(distro.OutcomeFailed, claims...)
			s.woken(onDefault, func() { s.done(broker.ActionRequeue, "a") })
			w.run(1)
			s.enqueue(job("later", dueAt(s.clock.Now().Add(time.Second))))
			s.clock.Advance(time.Second)
			s.woken(onDefault, func() { s.sweep() })
			w.run(1)
			s.enqueue(job("b", dueAt(s.clock.Now().Add(time.Hour))))
			s.woken(onDefault, func() { s.done(broker.ActionRunFirst, "b") })
		}},
		{"returns when a queue or all workers may go on", func(s *suite) {
			for _, queue := range []string{"default", ""} {
				s.ok(s.broker.SetPaused(s.ctx, queue, true))
				s.add("a" + queue)
				s.woken(onDefault, func() { s.ok(s.broker.SetPaused(s.ctx, queue, false)) })
			}
		}},
		{"returns when a stop for a job of the worker is new", func(s *suite) {
			s.add("a")
			w := s.worker("w")
			w.run(1)
			s.woken(broker.Interest{Worker: "w"}, func() { s.done(broker.ActionStop, "a") })
			s.equal("stops", len(w.call(broker.ExchangeRequest{}).Stop), 1)
		}},
		{"returns when something is due earlier than Sweep said", func(s *suite) {
			for _, delay := range []time.Duration{time.Hour, time.Minute, time.Second} {
				s.sweep()
				s.woken(broker.Interest{Due: true}, func() {
					s.enqueue(job(fmt.Sprint(delay), dueAt(s.clock.Now().Add(delay))))
				})
			}
		}},
		{"returns when the feed holds an entry behind Cursor", func(s *suite) {
			s.woken(broker.Interest{Feed: true}, func() { s.add("a") })
			cursor := s.changes()[0].Cursor
			s.woken(broker.Interest{Feed: true, Cursor: cursor}, func() { s.done(broker.ActionCancel, "a") })
		}},
		{"returns at once when it has come about before", func(s *suite) {
			s.add("a")
			s.ok(s.broker.Wait(s.ctx, onDefault))
			s.ok(s.broker.Wait(s.ctx, broker.Interest{Feed: true}))
			s.enqueue(job("b", dueAt(s.clock.Now().Add(time.Hour))))
			s.ok(s.broker.Wait(s.ctx, broker.Interest{Due: true}))
			s.worker("w").run(1)
			s.done(broker.ActionStop, "a")
			s.ok(s.broker.Wait(s.ctx, broker.Interest{Worker: "w"}))
		}},
		{"returns with ctx's error when ctx ends", func(s *suite) {
			ctx, cancel := context.WithCancelCause(s.ctx)
			done := make(chan error, 1)
			go func() { done <- s.broker.Wait(ctx, onDefault) }()
			cancel(nil)
			s.equal("error", <-done, context.Canceled)
		}},
		{"wakes whoever found nothing and waits, always", func(s *suite) {
			ctx, cancel := context.WithTimeout(s.ctx, soon)
			defer cancel()
			const rounds = 200
			claimed := make(chan string)
			go func() {
				defer close(claimed)
				w := s.worker("w")
				for range rounds {
					for {
						reply, err := w.try(broker.ExchangeRequest{Want: w.want(1, 1)})
						if err == nil && len(reply.Claims) == 1 {
							claimed <- reply.Claims[0].Job.ID
							break
						}
						if err == nil {
							err = s.broker.Wait(ctx, onDefault)
						}
						if err != nil {
							s.Errorf("wait for jobs: %v", err)
							return
						}
					}
				}
			}()
			for i := range rounds {
				s.add(fmt.Sprint(i))
				s.equal("claimed", <-claimed, fmt.Sprint(i))
			}
			<-claimed
		}},
	}
}

// together runs fn n times at once and waits for all.
func together(n int, fn func(i int)) {
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-begin
			fn(i)
		})
	}
	close(begin)
	wg.Wait()
}

func raceTests() []subtest {
	return []subtest{
		{"hands each job to exactly one of 64 claimers", claimRace},
		{"stores one of many jobs of one ID", func(s *suite) {
			var stored atomic.Int32
			together(16, func(i int) {
				results, err := s.broker.Enqueue(s.ctx, []distro.Job{job("a"), job(fmt.Sprint("own-", i))})
				if err == nil && results[0] == broker.Enqueued {
					stored.Add(1)
				}
			})
			s.equal("stored", stored.Load(), int32(1))
			s.equal("jobs", s.counts().Queues[0].Jobs, map[distro.Status]int{distro.StatusQueued: 17})
		}},
		{"records one of many settlements of one claim", func(s *suite) {
			s.add("a")
			claims := s.worker("w").run(1)
			var done atomic.Int32
			together(16, func(i int) {
				outcome := []distro.Outcome{distro.OutcomeFinished, distro.OutcomeFailed}[i%2]
				reply, err := s.broker.Exchange(s.ctx, broker.ExchangeRequest{
					Worker: distro.Worker{Name: "w"}, Beat: 1<<40 + uint64(i), Settle: settlements(outcome, claims...),
				})
				if err == nil && reply.Settled[0] == broker.SettleDone {
					done.Add(1)
				}
			})
			s.equal("recorded", done.Load(), int32(1))
			s.equal("entries", len(s.changes()), 3)
		}},
		{"lets either the begin or the cancel of a prefetched job win", func(s *suite) {
			for i := range 25 {
				id := fmt.Sprint(i)
				s.add(id)
				w := s.worker("w")
				claims := w.prefetch(1)
				var begun, canceled bool
				together(2, func(i int) {
					if i == 0 {
						reply, err := w.try(broker.ExchangeRequest{Begin: claims})
						begun = err == nil && reply.Begun[0] == 1
						return
					}
					errs, err := s.broker.Act(s.ctx, broker.ActionCancel, []string{id})
					canceled = err == nil && errs[0] == nil
				})
				s.equal("only one won", begun != canceled, true)
			}
		}},
		{"queues a due job once however many sweep", func(s *suite) {
			const jobs = 60
			for i := range jobs {
				s.enqueue(job(fmt.Sprint(i), dueAt(s.clock.Now().Add(time.Second))))
			}
			s.clock.Advance(time.Second)
			var due atomic.Int32
			together(8, func(int) {
				for more := true; more; {
					swept, err := s.broker.Sweep(s.ctx, 7)
					due.Add(int32(swept.Due))
					more = err == nil && swept.More
				}
			})
			s.equal("due", due.Load(), int32(jobs))
			s.equal("entries", len(s.changes()), 2*jobs)
		}},
	}
}

func claimRace(s *suite) {
	const claimers, jobs = 64, 640
	ctx, cancel := context.WithTimeout(s.ctx, 3*soon)
	defer cancel()
	var mu sync.Mutex
	runs := map[string]int{}
	ran := make(chan struct{}, jobs)
	claim := func(i int) {
		w := &worker{suite: &suite{T: s.T, ctx: ctx, broker: s.broker}, name: fmt.Sprint("w", i)}
		for {
			reply, err := w.try(broker.ExchangeRequest{Want: w.want(1+i%4, 4)})
			if err == nil && len(reply.Claims) == 0 {
				err = s.broker.Wait(ctx, broker.Interest{Queues: []string{"default"}})
			}
			if err == nil && len(reply.Claims) > 0 {
				_, err = w.try(broker.ExchangeRequest{Settle: settlements(distro.OutcomeFinished, refs(reply.Claims)...)})
			}
			if err != nil {
				return // the test is over
			}
			for _, c := range reply.Claims {
				mu.Lock()
				runs[c.Job.ID]++
				mu.Unlock()
				ran <- struct{}{}
			}
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { together(claimers, claim) })
	for i := 0; i < jobs; i += 8 {
		var list []distro.Job
		for n := range 8 {
			list = append(list, job(fmt.Sprint("job-", i+n)))
		}
		s.enqueue(list...)
	}
	for range jobs {
		select {
		case <-ran:
		case <-ctx.Done():
			s.Fatalf("%d of %d jobs ran in time", len(runs), jobs)
		}
	}
	cancel()
	wg.Wait()
	for id, n := range runs {
		if n != 1 {
			s.Errorf("job %s ran %d times", id, n)
		}
	}
	s.equal("jobs that ran", len(runs), jobs)
	s.equal("counts", s.counts().Queues[0].Jobs, map[distro.Status]int{distro.StatusFinished: jobs})
}
