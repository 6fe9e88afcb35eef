package redisbroker_test

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
	"github.com/distro-orchestrator/distro/internal/redistest"
)

func survey(t *testing.T, rawURL string) *redisbroker.Survey {
	t.Helper()
	s, err := redisbroker.SurveyRedis(t.Context(), redisbroker.SurveyOptions{URL: rawURL, Clock: broker.SystemClock()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// snapshot is every key of a database: its bytes, and when it expires.
func snapshot(t *testing.T, c *redistest.Conn) map[string]string {
	t.Helper()
	keys, ok := c.Do("KEYS", "*").([]any)
	if !ok {
		t.Fatal("no keys")
	}
	all := map[string]string{}
	for _, key := range keys {
		name := key.(string)
		value := c.Do("DUMP", name)
		if members, isSet := c.Do("SMEMBERS", name).([]any); isSet { // a table, whose order is that of no two moments
			slices.SortFunc(members, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
			value = members
		}
		all[name] = fmt.Sprintf("%v %v", value, c.Do("PEXPIRETIME", name))
	}
	return all
}

// writes are the commands of lines of MONITOR that may change something, as the
// server itself says what its commands do.
func writes(t *testing.T, c *redistest.Conn, lines []string) []string {
	t.Helper()
	var wrong []string
	for _, line := range lines {
		_, rest, _ := strings.Cut(line, `] "`)
		name, _, _ := strings.Cut(rest, `"`)
		name = strings.ToLower(name)
		about, ok := c.Do("COMMAND", "INFO", name).([]any)
		if !ok || len(about) != 1 {
			t.Fatalf("COMMAND INFO %s: %v", name, about)
		}
		flags := fmt.Sprint(about[0].([]any)[2])
		reads := strings.Contains(flags, "readonly")
		neutral := slices.Contains([]string{"hello", "client", "select", "info", "time", "config", "auth", "ping"}, name) && !strings.Contains(flags, "write")
		if !reads && !neutral || strings.HasPrefix(name, "eval") || strings.HasPrefix(name, "fcall") {
			wrong = append(wrong, line)
		}
	}
	return wrong
}

func TestASurveyOfEveryRQReadsAndWritesNothing(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"1.13.0", "1.15.1", "2.0", "2.10.0"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			// Small hashes are dumped in the order in which they were written.
			s := redistest.Start(t, redistest.Options{Args: []string{"--hash-max-listpack-value", "1000000", "--hash-max-listpack-entries", "10000"}})
			f := readFixture(t, version)
			rawURL := s.DB(t)
			c := s.Conn(t, rawURL)
			f.load(t, c)
			before := snapshot(t, c)
			monitor := s.Conn(t, rawURL)
			monitor.Do("MONITOR")
			got := survey(t, rawURL)
			c.Do("ECHO", "over")
			var lines []string
			for {
				line, _ := monitor.Next().(string)
				if strings.Contains(line, `"ECHO" "over"`) {
					break
				}
				lines = append(lines, line)
			}
			if len(lines) < 20 {
				t.Errorf("MONITOR showed %d commands only", len(lines))
			}
			if wrong := writes(t, c, lines); len(wrong) > 0 {
				t.Errorf("these do not only read:\n%s", strings.Join(wrong, "\n"))
			}
			if diff := cmp.Diff(before, snapshot(t, c)); diff != "" {
				t.Errorf("the survey changed the database (-before +after):\n%s", diff)
			}
			f.compareSurvey(t, version, got)
		})
	}
}

// compareSurvey compares what is told with what that RQ says.
func (f fixture) compareSurvey(t *testing.T, version string, got *redisbroker.Survey) {
	t.Helper()
	want := map[string]int64{}
	functions := map[string]int{}
	for _, j := range f.jobs {
		want[j.Origin+"/"+map[string]string{"stopped": "failed"}[j.Status]+map[bool]string{true: "", false: j.Status}[j.Status == "stopped"]]++
		if j.Status == "scheduled" && j.Latest != nil {
			want[j.Origin+"/finished"]++ // its last run; RQ counts it too
		}
		functions[j.FuncName]++
	}
	counts, looked := map[string]int64{}, 0
	for _, q := range got.Queues {
		for status, n := range map[string]int64{
			"queued": q.Queued, "started": q.Started, "scheduled": q.Scheduled, "deferred": q.Deferred, "failed": q.Failed,
			"finished": q.Finished, "canceled": q.Canceled,
		} {
			if n > 0 {
				counts[q.Name+"/"+status] = n
			}
		}
		looked += q.Looked
		if q.Gone > 0 || q.Intermediate > 0 {
			t.Errorf("queue %s: %d without a job, %d intermediate", q.Name, q.Gone, q.Intermediate)
		}
	}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	called := map[string]int{}
	for _, fn := range got.Jobs.Functions {
		called[fn.Name] += fn.Jobs
	}
	if diff := cmp.Diff(functions, called); diff != "" {
		t.Errorf("functions (-want +got):\n%s", diff)
	}
	if got.Jobs.Read != len(f.jobs) || got.Jobs.Sampled || len(got.Jobs.Unreadable)+len(got.Jobs.Lost) > 0 || got.Jobs.Serializers["pickle"] != len(f.jobs) {
		t.Errorf("of %d jobs it tells %+v", len(f.jobs), got.Jobs)
	}
	writer := map[string]string{"1.13.0": "1.14 or earlier", "1.15.1": "1.15 or 1.16", "2.0": "2.0 or later", "2.10.0": "2.0 or later"}[version]
	if len(got.Jobs.Writers) == 0 || got.Jobs.Writers[0].RQ != writer {
		t.Errorf("most jobs were written by RQ %+v, want %s", got.Jobs.Writers, writer)
	}
	if newest := slices.ContainsFunc(got.Clues, func(c redisbroker.SurveyedClue) bool { return c.RQ == "2.10 or later" }); newest != (version == "2.10.0") {
		t.Errorf("clues: %+v", got.Clues)
	}
	for _, w := range got.Workers {
		if w.Distro || w.Version == "" || !strings.HasPrefix(version, w.Version[:3]) || len(w.Queues) == 0 {
			t.Errorf("worker %+v", w)
		}
	}
	if len(got.Workers) != 2 {
		t.Errorf("%d workers, want 2", len(got.Workers))
	}
}

// An account that may do nothing but read is enough, so nothing else is done.
func TestASurveyNeedsARightToReadAndNoOther(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	f := readFixture(t, "2.0")
	f.load(t, s.Conn(t, s.URL()))
	s.Do(t, "ACL", "SETUSER", "reader", "on", ">hunter2hunter2", "~*", "+@read", "+@connection", "+info", "+time")
	got := survey(t, "redis://reader:hunter2hunter2@"+s.Addr())
	if got.Jobs.Read != len(f.jobs) {
		t.Errorf("read %d jobs of %d", got.Jobs.Read, len(f.jobs))
	}
}

func TestASurveyNamesWhatIsStrandedAndWhy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.enqueue("good", "q", 2)
	long := "2026-01-01T00:00:00.000000Z"
	for id, data := range map[string]string{
		"cut": deflated(strings.Repeat("x", 5000))[:20], "marshal": "\xe9\x01", "short": "\x80\x04\x95", "no-call": "\x80\x03K\x05.", "json": `["m.g", null, [], {}]`, "bad-json": `["m.g", nul`,
	} {
		b.do("HSET", "rq:job:"+id, "data", data, "status", "queued", "origin", "q")
		b.do("RPUSH", "rq:queue:q", id)
	}
	b.do("RPUSH", "rq:queue:q", "gone-1")
	b.do("ZADD", "rq:scheduled:q", "1", "gone-2", "99999999999", "gone-3")
	b.do("RPUSH", "rq:queue:q:intermediate", "stuck")
	b.do("HSET", "rq:job:stuck", "data", `["m.g", null, [], {}]`, "status", "queued", "origin", "q", "enqueued_at", long)
	b.do("HSET", "rq:job:lost", "data", `["m.g", null, [], {}]`, "status", "queued", "origin", "q", "enqueued_at", long)
	b.do("HSET", "rq:job:abandoned", "data", `["m.g", null, [], {}]`, "status", "started", "origin", "q")
	b.do("ZADD", "rq:wip:q", "5", "abandoned:0123456789abcdef0123456789abcdef")
	b.do("SADD", "rq:workers", "rq:worker:vanished", "rq:worker:alive", "rq:worker:silent")
	now := time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")
	b.do("HSET", "rq:worker:alive", "birth", long, "last_heartbeat", now, "queues", "q", "version", "1.15.1")
	b.do("HSET", "rq:worker:silent", "birth", long, "last_heartbeat", long, "queues", "q", "version", "1.15.1")
	b.do("SET", "rq:scheduler-lock:q", "4711", "EX", "61")
	b.do("SET", "rq:scheduler-lock:other", "4712", "EX", "61")

	got, err := redisbroker.SurveyRedis(t.Context(), redisbroker.SurveyOptions{URL: b.url, Clock: broker.SystemClock(), Schedule: []string{"other", "free"}})
	if err != nil {
		t.Fatal(err)
	}
	q := got.Queues[0]
	if diff := cmp.Diff([]string{"gone-1", "gone-2", "gone-3"}, slices.Sorted(slices.Values(q.GoneIDs))); diff != "" || q.Gone != 3 {
		t.Errorf("%d entries without a job: %s", q.Gone, diff)
	}
	if q.Intermediate != 1 || q.Abandoned != 1 || q.Due != 1 || q.Queued != 9 {
		t.Errorf("queue: %+v", q)
	}
	schedulers := []redisbroker.SurveyedScheduler{{Queue: "other", Who: "RQ, process 4712"}, {Queue: "q", Who: "RQ, process 4711"}}
	if diff := cmp.Diff(schedulers, got.Schedulers); diff != "" {
		t.Errorf("schedulers: %s", diff)
	}
	if diff := cmp.Diff([]string{"lost"}, got.Jobs.Lost); diff != "" {
		t.Errorf("jobs in no list: %s", diff)
	}
	for _, action := range []broker.Action{broker.ActionCancel, broker.ActionRequeue} {
		if errs, err := b.broker.Act(t.Context(), action, got.Jobs.Lost); err != nil || errs[0] != nil {
			t.Fatalf("%s: %v %v", action, err, errs)
		}
	}
	if last := b.do("LINDEX", "rq:queue:q", "-1"); last != "lost" {
		t.Errorf("canceled and requeued, it stands in its queue no more than before: the last is %v", last)
	}
	reasons := map[string]string{}
	for _, u := range got.Jobs.Unreadable {
		reasons[strings.Join(u.IDs, " ")] = u.Reason
	}
	want := map[string]string{
		"cut": "its compressed data is damaged or cut off", "marshal": "it was written by a serializer that is neither pickle nor RQ's JSON",
		"bad-json": "its JSON is damaged or cut off", "no-call": "its pickle: it is no call of RQ", "short": "its pickle: it ends too early",
	}
	for id, reason := range want {
		if id != "short" && reasons[id] != reason || reasons[id] == "" {
			t.Errorf("%s cannot be read: %q, want %q", id, reasons[id], reason)
		}
	}
	if diff := cmp.Diff(map[string]int{"pickle": 2, "json": 6, "unknown": 2}, got.Jobs.Serializers); diff != "" {
		t.Errorf("serializers: %s", diff)
	}
	alive := map[string]bool{}
	for _, w := range got.Workers {
		alive[w.Name] = w.Alive
	}
	if diff := cmp.Diff(map[string]bool{"alive": true, "vanished": false, "silent": false}, alive); diff != "" {
		t.Errorf("workers: %s", diff)
	}
}

