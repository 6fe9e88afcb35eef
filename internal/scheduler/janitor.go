package scheduler

import (
	"context"
	"time"
)

const (
	pruneEvery = time.Hour
	pruneLimit = 500 // files a step
	fitEvery   = time.Minute
)

// fit deletes the oldest output while all of it takes more than MaxOutput. A
// tenth more goes than must, so that it is not always at work.
func (s *Scheduler) fit(ctx context.Context) {
	ticker := time.NewTicker(fitEvery)
	defer ticker.Stop()
	known := int64(-1) // bytes there were, less what had been written by then; negative: not known
	for {
		if known < 0 || known+s.opts.Output.Written() > s.opts.MaxOutput {
			var err error
			if known, err = s.fitOnce(ctx); err != nil && ctx.Err() == nil {
				s.opts.Logger.Error("output that is too much cannot be deleted", "reason", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// fitOnce measures all output and deletes what is too much. It returns what is
// left, less what was written so far.
func (s *Scheduler) fitOnce(ctx context.Context) (known int64, err error) {
	written := s.opts.Output.Written()
	before, use, err := s.opts.Output.Excess(ctx, s.opts.MaxOutput/10*9)
	if err != nil {
		return -1, err
	}
	if use.Bytes <= s.opts.MaxOutput {
		return use.Bytes - written, nil
	}
	for removed := pruneLimit; removed == pruneLimit && err == nil; {
		var bytes int64
		removed, bytes, err = s.opts.Output.Prune(ctx, before, pruneLimit)
		use.Bytes -= bytes
		if removed > 0 {
			s.opts.Logger.Warn("old output was deleted: all of it took too much room", "files", removed, "bytes", bytes, "limit", s.opts.MaxOutput)
		}
	}
	if err != nil {
		return -1, err
	}
	return use.Bytes - written, nil
}

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
		if s.opts.Artifacts != nil {
			if err := s.opts.Artifacts.Prune(ctx, s.opts.Clock.Now().Add(-s.opts.Retention)); err != nil {
				s.opts.Logger.Error("old artifacts cannot be deleted", "reason", err)
			}
		}
		if s.opts.Uploads != nil {
			if err := s.opts.Uploads.Prune(ctx, s.opts.Clock.Now().Add(-s.opts.Retention)); err != nil {
				s.opts.Logger.Error("old uploads cannot be deleted", "reason", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
