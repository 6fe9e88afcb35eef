package redisbroker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/brokertest"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
	"github.com/distro-orchestrator/distro/internal/redistest"
)

// bundle is a broker, its clock, and a connection beside it.
type bundle struct {
	*testing.T
	broker *redisbroker.Broker
	clock  *brokertest.Clock
	redis  *redistest.Conn
	url    string
}

func setup(t *testing.T) *bundle {
	t.Helper()
	url, clock := server.DB(t), brokertest.NewClock()
	return &bundle{T: t, broker: open(t, redisbroker.Options{URL: url, Clock: clock}), clock: clock, redis: server.Conn(t, url), url: url}
}

// do runs a command of Redis that must not fail.
func (b *bundle) do(args ...string) any {
	b.Helper()
	answer := b.redis.Do(args...)
	if err, failed := answer.(redistest.Error); failed {
		b.Fatalf("%q: %v", args, err)
	}
	return answer
}

func call(id, queue string) distro.Job {
	return distro.Job{
		ID: id, Queue: queue, Function: "m.f", Timeout: time.Minute, ResultTTL: distro.Forever, FailureTTL: distro.Forever,
		Payload: distro.Payload{Serializer: distro.SerializerJSON, Data: []byte(`["m.f", null, [], {}]`)},
	}
}

// enqueue makes jobs id 0 to n-1 of a prefix.
func (b *bundle) enqueue(prefix, queue string, n int) []string {
	b.Helper()
	var ids []string
	for i := range n {
		ids = append(ids, fmt.Sprintf("%s%05d", prefix, i))
	}
	for part := range slices.Chunk(ids, broker.MaxEnqueue) {
		var jobs []distro.Job
		for _, id := range part {
			jobs = append(jobs, call(id, queue))
		}
		if _, err := b.broker.Enqueue(b.Context(), jobs); err != nil {
			b.Fatal(err)
		}
		b.clock.Advance(time.Millisecond)
	}
	return ids
}

func (b *bundle) page(q broker.ListQuery) (ids []string, next string) {
	b.Helper()
	page, err := b.broker.List(b.Context(), q)
	if err != nil {
		b.Fatal(err)
	}
	for _, j := range page.Jobs {
		ids = append(ids, j.ID)
	}
	return ids, page.Next
}

// pages reads a list to its end; between runs between two pages.
func (b *bundle) pages(q broker.ListQuery, between func(page int)) []string {
	b.Helper()
	var all []string
	for n := 0; ; n++ {
		ids, next := b.page(q)
		all = append(all, ids...)
		if q.Cursor = next; next == "" {
			return all
		}
		if between != nil {
			between(n)
		}
	}
}

// once checks that each of want was listed once.
func (b *bundle) once(listed, want []string) {
	b.Helper()
	times := map[string]int{}
	for _, id := range listed {
		times[id]++
	}
	var wrong []string
	for _, id := range want {
		if times[id] != 1 {
			wrong = append(wrong, fmt.Sprintf("%s×%d", id, times[id]))
		}
	}
	if len(wrong) > 0 {
		b.Errorf("%d of %d jobs were not listed once: %s", len(wrong), len(want), strings.Join(wrong[:min(len(wrong), 20)], " "))
	}
}

// many is more jobs than are sorted for a list.
const many = 5500

func reversed(ids []string) []string {
	ids = slices.Clone(ids)
	slices.Reverse(ids)
	return ids
}

func TestALongQueueIsListedFromItsBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	want := reversed(b.enqueue("j", "q", many))
	for _, q := range []broker.ListQuery{{}, {Queue: "q"}, {Status: distro.StatusQueued}, {Queue: "q", Function: "m.f"}} {
		q.Limit = broker.MaxPage
		if diff := cmp.Diff(want, b.pages(q, nil)); diff != "" {
			t.Fatalf("%+v (-want +got):\n%s", q, diff)
		}
	}
	if got := b.pages(broker.ListQuery{Function: "none", Limit: 1}, nil); len(got) > 0 {
		t.Errorf("listed %d jobs of another function", len(got))
	}
}

func TestALongListHoldsEveryJobThatStayedOnceWhileOthersComeAndGo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := b.enqueue("j", "q", many)
	gone := map[string]bool{}
	listed := b.pages(broker.ListQuery{Queue: "q", Limit: 487}, func(page int) {
		b.enqueue(fmt.Sprintf("new%d-", page), "q", 700*(page%3))
		for i := range 40 { // claimed from the front, and deleted anywhere, also the last ones that were listed
			gone[b.do("LPOP", "rq:queue:q").(string)] = true
			id := ids[max(len(ids)-487*(page+1)+i-20, 0)]
			gone[id] = true
			b.do("LREM", "rq:queue:q", "1", id)
		}
	})
	var stayed []string
	for _, id := range ids {
		if !gone[id] {
			stayed = append(stayed, id)
		}
	}
	b.once(listed, stayed)
}

