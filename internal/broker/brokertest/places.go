package brokertest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// places lists a part of a list and returns its IDs.
func (s *suite) places(q broker.PlaceQuery) string {
	s.Helper()
	page, err := s.broker.Places(s.ctx, q)
	s.ok(err)
	var list []string
	for _, p := range page.Places {
		if p.Gone {
			s.Errorf("%s is gone", p.Job.ID)
		}
		list = append(list, p.Job.ID)
	}
	return strings.Join(list, " ")
}

// standing is a whole list.
func (s *suite) standing(status distro.Status) string {
	s.Helper()
	return s.places(broker.PlaceQuery{Queue: "default", Status: status, Limit: broker.MaxPage})
}

func placeTests() []subtest {
	return []subtest{
		{"lists queued jobs from the front of the queue on, scheduled ones by due time", func(s *suite) {
			s.add("a", "b", "c")
			at := s.clock.Now()
			for id, n := range map[string]int{"third": 30, "first": 10, "second": 20} {
				s.enqueue(job(id, dueAt(at.Add(time.Duration(n)*time.Second))))
			}
			s.enqueue(job("x", onQueue("other")))
			s.done(broker.ActionRunFirst, "c")
			s.equal("queued", s.standing(distro.StatusQueued), "c a b")
			s.equal("scheduled", s.standing(distro.StatusScheduled), "first second third")
		}},
		{"has each job in the list of its status, stopped ones among the failed, claimed ones in none", func(s *suite) {
			s.everyStatus()
			for status, want := range map[distro.Status]string{
				distro.StatusQueued: "queued", distro.StatusStarted: "started", distro.StatusScheduled: "scheduled",
				distro.StatusFinished: "finished", distro.StatusFailed: "failed stopped", distro.StatusCanceled: "canceled", distro.StatusDeferred: "",
			} {
				got := strings.Fields(s.standing(status))
				slices.Sort(got)
				s.equal(string(status), strings.Join(got, " "), want)
			}
		}},
		{"has exactly Limit entries on every page but the last, in both orders, and the pages joined are the list", func(s *suite) {
			const jobs = 53
			for i := range jobs {
				s.enqueue(job(fmt.Sprintf("%02d", i), calling([]string{"m.f", "m.g", "m.h"}[i*i%3])))
			}
			w := s.worker("w")
			for claims := w.run(broker.MaxExchange); len(claims) > 0; claims = w.run(broker.MaxExchange) {
				w.settle(distro.OutcomeFailed, claims...)
				s.clock.Advance(time.Second)
			}
			for i := range jobs {
				s.add(fmt.Sprint("q", i))
			}
			for _, status := range []distro.Status{distro.StatusFailed, distro.StatusQueued} {
				whole := strings.Fields(s.standing(status))
				s.equal("entries", len(whole), jobs)
				for _, limit := range []int{1, 7, 52, 53, 54} {
					for _, backward := range []bool{false, true} {
						s.pages(broker.PlaceQuery{Queue: "default", Status: status, Backward: backward, Limit: limit}, whole)
					}
				}
			}
		}},
		{"describes the call and says how the last attempt ended, without Payload.Data", func(s *suite) {
			const long = "Traceback (most recent call last):\n"
			s.add("a", "b", "c")
			w := s.worker("w")
			list := settlements(distro.OutcomeFailed, w.run(2)...)
			list[0].Result.Failure = &distro.Failure{Kind: distro.FailureException, Type: "ValueError", Message: "no", Traceback: long + "ValueError: no\n"}
			list[1].Result.Failure = &distro.Failure{
				Kind: distro.FailureException, Type: "ValueError", Message: "no",
				Traceback: long + strings.Repeat("  line\n", broker.MaxTraceback) + "ValueError: no\n",
			}
			w.call(broker.ExchangeRequest{Settle: list})
			for _, status := range []distro.Status{distro.StatusFailed, distro.StatusQueued} {
				page, err := s.broker.Places(s.ctx, broker.PlaceQuery{Queue: "default", Status: status})
				s.ok(err)
				for _, p := range page.Places {
					want := s.get(p.Job.ID)
					want.Payload.Data = nil
					if want.Result != nil {
						want.Result = shownResult(want.Result)
					}
					s.equal(want.ID, p.Job, want)
					s.equal("description of "+want.ID, p.Job.Description, "report.build()")
				}
			}
		}},
		{"counts the whole list, also where a page lies behind its end", func(s *suite) {
			s.add("a", "b")
			for offset, want := range map[int]int{0: 2, 1: 1, 2: 0, 1_000_000: 0} {
				page, err := s.broker.Places(s.ctx, broker.PlaceQuery{Queue: "default", Status: distro.StatusQueued, Offset: offset})
				s.ok(err)
				s.equal("entries and total", []int{len(page.Places), page.Total}, []int{want, 2})
			}
			page, err := s.broker.Places(s.ctx, broker.PlaceQuery{Queue: "none", Status: distro.StatusQueued, Backward: true})
			s.ok(err)
			s.equal("of no queue", page, broker.Places{})
		}},
		{"refuses lists that there are not", func(s *suite) {
			for _, q := range []broker.PlaceQuery{
				{Status: distro.StatusQueued}, {Queue: "q"}, {Queue: "q", Status: "odd"}, {Queue: "q", Status: distro.StatusStopped},
				{Queue: "q", Status: distro.StatusQueued, Offset: -1}, {Queue: "q", Status: distro.StatusQueued, Limit: broker.MaxPage + 1},
				{Queue: "q", Status: distro.StatusQueued, Offset: 1 << 62},
			} {
				_, err := s.broker.Places(s.ctx, q)
				s.equal(fmt.Sprint(q), distro.ErrorCode(err), distro.CodeInvalid)
			}
		}},
	}
}

func compactTests() []subtest {
	return []subtest{
		{"leaves a list as it is where no record is gone", func(s *suite) {
			s.everyStatus()
			s.add("a", "b", "c")
			for _, status := range []distro.Status{distro.StatusQueued, distro.StatusFailed, distro.StatusScheduled, distro.StatusFinished} {
				before := s.standing(status)
				s.equal("dropped", s.compact(status, 2), 0)
				s.equal(string(status), s.standing(status), before)
			}
			_, _, err := s.broker.Compact(s.ctx, "default", distro.StatusQueued, "x", 2)
			s.invalidCursor("Compact", "x", err)
			for _, status := range []distro.Status{"", distro.StatusStarted, distro.StatusStopped} {
				_, _, err := s.broker.Compact(s.ctx, "default", status, "", 2)
				s.equal("code", distro.ErrorCode(err), distro.CodeInvalid)
			}
		}},
	}
}

// compact walks to the end and returns how many entries it dropped.
func (s *suite) compact(status distro.Status, limit int) int {
	s.Helper()
	for dropped, cursor := 0, ""; ; {
		n, next, err := s.broker.Compact(s.ctx, "default", status, cursor, limit)
		s.ok(err)
		if dropped += n; next == "" {
			return dropped
		}
		cursor = next
	}
}

// pages joins all pages of q to the whole list.
func (s *suite) pages(q broker.PlaceQuery, whole []string) {
	s.Helper()
	want := slices.Clone(whole)
	if q.Backward {
		slices.Reverse(want)
	}
	for q.Offset = 0; q.Offset < len(want); q.Offset += q.Limit {
		part := want[q.Offset:min(q.Offset+q.Limit, len(want))]
		s.equal(fmt.Sprintf("%+v", q), s.places(q), strings.Join(part, " "))
	}
}
