package redisbroker_test

import (
	"encoding/base64"
	"fmt"
	"maps"
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

// look looks until there is no more, and returns what was found, by job, as
// "state run".
func (s *site) look(stock *redisbroker.Stock) (found map[string][]string, runs []broker.StockRun) {
	s.Helper()
	found = map[string][]string{}
	for more := true; more; {
		look, err := stock.Look(s.Context())
		if err != nil {
			s.Fatal(err)
		}
		for _, run := range look.Runs {
			e := run.Execution
			if !e.Stock {
				s.Errorf("attempt %q of job %q is not of a stock worker", e.Run, e.JobID)
			}
			found[e.JobID] = append(found[e.JobID], string(e.State)+" "+e.Run)
		}
		runs, more = append(runs, look.Runs...), look.More
	}
	return found, runs
}

// found compares what a look finds.
func (s *site) finds(stock *redisbroker.Stock, want map[string][]string) []broker.StockRun {
	s.Helper()
	got, runs := s.look(stock)
	s.equal("what is found", got, want)
	return runs
}

// dump is everything that the database holds.
func (s *site) dump() map[string]string {
	s.Helper()
	all := map[string]string{}
	for _, key := range s.texts("KEYS", "*") {
		var value any
		switch s.do("TYPE", key) {
		case "hash":
			value = s.hash(key)
		case "zset":
			value = s.scores(key)
		case "set":
			value = s.members(key)
		case "list":
			value = s.list(key)
		case "stream":
			value = s.entries(key)
		default:
			value = s.do("GET", key)
		}
		all[key] = fmt.Sprintf("%q, kept for ever: %v", value, s.number("TTL", key) < 0)
	}
	return all
}

func TestStockFindsEveryAttemptOfTheFixturesOnceAndChangesNothing(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"1.13.0", "1.15.1", "2.0", "2.10.0"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			f := readFixture(t, version)
			s := newSite(t, redisbroker.Options{})
			f.load(t, s.conn)
			before := s.dump()
			stock := s.broker.Stock()
			runs := s.finds(stock, f.attempts(s))
			s.finds(stock, nil)
			if diff := cmp.Diff(before, s.dump()); diff != "" {
				t.Errorf("it changed (-before +after):\n%s", diff)
			}
			for i := range runs {
				f.compareRun(t, &runs[i])
			}
		})
	}
}

// attempts are those that RQ left a trace of, as look returns them.
func (f fixture) attempts(s *site) map[string][]string {
	want := map[string][]string{}
	for id, j := range f.jobs {
		if j.StartedAt == "" {
			continue
		}
		state := map[string]string{"scheduled": "retried"}[j.Status]
		switch {
		case j.Latest != nil && j.Status == "scheduled":
			state = "finished" // it repeats
		case state == "":
			state = j.Status
		}
		run := j.StartedAt
		if ids := s.texts("ZRANGE", "rq:executions:"+id, "0", "-1"); len(ids) > 0 {
			run = ids[0]
		} else if entries := s.entries("rq:results:" + id); len(entries) > 0 && entries[0]["execution_id"] != "" {
			run = entries[0]["execution_id"]
		}
		want[id] = []string{state + " " + run}
	}
	return want
}

// compareRun compares with what RQ says of the job.
func (f fixture) compareRun(t *testing.T, run *broker.StockRun) {
	t.Helper()
	e, want := &run.Execution, f.jobs[run.Execution.JobID]
	for _, c := range []struct{ what, got, want string }{
		{"queue", e.Queue, want.Origin},
		{"function", run.Job.Function, want.FuncName},
		{"start", redisbroker.RQTime(e.StartedAt), want.StartedAt},
		{"last", strconv.FormatBool(run.Last), strconv.FormatBool(want.Status != "started" && want.Status != "scheduled")},
	} {
		if c.got != c.want {
			t.Errorf("%s of %q is %q, want %q", c.what, e.JobID, c.got, c.want)
		}
	}
	if got := redisbroker.RQTime(e.EndedAt); got != want.EndedAt && want.EndedAt != "" || e.EndedAt.IsZero() != (want.Status == "started") {
		t.Errorf("end of %q is %q, want %q", e.JobID, got, want.EndedAt)
	}
	if e.Worker != want.WorkerName && want.WorkerName != "" || e.Worker != "" && (e.Host != "vm" || e.Python != "3.11.2") {
		t.Errorf("worker of %q is %q on %q with %q, want %q", e.JobID, e.Worker, e.Host, e.Python, want.WorkerName)
	}
	if want.Latest != nil && want.Latest.ExcString != nil {
		if got := *e.Failure; got.Traceback != *want.Latest.ExcString && got.Message != *want.Latest.ExcString {
			t.Errorf("failure of %q is %+v", e.JobID, got)
		}
	}
}