func TestASurveyOfHostileContentIsFitToBeShown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.enqueue("good", "q", 3)
	b.do("SADD", "rq:queues", "no prefix", "rq:queue:", "rq:queue:\xff\x00", "rq:queue:wrong")
	b.do("SADD", "rq:workers", "no prefix", "rq:worker:odd", "rq:worker:\xff")
	b.do("HSET", "rq:worker:odd", "pid", "many", "queues", "\xff,,", "current_job", "\xff", "birth", "then")
	b.do("SET", "rq:worker:\xff", "not a hash")
	for _, key := range []string{"rq:queue:wrong", "rq:wip:wrong", "rq:failed:wrong", "rq:scheduler-lock:wrong", "rq:groups", "rq:cron_schedulers", "distro:schedulers"} {
		b.do("SET", key, "of another type")
	}
	b.do("SADD", "rq:scheduler-lock:q", "of another type")
	for id, fields := range hostile() {
		b.do(append([]string{"HSET", "rq:job:" + id}, fields...)...)
		b.do("RPUSH", "rq:queue:q", id)
		b.do("ZADD", "rq:wip:q", "1", id)
	}
	got := survey(t, b.url)
	if got.Jobs.Long < 1 || got.Jobs.Read < 8 {
		t.Errorf("read %d jobs, %d are too long", got.Jobs.Read, got.Jobs.Long)
	}
	for _, f := range got.Jobs.Functions {
		if !utf8.ValidString(f.Name + f.Class) {
			t.Errorf("%q is not fit to be shown", f.Name)
		}
	}
}

