package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/pgtest"
	"github.com/distro-orchestrator/distro/internal/proctest"
	"github.com/distro-orchestrator/distro/internal/store"
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
	goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
		stop()
		os.Exit(status)
	}), goleak.IgnoreCurrent())
}

// place is where a test keeps history.
type place struct {
	name    string
	options func(t proctest.TB, dir string) store.Options
}

func places() []place {
	return []place{
		{"SQLite", func(_ proctest.TB, dir string) store.Options {
			return store.Options{Path: filepath.Join(dir, "history.db")}
		}},
		{"PostgreSQL", func(t proctest.TB, _ string) store.Options { return store.Options{URL: server.DB(t)} }},
	}
}

// onBoth runs a test on an empty history in each database.
func onBoth(t *testing.T, test func(t *testing.T, s *store.Store)) {
	t.Helper()
	onBothOptions(t, func(t *testing.T, o store.Options) { test(t, open(t, o)) })
}

func onBothOptions(t *testing.T, test func(t *testing.T, o store.Options)) {
	t.Helper()
	for _, p := range places() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			test(t, p.options(t, t.TempDir()))
		})
	}
}

func open(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func record(t proctest.TB, s *store.Store, executions ...distro.Execution) {
	t.Helper()
	if err := s.Record(t.Context(), executions, "", ""); err != nil {
		t.Fatalf("%v", err)
	}
}

// epoch is a time that the tests count from.
func epoch() time.Time { return time.Date(2026, 3, 14, 9, 26, 53, 589_793_000, time.UTC) }

// finished is an execution that took a second and started n seconds after the
// epoch.
func finished(n int) distro.Execution {
	start := epoch().Add(time.Duration(n) * time.Second)
	return distro.Execution{
		JobID: "job-" + strconv.Itoa(n), Run: "run-" + strconv.Itoa(n), Attempt: 1,
		Module: "nfse", Function: "emitir", Queue: "default", Arguments: "'ACME', mes=" + strconv.Itoa(n%12+1),
		State:      distro.ExecutionFinished,
		EnqueuedAt: start.Add(-time.Second), StartedAt: start, EndedAt: start.Add(time.Second),
		Worker: "w1", Host: "rpa-03", Python: "3.11.2", CodeHash: "c0de", Commit: "abc", Trigger: "api", Caller: "ana",
		Result: distro.View{Text: "42", JSON: true}, PeakMemory: 30 << 20, CPUTime: 120 * time.Millisecond,
	}
}

func failed(n int) distro.Execution {
	e := finished(n)
	e.State, e.Result = distro.ExecutionFailed, distro.View{}
	e.Failure = &distro.Failure{
		Kind: distro.FailureException, Type: "requests.exceptions.ConnectTimeout", Message: "Conexão não respondeu em 30 s",
		Traceback: "Traceback (most recent call last):\n  …", ExitCode: 1,
	}
	return e
}

func started(n int) distro.Execution {
	e := finished(n)
	e.State, e.Result, e.EndedAt, e.PeakMemory, e.CPUTime = distro.ExecutionStarted, distro.View{}, time.Time{}, 0, 0
	return e
}

// list reads every page, and returns the executions of all.
func list(t proctest.TB, s *store.Store, filter store.Filter, limit int) []store.Entry {
	t.Helper()
	var all []store.Entry
	q := store.Query{Filter: filter, Limit: limit}
	for {
		page, err := s.Executions(t.Context(), q)
		if err != nil {
			t.Fatalf("%v", err)
		}
		all = append(all, page.Executions...)
		if page.Next == "" {
			return all
		}
		q.After = page.Next
	}
}

func ids(entries []store.Entry) []string {
	found := []string{}
	for _, e := range entries {
		found = append(found, e.JobID)
	}
	return found
}

// tempDir is a folder that goes with one case of a property test.
func tempDir(t proctest.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "history")
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
