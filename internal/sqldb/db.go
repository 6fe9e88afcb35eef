package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// Engine is a kind of database.
type Engine string

// The engines.
const (
	SQLite   Engine = "sqlite"
	Postgres Engine = "postgres"
)

// Options say how a database is opened.
type Options struct {
	Migrations fs.FS         // files NNNNN_name.sql of goose in its root
	Table      string        // where goose keeps which of them are applied; default: goose_db_version
	Timeout    time.Duration // of one transaction or query; default: 15 s
	MaxBytes   int64         // SQLite: the file grows to this size at most; default: what the disk holds

	// Functions are what SQLite's statements that read may call, by name.
	Functions map[string]Function

	// Observe hears how long each query ("read") and each transaction ("write")
	// took, the wait for its turn included. Default: nobody does.
	Observe func(operation string, took time.Duration, err error)
}

func (o Options) withDefaults() Options {
	if o.Table == "" {
		o.Table = "goose_db_version"
	}
	if o.Timeout <= 0 {
		o.Timeout = 15 * time.Second
	}
	if o.Observe == nil {
		o.Observe = func(string, time.Duration, error) {}
	}
	return o
}

// Function is one that statements call to ask something of texts; it answers the
// same for the same ones.
type Function struct {
	Arity int32 // how many texts it is asked of
	Call  func(texts []string) bool
}

// DB is an open database. Its methods may be called at once.
type DB struct {
	engine  Engine
	timeout time.Duration
	observe func(operation string, took time.Duration, err error)
	write   writer
	read    *sql.DB
	closers []func() error
}

// writer runs transactions that write.
type writer interface {
	transact(ctx context.Context, synced bool, run func(context.Context, *Tx) error) error
}

// Engine is the database's kind.
func (d *DB) Engine() Engine { return d.engine }

// Close closes the database. No method is called any more, nor running.
func (d *DB) Close() error {
	var errs []error
	for _, c := range d.closers {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}

// Write runs a transaction that writes: all of it happens or, when run or the
// commit fails, none of it. SQLite runs one at a time. What is committed
// survives a crash of this process; a failure of power may take back the last
// transactions, the newest first and each as a whole.
func (d *DB) Write(ctx context.Context, run func(context.Context, *Tx) error) error {
	return d.transact(ctx, false, run)
}

// WriteSynced is a Write that survives a failure of power too, with all before
// it.
func (d *DB) WriteSynced(ctx context.Context, run func(context.Context, *Tx) error) error {
	return d.transact(ctx, true, run)
}

func (d *DB) transact(ctx context.Context, synced bool, run func(context.Context, *Tx) error) error {
	return d.measure(ctx, "write", func(ctx context.Context) error { return d.write.transact(ctx, synced, run) })
}

// Query runs a statement that reads, and calls each for every row, with the
// row in dest.
func (d *DB) Query(ctx context.Context, text string, args, dest []any, each func() error) error {
	return d.measure(ctx, "read", func(ctx context.Context) error { return query(ctx, d.read, text, args, dest, each) })
}

// measure runs an operation for as long as it may take.
func (d *DB) measure(ctx context.Context, operation string, run func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	began := time.Now()
	err := timely(ctx, limited, run(limited))
	d.observe(operation, time.Since(began), err)
	return err
}

// Row runs a statement that reads one row into dest. Without a row it answers
// sql.ErrNoRows.
func (d *DB) Row(ctx context.Context, text string, args []any, dest ...any) error {
	return one(func(each func() error) error { return d.Query(ctx, text, args, dest, each) })
}

// timely is err, which is a timeout when limited ended and ctx did not: drivers
// tell it in many ways.
func timely(ctx, limited context.Context, err error) error {
	if err == nil || errors.Is(err, context.DeadlineExceeded) || limited.Err() == nil {
		return err
	}
	if cause := ctx.Err(); cause != nil {
		if errors.Is(err, cause) {
			return err
		}
		return fmt.Errorf("%w: %w", cause, err)
	}
	return fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
}

// Tx is a transaction that writes. It ends with the function it was given to.
type Tx struct{ on session }

// session is what runs statements: a transaction, or a connection within one.
type session interface {
	ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
}

// Exec runs a statement and returns how many rows it changed.
func (t *Tx) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	result, err := t.on.ExecContext(ctx, text, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// Query runs a statement and calls each for every row, with the row in dest.
// While it runs the transaction runs no other statement.
func (t *Tx) Query(ctx context.Context, text string, args, dest []any, each func() error) error {
	return query(ctx, t.on, text, args, dest, each)
}

// Row runs a statement and reads one row into dest. Without a row it answers
// sql.ErrNoRows.
func (t *Tx) Row(ctx context.Context, text string, args []any, dest ...any) error {
	return one(func(each func() error) error { return t.Query(ctx, text, args, dest, each) })
}

func one(run func(each func() error) error) error {
	rows := 0
	err := run(func() error {
		rows++
		return nil
	})
	if err == nil && rows == 0 {
		return sql.ErrNoRows
	}
	return err
}

func query(ctx context.Context, on session, text string, args, dest []any, each func() error) error {
	rows, err := on.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
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
