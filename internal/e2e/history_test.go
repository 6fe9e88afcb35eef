package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro/internal/httpapi"
	"github.com/distro-orchestrator/distro/internal/pgtest"
	"github.com/distro-orchestrator/distro/internal/redistest"
)

// onBoth runs a test with history in SQLite and in PostgreSQL; setting names
// the database, and is empty for SQLite.
func onBoth(t *testing.T, test func(t *testing.T, setting string)) {
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		test(t, "")
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		test(t, "postgre_url = "+pgtest.Start(t).DB(t)+"\n")
	})
}

// found is every execution that a search finds, page by page.
func (s *server) found(query string) []httpapi.Execution {
	s.t.Helper()
	var all []httpapi.Execution
	for cursor := ""; ; {
		var page httpapi.ExecutionPage
		s.get("/api/v1/executions?"+url.Values{"q": {query}, "limit": {"500"}, "cursor": {cursor}}.Encode(), &page)
		all = append(all, page.Executions...)
		if cursor = page.Next; cursor == "" {
			return all
		}
	}
}

// remembered waits until a search finds so many executions, and returns them.
func (s *server) remembered(query string, n int) []httpapi.Execution {
	s.t.Helper()
	var count httpapi.ExecutionCount
	s.poll(fmt.Sprintf("%d executions are remembered that are %q", n, query), func() bool {
		s.get("/api/v1/executions/count?"+url.Values{"q": {query}}.Encode(), &count)
		return count.Count == n && count.Exact
	})
	return s.found(query)
}

func TestWhatRanIsRememberedAndFound(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, setting string) {
		s := newServer(t, setting+"task_retries = 1\nworkers = 2\nresult_ttl = 2s\n", map[string]string{"work.py": work}).start()
		finished := s.enqueue("work.echo", `["ACME Ltda", 7]`, `, "kwargs": {"cliente": "São José"}`)
		failed := s.enqueue("work.raises", "", "")
		s.remembered("estado:falhou", 2)
		s.remembered("", 3)
		for query, want := range map[string]string{
			`estado:concluida args:acme`:                 finished,
			`kw.cliente="sao jose"`:                      finished,
			`função:work.echo fila:default quando:hoje`:  finished,
			`erro:ValueError -estado:concluída`:          failed + failed,
			`id:` + failed:                               failed + failed,
			`erro:nada`:                                  "",
			`(módulo:work args:"ltda 7") OR erro:inexis`: finished,
		} {
			got := ""
			for _, e := range s.found(query) {
				got += e.JobID
			}
			if got != want {
				t.Errorf("%s finds %q, want %q", query, got, want)
			}
		}
		s.poll("the queue has forgotten the job, which history has not", func() bool {
			status, _, err := s.try(http.MethodGet, "/api/v1/jobs/"+finished, "")
			return err == nil && status == http.StatusNotFound
		})
		var attempts httpapi.AttemptList
		s.get("/api/v1/jobs/"+finished+"/attempts", &attempts)
		if len(attempts.Attempts) != 1 {
			t.Fatalf("attempts: %+v", attempts)
		}
		e := attempts.Attempts[0]
		if e.Module != "work" || e.Function != "echo" || e.Arguments != "'ACME Ltda', 7, cliente='São José'" || e.Worker == "" ||
			e.Host == "" || !strings.HasPrefix(e.Python, "3.") || len(e.CodeHash) != 64 || e.Trigger != "api" || e.Caller != "127.0.0.1" ||
			e.Took == nil || e.Waited == nil || e.Usage == nil || e.Result == nil || !strings.Contains(string(e.Result.Value), "São José") {
			t.Errorf("remembered: %+v", e)
		}
		s.get("/api/v1/jobs/"+failed+"/attempts", &attempts)
		for i, e := range attempts.Attempts {
			if e.Attempt != i+1 || e.Failure == nil || e.Failure.Type != "ValueError" || !strings.Contains(e.Failure.Traceback, "não dá") {
				t.Errorf("attempt %d: %+v", i+1, e)
			}
		}
		if status, text, _ := s.try(http.MethodGet, "/api/v1/executions?q="+url.QueryEscape("fila:high estad:falhou"), ""); status != http.StatusUnprocessableEntity ||
			!strings.Contains(text, "column 11") || !strings.Contains(text, "estado") {
			t.Errorf("a typo is answered %d %s", status, text)
		}
		s.stop()
		s.start()
		s.remembered("", 3)
	})
}

// TestHistoryMissesAndRepeatsNothingWhenTheOrchestratorIsKilled has the jobs run
// by a worker of its own, so that each has one attempt however often the
// orchestrator dies.
func TestHistoryMissesAndRepeatsNothingWhenTheOrchestratorIsKilled(t *testing.T) {
	t.Parallel()
	jobs, kills := soaked(2000, 20_000), soaked(8, 50)
	onBoth(t, func(t *testing.T, setting string) {
		s := newSite(t, redistest.Options{})
		up := newServer(t, "redis_url = "+s.url+"\nworkers = 0\n"+setting, nil).start()
		worker := distroWorker(s, "peer", "--isolation", "pool", "--results-ttl", "3600")
		s.awaitState(worker, "peer", "idle")
		part := jobs / (kills + 1)
		for kill := range kills + 1 {
			var ids []string
			for n := range part {
				ids = append(ids, fmt.Sprintf("job-%d-%d", kill, n))
			}
			s.client(append([]string{"enqueue_appends", s.dir + "/runs"}, ids...)...)
			if kill == kills {
				break
			}
			want := int64(kill*part + part/2)
			s.await("half of the part is done", func() bool { return s.do("ZCARD", "rq:finished:default").(int64) >= want })
			up.kill()
			up.start()
		}
		all := part * (kills + 1)
		seen := map[string]int{}
		for _, e := range up.remembered("estado:concluida", all) {
			seen[e.JobID]++
			if e.Attempt != 1 || e.StartedAt == nil || e.EndedAt == nil || e.Worker != "peer" || e.Function != "appends" {
				t.Errorf("remembered: %+v", e)
			}
		}
		if len(seen) != all {
			t.Errorf("%d jobs are remembered, want %d", len(seen), all)
		}
		up.remembered("", all)
		worker.Stop(t)
	})
}

