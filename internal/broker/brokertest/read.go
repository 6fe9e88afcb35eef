package brokertest

import (
	"fmt"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// page lists one page and returns the IDs of its jobs.
func (s *suite) page(q broker.ListQuery) (string, string) {
	s.Helper()
	page, err := s.broker.List(s.ctx, q)
	s.ok(err)
	list := make([]string, 0, len(page.Jobs))
	for _, j := range page.Jobs {
		list = append(list, j.ID)
	}
	return strings.Join(list, " "), page.Next
}

func listTests() []subtest {
	return []subtest{
		{"gets the jobs that exist, in the order asked for", func(s *suite) {
			s.add("a", "b", "c")
			jobs, err := s.broker.Get(s.ctx, []string{"c", "missing", "a", "c"})
			s.ok(err)
			var got []string
			for _, j := range jobs {
				got = append(got, j.ID)
			}
			s.equal("jobs", got, []string{"c", "a", "c"})
		}},
		{"lists jobs newest first, without Payload.Data and Result", func(s *suite) {
			s.add("a", "b", "c")
			w := s.worker("w")
			w.settle(distro.OutcomeFinished, w.run(1)...)
			page, err := s.broker.List(s.ctx, broker.ListQuery{})
			s.ok(err)
			s.equal("number", len(page.Jobs), 3)
			s.equal("next", page.Next, "")
			for i, id := range []string{"c", "b", "a"} {
				want := s.get(id)
				want.Payload.Data, want.Result = nil, nil
				s.equal(id, page.Jobs[i], want)
			}
		}},
		{"selects by queue, status and function in every combination", func(s *suite) {
			for i := range 24 {
				s.enqueue(job(fmt.Sprintf("%02d", i), onQueue([]string{"q", "r"}[i%2]), calling([]string{"m.f", "m.g", "m.h"}[i/2%3])))
			}
			w := s.worker("w")
			w.settle(distro.OutcomeFailed, w.run(8, "r")...)
			everything, err := s.broker.List(s.ctx, broker.ListQuery{})
			s.ok(err)
			for n := range 8 {
				for _, function := range []string{"m.f", "m.h", "none"} {
					q := broker.ListQuery{Limit: 3}
					if n&1 != 0 {
						q.Queue = "r"
					}
					if n&2 != 0 {
						q.Status = distro.StatusFailed
					}
					if n&4 != 0 {
						q.Function = function
					}
					var want, got []string
					for _, j := range everything.Jobs {
						if selects(q, &j) {
							want = append(want, j.ID)
						}
					}
					for {
						part, next := s.page(q)
						got = append(got, strings.Fields(part)...)
						if q.Cursor = next; next == "" {
							break
						}
					}
					s.equal(fmt.Sprint(q), got, want)
				}
			}
		}},
		{"answers an empty page for names that no job has", func(s *suite) {
			s.add("a")
			for _, q := range []broker.ListQuery{{Queue: "none"}, {Function: "none"}, {Status: distro.StatusDeferred}} {
				got, next := s.page(q)
				s.equal("page", got+next, "")
			}
		}},
	}
}

func pageTests() []subtest {
	return []subtest{
		{"joins pages by their cursors to every job that matched throughout, exactly once", func(s *suite) {
			for i := range 40 {
				s.add(fmt.Sprintf("%02d", i))
			}
			w := s.worker("w")
			seen := map[string]int{}
			q := broker.ListQuery{Queue: "default", Limit: 7}
			for n := 0; ; n++ {
				part, next := s.page(q)
				for _, id := range strings.Fields(part) {
					seen[id]++
				}
				if q.Cursor = next; next == "" {
					break
				}
				// Between two pages jobs come, go, and change their status.
				s.add(fmt.Sprint("new", n))
				s.done(broker.ActionDelete, fmt.Sprintf("%02d", n), fmt.Sprintf("%02d", 39-n))
				w.settle(distro.OutcomeFinished, w.run(2)...)
			}
			for i := range 40 {
				id := fmt.Sprintf("%02d", i)
				if n := seen[id]; n > 1 || n == 0 && s.statuses(id) != "-" {
					s.Errorf("job %s was listed %d times", id, n)
				}
			}
		}},
		{"takes limits from 1 to MaxPage, and 50 when none is given", func(s *suite) {
			jobs := make([]distro.Job, broker.MaxEnqueue)
			for i := range jobs {
				jobs[i] = job(fmt.Sprint(i))
			}
			s.enqueue(jobs...)
			s.add("last")
			for limit, want := range map[int]int{1: 1, 0: 50, broker.MaxPage: broker.MaxPage} {
				got, _ := s.page(broker.ListQuery{Limit: limit, Function: "report.build"})
				s.equal("jobs of a page", len(strings.Fields(got)), want)
			}
			for _, limit := range []int{-1, broker.MaxPage + 1} {
				_, err := s.broker.List(s.ctx, broker.ListQuery{Limit: limit})
				s.equal("code", distro.ErrorCode(err), distro.CodeInvalid)
			}
		}},
	}
}

func (s *suite) counts() broker.Counts {
	s.Helper()
	c, err := s.broker.Counts(s.ctx)
	s.ok(err)
	return c
}

func countTests() []subtest {
	return []subtest{
		{"counts the jobs of every queue by status, by the names of the queues", func(s *suite) {
			s.enqueue(job("z", onQueue("zoo")), job("a1", onQueue("a")))
			at := s.clock.Now()
			s.everyStatus()
			s.equal("counts", s.counts(), broker.Counts{Queues: []distro.QueueInfo{
				{Name: "a", Jobs: map[distro.Status]int{distro.StatusQueued: 1}, OldestAt: at},
				{Name: "default", OldestAt: at, Jobs: map[distro.Status]int{
					distro.StatusScheduled: 1, distro.StatusQueued: 2, distro.StatusStarted: 1, distro.StatusFinished: 1,
					distro.StatusFailed: 1, distro.StatusStopped: 1, distro.StatusCanceled: 1,
				}},
				{Name: "zoo", Jobs: map[distro.Status]int{distro.StatusQueued: 1}, OldestAt: at},
			}})
		}},
		{"leaves out queues that hold no job and are not paused", func(s *suite) {
			s.add("a")
			s.done(broker.ActionDelete, "a")
			s.equal("counts", s.counts(), broker.Counts{})
			s.ok(s.broker.SetPaused(s.ctx, "never seen", true))
			s.equal("counts", s.counts(), broker.Counts{Queues: []distro.QueueInfo{{Name: "never seen", Paused: true}}})
		}},
		{"says since when the job waits that waits longest", func(s *suite) {
			start := s.clock.Now()
			oldest := func() time.Duration {
				if at := s.counts().Queues[0].OldestAt; !at.IsZero() {
					return at.Sub(start)
				}
				return -1
			}
			for _, id := range []string{"a", "b", "c"} {
				s.add(id)
				s.clock.Advance(time.Second)
			}
			s.equal("of three", oldest(), time.Duration(0))
			s.done(broker.ActionRunFirst, "c")
			s.equal("one run first", oldest(), time.Duration(0))
			w := s.worker("w")
			claims := w.prefetch(2)
			s.equal("two claimed", oldest(), time.Second)
			w.prefetch(1)
			s.equal("all claimed", oldest(), time.Duration(-1))
			w.call(broker.ExchangeRequest{Return: claims})
			s.equal("two returned", oldest(), time.Duration(0))
		}},
		{"claims nothing from a paused queue and everything else goes on", func(s *suite) {
			s.enqueue(job("a"), job("b"), job("x", onQueue("other")))
			w := s.worker("w")
			begun, prefetched := w.run(1), w.prefetch(1)
			s.ok(s.broker.SetPaused(s.ctx, "default", true))
			s.add("c")
			reply := w.call(broker.ExchangeRequest{
				Begin: prefetched, Settle: settlements(distro.OutcomeFinished, begun...), Want: w.want(3, 3, "default", "other"),
			})
			s.equal("claims", ids(refs(reply.Claims)), "x")
			s.equal("statuses", s.statuses("a", "b", "c"), "finished started queued")
			s.equal("paused", s.counts().Queues[0].Paused, true)
			s.ok(s.broker.SetPaused(s.ctx, "default", false))
			s.equal("claims", ids(w.run(1)), "c")
		}},
		{"suspends all workers with queue \"\"", func(s *suite) {
			s.add("a")
			s.ok(s.broker.SetPaused(s.ctx, "", true))
			s.ok(s.broker.SetPaused(s.ctx, "", true))
			s.equal("suspended", s.counts().Suspended, true)
			s.equal("claims", ids(s.worker("w").run(1)), "")
			s.ok(s.broker.SetPaused(s.ctx, "", false))
			s.ok(s.broker.SetPaused(s.ctx, "", false))
			s.equal("suspended", s.counts().Suspended, false)
			s.equal("claims", ids(s.worker("w").run(1)), "a")
		}},
	}
}

// empty walks to the end and returns how many jobs it deleted.
func (s *suite) empty(queue, cursor string, limit int) int {
	s.Helper()
	for sum := 0; ; {
		n, next, err := s.broker.Empty(s.ctx, queue, cursor, limit)
		s.ok(err)
		if n > limit {
			s.Fatalf("deleted %d jobs in a step of %d", n, limit)
		}
		if sum += n; next == "" {
			return sum
		}
		cursor = next
	}
}

func emptyTests() []subtest {
	return []subtest{
		{"deletes the jobs that stood in the waiting list, in steps of at most limit", func(s *suite) {
			for i := range 10 {
				s.add(fmt.Sprint(i))
			}
			s.enqueue(job("x", onQueue("other")))
			n, next, err := s.broker.Empty(s.ctx, "default", "", 4)
			s.ok(err)
			s.equal("first step", n, 4)
			s.equal("the others", s.empty("default", next, 4), 6)
			s.equal("counts", s.counts().Queues, []distro.QueueInfo{
				{Name: "other", Jobs: map[distro.Status]int{distro.StatusQueued: 1}, OldestAt: s.clock.Now()},
			})
			s.equal("history", s.history("0"), "queued.0 deleted.0")
		}},
		{"leaves jobs that are claimed, started, scheduled or ended", func(s *suite) {
			s.everyStatus()
			s.equal("deleted", s.empty("default", "", 100), 1)
			s.equal("statuses", s.statuses("queued", "prefetched", "started", "scheduled", "finished", "failed", "stopped", "canceled"),
				"- queued started scheduled finished failed stopped canceled")
		}},
		{"leaves jobs that joined the waiting list after the walk began", func(s *suite) {
			s.add("claimed", "a", "b", "c", "d")
			s.enqueue(job("scheduled", dueAt(s.clock.Now().Add(time.Hour))), job("due", dueAt(s.clock.Now().Add(time.Second))))
			w := s.worker("w")
			claims := w.prefetch(1)
			_, next, err := s.broker.Empty(s.ctx, "default", "", 2)
			s.ok(err)
			s.add("new")
			w.call(broker.ExchangeRequest{Return: claims})
			s.done(broker.ActionRunFirst, "scheduled", "d")
			s.clock.Advance(time.Second)
			s.sweep()
			s.equal("deleted", s.empty("default", next, 2), 2)
			s.equal("statuses", s.statuses("a", "b", "c", "d"), "- - - -")
			s.equal("order", s.order("default"), "scheduled claimed new due")
		}},
		{"is over at once in a queue where nothing waits", func(s *suite) {
			n, next, err := s.broker.Empty(s.ctx, "none", "", 10)
			s.ok(err)
			s.equal("answer", fmt.Sprint(n)+next, "0")
		}},
	}
}

func feedTests() []subtest {
	return []subtest{
		{"tells every change of a job's status in the order it happened", func(s *suite) {
			s.enqueue(job("a", retries(1, time.Second)))
			w := s.worker("w")
			first := w.run(1)
			w.settle(distro.OutcomeFailed, first...)
			s.clock.Advance(time.Second)
			s.sweep()
			second := w.run(1)
			w.settle(distro.OutcomeFinished, second...)
			at := s.clock.Now().Add(-time.Second)
			want := []distro.Change{
				{Status: distro.StatusQueued, At: at},
				{Status: distro.StatusStarted, Attempt: 1, Token: first[0].Token, At: at},
				{Status: distro.StatusScheduled, Outcome: distro.OutcomeFailed, Attempt: 1, Token: first[0].Token, At: at},
				{Status: distro.StatusQueued, Attempt: 1, At: s.clock.Now()},
				{Status: distro.StatusStarted, Attempt: 2, Token: second[0].Token, At: s.clock.Now()},
				{Status: distro.StatusFinished, Outcome: distro.OutcomeFinished, Attempt: 2, Token: second[0].Token, At: s.clock.Now()},
			}
			got := s.changes()
			for i := range want {
				want[i].JobID, want[i].Queue = "a", "default"
			}
			for i := range got {
				got[i].Cursor = ""
			}
			s.equal("feed", got, want)
		}},
		{"reads behind the cursor, at most limit", func(s *suite) {
			s.add("a", "b", "c")
			first, err := s.broker.Changes(s.ctx, "", 2)
			s.ok(err)
			s.equal("number", len(first), 2)
			rest, err := s.broker.Changes(s.ctx, first[1].Cursor, 2)
			s.ok(err)
			s.equal("number", len(rest), 1)
			s.equal("job", rest[0].JobID, "c")
			again, err := s.broker.Changes(s.ctx, first[0].Cursor, 1)
			s.ok(err)
			s.equal("again", again, first[1:])
			none, err := s.broker.Changes(s.ctx, rest[0].Cursor, 2)
			s.ok(err)
			s.equal("none", len(none), 0)
		}},
		{"has its end behind everything that changed before", func(s *suite) {
			s.equal("end of an empty feed", s.feedEnd(), "")
			s.add("a", "b")
			all, end := s.changes(), s.feedEnd()
			s.equal("end", end, all[len(all)-1].Cursor)
			s.add("c")
			behind, err := s.broker.Changes(s.ctx, end, 2)
			s.ok(err)
			s.equal("number", len(behind), 1)
			s.equal("job", behind[0].JobID, "c")
		}},
		{"answers ErrCursorLost for a cursor that was trimmed away", func(s *suite) {
			s.add("first")
			old := s.changes()[0].Cursor
			for range 2*s.keep/broker.MaxEnqueue + 2 {
				jobs := make([]distro.Job, broker.MaxEnqueue)
				for i := range jobs {
					s.tokens++
					jobs[i] = job(fmt.Sprint("j", s.tokens))
				}
				s.enqueue(jobs...)
			}
			s.sweepAll()
			_, err := s.broker.Changes(s.ctx, old, 1)
			s.equal("error", err, broker.ErrCursorLost)
			kept := s.changes()
			if len(kept) < s.keep {
				s.Errorf("kept %d entries, want at least %d", len(kept), s.keep)
			}
			s.equal("newest", kept[len(kept)-1].JobID, fmt.Sprint("j", s.tokens))
			_, err = s.broker.Changes(s.ctx, kept[0].Cursor, 1)
			s.ok(err)
			s.ok(s.broker.Wait(s.ctx, broker.Interest{Feed: true, Cursor: old}))
		}},
		{"refuses cursors that it never gave", func(s *suite) {
			s.add("a", "b")
			page, err := s.broker.List(s.ctx, broker.ListQuery{Limit: 1})
			s.ok(err)
			_, walk, err := s.broker.Empty(s.ctx, "default", "", 1)
			s.ok(err)
			for _, cursor := range []string{"x", "-1", "' OR 1=1", "\x00", "99999999999999999999999", page.Next + "x", walk + " "} {
				_, err := s.broker.List(s.ctx, broker.ListQuery{Cursor: cursor})
				s.invalidCursor("List", cursor, err)
				_, err = s.broker.Changes(s.ctx, cursor, 1)
				s.invalidCursor("Changes", cursor, err)
				_, _, err = s.broker.Empty(s.ctx, "default", cursor, 1)
				s.invalidCursor("Empty", cursor, err)
				s.invalidCursor("Wait", cursor, s.broker.Wait(s.ctx, broker.Interest{Feed: true, Cursor: cursor}))
			}
		}},
	}
}

func (s *suite) invalidCursor(call, cursor string, err error) {
	s.Helper()
	if e, ok := err.(*distro.Error); !ok || e.Code != distro.CodeInvalid || e.Field != "cursor" {
		s.Errorf("%s with cursor %q: got %v, want an invalid cursor", call, cursor, err)
	}
}
