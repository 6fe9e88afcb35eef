package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro/internal/proctest"
	"github.com/distro-orchestrator/distro/internal/redistest"
)

// load posts jobs that leave their IDs, until it is ended, each until it is
// answered. It holds the API to what it answers meanwhile.
type load struct {
	t       *testing.T
	up      *server
	clients sync.WaitGroup
	done    chan struct{}

	mu       sync.Mutex
	answered []string
	refused  int           // requests that were answered 503
	longest  time.Duration // until such an answer
}

// startLoad starts a few clients, each of which posts a job every 20 ms.
func startLoad(t *testing.T, up *server, path string) *load {
	l := &load{t: t, up: up, done: make(chan struct{})}
	var next atomic.Int64
	for range 4 {
		l.clients.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-l.done:
					return
				case <-tick.C:
					l.post(fmt.Sprintf("job-%d", next.Add(1)-1), path)
				}
			}
		})
	}
	t.Cleanup(func() { l.end() })
	return l
}

// post repeats a request until it is answered: its job_id makes that safe.
func (l *load) post(id, path string) {
	body := fmt.Sprintf(`{"module": "files", "function": "appends", "queue": "default", "job_id": %q, "args": [%q]}`, id, path)
	for l.t.Context().Err() == nil {
		begin := time.Now()
		status, text, err := l.up.try(http.MethodPost, "/scheduler/queue-task", body)
		took := time.Since(begin)
		l.mu.Lock()
		switch {
		case err != nil:
			l.t.Errorf("%s: %v", id, err)
		case status == http.StatusCreated:
			l.answered = append(l.answered, id)
		case status != http.StatusServiceUnavailable || !strings.Contains(text, "the queue cannot be reached"):
			l.t.Errorf("%s: %d %s", id, status, text)
		default:
			l.refused++
			l.longest = max(l.longest, took)
		}
		l.mu.Unlock()
		if err == nil && status != http.StatusServiceUnavailable {
			return
		}
	}
}

// flows waits until some more jobs are answered.
func (l *load) flows(more int) {
	l.t.Helper()
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.answered)
	}
	want := count() + more
	l.up.poll("jobs are answered", func() bool { return count() >= want })
}

// outage lets Redis be away for a while, and checks what clients are told.
func (l *load) outage(what string, away time.Duration, begin, end func()) {
	l.t.Helper()
	l.mu.Lock()
	l.refused, l.longest = 0, 0
	l.mu.Unlock()
	begin()
	<-time.After(away)
	end()
	l.flows(200)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refused == 0 || l.longest > 2*time.Second {
		l.t.Errorf("while Redis was %s, %d requests were refused, the longest after %v: want some, within 2 s", what, l.refused, l.longest)
	}
}

// end ends the load and returns the jobs that were answered.
func (l *load) end() []string {
	l.mu.Lock()
	select {
	case <-l.done:
	default:
		close(l.done)
	}
	l.mu.Unlock()
	l.clients.Wait()
	return l.answered
}

// wrongEnds lists jobs that did not finish in their first attempt with one
// result, and keys and members that say that something is still held.
const wrongEnds = `local wrong = {}
for _, id in ipairs(ARGV) do
	local job = redis.call('HMGET', 'rq:job:' .. id, 'status', 'distro_attempt')
	local results = redis.call('XLEN', 'rq:results:' .. id)
	if job[1] ~= 'finished' or job[2] ~= '1' or results ~= 1 then
		wrong[#wrong + 1] = id .. ' is ' .. tostring(job[1]) .. ' after attempt ' .. tostring(job[2]) .. ' with results ' .. results
	end
end
for _, key in ipairs(redis.call('KEYS', 'distro:claims:*')) do wrong[#wrong + 1] = key end
for _, key in ipairs({'distro:held:default', 'rq:wip:default', 'rq:failed:default'}) do
	if redis.call('EXISTS', key) == 1 then wrong[#wrong + 1] = key end
end
return wrong`

// checkEnds checks that each job finished in its first attempt with one result,
// and ran once.
func (s *site) checkEnds(ids []string) {
	s.t.Helper()
	s.await("no job is left", func() bool {
		return s.do("ZCARD", "rq:finished:default") == int64(len(ids)) && s.do("LLEN", "rq:queue:default") == int64(0)
	})
	for part := range slices.Chunk(ids, 1000) {
		wrong, ok := s.do(append([]string{"EVAL", wrongEnds, "0"}, part...)...).([]any)
		if !ok || len(wrong) > 0 {
			s.t.Errorf("ended otherwise than once, or held: %v", wrong)
		}
	}
	runs := s.runs()
	for _, id := range ids {
		if runs[id] != 1 {
			s.t.Errorf("%s ran %d times", id, runs[id])
		}
	}
	if len(runs) != len(ids) {
		s.t.Errorf("%d jobs ran, want %d", len(runs), len(ids))
	}
}

