package sqlitebroker

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/distro-orchestrator/distro"
)

// txn is one transaction of the writer and what its commit makes known.
type txn struct {
	w     *writer
	began bool  // SQLite's transaction; it begins at the first statement that writes
	now   int64 // of the running operation

	// Put off, to be written together: by catchUp before anything reads what
	// they change,
	freed   []int64 // jobs whose claims ended
	joined  []waiter
	ends    []attemptEnd
	results []attemptResult
	// and at the commit.
	feed   []change
	counts map[countKey]int

	// For the signals, after the commit.
	queues    map[int64]bool  // that gained or lost waiting jobs
	holders   map[string]bool // workers whose stops changed
	settled   []settled
	due       int64 // earliest due time of what was scheduled after the last sweep; 0: nothing was
	swept     bool
	sweptNext int64 // what the last sweep said of the earliest due time
}

// change is an entry of the feed to be written at the commit.
type change struct {
	job     string
	queue   int64
	status  int
	outcome distro.Outcome
	attempt int
	token   string
	at      int64
}

// countKey is a row of the table counts.
type countKey struct {
	queue, function int64
	status          int
}

// exec runs a statement that writes.
func (t *txn) exec(ctx context.Context, text string, args ...any) (sql.Result, error) {
	if !t.began {
		if _, err := t.w.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
			return nil, fmt.Errorf("begin: %w", err)
		}
		t.began = true
	}
	return t.w.exec(ctx, text, args...)
}

func (w *writer) exec(ctx context.Context, text string, args ...any) (sql.Result, error) {
	s, err := w.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

func (t *txn) commit(ctx context.Context) error {
	if err := t.flush(ctx); err != nil {
		return err
	}
	if !t.began {
		return nil
	}
	if _, err := t.w.exec(ctx, "COMMIT"); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// rollback gives up the transaction and answers with its cause.
func (t *txn) rollback(ctx context.Context, cause error) error {
	if t.began {
		// Fails when SQLite rolled back by itself, which is as good.
		_, _ = t.w.exec(ctx, "ROLLBACK")
	}
	t.w.stale = true
	return cause
}

// count notes that jobs with this key became more or fewer.
func (t *txn) count(queue, function int64, status, jobs int) {
	if t.counts == nil {
		t.counts = map[countKey]int{}
	}
	t.counts[countKey{queue, function, status}] += jobs
	if status != waiting {
		return
	}
	t.w.waiting[queue] += jobs
	t.touchQueue(queue)
}

// atOnce is how many rows one statement writes at most.
const atOnce = 32

// execMany runs a statement that ends in rows of values for all of list,
// with as few executions as can be: much of the cost of a row is the statement
// around it. OR ROLLBACK in a statement spares SQLite the means to undo it
// alone, since any error ends the transaction here. args are a row's values.
func execMany[E any](ctx context.Context, t *txn, list []E, before, row, after string, args func(E) []any) error {
	for part := range slices.Chunk(list, atOnce) {
		text := before + row + strings.Repeat(", "+row, len(part)-1) + after
		var all []any
		for _, e := range part {
			all = append(all, args(e)...)
		}
		if _, err := t.exec(ctx, text, all...); err != nil {
			return err
		}
	}
	return nil
}

// catchUp writes what was put off.
func (t *txn) catchUp(ctx context.Context) error {
	err := execMany(ctx, t, t.freed, "DELETE FROM claims WHERE seq IN (", "?", ")", func(seq int64) []any { return []any{seq} })
	if err != nil {
		return fmt.Errorf("end claims: %w", err)
	}
	err = execMany(ctx, t, t.joined, "INSERT OR ROLLBACK INTO waiting (queue, pos, seq, queued_no, enqueued_at) VALUES ",
		"(?, ?, ?, ?, ?)", "", func(w waiter) []any { return []any{w.queue, w.pos, w.seq, w.no, w.enqueuedAt} })
	if err != nil {
		return fmt.Errorf("write who waits: %w", err)
	}
	err = execMany(ctx, t, t.ends, `UPDATE OR ROLLBACK jobs SET status = e.column2, settled = e.column3,
			settled_outcome = e.column4, attempt = e.column5, worker = e.column6, started_at = e.column7,
			ended_at = e.column8, expires_at = e.column9
			FROM (VALUES `, "(?, ?, ?, ?, ?, ?, ?, ?, ?)", ") AS e WHERE jobs.seq = e.column1", attemptEnd.row)
	if err != nil {
		return fmt.Errorf("end attempts: %w", err)
	}
	err = execMany(ctx, t, t.results, `INSERT OR REPLACE INTO results (seq, run, outcome, attempt, worker, started_at, ended_at,
			peak_memory, cpu_time, pickle, view, view_flags, kind, type, message, traceback, exit_code, signal) VALUES `,
		"(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", "", attemptResult.row)
	if err != nil {
		return fmt.Errorf("store results: %w", err)
	}
	t.freed, t.joined, t.ends, t.results = nil, nil, nil, nil
	return nil
}

// flush writes what is written together at the end of the transaction.
func (t *txn) flush(ctx context.Context) error {
	if err := t.catchUp(ctx); err != nil {
		return err
	}
	err := execMany(ctx, t, t.feed, "INSERT OR ROLLBACK INTO feed (no, job, queue, status, outcome, attempt, token, at) VALUES ",
		"(?, ?, ?, ?, ?, ?, ?, ?)", "", func(c change) []any {
			t.w.feedLast++
			return []any{t.w.feedLast, c.job, c.queue, c.status, string(c.outcome), c.attempt, c.token, c.at}
		})
	if err != nil {
		return fmt.Errorf("write the feed: %w", err)
	}
	for k, n := range t.counts {
		if n == 0 {
			continue
		}
		if _, err := t.exec(ctx, `INSERT INTO counts (queue, function, status, jobs) VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET jobs = jobs + excluded.jobs`, k.queue, k.function, k.status, n); err != nil {
			return fmt.Errorf("count jobs: %w", err)
		}
	}
	return nil
}
