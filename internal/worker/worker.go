// Package worker takes jobs from a broker, runs them and settles them.
//
// One goroutine owns what a worker knows (loop.go). The slots (slots.go), the
// wait for work and the conversation with the broker run beside it and report
// to it. At most one Exchange is under way: what ends meanwhile is settled
// together by the next one, and the same call claims what comes next.
package worker

import (
	"cmp"
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/artifact"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/python"
)

// Runners starts attempts: python.Runners.
type Runners interface {
	Attempt(call python.Call, out python.Output) *python.Attempt
}

// Options configure a Worker.
type Options struct {
	Broker  broker.Broker
	Runners Runners
	// Output says where the output of an attempt goes: Stored or Console.
	Output func(jobID string, attempt int) Printer
	// Worker is how the worker presents itself: Name, Host, PID, Queues in the
	// order of priority, Slots, Isolation, Python, Version.
	Worker    distro.Worker
	KillGrace time.Duration // between asking a job to stop and killing it

	Artifacts    *artifact.Store // files that jobs leave are kept there, where Runners keep them; nil: they are dropped
	MaxArtifacts int64           // bytes that an attempt may leave; 0: no limit

	Serializer string        // of all payloads, as python.Call has it; default: what each payload says
	Redis      func() string // URL of the Redis that is the queue, for jobs; nil: it is none

	Prefetch bool // claim short jobs ahead of free slots; for processes that are reused

	Strategy Strategy      // default: InOrder
	Burst    bool          // end when nothing is claimable and nothing runs
	MaxJobs  int           // end when so many jobs were run; 0: never
	MaxIdle  time.Duration // end when nothing was run for so long; 0: never

	Logger *slog.Logger
}

// Worker is a claim loop with slots.
type Worker struct {
	opts Options
	busy atomic.Int64 // slots that run a job
}

// New returns a worker that is ready to Run.
func New(opts Options) *Worker {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	opts.Logger = opts.Logger.With("worker", opts.Worker.Name)
	opts.Worker.StartedAt = time.Now().UTC()
	return &Worker{opts: opts}
}

// Name is what the queue knows the worker by.
func (w *Worker) Name() string { return w.opts.Worker.Name }

// Slots tells how many jobs the worker runs at a time, and how many it runs now.
func (w *Worker) Slots() (total, busy int) { return w.opts.Worker.Slots, int(w.busy.Load()) }

// Run works until intake ends, then lets the running jobs end, settles them
// and returns. When work ends too, the jobs that still run are killed and
// settled as lost attempts; claims that were never begun go back. It ends by
// itself as Options say, and when the broker tells it to; its error says that
// another worker has its name.
func (w *Worker) Run(intake, work context.Context) error {
	l := &loop{
		Options:  w.opts,
		tasks:    map[string]*task{},
		slots:    newSlots(&w.busy),
		ended:    make(chan *task, 4*broker.MaxExchange),
		replies:  make(chan reply, 1),
		woken:    make(chan struct{}, 1),
		claiming: true,
		jobsLeft: cmp.Or(w.opts.MaxJobs, -1),
		idleAt:   time.Now(),
		means:    map[string]time.Duration{},
	}
	l.Logger.Info("worker started", "queues", w.opts.Worker.Queues, "slots", w.opts.Worker.Slots, "isolation", w.opts.Worker.Isolation)
	l.run(intake, work)
	l.Logger.Info("worker ended", "finished", l.Worker.Finished, "failed", l.Worker.Failed)
	return l.err
}
