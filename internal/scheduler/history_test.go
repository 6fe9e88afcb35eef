package scheduler_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/scheduler"
	"github.com/distro-orchestrator/distro/internal/store"
)

// attempt is one that began n seconds after noon, and ended unless it runs.
func attempt(n int, runs bool) distro.Execution {
	at := time.Date(2026, 11, 24, 12, 0, n, 0, time.UTC)
	e := distro.Execution{
		JobID: fmt.Sprint("job-", n), Run: fmt.Sprint("run-", n), Attempt: 1, Module: "m", Function: "f", Queue: "default",
		Arguments: "'ACME', 7", State: distro.ExecutionStarted, EnqueuedAt: at, StartedAt: at,
	}
	if !runs {
		e.State, e.EndedAt = distro.ExecutionFinished, at.Add(time.Second)
	}
	return e
}

// TestHistoryIsTrimmedWhileOthersWriteToIt has the first attempts run on, which
// are the oldest.
func TestHistoryIsTrimmedWhileOthersWriteToIt(t *testing.T) {
	t.Parallel()
	const running, ended, kept = 2, 3000, 200
	for name, keep := range map[string]func(bytes int64) store.Retention{
		"by rows":  func(int64) store.Retention { return store.Retention{MaxRows: kept} },
		"by bytes": func(bytes int64) store.Retention { return store.Retention{MaxBytes: bytes * kept / (running + ended)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			history, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "history.db")})
			if err != nil {
				t.Fatal(err)
			}
			defer history.Close()
			var all []distro.Execution
			for n := range running + ended {
				all = append(all, attempt(n, n < running))
			}
			if err := history.Record(t.Context(), all, "", ""); err != nil {
				t.Fatal(err)
			}
			_, bytes, err := history.Totals(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			trimmed := make(chan error, 1)
			go func() {
				trimmed <- scheduler.New(scheduler.Options{
					Broker: &due{sooner: make(chan struct{})}, Clock: clock{}, History: history, Keep: keep(bytes),
				}).Run(ctx)
			}()
			writes := len(all)
			longest, begin := time.Duration(0), time.Now()
			for rows := len(all); rows > kept+100; writes++ {
				began := time.Now()
				if err := history.Record(t.Context(), []distro.Execution{attempt(writes, false)}, "", ""); err != nil {
					t.Fatal(err)
				}
				longest = max(longest, time.Since(began))
				if rows, _, err = history.Totals(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			cancel()
			if err := <-trimmed; err != nil {
				t.Error(err)
			}
			t.Logf("%d writes in %s while it was trimmed, the longest took %s", writes-len(all), time.Since(begin), longest)
			if writes == len(all) {
				t.Error("nobody could write while it was trimmed")
			}
			page, err := history.Executions(t.Context(), store.Query{Limit: store.MaxLimit})
			if err != nil || page.Next != "" {
				t.Fatalf("%q, %v", page.Next, err)
			}
			next := writes - 1 // from the newest on without a gap
			for _, e := range page.Executions[:len(page.Executions)-running] {
				if e.JobID != fmt.Sprint("job-", next) {
					t.Fatalf("%s stands where job-%d should", e.JobID, next)
				}
				next--
			}
			for n, e := range page.Executions[len(page.Executions)-running:] {
				if want := fmt.Sprint("job-", running-1-n); e.JobID != want || e.State != distro.ExecutionStarted {
					t.Errorf("%s, %s, is the oldest: want %s, which runs", e.JobID, e.State, want)
				}
			}
		})
	}
}
