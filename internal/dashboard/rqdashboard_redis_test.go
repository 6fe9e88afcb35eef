package dashboard_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
	"github.com/distro-orchestrator/distro/internal/redistest"
)

func startRedis(t *testing.T) *redistest.Server {
	t.Helper()
	return redistest.Start(t, redistest.Options{})
}

// onRedis opens a queue that writes nothing by itself.
func onRedis(t *testing.T, server *redistest.Server) *redisbroker.Broker {
	t.Helper()
	b, err := redisbroker.Open(t.Context(), redisbroker.Options{
		URL: server.URL(), Clock: broker.SystemClock(), Quiet: true, Timeout: 20 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// stockJob is what stock RQ says of a job.
type stockJob struct {
	CreatedAt    *string  `json:"created_at"`
	EnqueuedAt   *string  `json:"enqueued_at"`
	StartedAt    *string  `json:"started_at"`
	EndedAt      *string  `json:"ended_at"`
	Origin       string   `json:"origin"`
	Status       string   `json:"status"`
	Description  string   `json:"description"`
	CallString   string   `json:"call_string"`
	Meta         string   `json:"meta"`
	Dependencies []string `json:"dependency_ids"`
	Latest       *struct {
		Exc *string `json:"exc_string"`
	} `json:"latest_result"`
}

// loadStock writes a Redis that stock RQ left, and returns what RQ says of its
// jobs.
func loadStock(t *testing.T, server *redistest.Server, version string) map[string]stockJob {
	t.Helper()
	dir := filepath.Join("..", "broker", "redisbroker", "testdata", "rq", version)
	redistest.Load(t, server.Conn(t, server.URL()), redistest.ReadState(t, filepath.Join(dir, "state.json")))
	text, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var jobs map[string]stockJob
	if err := json.Unmarshal(text, &jobs); err != nil {
		t.Fatal(err)
	}
	return jobs
}

// iso is a time of RQ as RQ Dashboard shows it.
func iso(at *string) any {
	if at == nil {
		return nil
	}
	return strings.Replace(*at, "Z", "+00:00", 1)
}

// row is the job as a list shows it.
func (j stockJob) row(id string) map[string]any {
	row := map[string]any{
		"id": id, "created_at": iso(j.CreatedAt), "started_at": iso(j.StartedAt), "ended_at": iso(j.EndedAt),
		"description": j.Description, "exc_info": nil,
	}
	if j.Latest != nil && j.Latest.Exc != nil {
		row["exc_info"] = *j.Latest.Exc
	}
	return row
}

// whole is job.json without the returned value.
func (j stockJob) whole(t *testing.T, id string, known map[string]stockJob) map[string]any {
	t.Helper()
	meta, ok := map[string]string{
		"{}": "{}", "{'team': 'ops', 'n': 1}": `{"team":"ops","n":1}`, "{'k': ['v', None]}": `{"k":["v",null]}`,
	}[j.Meta]
	if !ok {
		t.Fatalf("what is %s as JSON?", j.Meta)
	}
	job := j.row(id)
	job["enqueued_at"], job["origin"], job["status"], job["metadata"] = iso(j.EnqueuedAt), j.Origin, j.Status, meta
	if len(j.Dependencies) > 0 {
		var ids, states []any
		for _, parent := range j.Dependencies {
			state := "expired"
			if _, there := known[parent]; there {
				state = "active"
			}
			ids, states = append(ids, parent), append(states, state)
		}
		job["depends_on"], job["depends_on_status"] = ids, states
	}
	return job
}

func versions() []string { return []string{"1.13.0", "1.15.1", "2.0", "2.10.0"} }

func TestWhatStockRQLeftIsToldAsStockRQTellsIt(t *testing.T) {
	t.Parallel()
	for _, version := range versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server := startRedis(t)
			jobs := loadStock(t, server, version)
			b := watch(t, onRedis(t, server))
			listed := map[string]any{}
			for id, want := range jobs {
				got := b.data("/0/data/job/" + url.PathEscape(id) + ".json")
				delete(got, "result")
				if diff := cmp.Diff(want.whole(t, id, jobs), got); diff != "" {
					t.Errorf("job %s (-want +got):\n%s", id, diff)
				}
				registry := want.Status
				if registry == "stopped" {
					registry = "failed"
				}
				address := "/0/data/jobs/" + want.Origin + "/" + registry + "/100/asc/1.json"
				for _, row := range b.data(address)["jobs"].([]any) {
					listed[row.(map[string]any)["id"].(string)] = row
				}
				if diff := cmp.Diff(want.row(id), listed[id]); diff != "" {
					t.Errorf("job %s in %s (-want +got):\n%s", id, address, diff)
				}
			}
			for id, want := range map[string]any{
				"finished-int": json.Number("42"), "finished-none": nil, "finished-unserializable": "Unserializable return value", "failed-traceback": nil,
			} {
				if _, there := jobs[id]; !there {
					continue
				}
				if got := b.data("/0/data/job/" + id + ".json")["result"]; got != want {
					t.Errorf("job %s returned %v, want %v", id, got, want)
				}
			}
			compareQueues(t, b, jobs)
			compareWorkers(t, b, jobs["running"])
		})
	}
}

