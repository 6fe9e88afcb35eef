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