func TestARedisThatStopsAndThatHangsUnderLoadCostsNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, redistest.Options{AOF: true})
	files, err := os.ReadFile("testdata/rq/files.py")
	if err != nil {
		t.Fatal(err)
	}
	up := newServer(t, "redis_url = "+s.url+"\nworkers = 2\nisolation = pool\n", map[string]string{"files.py": string(files)}).start()
	worker := distroWorker(s, "peer", "--concurrency", "2", "--with-scheduler", "default")
	s.awaitState(worker, "peer.1", "idle")
	path, gate := s.dir+"/runs", s.dir+"/gate"
	// They run through everything, on both workers: nobody may take them for lost.
	long := []string{"long-0", "long-1"}
	for _, id := range long {
		body := fmt.Sprintf(`{"module": "files", "function": "waits", "queue": "default", "job_id": %q, "args": [%q, %q]}`, id, path, gate)
		if status, text := up.post("/scheduler/queue-task", body); status != http.StatusCreated {
			t.Fatalf("%d %s", status, text)
		}
	}
	s.await("the long jobs run", func() bool { return s.do("ZCARD", "rq:wip:default") == int64(len(long)) })
	owners := map[string]any{}
	for _, id := range long {
		owners[id] = s.do("HGET", "rq:job:"+id, "worker_name")
	}

	l := startLoad(t, up, path)
	l.flows(200)
	l.outage("stopped", 10*time.Second, func() { s.redis.Stop(t) }, func() { s.redis.Restart(t) })
	l.outage("hanging", 30*time.Second, s.redis.Pause, s.redis.Continue)
	ids := append(l.end(), long...)
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.checkEnds(ids)
	for _, id := range long {
		if owner := s.do("HGET", "rq:job:"+id, "worker_name"); owner != owners[id] {
			t.Errorf("%s was begun by %v and ended by %v", id, owners[id], owner)
		}
	}
	t.Logf("%d jobs were answered and ran", len(ids))
	worker.Stop(t)
}

func TestRepliesThatAreLostOrphanAndRepeatNothing(t *testing.T) {
	t.Parallel()
	jobs, cuts := soaked(2000, 20_000), soaked(100, 1000)
	s := newSite(t, redistest.Options{})
	proxy := redistest.StartProxy(t, s.redis.Addr())
	names := []string{"first", "second"}
	workers := map[string]*proctest.Process{}
	for _, name := range names {
		workers[name] = distroWorker(s, name, "--url", proxy.URL(0), "--isolation", "pool")
		s.awaitState(workers[name], name, "idle")
	}
	proxy.CutEvery(4)
	const step = 200 // so that workers become idle again and again
	var ids []string
	for first := 0; first < jobs || proxy.Cuts() < cuts; first += step {
		if first == 10*jobs {
			t.Fatalf("only %d replies were lost during %d jobs", proxy.Cuts(), first)
		}
		var part []string
		for n := first; n < first+step; n++ {
			part = append(part, fmt.Sprintf("job-%d", n))
		}
		s.client(append([]string{"enqueue_appends", s.dir + "/runs"}, part...)...)
		ids = append(ids, part...)
		s.await("the part is done", func() bool { return s.do("ZCARD", "rq:finished:default").(int64) >= int64(len(ids))-step/2 })
	}
	proxy.CutEvery(0)
	s.checkEnds(ids)
	t.Logf("%d replies were lost during %d jobs", proxy.Cuts(), len(ids))
	counted := 0
	for _, name := range names {
		var n int
		if _, err := fmt.Sscan(fmt.Sprint(s.do("HGET", "rq:worker:"+name, "successful_job_count")), &n); err != nil {
			t.Fatal(err)
		}
		counted += n
	}
	if counted != len(ids) {
		t.Errorf("the workers count %d jobs, want %d", counted, len(ids))
	}
	for _, name := range slices.Sorted(maps.Keys(workers)) {
		workers[name].Stop(t)
	}
}

func TestWorkersRegisterAgainWithARedisThatLostEverything(t *testing.T) {
	t.Parallel()
	s := newSite(t, redistest.Options{})
	up := newServer(t, "redis_url = "+s.url+"\nworkers = 1\nqueues = default\n", map[string]string{"work.py": work}).start()
	worker := distroWorker(s, "peer", "low")
	s.awaitState(worker, "peer", "idle")
	s.client("enqueue", "low", "lost", "waits", "go")
	s.running()
	s.redis.Kill()
	s.redis.Restart(t)
	s.awaitState(worker, "peer", "idle")
	s.client("enqueue", "low", "job", "nothing")
	s.awaitStatus("job", "finished")
	if job := up.ended(up.enqueue("work.echo", "[1]", "")); job.Status != "finished" {
		t.Errorf("a job of the API is %s after that", job.Status)
	}
	worker.Await(t, "the queue has forgotten this worker")
	up.poll("the orchestrator warns", func() bool { return strings.Contains(up.log(), "the queue has forgotten this worker") })
	if status := s.do("HGET", "rq:job:lost", "status"); status != nil {
		t.Errorf("the job that was lost with Redis is %v", status)
	}
	worker.Stop(t)
}

