package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/pressly/goose/v3"
)

// migrateSQLite applies what is missing. Processes that start at once take
// turns by a lock on a file of its own: goose holds no lock between looking at
// the version and changing it.
func migrateSQLite(ctx context.Context, path string, opts Options) (err error) {
	lock, err := sql.Open("sqlite", sqliteSource(path+".lock", "rwc")+"&_txlock=exclusive")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	turn, err := lock.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("wait for another process that migrates: %w", err)
	}
	defer func() { _ = turn.Rollback() }() // it wrote nothing
	db, err := sql.Open("sqlite", sqliteSource(path, "rw", writing()...)+"&_txlock=immediate")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return migrate(ctx, goose.DialectSQLite3, db, opts)
}

// migratePostgres applies what is missing, one process at a time.
func migratePostgres(ctx context.Context, db *sql.DB, opts Options) error {
	return migrate(ctx, goose.DialectPostgres, db, opts, goose.WithSessionLocker(advisory{}))
}

func migrate(ctx context.Context, dialect goose.Dialect, db *sql.DB, opts Options, more ...goose.ProviderOption) error {
	options := append([]goose.ProviderOption{
		goose.WithTableName(opts.Table), goose.WithDisableGlobalRegistry(true),
	}, more...)
	p, err := goose.NewProvider(dialect, db, opts.Migrations, options...)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("apply migrations: %w", err)
	}
	current, known, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read version: %w", err)
	}
	if current > known {
		return fmt.Errorf("written by a newer Distro (schema %d, this one knows %d): use that one, or another database", current, known)
	}
	return nil
}

// migrationLock is the key of the advisory lock under which PostgreSQL is
// migrated.
const migrationLock = 0x446973_74726f01

// advisory is goose's lock, held by the session that migrates: PostgreSQL lets
// go of it when the session ends in any way.
type advisory struct{}

// SessionLock waits until no other session holds the lock.
func (advisory) SessionLock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(migrationLock))
	return err
}

// SessionUnlock lets the next session go on.
func (advisory) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "SELECT pg_advisory_unlock($1)", int64(migrationLock))
	return err
}
