package redistest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro/internal/redistest"
)

func TestTheStockClientWorkerAndInfoRun(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	stock := redistest.FindStock(t)
	url, dir := s.DB(t), t.TempDir()
	source := "def double(n):\n    print('doubling', n)\n    return 2 * n\n"
	if err := os.WriteFile(filepath.Join(dir, "arithmetic.py"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	const enqueue = `
import os, sys, redis, rq
queue = rq.Queue("low", connection=redis.from_url(os.environ["REDIS_URL"]))
queue.enqueue("arithmetic.double", int(sys.argv[1]), job_id="job")`
	stock.Run(t, url, enqueue, "21")
	burst := stock.Worker(t, redistest.WorkerOptions{URL: url, Queues: []string{"low"}, Dir: dir, Args: []string{"--burst"}})
	if err := burst.Wait(t.Context()); err != nil {
		t.Errorf("burst worker: %v\n%s", err, burst.Output())
	}
	const result = `
import os, redis, rq
print(rq.job.Job.fetch("job", connection=redis.from_url(os.environ["REDIS_URL"])).result)`
	if got := stock.Run(t, url, result); got != "42\n" {
		t.Errorf("result %q, want 42\n%s", got, burst.Output())
	}
	worker := stock.Worker(t, redistest.WorkerOptions{URL: url, Queues: []string{"high", "low"}, Dir: dir, Args: []string{"--name", "stock"}})
	worker.Await(t, "Listening on")
	if info := stock.Info(t, url); !strings.Contains(info, "worker stock (") || !strings.Contains(info, ") idle high, low\n") {
		t.Errorf("rq info does not list the worker:\n%s", info)
	}
	worker.Stop(t)
	if info := stock.Info(t, url); strings.Contains(info, "worker stock") {
		t.Errorf("rq info lists the worker that ended:\n%s", info)
	}
}

func TestAFailingScriptFailsTheTestWithItsError(t *testing.T) {
	t.Parallel()
	fake := &fatal{T: t}
	func() {
		defer func() { _ = recover() }()
		redistest.FindStock(t).WithPath("/nowhere").Run(fake, "redis://127.0.0.1/0", "import sys; raise SystemExit('why ' + sys.path[1])")
	}()
	if !strings.Contains(fake.text, "why /nowhere") {
		t.Errorf("the failure says %q", fake.text)
	}
}
