package scheduler

import (
	"context"
	"time"

	"github.com/distro-orchestrator/distro/internal/store"
)

// History is what is trimmed by retention: store.Store.
type History interface {
	// Trim deletes a bounded part of what retention does not keep, and says
	// whether there is more.
	Trim(ctx context.Context, keep store.Retention, limit int) (deleted int, more bool, err error)
}

const (
	trimEvery = 5 * time.Minute
	trimLimit = 500                   // executions a step: others write in between
	trimRest  = 50 * time.Millisecond // between two steps
)

// trim keeps history within its retention.
func (s *Scheduler) trim(ctx context.Context) {
	failed := false
	for wait := time.Duration(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		deleted, more, err := s.opts.History.Trim(ctx, s.opts.Keep, trimLimit)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failed:
			s.opts.Logger.Error("old history cannot be deleted; trying on", "reason", err)
		case deleted > 0:
			s.opts.Logger.Debug("old history was deleted", "executions", deleted)
		}
		failed = err != nil
		if wait = trimEvery; more && err == nil {
			wait = trimRest
		}
	}
}
