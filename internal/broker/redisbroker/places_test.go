package redisbroker_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
	"github.com/distro-orchestrator/distro/internal/redistest"
)

// standing is a whole list, IDs of gone entries in parentheses.
func (b *bundle) standing(q broker.PlaceQuery) []string {
	b.Helper()
	var all []string
	for {
		page, err := b.broker.Places(b.Context(), q)
		if err != nil {
			b.Fatal(err)
		}
		for _, p := range page.Places {
			id := p.Job.ID
			if p.Gone {
				if diff := cmp.Diff(distro.Job{ID: id, Queue: q.Queue}, p.Job); diff != "" {
					b.Errorf("what is known of an entry without a record (-want +got):\n%s", diff)
				}
				id = "(" + id + ")"
			}
			all = append(all, id)
		}
		if q.Offset += len(page.Places); q.Offset >= page.Total || len(page.Places) == 0 {
			return all
		}
	}
}

// fillPlaces writes a queue and a registry where some records are gone.
func (b *bundle) fillPlaces(n int) (queued, failed []string) {
	for i := range n {
		id := fmt.Sprintf("j%03d", i)
		b.do("RPUSH", "rq:queue:q", id)
		b.do("ZADD", "rq:failed:q", strconv.Itoa(n-i/2), id)
		queued = append(queued, id)
		if i%5 == 2 {
			queued[i] = "(" + id + ")"
			continue
		}
		b.do("HSET", "rq:job:"+id, "data", deflated(`["m.f", null, [], {}]`), "origin", "q", "status", "queued", "description", "f of "+id)
	}
	for i := (n - 1) / 2; i >= 0; i-- { // by score, then by ID
		failed = append(failed, queued[2*i:min(2*i+2, n)]...)
	}
	return queued, failed
}

func TestEntriesWithoutARecordKeepTheirPlace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	queued, failed := b.fillPlaces(57)
	for status, want := range map[distro.Status][]string{distro.StatusQueued: queued, distro.StatusFailed: failed} {
		for _, limit := range []int{1, 8, 56, 57, 100} {
			for _, backward := range []bool{false, true} {
				whole := slices.Clone(want)
				if backward {
					slices.Reverse(whole)
				}
				q := broker.PlaceQuery{Queue: "q", Status: status, Limit: limit, Backward: backward}
				for q.Offset = 0; q.Offset <= len(want)+limit; q.Offset += limit {
					page, err := b.broker.Places(t.Context(), q)
					if err != nil || page.Total != len(want) {
						t.Fatalf("%+v: total %d, %v", q, page.Total, err)
					}
					if n := min(limit, max(len(want)-q.Offset, 0)); len(page.Places) != n {
						t.Fatalf("%+v: %d entries, want %d", q, len(page.Places), n)
					}
				}
				q.Offset = 0
				if diff := cmp.Diff(whole, b.standing(q)); diff != "" {
					t.Errorf("%+v (-want +got):\n%s", q, diff)
				}
			}
		}
	}
}

func TestCompactingTakesOutWhatHasNoRecordAndKeepsTheOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	queued, failed := b.fillPlaces(57)
	for _, list := range []struct {
		status distro.Status
		all    []string
	}{{distro.StatusQueued, queued}, {distro.StatusFailed, failed}} { // in this order, as what comes later is queued
		status, all := list.status, list.all
		dropped, cursor := 0, ""
		for {
			n, next, err := b.broker.Compact(t.Context(), "q", status, cursor, 10)
			if err != nil {
				t.Fatal(err)
			}
			if dropped += n; next == "" {
				break
			}
			cursor = next
			b.do("RPUSH", "rq:queue:q", "later")
		}
		var want []string
		for _, id := range all {
			if !strings.HasPrefix(id, "(") {
				want = append(want, id)
			}
		}
		got := b.standing(broker.PlaceQuery{Queue: "q", Status: status, Limit: 100})
		if diff := cmp.Diff(want, got[:min(len(want), len(got))]); diff != "" || dropped != len(all)-len(want) {
			t.Errorf("%s: dropped %d of %d; (-want +got):\n%s", status, dropped, len(all)-len(want), diff)
		}
	}
	b.do("SET", "rq:queue:odd", "of another type")
	b.do("SET", "rq:failed:odd", "of another type")
	for _, status := range []distro.Status{distro.StatusQueued, distro.StatusFailed} {
		if n, next, err := b.broker.Compact(t.Context(), "odd", status, "", 10); n != 0 || next != "" || err != nil {
			t.Errorf("a key of another type: %d, %q, %v", n, next, err)
		}
	}
}

// The registry of started jobs names executions since RQ 2.
func TestExecutionsAreShownAsTheirJobs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do("HSET", "rq:job:runs", "data", "x", "origin", "q", "status", "started")
	b.do("ZADD", "rq:wip:q", "1", "runs:0123456789abcdef0123456789abcdef")
	if got := b.standing(broker.PlaceQuery{Queue: "q", Status: distro.StatusStarted}); !slices.Equal(got, []string{"runs"}) {
		t.Errorf("started: %q", got)
	}
}

func TestWhatProducersWriteBesideACallIsRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do("HSET", "rq:job:j", "data", deflated(`["m.f", null, [], {}]`), "origin", "q", "status", "deferred",
		"description", "monthly report", "meta", `{"a": 1}`, "dependency_id", "x", "dependency_ids", `["x", "y"]`)
	b.do("HSET", "rq:job:k", "data", "x", "origin", "q", "status", "deferred", "dependency_id", "x", "description", strings.Repeat("é", 5000))
	jobs, err := b.broker.Get(t.Context(), []string{"j", "k"})
	if err != nil || len(jobs) != 2 {
		t.Fatal(jobs, err)
	}
	if j := jobs[0]; j.Description != "monthly report" || string(j.Meta) != `{"a": 1}` || !slices.Equal(j.DependsOn, []string{"x", "y"}) {
		t.Errorf("got %q, %s, %q", j.Description, j.Meta, j.DependsOn)
	}
	if k := jobs[1]; len(k.Description) > 2100 || k.Meta != nil || !slices.Equal(k.DependsOn, []string{"x"}) {
		t.Errorf("got %d bytes, %s, %q", len(k.Description), k.Meta, k.DependsOn)
	}
}

func TestAQuietBrokerWritesNothing(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"1.13.0", "2.10.0"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			own := redistest.Start(t, redistest.Options{})
			readFixture(t, version).load(t, own.Conn(t, own.URL()))
			changes := func() string {
				for line := range strings.Lines(fmt.Sprint(own.Do(t, "INFO", "persistence"))) {
					if strings.HasPrefix(line, "rdb_changes_since_last_save:") {
						return line
					}
				}
				return "not told"
			}
			before := changes()
			quiet, err := redisbroker.Open(t.Context(), redisbroker.Options{URL: own.URL(), Clock: broker.SystemClock(), Quiet: true, Timeout: 20 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			look(t, quiet)
			if err := quiet.Close(); err != nil {
				t.Fatal(err)
			}
			if after := changes(); after != before {
				t.Errorf("before %q, after %q", before, after)
			}
		})
	}
}

// look calls all that only looks.
func look(t *testing.T, b *redisbroker.Broker) {
	t.Helper()
	counts, err := b.Counts(t.Context())
	for _, q := range counts.Queues {
		for _, status := range []distro.Status{distro.StatusQueued, distro.StatusStarted, distro.StatusFailed, distro.StatusFinished} {
			if err == nil {
				_, err = b.Places(t.Context(), broker.PlaceQuery{Queue: q.Name, Status: status})
			}
		}
	}
	for _, call := range []func() error{
		func() error { _, err := b.Info(t.Context()); return err },
		func() error { _, err := b.List(t.Context(), broker.ListQuery{}); return err },
		func() error { _, err := b.Get(t.Context(), []string{"running", "none"}); return err },
		func() error { _, err := b.Workers(t.Context()); return err },
		func() error { _, err := b.Changes(t.Context(), "", 10); return err },
		func() error { _, err := b.FeedEnd(t.Context()); return err },
	} {
		if err == nil {
			err = call()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// BenchmarkPlaces reads pages of a million queued jobs, and of as many failed
// ones, and reports the longest that Redis was kept by one command.
func BenchmarkPlaces(b *testing.B) {
	const jobs, step = 1_000_000, 10_000
	s := redistest.Start(b, redistest.Options{})
	c := s.Conn(b, s.URL())
	for i := range jobs / step {
		script := `for i = ARGV[1] * ARGV[2], ARGV[1] * ARGV[2] + ARGV[2] - 1 do
			local id = string.format('%036d', i)
			redis.call('HSET', 'rq:job:' .. id, 'data', ARGV[3], 'origin', 'q', 'status', 'queued', 'description', 'm.f()',
				'created_at', '2026-10-05T08:30:00.000000Z')
			redis.call('RPUSH', 'rq:queue:q', id)
			redis.call('ZADD', 'rq:failed:q', i, id)
		end`
		if err, failed := c.Do("EVAL", script, "0", strconv.Itoa(i), strconv.Itoa(step), deflated(`["m.f", null, [], {}]`)).(redistest.Error); failed {
			b.Fatal(err)
		}
	}
	br, err := redisbroker.Open(b.Context(), redisbroker.Options{URL: s.URL(), Clock: broker.SystemClock(), Quiet: true})
	if err != nil {
		b.Fatal(err)
	}
	defer br.Close()
	c.Do("CONFIG", "SET", "slowlog-log-slower-than", "1000")
	c.Do("SLOWLOG", "RESET")
	for _, status := range []distro.Status{distro.StatusQueued, distro.StatusFailed} {
		for name, offset := range map[string]int{"first": 0, "middle": jobs / 2, "last": jobs - 8} {
			b.Run(string(status)+"/"+name, func(b *testing.B) {
				for b.Loop() {
					page, err := br.Places(b.Context(), broker.PlaceQuery{Queue: "q", Status: status, Offset: offset, Limit: 8})
					if err != nil || len(page.Places) != 8 || page.Total != jobs {
						b.Fatal(len(page.Places), page.Total, err)
					}
				}
			})
		}
	}
	b.Run("compact", func(b *testing.B) {
		for i := range 500 { // all around the places that are the dearest
			c.Do("DEL", fmt.Sprintf("rq:job:%036d", 29_000+i*2))
			c.Do("DEL", fmt.Sprintf("rq:job:%036d", jobs-29_000-i*2))
		}
		for cursor := ""; b.Loop(); {
			_, next, err := br.Compact(b.Context(), "q", distro.StatusQueued, cursor, 200)
			if err != nil {
				b.Fatal(err)
			}
			cursor = next
		}
	})
	b.Run("longest command", func(b *testing.B) {
		var longest time.Duration
		for b.Loop() {
			for _, call := range s.Slowlog(b) {
				if call.Took > longest {
					longest = call.Took
					b.Logf("%s: %.60q", longest, call.Args)
				}
			}
		}
		b.ReportMetric(longest.Seconds()*1000, "ms")
	})
}
