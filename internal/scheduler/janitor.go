package scheduler

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
		if err := s.pruneArtifacts(ctx); err != nil {
			s.opts.Logger.Error("old artifacts cannot be deleted", "reason", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// pruneArtifacts deletes the folders of files that jobs left longer than
// Retention ago.
func (s *Scheduler) pruneArtifacts(ctx context.Context) error {
	if s.opts.Artifacts == "" {
		return nil
	}
	entries, err := os.ReadDir(s.opts.Artifacts)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no job has run yet
	}
	if err != nil {
		return fmt.Errorf("list artifacts: %w", err)
	}
	before := s.opts.Clock.Now().Add(-s.opts.Retention)
	for _, entry := range entries {
		info, err := entry.Info()
		if ctx.Err() != nil || err != nil || info.ModTime().After(before) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(s.opts.Artifacts, entry.Name())); err != nil {
			return fmt.Errorf("delete artifacts: %w", err)
		}
	}
	return nil
}