func TestALongListIsFoundAgainWhenTheJobsAroundItsPlaceAreGone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var ids []string
	for n := range many / 500 { // enqueued at different times, so the place can be told
		ids = append(ids, b.enqueue(fmt.Sprintf("j%02d-", n), "q", 500)...)
	}
	first, next := b.page(broker.ListQuery{Queue: "q", Limit: 300})
	for _, id := range first {
		b.do("LREM", "rq:queue:q", "-1", id)
	}
	b.enqueue("new", "q", 1300)
	rest := b.pages(broker.ListQuery{Queue: "q", Limit: broker.MaxPage, Cursor: next}, nil)
	if diff := cmp.Diff(reversed(ids[:len(ids)-300]), rest); diff != "" {
		t.Errorf("the rest (-want +got):\n%s", diff)
	}
}

// registry writes n jobs of a status into one of RQ's registries.
func (b *bundle) registry(key string, status distro.Status, score func(i int) string, n int) []string {
	b.Helper()
	b.do("SADD", "rq:queues", "rq:queue:q")
	var ids []string
	for i := range n {
		id := fmt.Sprintf("%s-%05d", status, (i*7919)%n)
		ids = append(ids, id)
		b.do("HSET", "rq:job:"+id, "status", string(status), "origin", "q", "data", "x", "created_at", "2026-10-01T00:00:00.000000Z")
		b.do("ZADD", key+"q", score(i), id)
	}
	return ids
}

func TestALongRegistryIsListedByItsOrder(t *testing.T) {
	t.Parallel()
	for name, score := range map[string]func(i int) string{
		"all kept for ever": func(int) string { return "+inf" },
		"all alike":         func(int) string { return "-1" },
		"in groups":         func(i int) string { return fmt.Sprint(1_800_000_000 + i/100) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.registry("rq:finished:", distro.StatusFinished, score, many)
			answer := b.do("ZREVRANGE", "rq:finished:q", "0", "-1").([]any)
			var want []string
			for _, id := range answer {
				want = append(want, id.(string))
			}
			got := b.pages(broker.ListQuery{Limit: broker.MaxPage}, nil)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
			gone := map[string]bool{}
			got = b.pages(broker.ListQuery{Limit: broker.MaxPage}, func(page int) {
				for i := range 30 { // the last ones listed, so that the place is lost
					id := want[broker.MaxPage*(page+1)-1-i]
					b.do("ZREM", "rq:finished:q", id)
					gone[id] = true
				}
			})
			b.once(got, slices.DeleteFunc(want, func(id string) bool { return gone[id] }))
		})
	}
}

func TestALongListHasEachJobInTheSourceOfItsStatusOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	queued := b.enqueue("j", "q", many)
	failed := b.registry("rq:failed:", distro.StatusFailed, func(int) string { return "-1" }, 7)
	stopped := b.registry("rq:failed:", distro.StatusStopped, func(int) string { return "1800000000" }, 5)
	started := b.registry("rq:wip:", distro.StatusStarted, func(int) string { return "1800000000" }, 3)
	b.do("ZADD", "rq:finished:q", "+inf", queued[0]) // ran, and repeats
	b.do("ZADD", "rq:finished:q", "+inf", "no hash")
	b.do("ZADD", "rq:wip:q", "1", started[0]+":0123456789abcdef0123456789abcdef")
	all := slices.Concat(queued, failed, stopped, started)
	got := b.pages(broker.ListQuery{Limit: broker.MaxPage}, nil)
	b.once(got, all)
	if len(got) != len(all) {
		t.Errorf("listed %d jobs, want %d", len(got), len(all))
	}
	for status, want := range map[distro.Status]int{distro.StatusFailed: 7, distro.StatusStopped: 5, distro.StatusStarted: 3, distro.StatusQueued: many} {
		if got := b.pages(broker.ListQuery{Status: status, Limit: broker.MaxPage}, nil); len(got) != want {
			t.Errorf("listed %d jobs that are %s, want %d", len(got), status, want)
		}
	}
}

func TestAListThatGrowsLongBetweenPagesHoldsEveryJobOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := b.enqueue("j", "q", 4900)
	listed := b.pages(broker.ListQuery{Limit: broker.MaxPage}, func(page int) {
		b.enqueue(fmt.Sprintf("new%d-", page), "q", 60)
	})
	b.once(listed, ids)
}

// An operation deletes what it has listed, and goes on where it was.
func TestJobsOfOtherProducersThatJoinedAtOneMomentAreAllListedThoughThoseBeforeAreDeleted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const n = 12_000 // more than are sorted
	b.do("EVAL", `for i = 1, ARGV[1] do
		local id = string.format('%05d', i)
		redis.call('HSET', 'rq:job:' .. id, 'data', 'x', 'origin', 'q', 'status', 'queued', 'enqueued_at', '2026-10-05T08:30:00.000000Z')
		redis.call('RPUSH', 'rq:queue:q', id)
	end`, "0", fmt.Sprint(n))
	b.do("SADD", "rq:queues", "rq:queue:q")
	deleted := 0
	q := broker.ListQuery{Queue: "q", Status: distro.StatusQueued, Limit: broker.MaxPage}
	for {
		ids, next := b.page(q)
		errs, err := b.broker.Act(t.Context(), broker.ActionDelete, ids)
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range errs {
			if err == nil {
				deleted++
			}
		}
		if q.Cursor = next; next == "" {
			break
		}
	}
	if deleted != n {
		t.Errorf("deleted %d of %d", deleted, n)
	}
}