// Times of one job on a stock worker, as RQ writes them.
const (
	firstStart, firstEnd   = "2026-11-23T12:00:00.100000Z", "2026-11-23T12:00:00.200000Z"
	secondStart, secondEnd = "2026-11-23T12:00:00.300000Z", "2026-11-23T12:00:00.400000Z"
)

// entry adds a result as RQ writes one, at a time.
func (s *site) entry(id, at, kind string, fields ...string) string {
	s.Helper()
	when, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		s.Fatal(err)
	}
	name := strconv.FormatInt(when.UnixMilli()+1, 10) + "-0"
	s.do(append([]string{"XADD", "rq:results:" + id, name, "type", kind}, fields...)...)
	return name
}

// raised are fields of the result of an attempt that raised.
func raised() []string {
	return []string{"exc_string", excString("Traceback x\n  y\nValueError: no\n")}
}

func excString(text string) string {
	return base64.StdEncoding.EncodeToString([]byte(redisbroker.Deflate(text)))
}

func TestStockTellsAttemptsByWhatRQWrote(t *testing.T) {
	t.Parallel()
	const exec = "0123456789abcdef0123456789abcdef"
	for _, c := range []struct {
		name string
		set  func(s *site)
		want []string
	}{
		{"retried at once, and waiting in the queue", func(s *site) {
			s.foreignQueued("job", "started_at", firstStart, "ended_at", firstEnd, "retries_left", "0")
		}, []string{"retried " + firstStart}},
		{"retried later", func(s *site) {
			s.foreign("job", "status", "scheduled", "started_at", firstStart, "ended_at", firstEnd, "retries_left", "0")
			s.do("ZADD", "rq:scheduled:default", "2064312000", "job")
		}, []string{"retried " + firstStart}},
		{"requeued by a client after it had failed", func(s *site) {
			s.foreignQueued("job", "exc_info", redisbroker.Deflate(""))
			s.entry("job", firstEnd, "2", raised()...)
		}, []string{"failed result:1795435200201-0"}},
		{"a repeat of RQ 2.3 to 2.7, which has no executions in results", func(s *site) {
			s.foreign("job", "status", "scheduled", "started_at", secondStart, "ended_at", secondEnd, "repeats_left", "3")
			s.do("ZADD", "rq:scheduled:default", "2064312000", "job")
			s.entry("job", firstEnd, "1")
			s.entry("job", secondEnd, "1")
		}, []string{"finished " + secondStart, "finished result:1795435200201-0"}},
		{"a repeat that failed and is tried again", func(s *site) {
			s.foreign("job", "status", "scheduled", "started_at", secondStart, "ended_at", secondEnd, "repeats_left", "3", "retries_left", "1")
			s.do("ZADD", "rq:scheduled:default", "2064312000", "job")
			s.entry("job", firstEnd, "1")
		}, []string{"retried " + secondStart, "finished result:1795435200201-0"}},
		{"the function returned Retry", func(s *site) {
			s.foreign("job", "status", "scheduled", "started_at", firstStart, "ended_at", firstEnd, "number_of_retries", "1")
			s.do("ZADD", "rq:scheduled:default", "2064312000", "job")
			s.entry("job", firstEnd, "4", "execution_id", exec, "execution_started_at", "1795435200.05", "execution_ended_at", "1795435200.2")
		}, []string{"failed " + exec}},
		{"abandoned, put right by RQ before 2.2", func(s *site) {
			s.foreign("job", "status", "failed", "started_at", firstStart,
				"exc_info", redisbroker.Deflate("Moved to FailedJobRegistry, due to AbandonedJobError, at 2026-11-23"))
			s.do("ZADD", "rq:failed:default", "2064312000", "job")
		}, []string{"lost " + firstStart}},
		{"failed with the exception handlers off", func(s *site) {
			s.foreign("job", "status", "failed", "started_at", firstStart, "ended_at", firstEnd)
			s.do("ZADD", "rq:failed:default", "-1", "job")
		}, []string{"failed " + firstStart}},
		{"finished without a result", func(s *site) {
			s.foreign("job", "status", "finished", "started_at", firstStart, "ended_at", firstEnd)
			s.do("ZADD", "rq:finished:default", "+inf", "job")
		}, []string{"finished " + firstStart}},
		{"deleted, but for its result", func(s *site) {
			s.do("SADD", "rq:queues", "rq:queue:default")
			s.do("ZADD", "rq:finished:default", "2064312000", "job")
			s.entry("job", firstEnd, "1", "execution_id", exec)
		}, []string{"finished " + exec}},
		{"registered by RQ 2, and not begun", func(s *site) {
			s.foreign("job")
			s.do("ZADD", "rq:wip:default", "2064312000", "job:"+exec)
			s.do("ZADD", "rq:executions:job", "2064312000", exec)
		}, nil},
		{"running on RQ 2", func(s *site) {
			s.foreign("job", "status", "started", "started_at", firstStart, "worker_name", "w")
			s.do("ZADD", "rq:wip:default", "2064312000", "job:"+exec)
			s.do("ZADD", "rq:executions:job", "2064312000", exec)
		}, []string{"started " + exec}},
		{"running, and missing in the registry", func(s *site) {
			s.foreign("job", "status", "started", "started_at", firstStart, "worker_name", "w")
			s.do("SADD", "rq:workers", "rq:worker:w")
			s.do("HSET", "rq:worker:w", "birth", firstStart, "current_job", "job", "queues", "default")
		}, []string{"started " + firstStart}},
		{"a worker of Distro's has it, by a claim", func(s *site) {
			s.foreign("job", "status", "started", "started_at", firstStart, "worker_name", "d.2", "distro_claim", "token d")
			s.do("ZADD", "rq:wip:default", "2064312000", "job")
		}, nil},
		{"a stock worker has it, with an old claim", func(s *site) {
			s.foreign("job", "status", "started", "started_at", firstStart, "worker_name", "w", "distro_claim", "token d")
			s.do("ZADD", "rq:wip:default", "2064312000", "job")
		}, []string{"started " + firstStart}},
		{"not a job, and other odd things", func(s *site) {
			s.foreign("job", "started_at", "yesterday", "status", "finished")
			s.do("ZADD", "rq:finished:default", "2064312000", "job", "2064312001", "list", "2064312002", "")
			s.do("RPUSH", "rq:job:list", "x")
			s.do("RPUSH", "rq:results:list", "x")
			s.do("SET", "rq:failed:default", "x")
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, redisbroker.Options{})
			c.set(s)
			stock := s.broker.Stock()
			want := map[string][]string{}
			if c.want != nil {
				want["job"] = c.want
			}
			s.finds(stock, want)
			s.finds(stock, nil)
			s.finds(s.broker.Stock(), want)
		})
	}
}

