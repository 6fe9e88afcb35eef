package store_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/pgtest"
	"github.com/distro-orchestrator/distro/internal/store"
)

// everyMethod calls every method that talks to the database.
func everyMethod(ctx context.Context, s *store.Store) map[string]error {
	errs := map[string]error{"Record": s.Record(ctx, []distro.Execution{finished(1)}, "feed", "1")}
	_, errs["Cursor"] = s.Cursor(ctx, "feed")
	_, errs["Horizon"] = s.Horizon(ctx)
	_, errs["Executions"] = s.Executions(ctx, store.Query{Filter: store.Or{store.Queues{"x"}, store.Arguments{Words: "x"}}})
	_, _, errs["Count"] = s.Count(ctx, store.States{distro.ExecutionFailed})
	_, _, errs["Totals"] = s.Totals(ctx)
	_, errs["Attempts"] = s.Attempts(ctx, "job-1")
	_, errs["Running"] = s.Running(ctx, 10)
	_, _, errs["Trim"] = s.Trim(ctx, store.Retention{}, 10)
	_, errs["Series"] = s.Series(ctx, store.SeriesQuery{From: epoch(), To: epoch().Add(time.Hour), Step: time.Hour})
	errs["CreateOperation"] = s.CreateOperation(ctx, store.Operation{ID: "o"})
	_, errs["SaveOperation"] = s.SaveOperation(ctx, store.Operation{ID: "o"})
	_, errs["CancelOperation"] = s.CancelOperation(ctx, "o")
	_, errs["Operation"] = s.Operation(ctx, "o")
	_, errs["Operations"] = s.Operations(ctx, 10)
	_, errs["UnfinishedOperations"] = s.UnfinishedOperations(ctx)
	errs["Remember"] = s.Remember(ctx, "k", "f", nil, time.Hour)
	_, errs["Recall"] = s.Recall(ctx, "k")
	return errs
}

func TestAnOutageOfPostgreSQLEndsByItself(t *testing.T) {
	t.Parallel()
	// Else a server that is killed soon has not written down yet that there are tables.
	pg := pgtest.Start(t, "-c", "synchronous_commit=on")
	s := open(t, store.Options{URL: pg.DB(t), Timeout: 2 * time.Second})
	up := func() {
		t.Helper()
		// The first calls may meet connections that died.
		deadline := time.Now().Add(time.Minute)
		for {
			err := s.Record(t.Context(), []distro.Execution{finished(2)}, "", "")
			if err == nil {
				break
			}
			if !errors.Is(err, store.ErrUnavailable) || time.Now().After(deadline) {
				t.Fatalf("after the outage: %v", err)
			}
		}
		if got := ids(list(t, s, store.Arguments{Words: "acme"}, 10)); len(got) == 0 {
			t.Error("nothing is found after the outage")
		}
	}
	up()
	for name, outage := range map[string]struct{ begin, end func() }{
		"stopped": {func() { pg.Stop(t) }, func() { pg.Restart(t) }},
		"killed":  {pg.Kill, func() { pg.Restart(t) }},
		"paused":  {pg.Pause, pg.Continue},
	} {
		outage.begin()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		for method, err := range everyMethod(ctx, s) {
			if !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("%s: %s: %v, want ErrUnavailable", name, method, err)
			}
		}
		cancel()
		outage.end()
		up()
	}
}

func TestAServerWithoutConnectionsIsUnavailable(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t, "-c", "max_connections=5", "-c", "superuser_reserved_connections=0")
	var stores []*store.Store
	var err error
	for range 10 {
		var s *store.Store
		if s, err = store.Open(t.Context(), store.Options{URL: pg.URL("postgres"), Timeout: 2 * time.Second}); err != nil {
			break
		}
		stores = append(stores, s)
	}
	if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "max_connections") {
		t.Errorf("got %v, want ErrUnavailable that names max_connections", err)
	}
	for _, s := range stores {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestWhatDoesNotOpenSaysWhatToDo(t *testing.T) {
	t.Parallel()
	right := server.DB(t)
	for _, test := range []struct{ name, url, want string }{
		{"password", strings.Replace(right, "pw", "wrong", 1), "password"},
		{"user", strings.Replace(right, pgtest.User+":", "nobody:", 1), "user"},
		{"database", server.URL("missing"), "create it"},
		{"port", strings.Replace(right, server.Addr(), "127.0.0.1:1", 1), "127.0.0.1:1"},
		{"host", strings.Replace(right, server.Addr(), "no-such-host.invalid:5432", 1), "host and port"},
		{"scheme", strings.Replace(right, "postgres:", "mysql:", 1), "postgres://"},
		{"unquoted password", "postgres://u:pw%zz@ geheim@h:port/db", "%40"},
		{"option", right + "?sslmode=nonsense", "postgres://"},
		{"nothing", "postgres", "postgres://"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := store.Open(t.Context(), store.Options{URL: test.url})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v does not say %q", err, test.want)
			}
			for _, secret := range []string{"pw", "wrong", "geheim", "zz"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("error %v tells of the password: %q", err, secret)
				}
			}
		})
	}
	if _, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "missing", "h.db")}); err == nil {
		t.Error("a file in a folder that is missing was opened")
	}
}

func TestURLsOfSQLAlchemyAreUnderstood(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"postgres", "postgresql", "postgresql+psycopg2"} {
		s := open(t, store.Options{URL: strings.Replace(server.DB(t), "postgres", scheme, 1)})
		record(t, s, finished(1))
	}
}

func TestTwoMayOpenAtOnce(t *testing.T) {
	t.Parallel()
	onBothOptions(t, func(t *testing.T, o store.Options) {
		const openers = 4
		var wg sync.WaitGroup
		errs := make([]error, openers)
		for n := range openers {
			wg.Go(func() {
				s, err := store.Open(t.Context(), o)
				if err == nil {
					err = errors.Join(s.Record(t.Context(), []distro.Execution{finished(n), finished(100)}, fmt.Sprint(n), "1"), s.Close())
				}
				errs[n] = err
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if got := list(t, open(t, o), nil, 10); len(got) != openers+1 {
			t.Errorf("%d executions, want %d: %q", len(got), openers+1, ids(got))
		}
	})
}

func TestAFullDatabaseSaysSoAndGoesOn(t *testing.T) {
	t.Parallel()
	s := open(t, store.Options{Path: filepath.Join(t.TempDir(), "history.db"), MaxBytes: 1 << 20})
	var err error
	n := 0
	for ; err == nil && n < 1000; n += 10 {
		var batch []distro.Execution
		for i := range 10 {
			e := finished(n + i)
			e.Result.Text = strings.Repeat("x", 4000)
			batch = append(batch, e)
		}
		err = s.Record(t.Context(), batch, "feed", fmt.Sprint(n))
	}
	if !errors.Is(err, store.ErrFull) {
		t.Fatalf("got %v, want ErrFull", err)
	}
	before, _, err := s.Totals(t.Context())
	if err != nil || before != n-10 {
		t.Errorf("%d executions, %v, want %d: all or none of a batch", before, err, n-10)
	}
	for {
		_, more, err := s.Trim(t.Context(), store.Retention{MaxRows: 10}, 20)
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			break
		}
	}
	record(t, s, finished(n+100))
}

func TestACallThatIsCanceledSaysSo(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s *store.Store) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for method, err := range everyMethod(ctx, s) {
			if !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrUnavailable) {
				t.Errorf("%s: %v, want that it was canceled", method, err)
			}
		}
	})
}
