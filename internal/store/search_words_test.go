package store_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/sqldb"
	"github.com/distro-orchestrator/distro/internal/store"
)

// wordy are executions with words that all have, that only the old ones have, a
// few, or one, and that go on in a few ways or in many.
func wordy(n int) distro.Execution {
	e := finished(n)
	if n%5 == 0 {
		e = failed(n)
		e.Failure.Message = fmt.Sprintf("a ação %d não existe", n%3)
	}
	e.Function = []string{"emitir", "baixar"}[n%2]
	client := []string{"ACME", "Acmeville", "Zeta"}[n%3]
	if n < 150 {
		client += " antiga"
	}
	if n%50 == 7 {
		client += " raridade"
	}
	e.Arguments = fmt.Sprintf("'%s', nota='NF-%04d', codigo=x%d", client, n, n)
	return e
}

// TestWordsThatGoOnAreFoundHoweverManyHaveThem goes every way that a search for
// beginnings of words may go.
func TestWordsThatGoOnAreFoundHoweverManyHaveThem(t *testing.T) {
	t.Parallel()
	arguments := func(words string) store.Filter { return store.Arguments{Words: words, Prefix: true} }
	failure := func(words string) store.Filter { return store.ErrorText{Words: words, Prefix: true} }
	anywhere := func(words string) store.Filter { return store.Or{arguments(words), failure(words)} }
	var filters []store.Filter
	for _, words := range []string{"acme", "antig", "rarid", "x1", "nf 00", "antiga acme", "raridade a", "none", "ação 1"} {
		filters = append(filters, arguments(words), failure(words), anywhere(words), store.Not{Filter: arguments(words)},
			store.And{anywhere(words), store.States{distro.ExecutionFailed}},
			store.And{anywhere(words), store.Functions{"nfse.emitir"}, store.States{distro.ExecutionFailed}},
			store.And{anywhere(words), store.Queues{"default"}, store.Not{Filter: store.Workers{"w2"}}},
			store.And{arguments(words), store.Started{From: epoch().Add(20 * time.Second), To: epoch().Add(90 * time.Second)}},
			store.And{arguments(words), arguments("acm"), failure("aca")},
			store.And{anywhere(words), anywhere("n"), store.Arguments{Words: "antiga"}},
		)
	}
	onBoth(t, func(t *testing.T, s *store.Store) {
		var all []distro.Execution
		for n := range 300 {
			all = append(all, wordy(n))
		}
		record(t, s, all...)
		slices.Reverse(all)
		for turn, hurry := range []func(){
			func() {}, func() { s.Hurry(-1, 0, 32) }, func() { s.Hurry(3, 40, 16) }, func() { s.Hurry(30, 120, 300) },
		} {
			hurry()
			for n, f := range filters {
				if turn > 0 && n%3 != turn-1 { // each filter in two of the four ways: all of them take a minute
					continue
				}
				want := []string{}
				for _, e := range all {
					if matches(f, &e) {
						want = append(want, e.JobID)
					}
				}
				if diff := cmp.Diff(want, ids(list(t, s, f, 40))); diff != "" {
					t.Errorf("%+v: %s", f, diff)
				}
				if n, exact, err := s.Count(t.Context(), f); n != len(want) || !exact || err != nil {
					t.Errorf("%+v: count %d, exact %v, %v, want %d", f, n, exact, err, len(want))
				}
			}
		}
	})
}

// TestHistoryOfTheFirstSchemaIsFoundAfterItsUpgrade opens a file that was written
// when nothing told which words there are.
func TestHistoryOfTheFirstSchemaIsFoundAfterItsUpgrade(t *testing.T) {
	t.Parallel()
	first, err := os.ReadFile("migrations/sqlite/00001_history.sql")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "history.db")
	old, err := sqldb.OpenSQLite(t.Context(), path, sqldb.Options{
		Migrations: fstest.MapFS{"00001_history.sql": {Data: first}}, Table: "distro_versions",
	})
	if err != nil {
		t.Fatal(err)
	}
	err = old.Write(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error { return fillFirstSchema(ctx, tx, 100) })
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}

	s := open(t, store.Options{Path: path})
	for filter, want := range map[store.Filter]int{
		store.Arguments{Words: "acm", Prefix: true}:    100,
		store.Arguments{Words: "nota", Prefix: true}:   100,
		store.Arguments{Words: "0007", Prefix: true}:   1,
		store.Arguments{Words: "acmeville"}:            50,
		store.Arguments{Words: "none", Prefix: true}:   0,
		store.ErrorText{Words: "timeo", Prefix: true}:  100,
		store.ErrorText{Words: "pagina", Prefix: true}: 100,
	} {
		for _, few := range []int{2000, -1} {
			s.Hurry(few, 30, 16)
			if got := list(t, s, filter, 30); len(got) != want {
				t.Errorf("%+v: %d found, want %d", filter, len(got), want)
			}
		}
	}
	record(t, s, finished(1))
	if got := list(t, s, store.Arguments{Words: "acm", Prefix: true}, 500); len(got) != 101 {
		t.Errorf("%d found, want the new execution among 101", len(got))
	}
}

// fillFirstSchema writes n executions as they stood in the first schema.
func fillFirstSchema(ctx context.Context, tx *sqldb.Tx, n int) error {
	for _, text := range []string{"INSERT INTO distro_functions VALUES (1, 'nfse', 'emitir')", "INSERT INTO distro_names VALUES (1, 'default')"} {
		if _, err := tx.Exec(ctx, text); err != nil {
			return err
		}
	}
	for i := range n {
		client := []string{"acme", "acmeville"}[i%2]
		nota := fmt.Sprintf("%04d", i)
		id := (epoch().UnixMicro() + int64(i)) << 10
		row := map[string]any{
			"id": id, "job_id": "old-" + nota, "run": "r", "state": 4, "started_at": epoch().UnixMicro() + int64(i), "took": -1,
			"arguments": "'" + client + "', nota='" + nota + "'", "result": "", "kind": "exception", "type": "ConnectTimeout",
			"message": "página " + nota, "function": 1,
		}
		for _, name := range []string{"queue", "worker", "host", "python", "code_hash", "commit_hash", "origin", "caller"} {
			row[name] = 1
		}
		for _, name := range []string{
			"job_key", "attempt", "stock", "enqueued_at", "ended_at", "result_flags", "exit_code", "signal", "peak_memory", "cpu_time", "more", "size",
		} {
			row[name] = 0
		}
		columns := slices.Sorted(maps.Keys(row))
		var values []any
		for _, name := range columns {
			values = append(values, row[name])
		}
		for _, s := range []struct {
			text string
			args []any
		}{
			{"INSERT INTO distro_executions (" + strings.Join(columns, ", ") + ") VALUES (?" + strings.Repeat(", ?", len(columns)-1) + ")", values},
			{"INSERT INTO distro_argument_words (rowid, words) VALUES (?, ?)", []any{id, client + " nota " + nota + " nota·" + nota}},
			{"INSERT INTO distro_error_words (rowid, words) VALUES (?, ?)", []any{id, "connecttimeout connect timeout pagina " + nota}},
			{"UPDATE distro_totals SET executions = executions + 1", nil},
		} {
			if _, err := tx.Exec(ctx, s.text, s.args...); err != nil {
				return err
			}
		}
	}
	return nil
}