func TestStockFollowsWhatItSawRunning(t *testing.T) {
	t.Parallel()
	seen := []string{"status", "started", "started_at", firstStart, "worker_name", "w", "retries_left", "2", "result_ttl", "0"}
	for _, c := range []struct {
		name string
		then func(s *site)
		want []string
	}{
		{"it finished", func(s *site) {
			s.foreign("job", "status", "finished", "started_at", firstStart, "ended_at", firstEnd, "worker_name", "w")
			s.entry("job", firstEnd, "1")
		}, []string{"finished " + firstStart}},
		{"its process was killed, and RQ wrote another start", func(s *site) {
			s.foreign("job", "status", "failed", "started_at", secondStart, "ended_at", secondEnd, "retries_left", "2")
			s.entry("job", secondEnd, "2", "exc_string", excString("Work-horse terminated unexpectedly; waitpid returned 9 (signal 9); "))
		}, []string{"failed " + firstStart}},
		{"the same, and is tried again", func(s *site) {
			s.foreign("job", "status", "queued", "started_at", secondStart, "ended_at", secondEnd, "retries_left", "1")
		}, []string{"retried " + firstStart}},
		{"it was tried again twice", func(s *site) {
			s.foreign("job", "status", "queued", "started_at", secondStart, "ended_at", secondEnd, "retries_left", "0")
		}, []string{"retried " + secondStart, "retried " + firstStart}},
		{"it was tried again, and runs", func(s *site) {
			s.foreign("job", "status", "started", "started_at", secondStart, "ended_at", firstEnd, "worker_name", "w", "retries_left", "1")
		}, []string{"started " + secondStart, "retried " + firstStart}},
		{"a worker of Distro's took the next attempt", func(s *site) {
			s.foreign("job", "status", "started", "started_at", secondStart, "worker_name", "d", "distro_claim", "token d")
		}, []string{"retried " + firstStart}},
		{"it was deleted, as RQ does when nothing is to be kept", func(s *site) { s.do("DEL", "rq:job:job") }, []string{"finished " + firstStart}},
		{"a client canceled it, and its worker is gone", func(s *site) {
			s.do("HSET", "rq:job:job", "status", "canceled")
		}, []string{"lost " + firstStart}},
		{"a client deleted it, and it runs on", func(s *site) {
			s.do("DEL", "rq:job:job")
			s.do("SADD", "rq:workers", "rq:worker:w")
			s.do("HSET", "rq:worker:w", "birth", firstStart, "current_job", "job", "queues", "default")
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, redisbroker.Options{})
			s.foreign("job", seen...)
			s.do("ZADD", "rq:wip:default", "2064312000", "job")
			stock := s.broker.Stock()
			s.finds(stock, map[string][]string{"job": {"started " + firstStart}})
			s.do("ZREM", "rq:wip:default", "job")
			c.then(s)
			want := map[string][]string{}
			if c.want != nil {
				want["job"] = c.want
			}
			s.finds(stock, want)
			s.finds(stock, nil)
			s.do("DEL", "rq:worker:w")
			if c.want == nil { // until its worker has gone too
				s.finds(stock, map[string][]string{"job": {"finished " + firstStart}})
			}
			s.finds(stock, nil)
		})
	}
}