func compareQueues(t *testing.T, b *bundle, jobs map[string]stockJob) {
	t.Helper()
	want := map[string]map[string]int{}
	for _, j := range jobs {
		if want[j.Origin] == nil {
			want[j.Origin] = map[string]int{}
		}
		field := map[string]string{"queued": "count", "stopped": "failed_job_registry_count"}[j.Status]
		if field == "" {
			field = j.Status + "_job_registry_count"
		}
		want[j.Origin][field]++
		if j.Status == "scheduled" && j.Latest != nil {
			want[j.Origin]["finished_job_registry_count"]++ // its last run; RQ counts it too
		}
	}
	names := []string{}
	for _, item := range b.data("/0/data/queues.json")["queues"].([]any) {
		q := item.(map[string]any)
		name := q["name"].(string)
		names = append(names, name)
		for field, value := range q {
			if n, counted := value.(json.Number); counted && n.String() != fmt.Sprint(want[name][field]) {
				t.Errorf("%s of %s is %s, want %d", field, name, n, want[name][field])
			}
		}
		if q["queued_url"] != "/0/view/jobs/"+name+"/queued/8/asc/1" || q["failed_url"] != "/0/view/jobs/"+name+"/failed/8/asc/1" {
			t.Errorf("addresses of %s: %v", name, q)
		}
	}
	if !slices.IsSorted(names) {
		t.Errorf("queues are not in order: %q", names)
	}
	for name := range maps.Keys(want) {
		if !slices.Contains(names, name) {
			t.Errorf("queue %s is missing in %q", name, names)
		}
	}
}

