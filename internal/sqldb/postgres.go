package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// Connections to PostgreSQL at most: searches never keep writing from going on.
const (
	postgresReaders = 6
	postgresWriters = 2
)

// oldestPostgres is the first version with all that the statements use.
const oldestPostgres = 120000

// URLForm is what the URL of a PostgreSQL looks like, for messages.
const URLForm = "postgres://USER:PASSWORD@HOST:5432/DATABASE"

// OpenPostgres opens a PostgreSQL database and brings it up to date. url may
// begin with postgres://, postgresql://, or one of them with a driver of
// SQLAlchemy, as postgresql+psycopg2://. Errors say what to do and never tell
// the password.
func OpenPostgres(ctx context.Context, url string, opts Options) (*DB, error) {
	opts = opts.withDefaults()
	config, err := postgresConfig(url)
	if err != nil {
		return nil, err
	}
	write := stdlib.OpenDB(*config)
	// Readers ask what an index answers. What the planner believes of a whole
	// table, of plans for any value, and of compiling them, is of no use there.
	read := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, "SET enable_seqscan = off; SET jit = off; SET plan_cache_mode = force_custom_plan")
		return err
	}))
	for db, conns := range map[*sql.DB]int{write: postgresWriters, read: postgresReaders} {
		db.SetMaxOpenConns(conns)
		db.SetMaxIdleConns(conns)
		db.SetConnMaxIdleTime(5 * time.Minute)
	}
	err = checkPostgres(ctx, write)
	if err == nil {
		err = migratePostgres(ctx, write, opts)
	}
	if err != nil {
		at := net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))
		return nil, errors.Join(fmt.Errorf("open PostgreSQL database %q at %s as %q: %s: %w",
			config.Database, at, config.User, advice(err), err), write.Close(), read.Close())
	}
	return &DB{
		engine: Postgres, timeout: opts.Timeout, observe: opts.Observe, write: pool{write}, read: read,
		closers: []func() error{read.Close, write.Close},
	}, nil
}

// postgresConfig reads url. What pgx says of one that it cannot read is not
// passed on: it may quote the password.
func postgresConfig(url string) (*pgx.ConnConfig, error) {
	scheme, rest, found := strings.Cut(url, "://")
	name, _, _ := strings.Cut(scheme, "+")
	if !found || name != "postgres" && name != "postgresql" {
		return nil, fmt.Errorf("the URL of PostgreSQL does not begin with postgres://: write it as %s", URLForm)
	}
	config, err := pgx.ParseConfig("postgres://" + rest)
	if err != nil {
		return nil, fmt.Errorf("the URL of PostgreSQL cannot be read: write it as %s, with the characters @ : / %% ? # of the password as %%40 %%3A %%2F %%25 %%3F %%23",
			URLForm)
	}
	if config.ConnectTimeout <= 0 {
		config.ConnectTimeout = 5 * time.Second
	}
	return config, nil
}

func checkPostgres(ctx context.Context, db *sql.DB) error {
	var version int
	var encoding string
	err := db.QueryRowContext(ctx, "SELECT current_setting('server_version_num')::int, current_setting('server_encoding')").
		Scan(&version, &encoding)
	switch {
	case err != nil:
		return err
	case version < oldestPostgres:
		return fmt.Errorf("its version is %d, and %d is the oldest that will do", version/10000, oldestPostgres/10000)
	case encoding != "UTF8":
		return fmt.Errorf("its encoding is %s: make one with ENCODING 'UTF8'", encoding)
	}
	return nil
}

// advice says what to do about an error of opening.
func advice(err error) string {
	code := ""
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		code = e.Code
	}
	switch {
	case strings.HasPrefix(code, "28"):
		return "it refuses this user or password: correct them in the URL, or allow the user in pg_hba.conf"
	case code == "3D000":
		return "there is no such database: create it, or correct its name in the URL"
	case code == "42501":
		return "the user may not create tables there: GRANT CREATE ON SCHEMA public, or use another user"
	case code == "53300":
		return "it has too many connections: raise max_connections, or try again later"
	case Fault(err) == Unavailable:
		return "it cannot be reached: see that it runs, and that host and port of the URL are right"
	default:
		return "it cannot be used"
	}
}

// pool runs transactions on PostgreSQL.
type pool struct{ db *sql.DB }

func (p pool) transact(ctx context.Context, synced bool, run func(context.Context, *Tx) error) error {
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if !synced {
		_, err = tx.ExecContext(ctx, "SET LOCAL synchronous_commit TO off")
	}
	if err == nil {
		err = run(ctx, &Tx{on: tx})
	}
	if err != nil {
		_ = tx.Rollback() // fails when the connection is lost, which is as good
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}