func TestStockLeavesOutWhatDistroRan(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	h := s.hand("stock-leaves-out")
	stock := s.broker.Stock()
	s.enqueue(pickled("ends", "m.f", "[]"), pickled("fails", "m.f", "[]", func(j *distro.Job) { j.RetriesLeft = 2 }))
	s.foreignQueued("repeats", "repeats_left", "2", "repeat_intervals", "[0]", "result_ttl", "500")
	h.done(finished(), h.run("ends"))
	h.done(failed(traceback), h.run("fails"))
	h.done(finished(), h.run("repeats"))
	h.run("fails") // and runs
	s.finds(stock, nil)
	h.done(finished(), h.run("repeats"))
	h.done(finished(), h.run("repeats"))
	s.finds(stock, nil)
	s.finds(s.broker.Stock(), nil)
	s.equal("tokens", s.entries("rq:results:ends")[0]["distro_token"], "stock-leaves-out-1")
}

func TestStockFindsAttemptsBetweenThoseOfDistro(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	h := s.hand("stock-between")
	s.enqueue(pickled("job", "m.f", "[]", func(j *distro.Job) { j.RetriesLeft = 5 }))
	h.done(failed(traceback), h.run("job"))
	// A stock worker takes it, and its process is killed: RQ's parent writes its
	// own start over what it had read, and leaves the end and worker as they were.
	now := time.Now().UTC()
	second := now.Add(time.Second).Format(rqLayout)
	s.do("HSET", "rq:job:job", "started_at", second, "retries_left", "3")
	stock := s.broker.Stock()
	s.finds(stock, map[string][]string{"job": {"retried " + second}})
	// Distro's worker takes it next and gives it back: the hash tells of the
	// first attempt again.
	s.say(h, broker.ExchangeRequest{Return: []broker.Claim{h.run("job")}})
	s.finds(stock, nil)
	// It fails on a stock worker, is requeued, and finishes on Distro's.
	third := now.Add(2 * time.Second).Format(rqLayout)
	s.do("LREM", "rq:queue:default", "1", "job")
	s.do("HSET", "rq:job:job", "status", "failed", "started_at", third, "ended_at", third, "worker_name", "w")
	s.entry("job", third, "2", raised()...)
	s.do("HSET", "rq:job:job", "status", "queued", "started_at", "", "ended_at", "")
	s.do("RPUSH", "rq:queue:default", "job")
	h.done(finished(), h.run("job"))
	got, _ := s.look(stock)
	if len(got["job"]) != 1 || !strings.HasPrefix(got["job"][0], "failed result:") {
		t.Errorf("found %q", got)
	}
	s.finds(stock, nil)
}

