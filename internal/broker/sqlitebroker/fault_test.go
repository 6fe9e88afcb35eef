package sqlitebroker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/sqlitebroker"
)

func mustOpen(t *testing.T, opts sqlitebroker.Options) *sqlitebroker.Broker {
	t.Helper()
	b, err := sqlitebroker.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

func newJob(id string) distro.Job {
	return distro.Job{ID: id, Queue: "default", Function: "m.f", ResultTTL: distro.Forever, FailureTTL: distro.Forever}
}

func enqueue(t *testing.T, b broker.Broker, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if _, err := b.Enqueue(t.Context(), []distro.Job{newJob(id)}); err != nil {
			t.Fatal(err)
		}
	}
}

// statuses are the statuses of jobs, "-" for those that do not exist.
func statuses(t *testing.T, b broker.Broker, ids ...string) string {
	t.Helper()
	var words []string
	for _, id := range ids {
		jobs, err := b.Get(t.Context(), []string{id})
		if err != nil {
			t.Fatal(err)
		}
		if len(jobs) == 0 {
			words = append(words, "-")
		} else {
			words = append(words, string(jobs[0].Status))
		}
	}
	return strings.Join(words, " ")
}

func claim(t *testing.T, b broker.Broker, n, begun int) []broker.Claim {
	t.Helper()
	want := broker.Want{Queues: []string{"default"}, Begun: begun}
	for range n {
		want.Tokens = append(want.Tokens, distro.NewID())
	}
	reply, err := b.Exchange(t.Context(), broker.ExchangeRequest{Worker: distro.Worker{Name: "w"}, Want: want})
	if err != nil || len(reply.Claims) != n {
		t.Fatalf("claimed %d jobs, want %d (%v)", len(reply.Claims), n, err)
	}
	var claims []broker.Claim
	for _, c := range reply.Claims {
		claims = append(claims, broker.Claim{JobID: c.Job.ID, Token: c.Token})
	}
	return claims
}

func settle(ctx context.Context, b broker.Broker, claims ...broker.Claim) ([]broker.SettleStatus, error) {
	req := broker.ExchangeRequest{Worker: distro.Worker{Name: "w"}}
	for _, c := range claims {
		req.Settle = append(req.Settle, broker.Settlement{Claim: c, Result: distro.Result{Outcome: distro.OutcomeFinished}})
	}
	reply, err := b.Exchange(ctx, req)
	return reply.Settled, err
}

