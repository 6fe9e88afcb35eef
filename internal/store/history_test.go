package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/store"
)

func TestPagesHoldEveryExecutionOnceWhileOthersAreRecorded(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s *store.Store) {
		const there = 200
		for n := range there {
			record(t, s, started(10*n))
		}
		for _, filter := range []store.Filter{nil, store.Queues{"default"}, store.Arguments{Words: "acme"}} {
			seen := map[string]int{}
			q := store.Query{Filter: filter, Limit: 7}
			for page := 0; ; page++ {
				got, err := s.Executions(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range got.Executions {
					seen[e.JobID]++
				}
				if q.After = got.Next; q.After == "" {
					break
				}
				// New ones, some in between, and ends of those that are there.
				record(t, s, started(10*there+page), started(10*page+1+page%8), finished(10*page))
			}
			for n := range there {
				if id := fmt.Sprintf("job-%d", 10*n); seen[id] != 1 {
					t.Errorf("%+v: %s was listed %d times", filter, id, seen[id])
				}
			}
			for id, n := range seen {
				if n > 1 {
					t.Errorf("%+v: %s was listed %d times", filter, id, n)
				}
			}
		}
	})
}

func TestRequestsThatCannotBeRightAreRefused(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s *store.Store) {
		deep := store.Filter(store.Queues{"x"})
		for range 100 {
			deep = store.Not{Filter: deep}
		}
		for name, q := range map[string]store.Query{
			"cursor": {After: "not a cursor"}, "short cursor": {After: "AAAA"}, "deep": {Filter: deep},
			"wide": {Filter: store.Queues(make([]string, 2000))}, "many": {Filter: store.Or(make([]store.Filter, 300))},
		} {
			if _, err := s.Executions(t.Context(), q); !errors.Is(err, store.ErrInvalid) {
				t.Errorf("%s: %v, want ErrInvalid", name, err)
			}
		}
		for _, q := range []store.SeriesQuery{
			{From: epoch(), To: epoch().Add(-time.Hour)},
			{From: epoch(), To: epoch().Add(time.Hour), Step: time.Second},
			{From: epoch(), To: epoch().Add(-time.Hour), Step: time.Minute},
			{From: epoch(), To: epoch().AddDate(1, 0, 0), Step: time.Minute},
		} {
			if _, err := s.Series(t.Context(), q); !errors.Is(err, store.ErrInvalid) {
				t.Errorf("%+v: %v, want ErrInvalid", q, err)
			}
		}
		record(t, s, finished(1), finished(2))
		for _, limit := range []int{-1, 0, 1, 1 << 30} {
			page, err := s.Executions(t.Context(), store.Query{Limit: limit})
			if want := min(max(limit, 1), 2); err != nil || len(page.Executions) != want {
				t.Errorf("limit %d: %d executions, %v, want %d", limit, len(page.Executions), err, want)
			}
		}
	})
}

func TestRunningExecutionsAreThoseWithoutAnEnd(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s *store.Store) {
		record(t, s, started(3), finished(2), started(1), started(4))
		record(t, s, failed(4))
		got, err := s.Running(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]distro.Execution{started(1), started(3)}, got); diff != "" {
			t.Error(diff)
		}
		if got, err := s.Running(t.Context(), 1); err != nil || len(got) != 1 || got[0].JobID != "job-1" {
			t.Errorf("the oldest is %+v, %v", got, err)
		}
	})
}

