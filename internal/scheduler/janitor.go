package scheduler

import (
	"context"
	"time"
)

const (
	pruneEvery = time.Hour
	pruneLimit = 500 // files a step
)

// prune deletes the output of jobs that printed their last line longer than
// Retention ago.
func (s *Scheduler) prune(ctx context.Context) {
	ticker := time.NewTicker(pruneEvery)
	defer ticker.Stop()
	for {
		removed, bytes, err := s.opts.Output.Prune(ctx, s.opts.Clock.Now().Add(-s.opts.Retention), pruneLimit)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.opts.Logger.Error("old output cannot be deleted", "reason", err)
		case removed > 0:
			s.opts.Logger.Info("old output was deleted", "files", removed, "bytes", bytes)
		}
		if removed == pruneLimit {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