func TestJobsGoOnWhileTheDatabaseOfHistoryIsAway(t *testing.T) {
	t.Parallel()
	away := 3 * time.Second
	if os.Getenv("DISTRO_SOAK") != "" {
		away = time.Minute
	}
	pg := pgtest.Start(t)
	s := newServer(t, "postgre_url = "+pg.DB(t)+"\nworkers = 2\nisolation = pool\n", map[string]string{"work.py": work}).start()
	s.ended(s.enqueue("work.echo", "[0]", ""))
	s.remembered("", 1)
	pg.Stop(t)
	n := 1
	for begin := time.Now(); time.Since(begin) < away; n++ {
		if job := s.ended(s.enqueue("work.echo", fmt.Sprintf("[%d]", n), "")); job.Status != "finished" {
			t.Fatalf("a job is %s while PostgreSQL is away", job.Status)
		}
	}
	retried := s.enqueue("work.raises", "", `, "retries": 2`)
	s.ended(retried)
	status, text, err := s.try(http.MethodGet, "/api/v1/executions", "")
	if err != nil || status != http.StatusServiceUnavailable || !strings.Contains(text, "recorded later") {
		t.Errorf("history answers %d %s (%v) while PostgreSQL is away", status, text, err)
	}
	pg.Restart(t)
	s.remembered("estado:concluída", n)
	s.remembered("id:"+retried, 3)
	var attempts httpapi.AttemptList
	s.get("/api/v1/jobs/"+retried+"/attempts", &attempts)
	for _, e := range attempts.Attempts {
		if e.Failure == nil || !strings.Contains(e.Failure.Traceback, "não dá") || e.Worker == "" {
			t.Errorf("attempt %d of the job that was retried meanwhile: %+v", e.Attempt, e)
		}
	}
	t.Logf("%d jobs were recorded later", n-1)
}

func TestManyFailedJobsAreRequeuedInTheBackground(t *testing.T) {
	t.Parallel()
	jobs := soaked(2000, 100_000)
	s := newSite(t, redistest.Options{})
	up := s.up("")
	s.client("enqueue", "default", "template", "nothing")
	s.do("DEL", "rq:queue:default")
	s.do("HSET", "rq:job:template", "status", "failed", "ended_at", "2026-11-24T08:00:00.000000Z")
	const copies = `for i = ARGV[1], ARGV[2] do
		redis.call('COPY', 'rq:job:template', 'rq:job:job-' .. i)
		redis.call('ZADD', 'rq:failed:default', 4102444800 + i, 'job-' .. i)
	end`
	conn := s.redis.Conn(t, s.url)
	for n := 0; n < jobs; n += 1000 {
		conn.Do("EVAL", copies, "0", fmt.Sprint(n), fmt.Sprint(n+999))
	}
	conn.Do("CONFIG", "SET", "slowlog-log-slower-than", "5000")
	conn.Do("SLOWLOG", "RESET")
	begin := time.Now()
	status, text := up.post("/api/v1/operations", `{"action": "requeue", "queue": "default", "status": "failed"}`)
	answered := time.Since(begin)
	if status != http.StatusAccepted {
		t.Fatalf("%d %s", status, text)
	}
	var list httpapi.OperationList
	up.poll("the operation has ended", func() bool {
		up.get("/api/v1/operations", &list)
		return len(list.Operations) == 1 && list.Operations[0].EndedAt != nil
	})
	took := list.Operations[0].EndedAt.Sub(begin)
	if o := list.Operations[0]; o.State != "done" || o.Done != jobs || o.Total != jobs || o.Skipped+o.Failed != 0 {
		t.Errorf("operation: %+v", o)
	}
	if n := conn.Do("LLEN", "rq:queue:default"); n != int64(jobs) {
		t.Errorf("%v jobs are queued, want %d", n, jobs)
	}
	slow := s.redis.Slowlog(t)
	t.Logf("%d jobs requeued in %v, answered after %v, %d calls longer than 5 ms", jobs, took, answered, len(slow))
	if len(slow) > 0 && os.Getenv("DISTRO_SOAK") != "" {
		t.Errorf("calls longer than 5 ms, the last of them: %+v", slow[0])
	}
	status, text = up.post("/api/v1/operations", `{"action": "delete", "queue": "default", "status": "queued"}`)
	var o httpapi.Operation
	if status != http.StatusAccepted {
		t.Fatalf("%d %s", status, text)
	}
	up.get("/api/v1/operations", &list)
	if status, text := up.post("/api/v1/operations/"+list.Operations[0].ID+"/cancel", ""); status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	up.poll("the operation has ended", func() bool {
		up.get("/api/v1/operations/"+list.Operations[0].ID, &o)
		return o.EndedAt != nil
	})
	if o.State != "canceled" && o.State != "done" {
		t.Errorf("a canceled operation: %+v", o)
	}
}
