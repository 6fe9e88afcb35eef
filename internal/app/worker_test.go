package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/app"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
	"github.com/distro-orchestrator/distro/internal/config"
	"github.com/distro-orchestrator/distro/internal/redistest"
)

// workerOptions are those of a burst worker that imports from a new folder.
func workerOptions(t *testing.T, url string) (app.WorkerOptions, *bytes.Buffer) {
	t.Helper()
	modules := t.TempDir()
	text := "import os\ndef f(n=0):\n    print('ran', n, os.getcwd())\n    return n\n"
	if err := os.WriteFile(filepath.Join(modules, "m.py"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	temp, err := os.MkdirTemp("", "w") // short: sockets lie below it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(temp) })
	var printed bytes.Buffer
	return app.WorkerOptions{
		URL: url, Queues: []string{"default"}, Slots: 1, Modules: modules, WorkDir: modules, TempDir: temp, Python: "auto",
		Burst: true, KillGrace: time.Second, Environ: os.Environ(), Stdout: &printed, Stderr: &printed, Logger: slog.New(slog.DiscardHandler),
	}, &printed
}

// hourAgo is a clock that is late: what it schedules may be due already.
type hourAgo struct{ broker.Clock }

func (c hourAgo) Now() time.Time { return c.Clock.Now().Add(-time.Hour) }

// connect opens the queue as another process would.
func connect(t *testing.T, url string, clock broker.Clock) *redisbroker.Broker {
	t.Helper()
	b, err := redisbroker.Open(t.Context(), redisbroker.Options{URL: url, Clock: clock, Feed: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// call is a job of m.f without arguments, pickled as RQ does.
func call(id string, change func(*distro.Job)) distro.Job {
	job := distro.Job{
		ID: id, Queue: "default", Timeout: time.Minute, ResultTTL: distro.Forever, FailureTTL: distro.Forever,
		Payload: distro.Payload{Serializer: distro.SerializerPickle, Data: []byte("\x80\x03(X\x03\x00\x00\x00m.fN)}t.")},
	}
	if change != nil {
		change(&job)
	}
	return job
}

func TestABurstWorkerRunsWhatIsQueuedAndDueAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t, redistest.Options{}).URL()
	queue := connect(t, url, hourAgo{broker.SystemClock()})
	jobs := []distro.Job{call("a", nil), call("due", func(j *distro.Job) { j.DueAt = time.Now().Add(-time.Minute) })}
	if _, err := queue.Enqueue(t.Context(), jobs); err != nil {
		t.Fatal(err)
	}
	opts, printed := workerOptions(t, url)
	opts.Schedule = true
	left := filepath.Join(opts.TempDir, "distro-worker-old")
	if err := os.MkdirAll(filepath.Join(left, "tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	w, err := app.NewWorker(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Run(t.Context(), t.Context()); err != nil {
		t.Error(err)
	}
	found, err := queue.Get(t.Context(), []string{"a", "due"})
	if err != nil || len(found) != 2 || found[0].Status != distro.StatusFinished || found[1].Status != distro.StatusFinished {
		t.Errorf("%+v, %v", found, err)
	}
	if want := strings.Repeat(fmt.Sprintf("ran 0 %s\n", opts.WorkDir), 2); printed.String() != want {
		t.Errorf("printed %q, want %q", printed, want)
	}
	if entries, err := os.ReadDir(opts.TempDir); err != nil || len(entries) != 0 {
		t.Errorf("left behind, of this worker or the one before: %v, %v", entries, err)
	}
	if workers, err := queue.Workers(t.Context()); err != nil || len(workers) != 0 {
		t.Errorf("workers: %v, %v", workers, err)
	}
}

func TestAWorkerLeavesTheFolderOfALivingOneAlone(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t, redistest.Options{}).URL()
	opts, _ := workerOptions(t, url)
	opts.Name = "first"
	first, err := app.NewWorker(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	opts.Name = "second"
	second, err := app.NewWorker(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(opts.TempDir); err != nil || len(entries) != 2 {
		t.Errorf("folders of two workers: %v, %v", entries, err)
	}
	for _, w := range []*app.Worker{first, second} {
		if err := w.Run(t.Context(), t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestAWorkerDoesNotStartWhereItCannotWork(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	suspended := server.DB(t)
	if err := connect(t, suspended, broker.SystemClock()).SetPaused(t.Context(), "", true); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		url, python, want string
		is                error
	}{
		"suspended":      {suspended, "auto", "all workers of this Redis are suspended: run `distro resume`", nil},
		"away":           {"redis://127.0.0.1:1", "auto", "start it, or name another Redis with --url", broker.ErrUnavailable},
		"no interpreter": {server.URL(), "no-such-python", "no-such-python", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts, _ := workerOptions(t, tt.url)
			opts.Python = tt.python
			_, err := app.NewWorker(t.Context(), opts)
			if err == nil || !strings.Contains(err.Error(), tt.want) || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if entries, err := os.ReadDir(opts.TempDir); err != nil || len(entries) != 0 {
				t.Errorf("left behind: %v, %v", entries, err)
			}
		})
	}
}

func TestAnOrchestratorOnRedisRunsJobsOfOthersAndItsOwn(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t, redistest.Options{MaxMemoryPolicy: "allkeys-lru"}).URL()
	var log bytes.Buffer
	opts := options(t, map[string]string{"redis_url": url, "workers": "2"})
	opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
	a, err := app.New(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if text := log.String(); !strings.Contains(text, "maxmemory-policy is allkeys-lru") {
		t.Errorf("the log does not warn of the eviction policy:\n%s", text)
	}
	if _, err := os.Stat(filepath.Join(opts.Config.DataDir, "queue.db")); err == nil {
		t.Error("there is an embedded queue beside the Redis")
	}
	intake, drain := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(intake, t.Context()) }()
	queue := connect(t, url, broker.SystemClock())
	if _, err := queue.Enqueue(t.Context(), []distro.Job{call("foreign", nil)}); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Post("http://"+a.Addr().String()+"/scheduler/queue-task", "application/json",
		strings.NewReader(`{"module":"m","function":"f","queue":"low"}`))
	if err != nil {
		t.Fatal(err)
	}
	var own struct{ ID string }
	if err := json.NewDecoder(response.Body).Decode(&own); err != nil || response.StatusCode != http.StatusCreated {
		t.Errorf("%s, %v", response.Status, err)
	}
	response.Body.Close()
	reach(t, queue, distro.StatusFinished, "foreign", own.ID)
	drain()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAStoppedJobHasItsCallbackCalled(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t, redistest.Options{}).URL()
	opts, printed := workerOptions(t, url)
	stock := redistest.FindStock(t)
	opts.Python, opts.Burst, opts.KillGrace = stock.Python(), false, 10*time.Second
	text := "import time\ndef stay():\n    print('stays')\n    time.sleep(600)\n" +
		"def stopped(job, connection):\n    print('stopped', job.id, connection.ping())\n"
	if err := os.WriteFile(filepath.Join(opts.Modules, "m.py"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	stock.Run(t, url, "import os, redis, rq\n"+
		"connection = redis.Redis.from_url(os.environ['REDIS_URL'])\n"+
		"job = rq.job.Job.create('m.stay', id='s', connection=connection)\n"+
		"job.save()\n"+
		"connection.hset(job.key, mapping={'stopped_callback_name': 'm.stopped', 'stopped_callback_timeout': 60})\n"+
		"rq.Queue(connection=connection).push_job_id(job.id)\n")
	queue := connect(t, url, broker.SystemClock())
	w, err := app.NewWorker(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	intake, drain := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(intake, t.Context()) }()
	reach(t, queue, distro.StatusStarted, "s")
	if errs, err := queue.Act(t.Context(), broker.ActionStop, []string{"s"}); errors.Join(append(errs, err)...) != nil {
		t.Fatal(errs, err)
	}
	reach(t, queue, distro.StatusStopped, "s")
	drain()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if !strings.Contains(printed.String(), "stopped s True\n") {
		t.Errorf("printed %q", printed)
	}
}

// reach follows the feed until the jobs have had the status.
func reach(t *testing.T, queue *redisbroker.Broker, status distro.Status, ids ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cursor, have := "", map[string]bool{}
	for len(have) < len(ids) {
		changes, err := queue.Changes(ctx, cursor, broker.MaxPage)
		if err != nil {
			t.Fatalf("%s are %v: %v", status, have, err)
		}
		for _, c := range changes {
			cursor = c.Cursor
			if c.Status == status && slices.Contains(ids, c.JobID) {
				have[c.JobID] = true
			}
		}
		if len(changes) == 0 {
			if err := queue.Wait(ctx, broker.Interest{Feed: true, Cursor: cursor}); err != nil {
				t.Fatalf("%s are %v: %v", status, have, err)
			}
		}
	}
}

func TestARedisThatWasForgottenIsMentioned(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	postgres := config.Config{PostgreURL: "postgres://h/db"}
	if line := app.ForgottenRedis(t.Context(), postgres, server.Addr()); line != "" {
		t.Errorf("of an empty Redis: %s", line)
	}
	server.Do(t, "SADD", "rq:queues", "rq:queue:default")
	if line := app.ForgottenRedis(t.Context(), postgres, server.Addr()); !strings.Contains(line, "set redis_url = redis://"+server.Addr()+"/0 to join") {
		t.Errorf("of one with queues: %q", line)
	}
	for _, cfg := range []config.Config{{}, {PostgreURL: "postgres://h/db", RedisURL: "redis://h"}} {
		if line := app.ForgottenRedis(t.Context(), cfg, server.Addr()); line != "" {
			t.Errorf("with the settings %v: %s", cfg, line)
		}
	}
}
