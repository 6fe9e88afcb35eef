package pgtest_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/distro-orchestrator/distro/internal/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func TestDatabasesAreSharedByNobody(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t)
	t.Run("at once", func(t *testing.T) {
		for n := range 4 {
			t.Run(strconv.Itoa(n), func(t *testing.T) {
				t.Parallel()
				if _, err := connect(t, s.DB(t)).Exec(t.Context(), "CREATE TABLE left_behind (n INT)"); err != nil {
					t.Error(err)
				}
			})
		}
	})
	var left int
	err := connect(t, s.URL("postgres")).QueryRow(t.Context(), "SELECT count(*) FROM pg_database WHERE datname LIKE 'test%'").Scan(&left)
	if err != nil || left != 0 {
		t.Errorf("%d databases are left, %v", left, err)
	}
}

func TestARestartedServerHasItsData(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t)
	url := s.DB(t)
	for n, end := range []func(){s.Kill, func() { s.Stop(t) }, func() {}} {
		addr, pid := s.Addr(), s.Pid()
		if _, err := connect(t, url).Exec(t.Context(), "CREATE TABLE t"+strconv.Itoa(n)+" ()"); err != nil {
			t.Fatal(err)
		}
		// What was committed just before a kill is not synced.
		if err := s.Exec(t.Context(), "CHECKPOINT"); err != nil {
			t.Fatal(err)
		}
		end()
		s.Restart(t)
		if s.Addr() != addr || s.Pid() == pid {
			t.Errorf("the server is at %s with pid %d, was at %s with %d", s.Addr(), s.Pid(), addr, pid)
		}
	}
	var tables int
	err := connect(t, url).QueryRow(t.Context(), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").Scan(&tables)
	if err != nil || tables != 3 {
		t.Errorf("%d tables, %v, want 3", tables, err)
	}
}

func TestAPausedServerHangs(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t)
	c := connect(t, s.DB(t))
	s.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := c.Exec(ctx, "SELECT 1"); ctx.Err() == nil {
		t.Errorf("it answered: %v", err)
	}
	s.Continue()
	if _, err := connect(t, s.URL("postgres")).Exec(t.Context(), "SELECT 1"); err != nil {
		t.Error(err)
	}
}
