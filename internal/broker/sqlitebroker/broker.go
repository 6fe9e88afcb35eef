// Package sqlitebroker keeps jobs in one SQLite file: the embedded default.
//
// One goroutine writes. It takes the operation that waits longest and all that
// wait behind it, runs them in one transaction and answers them after the
// commit, so that a disk that syncs a thousand times a second still stores
// tens of thousands of jobs. Reads go to a pool of their own and never wait
// for a sync.
//
// The file has one owner at a time, who holds a lock that this package knows
// nothing of. So what lives only as long as the owner lives in memory: workers,
// their beats, and a copy of the claims.
package sqlitebroker

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/distro-orchestrator/distro/internal/broker"
)

var _ broker.Broker = (*Broker)(nil)

// Options say how to open a Broker.
type Options struct {
	Path     string       // of the database file; made, with mode 0600, if it is not there
	Clock    broker.Clock // default: broker.SystemClock()
	FeedKeep int          // newest entries of the change feed that sweeping leaves; default: 100,000
	MaxBytes int64        // the database file grows to this size at most, then ErrFull; default: what the disk holds
	Logger   *slog.Logger // default: none

	// Observe hears how long each snapshot that was read ("read") and each
	// transaction that was to change something ("write") took; many calls share
	// one. It is called by one goroutine at a time for writes, by many for reads.
	// Default: nobody does.
	Observe func(operation string, took time.Duration, err error)
}

func (o Options) withDefaults() Options {
	o.Clock = cmp.Or(o.Clock, broker.SystemClock())
	o.FeedKeep = cmp.Or(max(o.FeedKeep, 0), 100_000)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Observe == nil {
		o.Observe = func(string, time.Duration, error) {}
	}
	return o
}

// Broker is the embedded broker.Broker. Make it with Open.
type Broker struct {
	readers *sql.DB // read-only, never waits for the writer
	observe func(operation string, took time.Duration, err error)
	names   *names
	signals *signals
	writer  *writer
	closed  func() error // closes once, and answers with the first answer
}

// Open opens or makes the database of opts.Path, which the caller owns. All
// claims it finds belong to an owner that is dead, whose processes the caller
// has ended: they are rescued, and its workers forgotten, before Open returns.
// Where the disk has no room for that it is ErrFull. A database of a newer
// Distro is refused. ctx bounds the opening only.
func Open(ctx context.Context, opts Options) (*Broker, error) {
	opts = opts.withDefaults()
	if opts.Path == "" {
		return nil, errors.New("open queue: no path given")
	}
	b, err := open(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("open queue %q: %w", opts.Path, classify(err))
	}
	return b, nil
}

func open(ctx context.Context, opts Options) (*Broker, error) {
	db, conn, err := openWriter(ctx, opts)
	if err != nil {
		return nil, err
	}
	readers, err := openReaders(ctx, opts.Path)
	if err != nil {
		return nil, errors.Join(err, conn.Close(), db.Close())
	}
	b := &Broker{readers: readers, observe: opts.Observe, names: newNames(), signals: newSignals()}
	b.writer = newWriter(conn, opts, b.names, b.signals)
	// The writer works on until Close, however long ctx lasts.
	writing := context.WithoutCancel(ctx)
	if err := b.writer.start(writing); err != nil {
		return nil, errors.Join(err, b.writer.release(), readers.Close(), db.Close())
	}
	go b.writer.loop(writing)
	b.closed = sync.OnceValue(func() error {
		b.writer.stop()
		b.signals.close()
		// The last connection to close folds the log into the database, which
		// a reader may not do.
		return errors.Join(readers.Close(), b.writer.release(), db.Close())
	})
	return b, nil
}

// Close ends the broker: operations that were taken are finished and answered,
// others and later ones answer broker.ErrClosed.
func (b *Broker) Close() error {
	if err := b.closed(); err != nil {
		return fmt.Errorf("close queue: %w", err)
	}
	return nil
}

// Full reports whether the last call that was to change something answered
// ErrFull. It asks nobody: only the next such call tells whether there is room
// again.
func (b *Broker) Full() bool { return b.writer.full.Load() }

// read runs fn, which does what, on one snapshot of the database.
func (b *Broker) read(ctx context.Context, what string, fn func(*sql.Tx) error) error {
	began := time.Now()
	tx, err := b.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err == nil {
		err = fn(tx)
		// Rolling back a read that failed adds nothing to know.
		_ = tx.Rollback()
	}
	b.observe("read", time.Since(began), err)
	if err != nil && b.writer.stopped() {
		return broker.ErrClosed
	}
	if ended := ctx.Err(); err != nil && ended != nil {
		return ended
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