func TestWordsAreFoundWithoutRegardToCaseAndAccents(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s *store.Store) {
		e := failed(1)
		e.Arguments = "'Não é São João', Ação='ÇEDILHA Straße', nota_fiscal=['NF-001', 12345], x='a=b', texto='Tie\u0302ng Việt Øre Łódź'"
		e.Failure.Type, e.Failure.Message = "rq.timeouts.JobTimeoutException", "Página não encontrada: HTTPError"
		record(t, s, e, finished(2))
		for _, test := range []struct {
			filter store.Filter
			want   bool
		}{
			{store.Arguments{Words: "nao"}, true},
			{store.Arguments{Words: "NÃO joao"}, true},
			{store.Arguments{Words: "joão sao"}, true},
			{store.Arguments{Words: "nao maria"}, false},
			{store.Arguments{Words: "strasse tieng viet ore lodz"}, true},
			{store.Arguments{Words: "Vie\u0323\u0302t"}, true},
			{store.Arguments{Words: "nota_fiscal"}, true},
			{store.Arguments{Words: "nota fiscal nf 001"}, true},
			{store.Arguments{Words: "cedil"}, false},
			{store.Arguments{Words: "cedil", Prefix: true}, true},
			{store.Arguments{Words: "cedil nao", Prefix: true}, false},
			{store.Keyword{Name: "ACAO", Words: "cedilha"}, true},
			{store.Keyword{Name: "ação", Words: "Cedi", Prefix: true}, true},
			{store.Keyword{Name: "nota_fiscal", Words: "nf 12345"}, true},
			{store.Keyword{Name: "fiscal", Words: "nf"}, false},
			{store.Keyword{Name: "a", Words: "b"}, false},
			{store.Keyword{Name: "acao", Words: "nao"}, false},
			{store.ErrorText{Words: "timeout"}, true},
			{store.ErrorText{Words: "jobtimeoutexception"}, true},
			{store.ErrorText{Words: "rq.timeouts.JobTimeoutException"}, true},
			{store.ErrorText{Words: "pagina nao"}, true},
			{store.ErrorText{Words: "cedilha"}, false},
		} {
			if got := len(list(t, s, test.filter, 10)) == 1; got != test.want {
				t.Errorf("%+v: found %v, want %v", test.filter, got, test.want)
			}
		}
	})
}

