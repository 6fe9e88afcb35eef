// Package scheduler does what happens because time passed: it queues jobs
// whose time has come, rescues the claims of lost workers, deletes what was
// kept long enough, and tells when a queue is late or a worker is lost.
package scheduler

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/distro-orchestrator/distro/internal/artifact"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/output"
	"github.com/distro-orchestrator/distro/internal/store"
	"github.com/distro-orchestrator/distro/internal/upload"
)

// Options configure a Scheduler.
type Options struct {
	Broker    broker.Broker
	Output    *output.Store // nil: there is none to prune, nor artifacts, nor uploads
	Clock     broker.Clock
	Artifacts *artifact.Store // files that jobs left; nil: there are none
	Uploads   *upload.Store   // files that people gave to jobs; nil: there are none
	Retention time.Duration   // how long these and the output of a job are kept after the last change; 0: for ever
	MaxOutput int64           // bytes that the output of all jobs may take; 0: no limit
	History   History         // nil: there is none to trim
	Keep      store.Retention // what is kept of it
	Logger    *slog.Logger

	Alerts   Alerts        // is told of late queues and lost workers; nil: nobody is
	Queues   []string      // that may be late
	QueueAge time.Duration // the oldest job of a queue may wait so long; 0: for ever
}

// Scheduler runs the periodic duties of an orchestrator, or of a worker.
type Scheduler struct {
	opts Options
}

// New returns a scheduler that is ready to Run.
func New(opts Options) *Scheduler {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &Scheduler{opts}
}

// Run works until ctx ends.
func (s *Scheduler) Run(ctx context.Context) error {
	var duties sync.WaitGroup
	duties.Go(func() { s.sweep(ctx) })
	if s.opts.Output != nil {
		if s.opts.Retention > 0 {
			duties.Go(func() { s.prune(ctx) })
		}
		if s.opts.MaxOutput > 0 {
			duties.Go(func() { s.fit(ctx) })
		}
	}
	if s.opts.History != nil {
		duties.Go(func() { s.trim(ctx) })
	}
	if s.opts.Alerts != nil {
		duties.Go(func() { s.watchWorkers(ctx) })
		if s.opts.QueueAge > 0 {
			duties.Go(func() { s.watchQueues(ctx) })
		}
	}
	duties.Wait()
	return nil
}
