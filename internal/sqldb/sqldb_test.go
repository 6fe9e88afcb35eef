package sqldb_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"

	"github.com/distro-orchestrator/distro/internal/pgtest"
	"github.com/distro-orchestrator/distro/internal/sqldb"
)

// server is the PostgreSQL that the tests share.
var server *pgtest.Server

func TestMain(m *testing.M) {
	var stop func()
	var err error
	if server, stop, err = pgtest.Launch(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(), goleak.Cleanup(func(status int) {
		stop()
		os.Exit(status)
	}))
}

// migrations are the first n of a schema.
func migrations(n int) fstest.MapFS {
	all := []string{
		"-- +goose Up\nCREATE TABLE t (id BIGINT PRIMARY KEY, text TEXT NOT NULL);\n",
		"-- +goose Up\nALTER TABLE t ADD COLUMN more BIGINT NOT NULL DEFAULT 7;\n",
	}
	files := fstest.MapFS{}
	for i := range n {
		files[fmt.Sprintf("%05d_step.sql", i+1)] = &fstest.MapFile{Data: []byte(all[i])}
	}
	return files
}

// opener opens a test's database again and again.
type opener func(t *testing.T, migrations fstest.MapFS) (*sqldb.DB, error)

func onBoth(t *testing.T, test func(t *testing.T, open opener)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "a %?#.db")
		test(t, func(t *testing.T, files fstest.MapFS) (*sqldb.DB, error) {
			return sqldb.OpenSQLite(t.Context(), path, sqldb.Options{Migrations: files})
		})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		url := server.DB(t)
		test(t, func(t *testing.T, files fstest.MapFS) (*sqldb.DB, error) {
			return sqldb.OpenPostgres(t.Context(), url, sqldb.Options{Migrations: files})
		})
	})
}

func must(t *testing.T, open opener, files fstest.MapFS) *sqldb.DB {
	t.Helper()
	d, err := open(t, files)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return d
}

func insert(id int, text string) func(context.Context, *sqldb.Tx) error {
	return func(ctx context.Context, tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO t (id, text) VALUES ($1, $2)", id, text)
		return err
	}
}

func TestATransactionHappensWhollyOrNotAtAll(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		d := must(t, open, migrations(1))
		if err := d.Write(t.Context(), insert(1, "one")); err != nil {
			t.Fatal(err)
		}
		problem := errors.New("problem")
		err := d.WriteSynced(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
			return errors.Join(insert(2, "two")(ctx, tx), problem)
		})
		if !errors.Is(err, problem) {
			t.Errorf("got %v, want the cause", err)
		}
		if err := d.Write(t.Context(), insert(1, "again")); err == nil {
			t.Error("the same key was written twice")
		}
		if err := d.WriteSynced(t.Context(), insert(3, "three")); err != nil {
			t.Fatal(err)
		}
		var id int
		var text string
		var got []string
		err = d.Query(t.Context(), "SELECT id, text FROM t WHERE id < $1 ORDER BY id", []any{9}, []any{&id, &text}, func() error {
			got = append(got, fmt.Sprint(id, text))
			return nil
		})
		if diff := cmp.Diff([]string{"1one", "3three"}, got); diff != "" || err != nil {
			t.Error(diff, err)
		}
		if err := d.Row(t.Context(), "SELECT id FROM t WHERE id = $1", []any{2}, &id); !errors.Is(err, sql.ErrNoRows) {
			t.Errorf("got %v, want ErrNoRows", err)
		}
	})
}

func TestWritersTakeTurns(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		d := must(t, open, migrations(1))
		var wg sync.WaitGroup
		for n := range 20 {
			wg.Go(func() {
				if err := d.Write(t.Context(), insert(n, "")); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		n := 0
		if err := d.Row(t.Context(), "SELECT count(*) FROM t", nil, &n); err != nil || n != 20 {
			t.Errorf("%d rows, %v, want 20", n, err)
		}
	})
}

func TestMigrationsAreAppliedOnceByWhoeverComesFirst(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		if err := must(t, open, migrations(1)).Write(t.Context(), insert(1, "kept")); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				d, err := open(t, migrations(2))
				if err != nil {
					t.Error(err)
					return
				}
				more := 0
				if err := errors.Join(d.Row(t.Context(), "SELECT more FROM t", nil, &more), d.Close()); err != nil || more != 7 {
					t.Errorf("the new column is %d, %v", more, err)
				}
			})
		}
		wg.Wait()
		if _, err := open(t, migrations(1)); err == nil || !strings.Contains(err.Error(), "newer Distro") {
			t.Errorf("got %v, want that a newer Distro wrote it", err)
		}
	})
}

func TestAMigrationThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		broken := migrations(1)
		broken["00002_broken.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE u (id BIGINT);\nNONSENSE;\n")}
		if _, err := open(t, broken); err == nil {
			t.Fatal("a broken migration was applied")
		}
		d := must(t, open, migrations(2))
		if err := d.Row(t.Context(), "SELECT count(*) FROM u", nil, new(int)); err == nil {
			t.Error("a part of the broken migration is there")
		}
	})
}

func TestAFileIsForItsOwnerOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "own.db")
	d, err := sqldb.OpenSQLite(t.Context(), path, sqldb.Options{Migrations: migrations(1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestStatementsThatReadCallFunctionsOfTheirOwnDatabase(t *testing.T) {
	t.Parallel()
	opened := func(functions map[string]sqldb.Function) *sqldb.DB {
		d, err := sqldb.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "own.db"), sqldb.Options{Migrations: migrations(1), Functions: functions})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
		return d
	}
	with := opened(map[string]sqldb.Function{
		"within": {Arity: 2, Call: func(texts []string) bool { return strings.Contains(texts[0], texts[1]) }},
	})
	for text, want := range map[string]bool{
		"within('abcé', 'bcé')": true, "within('abc', 'x')": false, "within(NULL, '')": true, "within(7, '7')": false,
	} {
		var got bool
		if err := with.Row(t.Context(), "SELECT "+text, nil, &got); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", text, got, err, want)
		}
	}
	if err := with.Row(t.Context(), "SELECT within('a')", nil, new(bool)); err == nil {
		t.Error("a function of two texts was called with one")
	}
	if err := opened(nil).Row(t.Context(), "SELECT within('a', 'a')", nil, new(bool)); err == nil {
		t.Error("another database has the function")
	}
}

func TestFaultsAreTold(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want sqldb.Trouble
	}{
		{nil, sqldb.None},
		{errors.New("other"), sqldb.None},
		{sql.ErrNoRows, sqldb.None},
		{context.Canceled, sqldb.None},
		{fmt.Errorf("x: %w", context.DeadlineExceeded), sqldb.Unavailable},
		{io.ErrUnexpectedEOF, sqldb.Unavailable},
		{&pgconn.PgError{Code: "57P01"}, sqldb.Unavailable},
		{&pgconn.PgError{Code: "53300"}, sqldb.Unavailable},
		{&pgconn.PgError{Code: "08006"}, sqldb.Unavailable},
		{&pgconn.PgError{Code: "53100"}, sqldb.Full},
		{&pgconn.PgError{Code: "42601"}, sqldb.None},
	} {
		if got := sqldb.Fault(test.err); got != test.want {
			t.Errorf("%v: %v, want %v", test.err, got, test.want)
		}
	}
}
