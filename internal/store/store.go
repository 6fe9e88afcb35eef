package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/distro-orchestrator/distro/internal/sqldb"
)

// Sentinel errors.
var (
	// ErrUnavailable: the database cannot be reached or does not answer in
	// time. The same call may be made again later; the Store reconnects by
	// itself.
	ErrUnavailable = errors.New("history is not available")

	// ErrFull: the database has no room. Nothing was changed.
	ErrFull = errors.New("history has no room")

	// ErrInvalid: the arguments can never be right.
	ErrInvalid = errors.New("invalid request to history")

	// ErrNotFound: there is no such thing.
	ErrNotFound = errors.New("not in history")

	// ErrConflict: there is another thing of that name.
	ErrConflict = errors.New("in history already, and different")
)

//go:embed migrations
var migrations embed.FS

// Options say where history is kept.
type Options struct {
	Path     string           // file of SQLite
	URL      string           // of PostgreSQL; where it is set Path is not looked at
	Timeout  time.Duration    // of one transaction or query, then ErrUnavailable; default: 15 s
	Patience time.Duration    // after which a search or count answers with what it has found; default: 2 s
	MaxBytes int64            // SQLite: the file grows to this size at most, then ErrFull; default: what the disk holds
	Now      func() time.Time // default: time.Now
	Logger   *slog.Logger     // default: discards

	// Observe hears how long each query ("read") and each transaction ("write")
	// of the database took. Default: nobody does.
	Observe func(operation string, took time.Duration, err error)
}

func (o Options) withDefaults() Options {
	if o.Patience <= 0 {
		o.Patience = 2 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Store is history in one database.
type Store struct {
	db       *sqldb.DB
	dialect  dialect
	names    *dictionary
	patience time.Duration
	effort   effort
	now      func() time.Time
	logger   *slog.Logger
}

// Open opens the database, makes what is missing in it, and brings what an
// older Distro left up to date; two processes may do so at once. The error of a
// PostgreSQL that cannot be used says what to do, and never tells the password.
func Open(ctx context.Context, opts Options) (*Store, error) {
	opts = opts.withDefaults()
	d := dialectOf(sqldb.SQLite)
	if opts.URL != "" {
		d = dialectOf(sqldb.Postgres)
	}
	files, err := fs.Sub(migrations, "migrations/"+string(d.engine))
	if err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	settings := sqldb.Options{
		Migrations: files, Table: "distro_versions", Timeout: opts.Timeout, MaxBytes: opts.MaxBytes, Observe: opts.Observe,
		Functions: wordFunctions(),
	}
	var db *sqldb.DB
	if opts.URL != "" {
		db, err = sqldb.OpenPostgres(ctx, opts.URL, settings)
	} else {
		db, err = sqldb.OpenSQLite(ctx, opts.Path, settings)
	}
	if err != nil {
		return nil, wrap(err, "open history")
	}
	opts.Logger.InfoContext(ctx, "history opened", "database", string(db.Engine()))
	return &Store{
		db: db, dialect: d, names: newDictionary(), patience: opts.Patience, effort: usualEffort(), now: opts.Now, logger: opts.Logger,
	}, nil
}

// Close closes the database. No method is called any more, nor running.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close history: %w", err)
	}
	return nil
}

// wrap says what was tried, and gives err the store's name for it.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	operation := fmt.Sprintf(format, args...)
	var sentinel error
	switch sqldb.Fault(err) {
	case sqldb.Unavailable:
		sentinel = ErrUnavailable
	case sqldb.Full:
		sentinel = ErrFull
	default:
		return fmt.Errorf("%s: %w", operation, err)
	}
	return fmt.Errorf("%s: %w: %w", operation, sentinel, err)
}

// micros is a time in the database: microseconds, 0 for the zero time. What no
// clock of ours shows becomes unknown.
func micros(t time.Time) int64 {
	if t.IsZero() || t.Year() < 1971 || t.Year() > 2250 {
		return 0
	}
	return t.UnixMicro()
}

// moment is a time of the database.
func moment(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
