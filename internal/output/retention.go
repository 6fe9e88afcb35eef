package output

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Usage is what the Store takes on disk.
type Usage struct {
	Jobs  int
	Bytes int64
}

// shards is how many folders the jobs are spread over: "00" to "ff".
const shards = 256

// Delete removes the output of a job, open lines too. A writer of it begins
// anew with line 1.
func (s *Store) Delete(jobID string) error {
	f := s.acquire(jobID)
	defer s.release(f)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unload()
	for _, w := range f.writers {
		clear(w.open[:])
	}
	_, err := f.place.remove()
	f.changed()
	if err != nil {
		return fmt.Errorf("delete output of job %q: %w", jobID, err)
	}
	return nil
}

// Prune removes the output of jobs that was last written before olderThan, of
// at most limit jobs, and never of one that is being written. Called until it
// removes fewer than limit, it has seen every job; each call goes on where the
// last one ended.
func (s *Store) Prune(ctx context.Context, olderThan time.Time, limit int) (removed int, bytes int64, err error) {
	for range shards {
		shard := s.pruneShard(0)
		err := s.walkShard(ctx, shard, func(p place, head fs.DirEntry) error {
			if removed >= limit {
				return fs.SkipAll
			}
			n, done, err := s.pruneJob(p, head, olderThan)
			if done {
				removed++
				bytes += n
			}
			return err
		})
		if errors.Is(err, fs.SkipAll) {
			return removed, bytes, nil
		}
		s.pruneShard(1)
		if err != nil {
			return removed, bytes, fmt.Errorf("prune output: %w", err)
		}
	}
	return removed, bytes, nil
}

// pruneShard steps to the folder where Prune goes on.
func (s *Store) pruneShard(step int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shard = (s.shard + step) % shards
	return s.shard
}

// pruneJob removes the output of one job if it is old and nobody uses it.
func (s *Store) pruneJob(p place, head fs.DirEntry, olderThan time.Time) (int64, bool, error) {
	info, err := head.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil || !info.ModTime().Before(olderThan) {
		return 0, false, err // most jobs cost no more than this
	}
	_, newest, err := p.measure()
	if err != nil || !newest.Before(olderThan) {
		return 0, false, err
	}
	s.mu.Lock() // nobody begins to write it now
	defer s.mu.Unlock()
	if s.jobs[p.key] != nil {
		return 0, false, nil
	}
	n, err := p.remove()
	return n, err == nil, err
}

// Usage measures the Store, which takes a look at every file.
func (s *Store) Usage(ctx context.Context) (Usage, error) {
	var u Usage
	for shard := range shards {
		err := s.walkShard(ctx, shard, func(p place, _ fs.DirEntry) error {
			n, _, err := p.measure()
			u.Jobs++
			u.Bytes += n
			return err
		})
		if err != nil {
			return Usage{}, fmt.Errorf("measure output: %w", err)
		}
	}
	return u, nil
}

// Excess tells what must go so that the rest takes at most limit bytes: what
// was last written before the returned time, which is zero if all may stay. It
// takes a look at every file, and needs little memory for it.
func (s *Store) Excess(ctx context.Context, limit int64) (before time.Time, u Usage, err error) {
	const step = int64(time.Minute / time.Second)
	sizes := map[int64]int64{} // by minute of the last write
	for shard := range shards {
		err := s.walkShard(ctx, shard, func(p place, _ fs.DirEntry) error {
			n, newest, err := p.measure()
			u.Jobs++
			u.Bytes += n
			sizes[newest.Unix()/step] += n
			return err
		})
		if err != nil {
			return time.Time{}, Usage{}, fmt.Errorf("measure output: %w", err)
		}
	}
	left := u.Bytes
	for _, minute := range slices.Sorted(maps.Keys(sizes)) {
		if left <= limit {
			break
		}
		left -= sizes[minute]
		before = time.Unix((minute+1)*step, 0)
	}
	return before, u, nil
}

// Written is how many bytes were written to files since Open, so that it costs
// nothing to see that Excess need not be asked.
func (s *Store) Written() int64 { return s.written.Load() }

// walkShard calls visit with each job of one folder and the entry of its head.
func (s *Store) walkShard(ctx context.Context, shard int, visit func(place, fs.DirEntry) error) error {
	name := fmt.Sprintf("%02x", shard)
	entries, err := os.ReadDir(filepath.Join(s.dir, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		rest, ok := strings.CutSuffix(e.Name(), fileSuffix)
		if !ok {
			continue
		}
		if err := visit(s.place(name+rest), e); err != nil {
			return err
		}
	}
	return nil
}

// measure adds up the files of a job, and tells when the newest was written.
func (p place) measure() (bytes int64, newest time.Time, err error) {
	numbers, err := p.numbers()
	if err != nil {
		return 0, newest, err
	}
	for _, n := range numbers {
		info, err := os.Stat(p.path(n))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, newest, err
		}
		bytes += info.Size()
		if info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	return bytes, newest, nil
}
