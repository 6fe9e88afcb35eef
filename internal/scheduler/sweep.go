package scheduler

import (
	"context"
	"time"

	"github.com/distro-orchestrator/distro/internal/broker"
)

const (
	sweepEvery = time.Second // at the latest; a due time in between is met by its own timer
	sweepLimit = 200         // jobs a step: other writers wait for no more than that
)

// sweep calls the broker once a second, at each due time, and when a due time
// has become earlier.
func (s *Scheduler) sweep(ctx context.Context) {
	failed := false
	for ctx.Err() == nil {
		swept, err := s.opts.Broker.Sweep(ctx, sweepLimit)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failed:
			failed = true
			s.opts.Logger.Error("what time asks of the queue cannot be done now; trying on", "reason", err)
		case err == nil && failed:
			failed = false
			s.opts.Logger.Info("the queue is swept again")
		}
		if swept.Rescued > 0 {
			s.opts.Logger.Warn("jobs of lost workers were rescued", "jobs", swept.Rescued)
		}
		if err == nil && swept.More {
			continue
		}
		s.rest(ctx, swept.NextDue)
	}
}

// SweepAll does at once what time has asked for until now.
func (s *Scheduler) SweepAll(ctx context.Context) error {
	for {
		swept, err := s.opts.Broker.Sweep(ctx, sweepLimit)
		if err != nil || !swept.More {
			return err
		}
	}
}

// rest waits for the next moment to sweep.
func (s *Scheduler) rest(ctx context.Context, due time.Time) {
	wait := sweepEvery
	if !due.IsZero() {
		// A timer may fire a trifle early by the wall clock; a job must not.
		wait = min(wait, max(due.Sub(s.opts.Clock.Now())+time.Millisecond, time.Millisecond))
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if s.opts.Broker.Wait(ctx, broker.Interest{Due: true}) != nil {
		<-ctx.Done() // it ended at the timer, or the broker cannot wait
	}
}
