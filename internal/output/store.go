// Package output keeps what jobs print: one file per job that a person can
// grep, read by line number at any size, followed live, and bounded by cutting
// the middle.
//
// A Store is owned by one process. It starts no goroutine: writers write to
// the operating system before they return, and readers of the same Store are
// woken by them. Lines survive the death of the process; they are not synced
// to disk.
package output

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// ErrClosed: the Writer was closed.
var ErrClosed = errors.New("output writer closed")

// Options of a Store.
type Options struct {
	// MaxPerJob is how many bytes of files one job may have. Of longer output
	// the first half and, in steps of a sixteenth, the last half are kept.
	// Default 100 MiB, at least 16 KiB.
	MaxPerJob int64
	// Now is the clock of Note. Default time.Now.
	Now func() time.Time
	// Logger hears when output is dropped because it could not be stored, and
	// when that is over. Default: nobody does.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.MaxPerJob <= 0 {
		o.MaxPerJob = 100 << 20
	}
	o.MaxPerJob = max(o.MaxPerJob, 16<<10)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Store is the output of all jobs. Its methods are safe for concurrent use.
type Store struct {
	dir     string
	options Options
	version atomic.Uint64 // of the last change of any job's output
	written atomic.Int64  // bytes, to files

	mu     sync.Mutex
	jobs   map[string]*jobFile // by key: those being written or waited for
	forgot uint64              // no job that left the map changed after this version
	shard  int                 // where Prune goes on
}

// Open returns the Store in dir, which it makes where it is missing.
func Open(dir string, o Options) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open output folder: %w", err)
	}
	return &Store{dir: dir, options: o.withDefaults(), jobs: map[string]*jobFile{}}, nil
}

// Writer returns a writer that appends to the output of a job. Close it. It
// makes no file before something is written. A job may have several writers,
// as when an attempt was lost and runs elsewhere.
func (s *Store) Writer(jobID string, attempt int) *Writer {
	f := s.acquire(jobID)
	w := &Writer{job: f, origin: origin{attempt: attempt}}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writers = append(f.writers, w)
	return w
}

// Wait returns when a job's output may have changed since the Read that gave
// version seen: a line was begun, went on, ended or was deleted. It may return
// early for nothing and misses no change. When ctx ends it returns its error.
func (s *Store) Wait(ctx context.Context, jobID string, seen uint64) error {
	f := s.acquire(jobID)
	defer s.release(f)
	changed := f.changedSince(seen)
	if changed == nil {
		return nil
	}
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// acquire returns the jobFile of a job and keeps it in the map until release.
func (s *Store) acquire(jobID string) *jobFile {
	at := s.place(keyOf(jobID))
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.jobs[at.key]
	if f == nil {
		f = &jobFile{store: s, jobID: jobID, place: at, version: s.forgot}
		f.next = 1
		s.jobs[at.key] = f
	}
	f.refs++
	return f
}

func (s *Store) release(f *jobFile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.refs--
	if f.refs > 0 {
		return
	}
	delete(s.jobs, f.place.key)
	s.forgot = max(s.forgot, f.version) // f.version is at rest: nobody holds f
}
