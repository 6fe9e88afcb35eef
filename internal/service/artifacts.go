package service

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/artifact"
)

// Artifact is a file that a job left.
type Artifact = artifact.File

// Artifacts keeps what jobs left behind for people: artifact.Store. Workers on
// other hosts keep nothing of it here.
type Artifacts interface {
	// List returns the files of a job, a bounded number.
	List(jobID string) ([]artifact.File, error)
	// Open opens one, or returns artifact.ErrNotFound.
	Open(jobID, name string) (io.ReadSeekCloser, artifact.File, error)
	// Delete deletes all of them.
	Delete(jobID string) error
}

// Artifacts returns the files that a job left in DISTRO_ARTIFACTS, by attempt and
// name, at most artifact.MaxFiles. They are there until retention, or whoever
// deletes the job, deletes them, whether the queue still knows the job or not. A
// job that ran on another host has none here.
func (s *Service) Artifacts(ctx context.Context, id string) ([]Artifact, error) {
	if s.opts.Artifacts != nil && id != "" && len(id) <= maxForeignID {
		files, err := s.opts.Artifacts.List(id)
		if err != nil || len(files) > 0 {
			return files, artifactFault(id, err)
		}
	}
	return nil, s.known(ctx, id)
}

// known returns distro.CodeNotFound for a job that neither the queue nor history
// knows.
func (s *Service) known(ctx context.Context, id string) error {
	_, missing := s.Get(ctx, id)
	if distro.ErrorCode(missing) != distro.CodeNotFound || s.opts.History == nil {
		return missing
	}
	attempts, err := s.opts.History.Attempts(ctx, id)
	switch {
	case err != nil:
		return historyFault(err)
	case len(attempts) == 0:
		return missing
	}
	return nil
}

// OpenArtifact opens one of the files of a job by its name, as Artifacts has it,
// or returns distro.CodeNotFound. What it holds is a job's: text or bytes of
// anything, whatever the name promises.
func (s *Service) OpenArtifact(ctx context.Context, id, name string) (io.ReadSeekCloser, Artifact, error) {
	if err := ctx.Err(); err != nil {
		return nil, Artifact{}, fmt.Errorf("open file of job %q: %w", id, err)
	}
	if s.opts.Artifacts == nil || id == "" || len(id) > maxForeignID {
		return nil, Artifact{}, artifactFault(id, artifact.ErrNotFound)
	}
	content, file, err := s.opts.Artifacts.Open(id, name)
	return content, file, artifactFault(id, err)
}

func artifactFault(id string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, artifact.ErrNotFound):
		return distro.Errorf(distro.CodeNotFound, "job %.128q left no such file here", id)
	}
	return fmt.Errorf("look at files of job %q: %w", id, err)
}

// forget deletes what is kept of a deleted job: its output, and its files.
func (s *Service) forget(id string) error {
	if err := s.opts.Output.Delete(id); err != nil {
		return fmt.Errorf("delete output of job %q: %w", id, err)
	}
	if s.opts.Artifacts == nil {
		return nil
	}
	if err := s.opts.Artifacts.Delete(id); err != nil {
		return fmt.Errorf("delete files of job %q: %w", id, err)
	}
	return nil
}
