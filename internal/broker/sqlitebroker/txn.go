package sqlitebroker

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/distro-orchestrator/distro"
)

// txn is one transaction of the writer and what its commit makes known.
type txn struct {
	w     *writer
	began bool // SQLite's transaction; it begins at the first statement that writes
	saved bool // the savepoint of the running op
	op    *op
	now   int64 // of the running op

	feed   []change
	counts []countDelta

	// For the signals, after the commit.
	queues    map[int64]bool  // that gained or lost waiting jobs
	holders   map[string]bool // workers whose stops changed
	due       int64           // earliest due time of what was scheduled after the last sweep; 0: nothing was
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

type countDelta struct {
	countKey
	jobs int
}

// run runs one op. What fails for itself is rolled back for itself and stands
// in o.err; the error returned ends the transaction.
func (t *txn) run(ctx context.Context, o *op) error {
	t.op, t.saved, t.now, o.err = o, false, micros(t.w.clock.Now()), nil
	feed, counts := len(t.feed), len(t.counts)
	err := o.run(ctx, t)
	if endsTransaction(err) {
		return err
	}
	if err != nil {
		t.feed, t.counts = t.feed[:feed], t.counts[:counts]
		o.err = err
	}
	if !t.saved {
		return nil
	}
	if err != nil {
		// What the op noted in the state is read anew, from inside the
		// transaction, so that the next op sees what its neighbours did.
		if _, err := t.w.exec(ctx, "ROLLBACK TO op"); err != nil {
			return err
		}
		if err := t.flush(ctx); err != nil {
			return err
		}
		if err := t.w.load(ctx); err != nil {
			return err
		}
	}
	_, err = t.w.exec(ctx, "RELEASE op")
	return err
}

// exec runs a statement that writes.
func (t *txn) exec(ctx context.Context, text string, args ...any) (sql.Result, error) {
	if err := t.begin(ctx); err != nil {
		return nil, err
	}
	return t.w.exec(ctx, text, args...)
}

func (t *txn) begin(ctx context.Context) error {
	if !t.began {
		if _, err := t.w.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
			return fmt.Errorf("begin: %w", err)
		}
		t.began = true
	}
	if t.op.atomic && !t.saved {
		if _, err := t.w.exec(ctx, "SAVEPOINT op"); err != nil {
			return err
		}
		t.saved = true
	}
	return nil
}

func (w *writer) exec(ctx context.Context, text string, args ...any) (sql.Result, error) {
	s, err := w.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

func (t *txn) commit(ctx context.Context) error {
	if !t.began {
		return nil
	}
	if err := t.flush(ctx); err != nil {
		return err
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
	t.counts = append(t.counts, countDelta{countKey{queue, function, status}, jobs})
	if status != waiting {
		return
	}
	t.w.waiting[queue] += jobs
	t.touchQueue(queue)
}

// flush writes the feed and the counts, each with as few statements as can be.
func (t *txn) flush(ctx context.Context) error {
	const width = 32
	const one = "(?, ?, ?, ?, ?, ?, ?, ?)"
	const insert = "INSERT INTO feed (no, job, queue, status, outcome, attempt, token, at) VALUES " + one
	for rest := t.feed; len(rest) > 0; {
		n, text := 1, insert
		if len(rest) >= width {
			n, text = width, insert+strings.Repeat(", "+one, width-1)
		}
		args := make([]any, 0, 8*n)
		for _, c := range rest[:n] {
			t.w.feedLast++
			args = append(args, t.w.feedLast, c.job, c.queue, c.status, string(c.outcome), c.attempt, c.token, c.at)
		}
		if _, err := t.w.exec(ctx, text, args...); err != nil {
			return fmt.Errorf("write the feed: %w", err)
		}
		rest = rest[n:]
	}
	t.feed = t.feed[:0]

	sums := map[countKey]int{}
	for _, d := range t.counts {
		sums[d.countKey] += d.jobs
	}
	for k, n := range sums {
		if n == 0 {
			continue
		}
		if _, err := t.w.exec(ctx, `INSERT INTO counts (queue, function, status, jobs) VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET jobs = jobs + excluded.jobs`, k.queue, k.function, k.status, n); err != nil {
			return fmt.Errorf("count jobs: %w", err)
		}
	}
	t.counts = t.counts[:0]
	return nil
}