func TestTrimDeletesTheOldestInSmallSteps(t *testing.T) {
	t.Parallel()
	onBothOptions(t, func(t *testing.T, o store.Options) {
		now := epoch().Add(1000 * time.Second)
		o.Now = func() time.Time { return now }
		s := open(t, o)
		record(t, s, started(0))
		for n := range 100 {
			record(t, s, failed(n+1))
		}
		trim := func(keep store.Retention, limit, wantDeleted int, wantMore bool) {
			t.Helper()
			deleted, more, err := s.Trim(t.Context(), keep, limit)
			if err != nil || deleted != wantDeleted || more != wantMore {
				t.Errorf("%+v: deleted %d, more %v, %v, want %d and %v", keep, deleted, more, err, wantDeleted, wantMore)
			}
		}
		trim(store.Retention{}, 10, 0, false)
		if at, err := s.Horizon(t.Context()); !at.IsZero() || err != nil {
			t.Errorf("horizon %s, %v, before anything was deleted", at, err)
		}
		trim(store.Retention{MaxAge: 980 * time.Second}, 15, 15, true) // all before second 20
		trim(store.Retention{MaxAge: 980 * time.Second}, 15, 4, false)
		trim(store.Retention{MaxRows: 72}, 100, 10, false)
		_, bytes, err := s.Totals(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		trim(store.Retention{MaxBytes: bytes - 1}, 100, 1, false)
		if n, bytes, err := s.Totals(t.Context()); n != 71 || bytes <= 0 || err != nil {
			t.Errorf("%d executions of %d bytes, %v, want 71", n, bytes, err)
		}
		got := list(t, s, nil, 100)
		if len(got) != 71 || got[69].JobID != "job-31" || got[70].JobID != "job-0" {
			t.Errorf("left: %q", ids(got))
		}
		for _, f := range []store.Filter{store.Arguments{Words: "acme"}, store.Or{store.ErrorText{Words: "conexao"}, store.States{"started"}}} {
			if got := list(t, s, f, 100); len(got) != 71 {
				t.Errorf("%+v: %d found, want 71", f, len(got))
			}
		}
		horizon := func(want int) {
			t.Helper()
			if at, err := s.Horizon(t.Context()); !at.Equal(finished(want).StartedAt.Truncate(time.Microsecond)) || err != nil {
				t.Errorf("horizon %s, %v, want the start of execution %d", at, err, want)
			}
		}
		horizon(30)
		record(t, s, failed(5)) // it comes late
		trim(store.Retention{MaxRows: 71}, 100, 1, false)
		horizon(30)
		trim(store.Retention{MaxRows: 1}, 100, 70, false)
		horizon(100)
		if n, _, err := s.Totals(t.Context()); n != 1 || err != nil {
			t.Errorf("%d executions, %v, want the one that runs", n, err)
		}
	})
}

func TestASeriesCountsWhatEndedOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s *store.Store) {
		start := epoch().Truncate(time.Hour)
		var all []distro.Execution
		for n := range 200 {
			e := finished(n)
			if n%10 == 0 {
				e = failed(n)
			}
			e.Queue = []string{"high", "low"}[n%2]
			e.StartedAt = start.Add(time.Duration(n) * time.Minute)
			e.EnqueuedAt = e.StartedAt.Add(-time.Duration(n%2+1) * 100 * time.Millisecond)
			e.EndedAt = e.StartedAt.Add(time.Duration(n%100+1) * 10 * time.Millisecond)
			all = append(all, e)
		}
		for _, e := range all[:100] {
			lost := e
			lost.State, lost.Failure, lost.EndedAt = distro.ExecutionLost, nil, e.EndedAt.Add(time.Hour)
			record(t, s, lost, lost)
		}
		record(t, s, all...)
		record(t, s, all...)

		total := func(lines []store.Line) map[string]map[distro.ExecutionState]int {
			sums := map[string]map[distro.ExecutionState]int{}
			for _, l := range lines {
				sums[l.Name] = map[distro.ExecutionState]int{}
				for _, p := range l.Points {
					for state, n := range p.Ended {
						sums[l.Name][state] += n
					}
				}
			}
			return sums
		}
		for _, step := range []time.Duration{0, time.Minute, 10 * time.Minute, time.Hour, 2 * time.Hour} {
			q := store.SeriesQuery{From: start, To: start.Add(4 * time.Hour), Step: step}
			for by, want := range map[store.Axis]map[string]map[distro.ExecutionState]int{
				store.ByNothing:  {"": {"finished": 180, "failed": 20}},
				store.ByQueue:    {"high": {"finished": 80, "failed": 20}, "low": {"finished": 100}},
				store.ByFunction: {"nfse.emitir": {"finished": 180, "failed": 20}},
			} {
				q.By = by
				lines, err := s.Series(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, total(lines)); diff != "" {
					t.Errorf("%v by %q: %s", step, by, diff)
				}
				if step == 0 && (len(lines[0].Points) != 1 || !lines[0].Points[0].At.Equal(start)) {
					t.Errorf("all in one by %q: %+v", by, lines[0].Points)
				}
			}
		}
		lines, err := s.Series(t.Context(), store.SeriesQuery{By: store.ByQueue, Names: []string{"low"}, From: start, To: start.Add(time.Hour), Step: time.Hour})
		if err != nil || len(lines) != 1 || len(lines[0].Points) != 1 {
			t.Fatalf("lines %+v, %v", lines, err)
		}
		p := lines[0].Points[0]
		near := cmpopts.EquateApprox(0.2, 0)
		if diff := cmp.Diff([]float64{0.2, 0.2, 0.3, 0.57},
			[]float64{p.Waited.P50.Seconds(), p.Waited.P95.Seconds(), p.Took.P50.Seconds(), p.Took.P95.Seconds()}, near); diff != "" {
			t.Error(diff)
		}
		if !p.At.Equal(start) || p.Took.Count != 30 || p.Waited.Count != 30 {
			t.Errorf("point %+v", p)
		}
	})
}