func TestOpenRescuesWhatTheDeadOwnerHeld(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dir with ? and # and %41", "queue.db")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	first := mustOpen(t, sqlitebroker.Options{Path: path})
	retried := newJob("retried")
	retried.RetriesLeft = 1
	if _, err := first.Enqueue(t.Context(), []distro.Job{newJob("failed"), retried, newJob("unbegun"), newJob("waiting")}); err != nil {
		t.Fatal(err)
	}
	claim(t, first, 3, 2)
	if err := first.SetPaused(t.Context(), "other", true); err != nil {
		t.Fatal(err)
	}
	before, err := first.List(t.Context(), broker.ListQuery{Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	b := mustOpen(t, sqlitebroker.Options{Path: path})
	if got, want := statuses(t, b, "failed", "retried", "unbegun", "waiting"), "failed queued queued queued"; got != want {
		t.Errorf("statuses: got %s, want %s", got, want)
	}
	jobs, err := b.Get(t.Context(), []string{"failed"})
	if err != nil || jobs[0].Result == nil || jobs[0].Result.Failure.Kind != distro.FailureLost {
		t.Errorf("failed job: got %+v (%v), want a failure of kind lost", jobs, err)
	}
	if workers, err := b.Workers(t.Context()); err != nil || len(workers) != 0 {
		t.Errorf("workers of the dead owner: got %v (%v), want none", workers, err)
	}
	counts, err := b.Counts(t.Context())
	if err != nil || len(counts.Queues) != 2 || !counts.Queues[1].Paused {
		t.Errorf("counts: got %+v (%v), want default and other, which is paused", counts, err)
	}
	if page, err := b.List(t.Context(), broker.ListQuery{Cursor: before.Next}); err != nil || len(page.Jobs) != 2 {
		t.Errorf("page behind a cursor of the dead owner: got %v (%v), want 2 jobs", page.Jobs, err)
	}
	if err := b.Wait(t.Context(), broker.Interest{Queues: []string{"default"}}); err != nil {
		t.Error(err)
	}
	var order []string
	for _, c := range claim(t, b, 3, 0) {
		order = append(order, c.JobID)
	}
	if diff := cmp.Diff([]string{"unbegun", "waiting", "retried"}, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("mode of the database: got %v (%v), want nothing for others", info.Mode(), err)
	}
}

func TestOpenBringsTheDatabaseOfAnOlderVersionUpToDate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	b, err := sqlitebroker.Open(t.Context(), sqlitebroker.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	enqueue(t, b, "ended")
	ended := claim(t, b, 1, 1)[0]
	if _, err := b.Exchange(t.Context(), broker.ExchangeRequest{
		Worker: distro.Worker{Name: "w"}, Settle: []broker.Settlement{{Claim: ended, Result: distro.Result{Outcome: distro.OutcomeFailed}}},
	}); err != nil {
		t.Fatal(err)
	}
	enqueue(t, b, "old", "older")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	db := openFile(t, path)
	_, err = db.ExecContext(t.Context(), "ALTER TABLE jobs DROP COLUMN asked; ALTER TABLE jobs DROP COLUMN \"trigger\"; "+
		"ALTER TABLE jobs DROP COLUMN caller; ALTER TABLE results DROP COLUMN run; DROP TABLE earlier; PRAGMA user_version = 1")
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is up to date
		b, err = sqlitebroker.Open(t.Context(), sqlitebroker.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		reply, err := b.Exchange(t.Context(), broker.ExchangeRequest{
			Worker: distro.Worker{Name: "w"}, Settle: []broker.Settlement{{Claim: claim(t, b, 1, 1)[0], Result: distro.Result{
				Outcome: distro.OutcomeFailed, Again: &distro.Again{},
			}}},
		})
		if err != nil || reply.Settled[0] != broker.SettleDone {
			t.Errorf("settle: %+v, %v", reply, err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	jobs, err := mustOpen(t, sqlitebroker.Options{Path: path}).Get(t.Context(), []string{"old", "older", "ended"})
	if err != nil || len(jobs) != 3 || jobs[0].Asked != 1 || jobs[1].Asked != 1 {
		t.Fatalf("got %+v (%v), want both jobs, asked for once more each", jobs, err)
	}
	if run := jobs[2].Result.Run; run != ended.Token {
		t.Errorf("the result of before is of run %q, want %q", run, ended.Token)
	}
}

func TestOpenRefusesDatabasesThatAreNotItsOwn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ statement, want string }{
		"of a newer version": {"PRAGMA user_version = 99", "newer Distro (schema 99"},
		"of somebody else":   {"CREATE TABLE recipes (id)", "not a queue of Distro"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "queue.db")
			db := openFile(t, path)
			_, err := db.ExecContext(t.Context(), c.statement)
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
			_, err = sqlitebroker.Open(t.Context(), sqlitebroker.Options{Path: path})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want an error with %q and the path", err, c.want)
			}
		})
	}
	t.Run("that are no databases", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "queue.db")
		if err := os.WriteFile(path, []byte(strings.Repeat("not a database ", 500)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := sqlitebroker.Open(t.Context(), sqlitebroker.Options{Path: path}); err == nil {
			t.Error("opened a text file")
		}
	})
	t.Run("in folders that are not there", func(t *testing.T) {
		t.Parallel()
		_, err := sqlitebroker.Open(t.Context(), sqlitebroker.Options{Path: filepath.Join(t.TempDir(), "no", "queue.db")})
		if !errors.Is(err, os.ErrNotExist) {
			t.Errorf("got %v, want that it is not there", err)
		}
	})
}

