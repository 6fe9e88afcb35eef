package sqlitebroker

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/distro-orchestrator/distro/internal/broker"
)

// maxGroup bounds the operations of one transaction, and with it how long an
// operation waits for those it shares a commit with.
const maxGroup = 256

// op is one operation on its way to the writer.
type op struct {
	run   func(context.Context, *txn) error // may run twice: it sets what it answers anew each time
	taken atomic.Bool                       // set by who comes first: the writer that runs it, or the caller that gives up
	err   error
	done  chan struct{}
}

// writer owns the writing connection and what only its goroutine may touch.
type writer struct {
	// Shared, and safe for that.
	clock    broker.Clock
	logger   *slog.Logger
	names    *names
	signals  *signals
	feedKeep int64
	observe  func(operation string, took time.Duration, err error)
	ops      chan *op
	closing  chan struct{}
	gone     chan struct{}
	full     atomic.Bool // the last transaction that was to change something found no room

	// Of the writer's goroutine, and of Open before it starts.
	conn       *sql.Conn
	statements map[string]*sql.Stmt
	state
}

func newWriter(conn *sql.Conn, opts Options, names *names, signals *signals) *writer {
	return &writer{
		clock: opts.Clock, logger: opts.Logger, names: names, signals: signals, feedKeep: int64(opts.FeedKeep), observe: opts.Observe,
		ops: make(chan *op, maxGroup), closing: make(chan struct{}), gone: make(chan struct{}),
		conn: conn, statements: map[string]*sql.Stmt{},
		state: state{workers: map[string]*worker{}},
	}
}

// start reads the state and rescues what the dead owner of the file held.
func (w *writer) start(ctx context.Context) error {
	if err := w.load(ctx); err != nil {
		return err
	}
	rescued := 0
	rescue := newOp(func(ctx context.Context, t *txn) error {
		held := t.w.claims.all()
		rescued = len(held)
		return t.rescue(ctx, held, "the process that ran it died")
	})
	if err := w.transact(ctx, []*op{rescue}); err != nil {
		return fmt.Errorf("rescue claims: %w", err)
	}
	if rescued > 0 {
		w.logger.InfoContext(ctx, "rescued claims of the last owner", "jobs", rescued)
	}
	return nil
}

// loop serves operations until stop.
func (w *writer) loop(ctx context.Context) {
	defer close(w.gone)
	for {
		select {
		case <-w.closing:
			return
		case first := <-w.ops:
			// Those who were answered just now ask again: let them, so that
			// they share this commit instead of waiting for it.
			runtime.Gosched()
			w.serve(ctx, w.group(first))
		}
	}
}

// stop ends the loop and waits for it. Call it once.
func (w *writer) stop() {
	close(w.closing)
	<-w.gone
}

func (w *writer) stopped() bool {
	select {
	case <-w.closing:
		return true
	default:
		return false
	}
}

// release closes the connection. The loop has ended or never began.
func (w *writer) release() error {
	var errs []error
	for _, s := range w.statements {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, w.conn.Close())...)
}

func newOp(run func(context.Context, *txn) error) *op {
	return &op{run: run, done: make(chan struct{})}
}

// do has the writer run an operation and waits for its commit. If ctx ends
// before the operation is taken it does not run. After an error the caller
// must not read what run sets, since it may still be running.
func (w *writer) do(ctx context.Context, run func(context.Context, *txn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o := newOp(run)
	select {
	case w.ops <- o:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.closing:
		return broker.ErrClosed
	}
	select {
	case <-o.done:
		return o.err
	case <-ctx.Done():
		o.taken.Store(true)
		return ctx.Err()
	case <-w.gone:
	}
	select { // answered just before the end
	case <-o.done:
		return o.err
	default:
		return broker.ErrClosed
	}
}

// group is first and everything that waits behind it, without those whose
// callers gave up.
func (w *writer) group(first *op) []*op {
	var ops []*op
	for o := first; ; {
		if o.taken.CompareAndSwap(false, true) {
			ops = append(ops, o)
		}
		if len(ops) == maxGroup {
			return ops
		}
		select {
		case o = <-w.ops:
		default:
			return ops
		}
	}
}

// serve runs and answers ops. If one of them fails, or their commit, all are
// rolled back and each is tried in a transaction of its own: a job too large
// for what the disk has left does not keep others from being settled.
//
// Savepoints would spare the neighbours of a failed operation the second run,
// and slow down all the others: each page they change is copied first.
func (w *writer) serve(ctx context.Context, ops []*op) {
	err := w.transact(ctx, ops)
	if err != nil && len(ops) > 1 {
		w.logger.WarnContext(ctx, "group of operations rolled back, trying each alone", "operations", len(ops), "error", err)
		for _, o := range ops {
			w.serve(ctx, []*op{o})
		}
		return
	}
	for _, o := range ops {
		o.err = classify(err)
		close(o.done)
	}
}

// transact runs ops in one transaction: all of them happen, or none.
func (w *writer) transact(ctx context.Context, ops []*op) error {
	if w.stale {
		if err := w.load(ctx); err != nil {
			return fmt.Errorf("read the state after a rollback: %w", err)
		}
	}
	t := &txn{w: w}
	began := time.Now()
	err := t.perform(ctx, ops)
	if t.began {
		w.observe("write", time.Since(began), err)
	}
	if err != nil {
		if errors.Is(classify(err), broker.ErrFull) {
			w.full.Store(true)
		}
		return err
	}
	if t.began {
		w.full.Store(false)
	}
	t.publish()
	return nil
}

// perform runs ops and commits, or rolls back.
func (t *txn) perform(ctx context.Context, ops []*op) error {
	for _, o := range ops {
		t.now = micros(t.w.clock.Now())
		if err := o.run(ctx, t); err != nil {
			return t.rollback(ctx, err)
		}
	}
	if err := t.commit(ctx); err != nil {
		return t.rollback(ctx, err)
	}
	return nil
}

// statement prepares text once.
func (w *writer) statement(ctx context.Context, text string) (*sql.Stmt, error) {
	if s, ok := w.statements[text]; ok {
		return s, nil
	}
	s, err := w.conn.PrepareContext(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", text, err)
	}
	w.statements[text] = s
	return s, nil
}

// query calls each for every row, with the row in dest.
func (w *writer) query(ctx context.Context, text string, args, dest []any, each func() error) error {
	s, err := w.statement(ctx, text)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	return scanAll(rows, dest, each)
}

// scanAll calls each for every row, with the row in dest, and closes rows.
func scanAll(rows *sql.Rows, dest []any, each func() error) error {
	defer func() { _ = rows.Close() }() // Err tells what went wrong
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		if err := each(); err != nil {
			return err
		}
	}
	return rows.Err()
}