func TestAnEvictionPolicyIsWarnedOfAtStart(t *testing.T) {
	t.Parallel()
	s := newSite(t, redistest.Options{MaxMemoryPolicy: "allkeys-lru"})
	const warning = "maxmemory-policy is allkeys-lru"
	up := s.up("")
	if !strings.Contains(up.log(), warning) {
		t.Errorf("distro up does not warn of the eviction policy")
	}
	distroWorker(s, "peer").Await(t, warning)
	doctor := exec.Command("distro", "doctor")
	doctor.Dir = up.dir
	// Its status is about the ports too, which the server has.
	if out, _ := doctor.CombinedOutput(); !strings.Contains(string(out), warning) || !strings.Contains(string(out), "CONFIG SET maxmemory-policy noeviction") {
		t.Errorf("distro doctor does not say what to do:\n%s", out)
	}
}

// TestALongQueueIsCleanedWithoutStoppingRedis looks at the slow log of Redis,
// which is where others would have had to wait.
func TestALongQueueIsCleanedWithoutStoppingRedis(t *testing.T) {
	t.Parallel()
	jobs := soaked(100_000, 1_000_000)
	s := newSite(t, redistest.Options{})
	up := s.up("")
	if status, text := up.post("/scheduler/queue-task", `{"module": "work", "function": "echo", "queue": "default", "job_id": "template"}`); status != http.StatusCreated {
		t.Fatalf("%d %s", status, text)
	}
	conn := s.redis.Conn(t, s.url)
	fill := func(first int) {
		const copies = `for i = ARGV[1], ARGV[2] do
			redis.call('COPY', 'rq:job:template', 'rq:job:' .. i)
			redis.call('RPUSH', 'rq:queue:default', i)
		end`
		for n := first; n < jobs; n += 1000 {
			conn.Do("EVAL", copies, "0", fmt.Sprint(n), fmt.Sprint(min(n+999, jobs-1)))
		}
	}
	fill(1)
	if n := conn.Do("LLEN", "rq:queue:default"); n != int64(jobs) {
		t.Fatalf("%v jobs are queued, want %d", n, jobs)
	}
	conn.Do("CONFIG", "SET", "slowlog-log-slower-than", "5000")
	conn.Do("SLOWLOG", "RESET")
	begin := time.Now()
	status, text, err := up.try(http.MethodGet, "/scheduler/clean-queue", "")
	took := time.Since(begin)
	var answer struct{ Message string }
	if err != nil || status != http.StatusOK || json.Unmarshal([]byte(text), &answer) != nil || answer.Message != "queue cleaned up" {
		t.Fatalf("%d %s %v", status, text, err)
	}
	if n := conn.Do("DBSIZE"); n.(int64) > 20 {
		t.Errorf("%v keys are left", n)
	}
	t.Logf("%d jobs deleted in %v", jobs, took)
	if os.Getenv("DISTRO_SOAK") == "" {
		return
	}
	// A machine may stop Redis for longer, whoever calls: a script that only
	// deletes as many jobs, as many at a time, says how often.
	slow := s.redis.Slowlog(t)
	if status, text := up.post("/scheduler/queue-task", `{"module": "work", "function": "echo", "queue": "default", "job_id": "template"}`); status != http.StatusCreated {
		t.Fatalf("%d %s", status, text)
	}
	fill(1)
	conn.Do("SLOWLOG", "RESET")
	const bare = `for i = 1, 32 do
		local id = redis.call('LPOP', 'rq:queue:default')
		if not id then return 0 end
		redis.call('HGETALL', 'rq:job:' .. id)
		redis.call('DEL', 'rq:job:' .. id)
	end
	return 1`
	for conn.Do("EVAL", bare, "0") == int64(1) {
	}
	machine := s.redis.Slowlog(t)
	t.Logf("%d calls took longer than 5 ms; of those that only delete, %d", len(slow), len(machine))
	if len(slow) > 2*len(machine)+jobs/32/2000 {
		t.Errorf("%d calls took longer than 5 ms, %d where nothing is done but deleting; the last of them: %+v", len(slow), len(machine), slow[0])
	}
}

func TestAWorkerThatIsToldToEndDoesSoThoughRedisIsGone(t *testing.T) {
	t.Parallel()
	s := newSite(t, redistest.Options{})
	worker := distroWorker(s, "peer")
	s.awaitState(worker, "peer", "idle")
	up := s.up("")
	s.redis.Kill()
	worker.Signal(syscall.SIGTERM)
	s.ends(worker)
	up.poll("the orchestrator is not ready", func() bool {
		status, _, err := up.try(http.MethodGet, "/readyz", "")
		return err == nil && status == http.StatusServiceUnavailable
	})
	up.stop()
}