func TestAClosedBrokerAnswersErrClosed(t *testing.T) {
	t.Parallel()
	b := mustOpen(t, sqlitebroker.Options{Path: filepath.Join(t.TempDir(), "queue.db")})
	waited := make(chan error, 1)
	go func() { waited <- b.Wait(t.Context(), broker.Interest{Queues: []string{"default"}}) }()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	ctx := t.Context()
	_, enqueued := b.Enqueue(ctx, []distro.Job{newJob("a")})
	_, exchanged := b.Exchange(ctx, broker.ExchangeRequest{Worker: distro.Worker{Name: "w"}})
	_, acted := b.Act(ctx, broker.ActionCancel, []string{"a"})
	_, got := b.Get(ctx, []string{"a"})
	_, listed := b.List(ctx, broker.ListQuery{})
	_, counted := b.Counts(ctx)
	_, _, emptied := b.Empty(ctx, "default", "", 1)
	_, swept := b.Sweep(ctx, 1)
	_, workers := b.Workers(ctx)
	_, changes := b.Changes(ctx, "", 1)
	for call, err := range map[string]error{
		"Wait before": <-waited, "Wait": b.Wait(ctx, broker.Interest{}), "Enqueue": enqueued, "Exchange": exchanged,
		"Act": acted, "Get": got, "List": listed, "Counts": counted, "SetPaused": b.SetPaused(ctx, "q", true),
		"Empty": emptied, "Sweep": swept, "Workers": workers, "Changes": changes,
	} {
		if !errors.Is(err, broker.ErrClosed) {
			t.Errorf("%s: got %v, want ErrClosed", call, err)
		}
	}
}

func TestAnOperationWhoseContextEndedDoesNotRun(t *testing.T) {
	t.Parallel()
	b := mustOpen(t, sqlitebroker.Options{Path: filepath.Join(t.TempDir(), "queue.db")})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Enqueue(ctx, []distro.Job{newJob("a")}); !errors.Is(err, context.Canceled) {
		t.Errorf("enqueue: got %v", err)
	}
	if _, err := b.List(ctx, broker.ListQuery{}); !errors.Is(err, context.Canceled) {
		t.Errorf("list: got %v", err)
	}
	if got := statuses(t, b, "a"); got != "-" {
		t.Errorf("the job is %s", got)
	}
}

func TestWaitSleepsWhileThereIsNothing(t *testing.T) {
	t.Parallel()
	b := mustOpen(t, sqlitebroker.Options{Path: filepath.Join(t.TempDir(), "queue.db")})
	enqueue(t, b, "a", "b")
	if err := b.SetPaused(t.Context(), "default", true); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := b.Wait(ctx, broker.Interest{Queues: []string{"default", "none"}, Worker: "w", Due: true})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want it to sleep until the deadline", err)
	}
}

func TestAFullDatabaseAnswersErrFullUntilThereIsRoom(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	b := mustOpen(t, sqlitebroker.Options{Path: path, MaxBytes: 2 << 20})
	large := func(id string) distro.Job {
		j := newJob(id)
		j.Payload.Data = make([]byte, 200_000)
		return j
	}
	enqueue(t, b, "running")
	running := claim(t, b, 1, 1)
	var stored []string
	for i := 0; ; i++ {
		id := fmt.Sprint("large-", i)
		_, err := b.Enqueue(t.Context(), []distro.Job{newJob("with-" + id), large(id)})
		if err != nil {
			if !errors.Is(err, broker.ErrFull) {
				t.Fatalf("got %v, want ErrFull", err)
			}
			if got := statuses(t, b, "with-"+id, id); got != "- -" {
				t.Errorf("a part of a refused call was stored: %s", got)
			}
			break
		}
		stored = append(stored, id)
	}
	// What is small still fits beside what is refused, also in one group.
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if _, err := b.Enqueue(t.Context(), []distro.Job{large(fmt.Sprint("refused-", i))}); !errors.Is(err, broker.ErrFull) {
				t.Errorf("got %v, want ErrFull", err)
			}
		})
	}
	if answers, err := settle(t.Context(), b, running...); err != nil || answers[0] != broker.SettleDone {
		t.Errorf("settle: got %v, %v", answers, err)
	}
	wg.Wait()
	if _, err := b.Enqueue(t.Context(), []distro.Job{large("refused")}); !errors.Is(err, broker.ErrFull) || !b.Full() {
		t.Errorf("got %v, want ErrFull; it says that it is full: %t", err, b.Full())
	}
	if _, err := b.Act(t.Context(), broker.ActionDelete, stored[:2]); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Enqueue(t.Context(), []distro.Job{large("again")}); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if b.Full() {
		t.Error("it says that it is full, with room again")
	}
}

