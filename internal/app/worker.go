package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
	"github.com/distro-orchestrator/distro/internal/python"
	"github.com/distro-orchestrator/distro/internal/scheduler"
	"github.com/distro-orchestrator/distro/internal/shipping"
	"github.com/distro-orchestrator/distro/internal/worker"
)

// WorkerOptions are those of a worker on Redis without an orchestrator.
type WorkerOptions struct {
	URL    string   // of the Redis
	Queues []string // highest priority first
	Name   string   // default: a random one
	Slots  int      // jobs at a time; default 1

	Modules    string   // folder that jobs import from, absolute
	WorkDir    string   // working directory of jobs, absolute
	Path       []string // folders behind all others to import from, absolute
	Python     string   // interpreter, as the setting python
	Install    bool     // prepare an environment from requirements.txt of Modules
	CacheDir   string   // environments are kept in it, for the next worker too; default: the worker's own folder
	Isolation  string   // default: fork where there is one
	Serializer string   // of all payloads: json, pickle or a dotted path; default: what each payload says
	KillGrace  time.Duration
	TempDir    string // the worker's own folder is made in it; default: the system's for temporary files

	Strategy worker.Strategy
	Burst    bool
	MaxJobs  int           // 0: no limit
	MaxIdle  time.Duration // 0: no limit
	Schedule bool          // move delayed jobs of Queues that are due

	// What redisbroker.Options has by these names; 0: its default.
	ResultTTL, WorkerTTL, MonitorEvery time.Duration

	Environ        []string // of this process; jobs get it without the names of Distro
	Stdout, Stderr io.Writer
	Version        string
	Logger         *slog.Logger
}

// Worker is a worker process that is ready to run.
type Worker struct {
	opts      WorkerOptions
	queue     queue
	runners   jobRunners
	worker    *worker.Worker
	shipper   *shipping.Shipper
	scheduler *scheduler.Scheduler
	closers   closers
}

// NewWorker opens everything a worker needs. When a step fails, those before
// it are undone. Where the workers of the Redis are suspended, it refuses.
func NewWorker(ctx context.Context, opts WorkerOptions) (*Worker, error) {
	w := &Worker{opts: opts}
	if err := w.open(ctx); err != nil {
		return nil, errors.Join(err, w.closers.close())
	}
	return w, nil
}

func (w *Worker) open(ctx context.Context) error {
	opts, log, clock := &w.opts, w.opts.Logger, broker.SystemClock()
	target := redisbroker.Options{
		URL: opts.URL, Clock: clock, Queues: opts.Queues, Logger: log,
		ResultTTL: opts.ResultTTL, WorkerTTL: opts.WorkerTTL, MonitorEvery: opts.MonitorEvery,
	}
	if opts.Schedule {
		target.Schedule = opts.Queues
	}
	var err error
	if w.queue, err = openRedis(ctx, target, "--url"); err != nil {
		return err
	}
	w.closers.add("queue", w.queue.close)
	counts, err := w.queue.Counts(ctx)
	if err != nil {
		return fmt.Errorf("look whether workers are suspended: %w", err)
	}
	if counts.Suspended {
		return distro.Errorf(distro.CodeUnavailable, "all workers of this Redis are suspended: run `distro resume` or `rq resume` first")
	}
	interpreter, err := python.FindInterpreter(ctx, python.InterpreterOptions{
		Setting: opts.Python, ModulesDir: opts.Modules, VirtualEnv: getenv(opts.Environ, "VIRTUAL_ENV"),
	})
	if err != nil {
		return err
	}
	// Json and pickle need no import. What an environment will hold is not known yet.
	if strings.Contains(opts.Serializer, ".") && !opts.installs(interpreter) {
		if err := python.CheckSerializer(ctx, interpreter, opts.Serializer, opts.Modules, opts.Path); err != nil {
			return err
		}
	}
	parent := cmp.Or(opts.TempDir, os.TempDir())
	clearPrivateDirs(ctx, parent, log)
	state, err := newPrivateDir(parent)
	if err != nil {
		return err
	}
	w.closers.add("folder", state.remove)
	environments := ""
	if opts.Install {
		environments = filepath.Join(cmp.Or(opts.CacheDir, state.path), "environments")
	}
	w.runners, err = openRunners(python.Options{
		Interpreter: interpreter, Modules: opts.Modules, SysPath: opts.Path, WorkDir: opts.WorkDir, StateDir: state.path,
		Isolation: python.Isolation(opts.Isolation), Slots: opts.Slots, KillGrace: opts.KillGrace,
		Environ: opts.Environ, Logger: log,
	}, environments)
	if err != nil {
		return err
	}
	w.shipper, err = shipping.NewShipper(shipping.ShipperOptions{
		Outbox: w.queue.output, Dir: filepath.Join(state.path, "output"), Logger: log,
	})
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("name the worker: %w", err)
	}
	name := cmp.Or(opts.Name, strings.ReplaceAll(distro.NewID(), "-", ""))
	w.worker = worker.New(worker.Options{
		Broker: w.queue, Redis: w.queue.redis, Serializer: opts.Serializer, Runners: w.runners,
		Output:    worker.Both(worker.Console(opts.Stdout, opts.Stderr, opts.Slots), w.ship),
		KillGrace: opts.KillGrace, Prefetch: w.runners.Isolation() == python.Pool, Logger: log,
		Strategy: opts.Strategy, Burst: opts.Burst, MaxJobs: opts.MaxJobs, MaxIdle: opts.MaxIdle,
		Worker: distro.Worker{
			Name: name, Host: host, PID: os.Getpid(), Queues: opts.Queues, Slots: opts.Slots,
			Isolation: string(w.runners.Isolation()), Python: interpreter.Version, Version: opts.Version,
		},
	})
	w.scheduler = scheduler.New(scheduler.Options{Broker: w.queue, Clock: clock, Logger: log})
	return nil
}

// installs reports whether jobs are to run in an environment that is made of
// the interpreter.
func (o *WorkerOptions) installs(interpreter python.Interpreter) bool {
	return o.Install && !interpreter.Virtual
}

// ship sends the output of an attempt to whoever reads it.
func (w *Worker) ship(jobID string, attempt int) worker.Printer {
	return w.shipper.Attempt(jobID, attempt)
}

// Run works until intake ends, or the worker by itself, then lets the running
// jobs end, and returns when everything is closed. When work ends, the jobs
// that still run are killed.
func (w *Worker) Run(intake, work context.Context) error {
	var err error
	if w.opts.Burst { // what is due by now belongs to it
		err = w.scheduler.SweepAll(intake)
	}
	if err == nil {
		err = together(intake, work, w.worker.Run, part{"scheduler", w.scheduler.Run}, part{"python", w.runners.Run}, part{"output", w.shipper.Run})
	}
	return errors.Join(err, w.closers.close())
}
