package redisbroker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker/brokertest"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
)

// IDs of jobs and names of queues are whatever other programs wrote.
func TestTheFeedTellsOfJobsAndQueuesOfAnyName(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{Clock: brokertest.NewClock(), Feed: true})
	end, err := s.broker.FeedEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	name := rapid.OneOf(
		rapid.SampledFrom([]string{"7", "1 x", " ", "a b", "\x00", "\xff\x00 \xfe", "fila ção", "\r\n$3\r\n"}),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 12), func(b []byte) string { return string(b) }),
	)
	rapid.Check(t, func(t *rapid.T) {
		queue := name.Draw(t, "queue")
		var want []string
		for _, id := range rapid.SliceOfNDistinct(name, 1, 5, rapid.ID).Draw(t, "ids") {
			s.do("HSET", "rq:job:"+id, "data", "x", "status", "queued", "origin", queue, "distro_attempt", "3")
			s.do("RPUSH", "rq:queue:"+queue, id)
			want = append(want, fmt.Sprintf("%q %q 3", id, queue))
		}
		if n, _, err := s.broker.Empty(t.Context(), queue, "", 100); err != nil || n != len(want) {
			t.Fatalf("%d of %d jobs deleted, %v", n, len(want), err)
		}
		changes, err := s.broker.Changes(t.Context(), end, 100)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range changes {
			got = append(got, fmt.Sprintf("%q %q %d%s%s%s", c.JobID, c.Queue, c.Attempt, c.Status, c.Outcome, c.Token))
			end = c.Cursor
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestEntriesOfOthersInTheFeedArePassedOver(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{Clock: brokertest.NewClock(), Feed: true})
	for _, fields := range [][]string{
		{"c", ""},
		{"c", "      "},
		{"c", "finished finished 1 token 1 99 default job"},
		{"c", "finished finished 1 token 1 -1 default job"},
		{"c", "finished finished 1 token 1 7 default"},
		{"c", "finished finished 1 token now 7 default job"},
		{"i", "job", "s", "finished"},
		{"c", "finished finished 1 token 1 7 default job", "c", "more"},
		{"c", "finished finished 1e+15 token 1700000000000001 7 default the job"},
		{"i", "the job", "q", "default", "s", "finished", "o", "finished", "a", "2", "t", "token", "u", "1700000000000001"}, // of an earlier build
		{"c", "finished finished 2 token 1700000000000001 7 default the job"},
	} {
		s.do(append([]string{"XADD", "distro:feed", "*"}, fields...)...)
	}
	changes, err := s.broker.Changes(t.Context(), "", 100)
	if err != nil {
		t.Fatal(err)
	}
	last := len(changes) - 1
	for i, c := range changes[:last-2] {
		if (c != distro.Change{Cursor: c.Cursor}) {
			t.Errorf("entry %d is taken for %+v", i, c)
		}
	}
	want := distro.Change{
		JobID: "the job", Queue: "default", Status: distro.StatusFinished,
		Outcome: distro.OutcomeFinished, Token: "token", At: time.UnixMicro(1_700_000_000_000_001).UTC(),
	}
	for i, attempt := range []int{0, 2, 2} {
		got := changes[last-2+i]
		want.Cursor, want.Attempt = got.Cursor, attempt
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	again, err := s.broker.Changes(t.Context(), changes[0].Cursor, 100)
	if err != nil || len(again) != last {
		t.Errorf("%d entries behind the first, %v", len(again), err)
	}
}

// Emptying deletes what waits once, whatever stands in the list, and leaves
// what does not wait any more.
func TestEmptyingDeletesEachJobThatWaitsOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{Feed: true})
	job := func(id, status string, more ...string) {
		s.do(append([]string{"HSET", "rq:job:" + id, "data", "x", "status", status, "origin", "default"}, more...)...)
		s.do("RPUSH", "rq:queue:default", id)
	}
	job("twice", "queued")
	s.do("RPUSH", "rq:queue:default", "twice", "gone")
	job("member", "queued", "group_id", "g")
	s.do("SADD", "rq:group:g", "member", "other")
	job("claimed", "queued", "distro_claim", "token worker")
	job("canceled", "canceled")
	job("parent", "queued")
	s.do("SADD", "rq:job:parent:dependents", "child")
	s.do("XADD", "rq:results:parent", "*", "type", "2")
	s.do("SET", "rq:job:text", "not a hash")
	s.do("RPUSH", "rq:queue:default", "text")

	deleted, next, err := s.broker.Empty(t.Context(), "default", "", 100)
	if err != nil || next != "" {
		t.Fatal(next, err)
	}
	s.equal("deleted", deleted, 3)
	s.equal("keys", s.keys(), []string{"rq:group:g", "rq:job:canceled", "rq:job:claimed", "rq:job:text"})
	s.equal("group", s.members("rq:group:g"), []string{"other"})
}
