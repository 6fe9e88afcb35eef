package store_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/store"
)

func TestWhatIsRecordedComesBack(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s *store.Store) {
		want := []distro.Execution{finished(1), failed(2), started(3)}
		want[1].Stock = true
		record(t, s, want...)
		for _, e := range want {
			got, err := s.Attempts(t.Context(), e.JobID)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]distro.Execution{e}, got); diff != "" {
				t.Error(diff)
			}
		}
		if got, err := s.Attempts(t.Context(), "unknown"); err != nil || len(got) != 0 {
			t.Errorf("attempts of an unknown job: %v, %v", got, err)
		}
		if diff := cmp.Diff([]string{"job-3", "job-2", "job-1"}, ids(list(t, s, nil, 2))); diff != "" {
			t.Error(diff)
		}
	})
}

func TestListsLeaveOutWhatIsLong(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s *store.Store) {
		long, short, exact := finished(1), finished(2), finished(3)
		long.Result.Text = strings.Repeat("não ", 1000)
		exact.Result.Text = strings.Repeat("x", 400)
		record(t, s, long, short, exact, failed(4))
		page, err := s.Executions(t.Context(), store.Query{Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Executions) != 4 || page.Next != "" {
			t.Fatalf("page %+v", page)
		}
		for i, want := range []struct{ abridged, truncated bool }{{true, false}, {false, false}, {false, false}, {true, true}} {
			if e := page.Executions[i]; e.Abridged != want.abridged || e.Result.Truncated != want.truncated {
				t.Errorf("%s: abridged %v, result truncated %v, want %v", e.JobID, e.Abridged, e.Result.Truncated, want)
			}
		}
		if e := page.Executions[0]; e.Failure.Traceback != "" || e.Failure.Message == "" {
			t.Errorf("failure in a list: %+v", e.Failure)
		}
		if got := page.Executions[3].Result.Text; len(got) > 400 || !strings.HasPrefix(long.Result.Text, got) || len(got) < 390 {
			t.Errorf("the result's head is %q", got)
		}
		attempts, err := s.Attempts(t.Context(), long.JobID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]distro.Execution{long}, attempts); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAnEndIsNeverTakenBack(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s *store.Store) {
		e := failed(1)
		bare := distro.Execution{JobID: e.JobID, Run: e.Run, State: distro.ExecutionLost}
		retried := bare
		retried.State = distro.ExecutionRetried
		for _, next := range []distro.Execution{retried, started(1), bare, e, bare, started(1), retried, e} {
			record(t, s, next)
		}
		got, err := s.Attempts(t.Context(), e.JobID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]distro.Execution{e}, got); diff != "" {
			t.Error(diff)
		}
		if n, exact, err := s.Count(t.Context(), nil); n != 1 || !exact || err != nil {
			t.Errorf("%d executions, %v, %v", n, exact, err)
		}
	})
}

func TestTheCursorIsStoredWithTheExecutions(t *testing.T) {
	t.Parallel()
	onBothOptions(t, func(t *testing.T, o store.Options) {
		s := open(t, o)
		cursor := func(s *store.Store, feed string) string {
			t.Helper()
			got, err := s.Cursor(t.Context(), feed)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		if got := cursor(s, "redis"); got != "" {
			t.Errorf("cursor %q of a feed that nobody read", got)
		}
		for _, c := range []string{"1-0", "2-0"} {
			if err := s.Record(t.Context(), []distro.Execution{started(1)}, "redis", c); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Record(t.Context(), nil, "sqlite", "77"); err != nil {
			t.Fatal(err)
		}
		err := s.Record(t.Context(), []distro.Execution{finished(2), {JobID: "x", State: "none"}}, "redis", "3-0")
		if !errors.Is(err, store.ErrInvalid) {
			t.Errorf("got %v, want ErrInvalid", err)
		}
		other := open(t, o)
		if r, q := cursor(other, "redis"), cursor(other, "sqlite"); r != "2-0" || q != "77" {
			t.Errorf("cursors %q and %q", r, q)
		}
		if diff := cmp.Diff([]string{"job-1"}, ids(list(t, other, nil, 10))); diff != "" {
			t.Error(diff)
		}
	})
}

func TestHostileTextsAreKept(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s *store.Store) {
		e := failed(1)
		for _, text := range []*string{
			&e.JobID, &e.Run, &e.Module, &e.Function, &e.Queue, &e.Arguments, &e.Worker, &e.Host, &e.Python, &e.CodeHash, &e.Commit,
			&e.Trigger, &e.Caller, &e.Failure.Type, &e.Failure.Message, &e.Failure.Traceback, &e.Result.Text,
		} {
			*text = "a\x00b\xff'\"\\$1 ? %s\u0301" + *text
		}
		e.Arguments = strings.Repeat("é", 20<<10)
		record(t, s, e)
		got := list(t, s, store.And{store.Queues{e.Queue}, store.Jobs{e.JobID}, store.Workers{e.Worker}}, 10)
		if len(got) != 1 {
			t.Fatalf("%d found", len(got))
		}
		if want := "a\uFFFDb\uFFFD'\"\\$1 ? %s\u0301default"; got[0].Queue != want {
			t.Errorf("queue %q, want %q", got[0].Queue, want)
		}
		if n := len(got[0].Arguments); n != 16<<10 {
			t.Errorf("%d bytes of arguments", n)
		}
		record(t, s, e)
		if again := list(t, s, nil, 10); len(again) != 1 {
			t.Errorf("%d executions, want one", len(again))
		}
		for _, words := range []string{"'", `"`, "a' & b", "* OR", "NOT", "\x00", ":*", "(", "\\", strings.Repeat("x", 5000)} {
			for _, prefix := range []bool{false, true} {
				list(t, s, store.Or{store.Arguments{Words: words, Prefix: prefix}, store.Not{store.ErrorText{Words: words}}}, 10)
			}
		}
	})
}

func TestExecutionsOfTheSameMicrosecondAreAllKept(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s *store.Store) {
		var all []distro.Execution
		for n := range 1500 {
			e := finished(n)
			e.StartedAt = epoch()
			all = append(all, e)
		}
		record(t, s, all[:700]...)
		record(t, s, all...)
		seen := map[string]bool{}
		for _, e := range list(t, s, nil, 100) {
			seen[e.JobID] = true
		}
		if len(seen) != len(all) {
			t.Errorf("%d executions, want %d", len(seen), len(all))
		}
	})
}

func TestAnExecutionFindsItsPlaceWhenItsStartBecomesKnown(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s *store.Store) {
		late := failed(2)
		late.StartedAt, late.EndedAt = time.Time{}, epoch().Add(time.Hour)
		late.Arguments = "'moved'"
		record(t, s, finished(1), late, finished(3))
		if diff := cmp.Diff([]string{"job-2", "job-3", "job-1"}, ids(list(t, s, nil, 10))); diff != "" {
			t.Error(diff)
		}
		late.StartedAt = epoch().Add(2 * time.Second)
		record(t, s, late)
		if diff := cmp.Diff([]string{"job-3", "job-2", "job-1"}, ids(list(t, s, nil, 10))); diff != "" {
			t.Error(diff)
		}
		for _, f := range []store.Filter{store.Arguments{Words: "moved"}, store.ErrorText{Words: "conexao"}} {
			if diff := cmp.Diff([]string{"job-2"}, ids(list(t, s, f, 10))); diff != "" {
				t.Error(diff)
			}
		}
		if got, err := s.Attempts(t.Context(), "job-2"); err != nil || len(got) != 1 || got[0].Failure.Traceback == "" {
			t.Errorf("attempts %+v, %v", got, err)
		}
	})
}