func compareWorkers(t *testing.T, b *bundle, running stockJob) {
	t.Helper()
	list := b.data("/0/data/workers.json")["workers"].([]any)
	var got []any
	for _, item := range list {
		w := item.(map[string]any)
		birth, err := time.Parse(http.TimeFormat, w["birth_date"].(string))
		seen, errSeen := time.Parse(http.TimeFormat, w["last_heartbeat"].(string))
		if err != nil || errSeen != nil || birth.After(seen) || w["pid"] == nil || w["version"] == "" || !strings.HasPrefix(w["python_version"].(string), "3.11.2 (main") {
			t.Errorf("worker %v", w)
		}
		got = append(got, []any{w["name"], w["state"], w["queues"], w["current_job"], w["successful_job_count"], w["failed_job_count"]})
	}
	want := []any{
		[]any{"fx-busy", "busy", []any{"busy", "busy2"}, map[string]any{
			"job_id": "running", "description": running.Description, "created_at": iso(running.CreatedAt), "call_string": running.CallString,
		}, json.Number("0"), json.Number("1")},
		[]any{"fx-idle", "idle", []any{"idle", "idle2"}, "idle", json.Number("0"), json.Number("0")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("workers (-want +got):\n%s", diff)
	}
}

func TestViewingDisturbsNobody(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	jobs := loadStock(t, server, "2.10.0")
	stock := redistest.FindStock(t)
	written := func() string {
		for line := range strings.Lines(fmt.Sprint(server.Do(t, "INFO", "persistence"))) {
			if strings.HasPrefix(line, "rdb_changes_since_last_save:") {
				return line
			}
		}
		return "not told"
	}
	info := func() []string { // in the order of a set
		lines := strings.Split(stock.Info(t, server.URL()), "\n")
		slices.Sort(lines)
		return lines
	}
	told := info()
	before := written()
	b := watch(t, onRedis(t, server))
	for id := range jobs {
		b.data("/0/data/job/" + id + ".json")
		b.get("/jobs/" + id)
	}
	for _, address := range []string{"/", "/jobs", "/queues", "/queues/ran", "/workers", "/schedules", "/settings"} {
		b.get(address)
	}
	for _, registry := range []string{"queued", "scheduled", "deferred", "started", "finished", "failed", "canceled"} {
		b.data("/0/data/jobs/ran/" + registry + "/8/dsc/1.json")
	}
	b.data("/0/data/queues.json")
	b.data("/0/data/workers.json")
	if after := written(); after != before {
		t.Errorf("something was written: %q, %q", before, after)
	}
	if diff := cmp.Diff(told, info()); diff != "" {
		t.Errorf("rq info (-before +after):\n%s", diff)
	}
}

func TestEntriesWithoutARecordAreMarked(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	c := server.Conn(t, server.URL())
	for i := range 20 {
		c.Do("RPUSH", "rq:queue:q", fmt.Sprintf("%02d", i))
		if i%3 > 0 {
			c.Do("HSET", fmt.Sprintf("rq:job:%02d", i), "data", "x", "origin", "q", "status", "queued", "created_at", "2026-10-05T08:30:00.000000Z")
		}
	}
	c.Do("SADD", "rq:queues", "rq:queue:q", "rq:queue:idle")
	b := watch(t, onRedis(t, server))
	if got := strings.Join(rows(b.data("/0/data/jobs/q/queued/8/asc/2.json")), " "); got != "08 (09) 10 11 (12) 13 14 (15)" {
		t.Errorf("page 2: %q", got)
	}
	if got := strings.Join(rows(b.data("/0/data/jobs/q/queued/8/dsc/3.json")), " "); got != "(03) 02 01 (00)" {
		t.Errorf("page 3 from the end: %q", got)
	}
	b.status("/queue/q/compact")
	if got := rows(b.data("/0/data/jobs/q/queued/100/asc/1.json")); len(got) != 13 || got[0] != "01" {
		t.Errorf("compacted: %q", got)
	}
	if got := b.data("/0/data/queues.json")["queues"].([]any); len(got) != 2 || got[0].(map[string]any)["name"] != "idle" {
		t.Errorf("queues: %v", got)
	}
}

func TestHostileJobsAreToldAsText(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	c := server.Conn(t, server.URL())
	c.Do("SADD", "rq:queues", "rq:queue:q", "no prefix", "rq:queue:\xff<b>")
	large := strings.Repeat("\xff", 5<<20)
	hostile := map[string][]string{
		"bad-pickle":  {"data", "\x80\x05cos\nsystem\n(S'touch /tmp/pwned'\ntR.", "meta", "\x80\x05cos\nsystem\n(S'true'\ntR."},
		"bad-utf8":    {"data", "x\xff", "description", "\xff\xfe", "status", "queued\xff", "meta", "\xff"},
		"script":      {"data", "x", "description", "<script>alert(1)</script>", "meta", `{"a": "</script>"}`},
		"5mb":         {"data", large, "description", large, "meta", large},
		"no-status":   {"data", "x"},
		"odd-times":   {"data", "x", "created_at", "yesterday", "ended_at", "9999-99-99T00:00:00Z"},
		"odd-parents": {"data", "x", "dependency_ids", `["", "x", 5]`, "dependency_id", "\xff"},
		"a b?c#d%2F":  {"data", "x", "meta", "[1, 2"},
	}
	for id, fields := range hostile {
		c.Do(append([]string{"HSET", "rq:job:" + id, "origin", "q"}, fields...)...)
		c.Do("RPUSH", "rq:queue:q", id)
		c.Do("XADD", "rq:results:"+id, "*", "type", "1", "return_value", "gAVjb3MKc3lzdGVtCg==", "exc_string", "!")
		for _, key := range []string{"rq:wip:q", "rq:failed:q", "rq:finished:q", "rq:deferred:q", "rq:scheduled:q", "rq:canceled:q"} {
			c.Do("ZADD", key, "inf", id)
		}
		c.Do("SADD", "rq:workers", "rq:worker:"+id)
		c.Do("HSET", "rq:worker:"+id, "current_job", id, "queues", "\xff", "pid", "x", "birth", "never", "state", "\xff", "total_working_time", "inf")
	}
	c.Do("SET", "rq:worker:odd", "no hash")
	c.Do("SADD", "rq:workers", "rq:worker:odd", "odd")
	b := watch(t, onRedis(t, server))
	for id := range hostile {
		got := b.data("/0/data/job/" + url.PathEscape(id) + ".json")
		if got["id"] != id {
			t.Errorf("job %q: %v", id, got["id"])
		}
		if meta, ok := got["metadata"].(string); !ok || !json.Valid([]byte(meta)) {
			t.Errorf("job %q: metadata %.100q", id, meta)
		}
	}
	for _, registry := range []string{"queued", "scheduled", "deferred", "started", "finished", "failed", "canceled"} {
		if got := rows(b.data("/0/data/jobs/q/" + registry + "/500/dsc/1.json")); len(got) != len(hostile) {
			t.Errorf("%s: %d rows of %d", registry, len(got), len(hostile))
		}
	}
	if got := b.data("/0/data/workers.json")["workers"].([]any); len(got) != len(hostile) {
		t.Errorf("%d workers of %d", len(got), len(hostile))
	}
	b.data("/0/data/queues.json")
	if _, err := os.Stat("/tmp/pwned"); err == nil {
		t.Error("what a job holds was carried out")
	}
}

// What stock RQ does beside is seen, and what is done here is seen by it.
func TestStockRQAndTheseAddressesSeeEachOther(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	stock := redistest.FindStock(t)
	b := watch(t, onRedis(t, server))
	stock.Run(t, server.URL(), `
import os, redis, rq
c = redis.Redis.from_url(os.environ['REDIS_URL'])
q = rq.Queue(connection=c)
for i in range(3):
    q.enqueue('no.such.function', i, job_id='j%d' % i)
rq.SimpleWorker([q], connection=c).work(burst=True)
w = rq.Worker([q], name='stock', connection=c)
w.register_birth()
`)
	page := b.data("/0/data/jobs/default/failed/8/asc/1.json")
	for i, row := range page["jobs"].([]any) {
		fields := row.(map[string]any)
		if fields["id"] != fmt.Sprintf("j%d", i) || !strings.HasPrefix(fmt.Sprint(fields["exc_info"]), "Traceback (most recent call last):") {
			t.Errorf("row %d: %v", i, fields)
		}
	}
	told := stock.Run(t, server.URL(), `
import json, os, redis, rq
c = redis.Redis.from_url(os.environ['REDIS_URL'])
w = rq.Worker.find_by_key('rq:worker:stock', connection=c)
print(json.dumps([getattr(w, 'version', ''), getattr(w, 'python_version', ''), w.pid, w.successful_job_count, w.failed_job_count]))
`)
	for _, item := range b.data("/0/data/workers.json")["workers"].([]any) {
		w := item.(map[string]any)
		got, err := json.Marshal([]any{w["version"], w["python_version"], w["pid"], w["successful_job_count"], w["failed_job_count"]})
		if err != nil || w["name"] == "stock" && !sameJSON(t, string(got), told) {
			t.Errorf("stock RQ says %s of its worker, we say %s", told, got)
		}
	}
	b.status("/job/j1/requeue")
	b.status("/job/j0/delete")
	b.status("/requeue/default")
	if got := stock.Run(t, server.URL(), `
import json, os, redis, rq
c = redis.Redis.from_url(os.environ['REDIS_URL'])
q = rq.Queue(connection=c)
print(json.dumps([q.job_ids, q.failed_job_registry.get_job_ids(), rq.job.Job.fetch('j2', connection=c).get_status()]))
`); !sameJSON(t, got, `[["j1", "j2"], [], "queued"]`) {
		t.Errorf("stock RQ sees %s", got)
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal([]byte(a), &x); err != nil {
		t.Fatalf("%q: %v", a, err)
	}
	if err := json.Unmarshal([]byte(b), &y); err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	return cmp.Equal(x, y)
}
