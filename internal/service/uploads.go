package service

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/upload"
)

// Upload is a file that somebody gives to a job.
type Upload = upload.File

// Uploads keeps what people give to jobs: upload.Store.
type Uploads interface {
	// Save keeps a file of at most so many bytes, or returns upload.ErrTooLarge,
	// ErrFull or ErrInterrupted.
	Save(name, key string, content io.Reader, most int64) (upload.File, error)
	// Find returns one by its ID, or upload.ErrNotFound.
	Find(id string) (upload.File, error)
}

// MaxUpload is how many bytes of files one request may give to a job; 0: none are
// taken.
func (s *Service) MaxUpload() int64 {
	if s.opts.Uploads == nil {
		return 0
	}
	return s.opts.MaxUpload
}

// MaxArguments is how many bytes the arguments of one job may take, as JSON.
func (s *Service) MaxArguments() int { return s.opts.MaxArguments }

// Upload keeps a file for a job of this machine, which gets its path as an
// argument. It is there until retention deletes it. A file that comes again within
// seconds, with the same key, is the same file, so that a request that is sent
// twice asks for the same twice. More than most bytes are refused with the field
// "file".
func (s *Service) Upload(ctx context.Context, name, key string, content io.Reader, most int64) (Upload, error) {
	if err := ctx.Err(); err != nil {
		return Upload{}, fmt.Errorf("take an upload: %w", err)
	}
	if s.MaxUpload() == 0 {
		return Upload{}, distro.Errorf(distro.CodeForbidden, "files are not taken here")
	}
	file, err := s.opts.Uploads.Save(name, key, content, min(most, s.MaxUpload()))
	switch {
	case errors.Is(err, upload.ErrFull):
		return Upload{}, &distro.Error{Code: distro.CodeFull, Message: "there is no room left for the file; free some disk space", Err: err}
	case errors.Is(err, upload.ErrTooLarge):
		return Upload{}, distro.Invalid("file", "is larger than %d bytes", min(most, s.MaxUpload()))
	case errors.Is(err, upload.ErrInterrupted):
		return Upload{}, &distro.Error{Code: distro.CodeInvalid, Message: "the file did not arrive whole", Err: err}
	case err != nil:
		return Upload{}, fmt.Errorf("take an upload: %w", err)
	}
	return file, nil
}

// FindUpload returns a file that Upload kept, by its ID, or distro.CodeNotFound.
func (s *Service) FindUpload(ctx context.Context, id string) (Upload, error) {
	if err := ctx.Err(); err != nil {
		return Upload{}, fmt.Errorf("find an upload: %w", err)
	}
	if s.MaxUpload() == 0 {
		return Upload{}, distro.Errorf(distro.CodeNotFound, "no such file is kept")
	}
	file, err := s.opts.Uploads.Find(id)
	switch {
	case errors.Is(err, upload.ErrNotFound):
		return Upload{}, distro.Errorf(distro.CodeNotFound, "no such file is kept")
	case err != nil:
		return Upload{}, fmt.Errorf("find an upload: %w", err)
	}
	return file, nil
}