func TestAnOperationKeepsARequestToCancelIt(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s *store.Store) {
		o := store.Operation{
			ID: "op1", Action: "requeue", Filter: `{"q":"estado:falhou"}`, State: store.OperationWaiting, Caller: "ana", CreatedAt: epoch(),
		}
		later := o
		later.ID, later.CreatedAt = "op2", epoch().Add(time.Second)
		for _, c := range []store.Operation{o, later} {
			if err := s.CreateOperation(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.CreateOperation(t.Context(), o); !errors.Is(err, store.ErrConflict) {
			t.Errorf("the same ID again: %v, want ErrConflict", err)
		}
		o.State, o.Total, o.Done, o.Cursor, o.Sample, o.StartedAt = store.OperationRunning, 100, 40, "c", "gone", epoch().Add(time.Minute)
		saved, err := s.SaveOperation(t.Context(), o)
		if diff := cmp.Diff(o, saved); diff != "" || err != nil {
			t.Error(diff, err)
		}
		canceled, err := s.CancelOperation(t.Context(), o.ID)
		if err != nil || !canceled.CancelRequested || canceled.Done != 40 {
			t.Errorf("%+v, %v", canceled, err)
		}
		if saved, err = s.SaveOperation(t.Context(), o); err != nil || !saved.CancelRequested {
			t.Errorf("the request was overwritten: %+v, %v", saved, err)
		}
		unfinished, err := s.UnfinishedOperations(t.Context())
		if err != nil || len(unfinished) != 2 || unfinished[0].ID != "op1" {
			t.Errorf("unfinished: %+v, %v", unfinished, err)
		}
		o.State, o.EndedAt = store.OperationCanceled, epoch().Add(time.Hour)
		if _, err := s.SaveOperation(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		o.State, o.Done = store.OperationRunning, 99
		if saved, err = s.SaveOperation(t.Context(), o); err != nil || saved.State != store.OperationCanceled || saved.Done != 40 {
			t.Errorf("an ended operation was changed: %+v, %v", saved, err)
		}
		all, err := s.Operations(t.Context(), 10)
		if err != nil || len(all) != 2 || all[0].ID != "op2" || all[1].State != store.OperationCanceled {
			t.Errorf("operations: %+v, %v", all, err)
		}
		if _, err := s.Operation(t.Context(), "op3"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
	})
}

func TestAnswersAreRememberedUntilTheyExpire(t *testing.T) {
	t.Parallel()
	onBothOptions(t, func(t *testing.T, o store.Options) {
		now := epoch()
		o.Now = func() time.Time { return now }
		s := open(t, o)
		remember := func(fingerprint, response string) error {
			return s.Remember(t.Context(), "key", fingerprint, []byte(response), time.Hour)
		}
		if err := errors.Join(remember("a", "first"), remember("a", "second")); err != nil {
			t.Fatal(err)
		}
		if err := remember("b", "third"); !errors.Is(err, store.ErrConflict) {
			t.Errorf("got %v, want ErrConflict", err)
		}
		got, err := s.Recall(t.Context(), "key")
		if diff := cmp.Diff(store.Answer{Fingerprint: "a", Response: []byte("first")}, got); diff != "" || err != nil {
			t.Error(diff, err)
		}
		now = now.Add(time.Hour)
		if _, err := s.Recall(t.Context(), "key"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
		if err := remember("b", "third"); err != nil {
			t.Error(err)
		}
		now = now.Add(2 * time.Hour)
		if _, more, err := s.Trim(t.Context(), store.Retention{}, 1); err != nil || !more {
			t.Errorf("more %v, %v: the answer is still there", more, err)
		}
		if _, more, err := s.Trim(t.Context(), store.Retention{}, 1); err != nil || more {
			t.Errorf("more %v, %v", more, err)
		}
	})
}
