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
	trimEvery = time.Minute
	trimLimit = 500                  // executions a step: others write in between
	trimRest  = 5 * time.Millisecond // between two steps, at least
)

// trim keeps history within its retention. While there is much to delete it
// rests as long as it works, so that half of the time is left to who writes.
func (s *Scheduler) trim(ctx context.Context) {
	failed := false
	for wait := time.Duration(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		began := time.Now()
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
			wait = max(time.Since(began), trimRest)
		}
	}
}