// rqLayout is the form of RQ's times.
const rqLayout = "2006-01-02T15:04:05.000000Z"

func (s *site) say(h *hand, req broker.ExchangeRequest) { s.Helper(); h.say(req) }

func TestStockTellsAnAbandonedAttemptThatDistroPutRight(t *testing.T) {
	t.Parallel()
	for _, seen := range []bool{true, false} {
		t.Run(fmt.Sprint("seen running: ", seen), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, redisbroker.Options{})
			const exec = "0123456789abcdef0123456789abcdef"
			s.foreign("job", "status", "started", "started_at", firstStart, "worker_name", "w")
			s.do("ZADD", "rq:wip:default", "1795437512", "job:"+exec)
			s.do("ZADD", "rq:executions:job", "1795437512", exec)
			stock, run := s.broker.Stock(), firstStart
			if seen {
				run = exec
				s.finds(stock, map[string][]string{"job": {"started " + exec}})
			}
			s.do("ZADD", "rq:wip:default", "1", "job:"+exec)
			s.sweep(s.broker)
			s.equal("status", s.status("job"), "failed")
			s.finds(stock, map[string][]string{"job": {"lost " + run}})
			s.finds(stock, nil)
		})
	}
}

func TestStockLooksThroughLargeRegistries(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	const many = 12_000
	var add strings.Builder
	add.WriteString("local id\n")
	fmt.Fprintf(&add, `redis.call('SADD', 'rq:queues', 'rq:queue:default')
for i = 1, %d do
	id = 'job-' .. i
	redis.call('HSET', 'rq:job:' .. id, 'data', 'x', 'origin', 'default', 'status', 'finished',
		'started_at', '%s', 'ended_at', '%s')
	redis.call('ZADD', 'rq:finished:default', i %% 3 == 0 and '+inf' or 2064312000 + math.floor(i / 4000), id)
end`, many, firstStart, firstEnd)
	s.do("EVAL", add.String(), "0")
	stock := s.broker.Stock()
	found, _ := s.look(stock)
	if len(found) != many {
		t.Fatalf("found %d jobs, want %d", len(found), many)
	}
	s.finds(stock, nil)
	// What comes is found at once: of the same TTL, by its score; of a shorter
	// one, when the rest has been looked through.
	s.foreign("new", "status", "finished", "started_at", secondStart, "ended_at", secondEnd)
	s.do("ZADD", "rq:finished:default", "2064399999", "new")
	s.finds(stock, map[string][]string{"new": {"finished " + secondStart}})
	s.foreign("short", "status", "finished", "started_at", secondStart, "ended_at", secondEnd)
	s.do("ZADD", "rq:finished:default", "2000000000", "short")
	got := map[string][]string{}
	for range 4 {
		found, _ := s.look(stock)
		maps.Copy(got, found)
	}
	s.equal("found by and by", got, map[string][]string{"short": {"finished " + secondStart}})
}

func TestStockFindsNothingTwiceAfterAnOutage(t *testing.T) {
	t.Parallel()
	own := redistest.Start(t, redistest.Options{AOF: true})
	b := openAs(t, redisbroker.Options{URL: own.URL(), Timeout: time.Second})
	s := &site{T: t, url: own.URL(), broker: b, conn: own.Conn(t, own.URL())}
	s.foreign("job", "status", "finished", "started_at", firstStart, "ended_at", firstEnd)
	s.do("ZADD", "rq:finished:default", "2064312000", "job")
	stock := b.Stock()
	own.Pause()
	_, err := stock.Look(t.Context())
	own.Continue()
	s.unavailable("look at a Redis that hangs", err)
	s.finds(stock, map[string][]string{"job": {"finished " + firstStart}})
	s.finds(stock, nil)
}

func TestStockLooksAtTheQueuesOfItsProcessOnly(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{Queues: []string{"default", "low"}})
	for _, queue := range []string{"default", "low", "other"} {
		s.foreign("job-"+queue, "origin", queue, "status", "finished", "started_at", firstStart, "ended_at", firstEnd)
		s.do("ZADD", "rq:finished:"+queue, "2064312000", "job-"+queue)
	}
	found, _ := s.look(s.broker.Stock())
	s.equal("jobs", slices.Sorted(maps.Keys(found)), []string{"job-default", "job-low"})
}
