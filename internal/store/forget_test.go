package store_test

import (
	"testing"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/store"
)

func TestOnlyWhatNeverCameToRunIsForgotten(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s *store.Store) {
		at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
		begun := distro.Execution{JobID: "job", Run: "given-back", Attempt: 1, State: distro.ExecutionStarted, StartedAt: at}
		ended := distro.Execution{JobID: "job", Run: "ran", Attempt: 1, State: distro.ExecutionFinished, StartedAt: at, EndedAt: at.Add(time.Second)}
		if err := s.Record(t.Context(), []distro.Execution{begun, ended}, "", ""); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := s.Forget(t.Context(), []distro.Execution{begun, ended, {JobID: "none", Run: "none"}}); err != nil {
				t.Fatal(err)
			}
			left, err := s.Attempts(t.Context(), "job")
			if err != nil || len(left) != 1 || left[0].Run != "ran" {
				t.Errorf("left: %+v, %v", left, err)
			}
		}
		if n, _, err := s.Totals(t.Context()); err != nil || n != 1 {
			t.Errorf("%d executions are counted (%v), want 1", n, err)
		}
	})
}