func TestReadsAndTransactionsAreObserved(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string]int{}
	b := mustOpen(t, sqlitebroker.Options{
		Path: filepath.Join(t.TempDir(), "queue.db"), MaxBytes: 1 << 20,
		Observe: func(operation string, took time.Duration, err error) {
			mu.Lock()
			defer mu.Unlock()
			seen[fmt.Sprint(operation, " ", err == nil, " ", took > 0)]++
		},
	})
	enqueue(t, b, "a")
	large := newJob("large")
	large.Payload.Data = make([]byte, 2<<20)
	if _, err := b.Enqueue(t.Context(), []distro.Job{large}); !errors.Is(err, broker.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	if _, err := b.Workers(t.Context()); err != nil { // changes nothing
		t.Error(err)
	}
	if _, err := b.Get(t.Context(), []string{"a"}); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff(map[string]int{"write true true": 1, "write false true": 1, "read true true": 1}, seen); diff != "" {
		t.Errorf("observed (-want +got):\n%s", diff)
	}
}

// Triggers make single statements fail, which nothing else does at will.
func TestAFailedOperationLeavesItsNeighboursAndTheStateAlone(t *testing.T) {
	t.Parallel()
	for name, raise := range map[string]string{"one statement": "ABORT", "the transaction": "ROLLBACK"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "queue.db")
			if err := mustOpen(t, sqlitebroker.Options{Path: path}).Close(); err != nil {
				t.Fatal(err)
			}
			db := openFile(t, path)
			_, err := db.ExecContext(t.Context(), `
				CREATE TRIGGER poisoned_job BEFORE INSERT ON jobs WHEN NEW.id LIKE 'poison%'
				BEGIN SELECT RAISE(`+raise+`, 'poisoned'); END;
				CREATE TRIGGER poisoned_result BEFORE INSERT ON results WHEN NEW.seq = 2 AND NEW.worker = 'w'
				BEGIN SELECT RAISE(`+raise+`, 'poisoned'); END;`)
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
			b := mustOpen(t, sqlitebroker.Options{Path: path})
			enqueue(t, b, "a", "b", "c")
			claims := claim(t, b, 3, 2)

			var wg sync.WaitGroup
			for i := range 20 {
				wg.Go(func() {
					_, err := b.Enqueue(t.Context(), []distro.Job{newJob(fmt.Sprint("good-", i))})
					if err != nil {
						t.Errorf("neighbour: %v", err)
					}
				})
				wg.Go(func() {
					jobs := []distro.Job{newJob(fmt.Sprint("with-", i)), newJob(fmt.Sprint("poison-", i))}
					if _, err := b.Enqueue(t.Context(), jobs); err == nil {
						t.Error("poison was stored")
					}
				})
			}
			if answers, err := settle(t.Context(), b, claims[:2]...); err == nil {
				t.Errorf("settled poison: %v", answers)
			}
			wg.Wait()
			if got := statuses(t, b, "a", "b", "c", "good-0", "good-19", "with-3", "poison-3"); got != "started started queued queued queued - -" {
				t.Errorf("statuses: %s", got)
			}
			if workers, err := b.Workers(t.Context()); err != nil || len(workers) != 1 || workers[0].Finished != 0 {
				t.Errorf("workers: %+v, %v, want one that ended nothing", workers, err)
			}
			answers, err := settle(t.Context(), b, claims[0], claims[0])
			if diff := cmp.Diff([]broker.SettleStatus{broker.SettleDone, broker.SettleAlready}, answers); diff != "" || err != nil {
				t.Errorf("settle (-want +got):\n%s (%v)", diff, err)
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			file := openFile(t, path)
			checkCounts(t, file)
			if err := file.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
