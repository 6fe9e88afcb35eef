package output_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro/internal/output"
)

func TestPruneRemovesOldOutputInStepsAndNoneInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, output.Options{MaxPerJob: 16 << 10})
	const old = 12
	for i := range old {
		w := s.Writer(fmt.Sprintf("old-%d", i), 1)
		write(t, w, output.Stdout, strings.Repeat("x\n", 500)) // with a tail
		w.Close()
	}
	size := int64(0)
	for path, content := range files(t, dir) {
		size += int64(len(content))
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	used := writer(t, s, 1)
	defer used.Close()
	write(t, used, output.Stdout, "x\n")
	for path := range files(t, dir) {
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	fresh := s.Writer("fresh", 1)
	write(t, fresh, output.Stdout, "x\n")
	fresh.Close()

	var removed, steps int
	var bytes int64
	for n := 5; n == 5; steps++ {
		var freed int64
		var err error
		if n, freed, err = s.Prune(t.Context(), at.Add(time.Hour), 5); err != nil {
			t.Fatal(err)
		}
		removed, bytes = removed+n, bytes+freed
	}
	if removed != old || bytes != size || steps != old/5+1 {
		t.Errorf("removed %d jobs of %d bytes in %d steps, want %d of %d in %d", removed, bytes, steps, old, size, old/5+1)
	}
	use, err := s.Usage(t.Context())
	if err != nil || use.Jobs != 2 || len(files(t, dir)) != 2 {
		t.Errorf("usage %+v, %d files, %v; want 2 jobs", use, len(files(t, dir)), err)
	}
}

func TestUsageIsTheSizeOfAllFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, output.Options{MaxPerJob: 16 << 10})
	w := writer(t, s, 1)
	write(t, w, output.Stdout, strings.Repeat("x\n", 3000))
	w.Close()
	size := int64(0)
	for _, content := range files(t, dir) {
		size += int64(len(content))
	}
	got, err := s.Usage(t.Context())
	if want := (output.Usage{Jobs: 1, Bytes: size}); err != nil || got != want {
		t.Errorf("usage %+v, %v; want %+v", got, err, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Usage(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("usage with an ended context: %v", err)
	}
	if _, _, err := s.Prune(ctx, at, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("prune with an ended context: %v", err)
	}
}

func TestADeletedJobBeginsAnew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, output.Options{MaxPerJob: 16 << 10})
	w := writer(t, s, 1)
	write(t, w, output.Stdout, strings.Repeat("x\n", 3000))
	if err := s.Delete(id); err != nil {
		t.Fatal(err)
	}
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("%d files are left", len(left))
	}
	write(t, w, output.Stdout, "y\n")
	w.Close()
	wantLines(t, read(t, s, 1, 0), "1 stdout y")
}

// ageFresh lets files that were written just now look older.
func ageFresh(t *testing.T, dir string, then time.Time) {
	t.Helper()
	for path := range files(t, dir) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if time.Since(info.ModTime()) > time.Hour {
			continue
		}
		if err := os.Chtimes(path, then, then); err != nil {
			t.Fatal(err)
		}
	}
}

func TestExcessIsTheOldestOutput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, output.Options{})
	const jobs, lines = 10, 100
	for i := range jobs {
		name := fmt.Sprintf("job-%d", i)
		w := s.Writer(name, 1)
		write(t, w, output.Stdout, strings.Repeat("x\n", lines))
		w.Close()
		ageFresh(t, dir, at.Add(time.Duration(i)*time.Hour))
	}
	before, use, err := s.Excess(t.Context(), 1<<40)
	if err != nil || !before.IsZero() || use.Jobs != jobs || s.Written() != use.Bytes {
		t.Errorf("with room: before %v, %+v of %d written, %v", before, use, s.Written(), err)
	}
	limit := use.Bytes * 6 / 10
	if before, _, err = s.Excess(t.Context(), limit); err != nil {
		t.Fatal(err)
	}
	removed, _, err := s.Prune(t.Context(), before, jobs)
	if err != nil || removed != 4 {
		t.Errorf("removed %d, want 4: %v", removed, err)
	}
	if before, use, err = s.Excess(t.Context(), limit); err != nil || !before.IsZero() || use.Jobs != 6 {
		t.Errorf("after that: before %v, %+v, %v", before, use, err)
	}
}
