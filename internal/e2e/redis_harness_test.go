package e2e_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro/internal/proctest"
	"github.com/distro-orchestrator/distro/internal/redistest"
)

// site is a Redis, the stock RQ, and a folder of jobs that both peers serve.
type site struct {
	t     *testing.T
	redis *redistest.Server
	url   string
	stock *redistest.Stock
	dir   string // short: jobs make sockets below it
}

func newSite(t *testing.T, options redistest.Options) *site {
	t.Helper()
	dir, err := os.MkdirTemp("", "e")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, redis: redistest.Start(t, options), dir: dir}
	t.Cleanup(func() { os.RemoveAll(dir) })
	// What workers start ends with them, or shortly after.
	t.Cleanup((&server{t: t, dir: dir}).noProcessLeft)
	s.url = s.redis.URL()
	s.stock = redistest.FindStock(t).WithPath(dir)
	if err := os.CopyFS(dir, os.DirFS("testdata/rq")); err != nil {
		t.Fatal(err)
	}
	distro, err := exec.LookPath("distro")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(distro, filepath.Join(dir, "rq")); err != nil {
		t.Fatal(err)
	}
	return s
}

// client calls a function of client.py, as a producer with the stock RQ does.
func (s *site) client(args ...string) string {
	s.t.Helper()
	const script = "import runpy; runpy.run_module('client', run_name='__main__', alter_sys=True)"
	return s.stock.Run(s.t, s.url, script, args...)
}

// ask is client for a function that answers JSON.
func (s *site) ask(into any, args ...string) {
	s.t.Helper()
	text := s.client(args...)
	if err := json.Unmarshal([]byte(text), into); err != nil {
		s.t.Fatalf("%q: %v in %q", args, err, text)
	}
}

// views is what the stock client reads of jobs.
func (s *site) views(worker string, ids ...string) map[string]view {
	s.t.Helper()
	var found map[string]view
	s.ask(&found, append([]string{"views", worker}, ids...)...)
	return found
}

// view is a job as client.py describes it, and redis_jobs_test.go compares it.
type view map[string]any

// startWorker starts a worker of either kind.
type startWorker func(s *site, name string, args ...string) *proctest.Process

func stockWorker(s *site, name string, args ...string) *proctest.Process {
	s.t.Helper()
	return s.stock.Worker(s.t, redistest.WorkerOptions{URL: s.url, Dir: s.dir, Args: append([]string{"--name", name}, args...)})
}

// distroWorker starts `distro worker` with the command line of `rq worker`.
func distroWorker(s *site, name string, args ...string) *proctest.Process {
	s.t.Helper()
	return s.startDistro(filepath.Join(s.dir, "rq"), name, args...)
}

func (s *site) startDistro(program, name string, args ...string) *proctest.Process {
	s.t.Helper()
	cmd := exec.Command(program, append([]string{"worker", "--url", s.url, "--name", name, "--python", s.stock.Python()}, args...)...)
	cmd.Dir = s.dir
	cmd.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool {
		return strings.HasPrefix(entry, "DISTRO_") || strings.HasPrefix(entry, "RQ_") || strings.HasPrefix(entry, "PYTHON")
	})
	cmd.Env = append(cmd.Env, "STARTED_IN="+s.dir+"/")
	p := proctest.Start(s.t, cmd)
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("%s wrote:\n%s", name, p.Output())
		}
	})
	return p
}

// do runs a command of Redis on the site's database.
func (s *site) do(args ...string) any {
	s.t.Helper()
	c := s.redis.Conn(s.t, s.url)
	defer c.Close()
	return c.Do(args...)
}

// awaitState waits until a worker is idle, busy or suspended.
func (s *site) awaitState(p *proctest.Process, name, state string) {
	s.t.Helper()
	s.await(name+" is "+state, func() bool {
		if p.Ended() {
			s.t.Fatalf("%s ended:\n%s", name, p.Output())
		}
		return s.do("HGET", "rq:worker:"+name, "state") == state
	})
}

// awaitStatus waits until a job has a status.
func (s *site) awaitStatus(id, status string) {
	s.t.Helper()
	s.await(id+" is "+status, func() bool { return s.do("HGET", "rq:job:"+id, "status") == status })
}

// await waits for what other processes do, who send no event.
func (s *site) await(what string, done func() bool) {
	s.t.Helper()
	limit := time.NewTimer(4 * time.Minute) // machines differ, and other tests run beside
	defer limit.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-limit.C:
			s.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// running waits until a job of jobs.waits runs, and returns its ID.
func (s *site) running() string {
	s.t.Helper()
	answer, ok := s.do("BLPOP", "test:running", "50").([]any)
	if !ok {
		s.t.Fatal("no job runs")
	}
	return answer[1].(string)
}

// ends waits until a worker has ended with status 0.
func (s *site) ends(p *proctest.Process) {
	s.t.Helper()
	if err := p.Wait(s.t.Context()); err != nil {
		s.t.Fatalf("worker: %v\n%s", err, p.Output())
	}
}