func TestASurveyOfAMillionJobsReadsAPartOfThem(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	c := s.Conn(t, s.URL())
	const million = 1_000_000
	c.Do("EVAL", `
redis.call('SADD', 'rq:queues', 'rq:queue:q')
for i = 0, 999 do redis.call('HSET', 'rq:job:' .. i, 'data', '["m.f", null, [], {}]', 'status', 'queued', 'origin', 'q') end
local ids = {}
for i = 1, 1000 do ids[i] = tostring(i - 1) end
for i = 1, 1000 do redis.call('RPUSH', 'rq:queue:q', unpack(ids)) end
return 1`, "0")
	stat := func(name string) int {
		text, _ := c.Do("INFO", "stats").(string)
		_, rest, _ := strings.Cut(text, name+":")
		value, _, _ := strings.Cut(rest, "\r\n")
		n, err := strconv.Atoi(value)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return n
	}
	sent, commands := stat("total_net_output_bytes"), stat("total_commands_processed")
	got := survey(t, s.URL())
	sent, commands = stat("total_net_output_bytes")-sent, stat("total_commands_processed")-commands
	if q := got.Queues[0]; q.Queued != million || !q.Sampled || q.Looked != 2000 || !got.Jobs.Sampled {
		t.Errorf("queue %+v, sampled: %v", q, got.Jobs.Sampled)
	}
	if sent > 4<<20 || commands > 30_000 {
		t.Errorf("it took %d commands and %d bytes", commands, sent)
	}
}

func TestASurveyWithoutQueuesSaysWhereTheyAre(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	options := func(db int) redisbroker.SurveyOptions {
		u, err := url.Parse(s.URL())
		if err != nil {
			t.Fatal(err)
		}
		u.Path = "/" + strconv.Itoa(db)
		return redisbroker.SurveyOptions{URL: u.String(), Clock: broker.SystemClock()}
	}
	_, err := redisbroker.SurveyRedis(t.Context(), options(0))
	if !errors.Is(err, redisbroker.ErrNoQueues) || !strings.Contains(err.Error(), "--url") {
		t.Errorf("of an empty Redis: %v", err)
	}
	c := s.Conn(t, options(3).URL)
	c.Do("SADD", "rq:queues", "rq:queue:q")
	_, err = redisbroker.SurveyRedis(t.Context(), options(0))
	if !errors.Is(err, redisbroker.ErrNoQueues) || !strings.Contains(err.Error(), "database 3 ") {
		t.Errorf("of the wrong database: %v", err)
	}
	if keys := slices.Collect(maps.Keys(snapshot(t, s.Conn(t, options(0).URL)))); len(keys) > 0 {
		t.Errorf("it left %q", keys)
	}
}
