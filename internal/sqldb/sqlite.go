package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"modernc.org/sqlite"
)

// readers is how many queries run at once on SQLite.
const readers = 4

// OpenSQLite opens the SQLite file at path, which it makes if need be, and
// brings it up to date. Other processes may open it at the same time.
func OpenSQLite(ctx context.Context, path string, opts Options) (*DB, error) {
	opts = opts.withDefaults()
	d, err := openSQLite(ctx, path, opts)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return d, nil
}

// PrepareSQLite makes the file at path if need be, and sets how SQLite reaches the
// disk: both come before a connection that writes.
func PrepareSQLite(path string) error {
	// SQLite would make the file with the umask's mode. Its log and index get
	// the mode of the database.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	// As durable as fsync and about twice as fast. Systems without it have
	// their own way, which SQLite knows.
	if _, err := sqlite.Fdatasync(true); err != nil && !errors.Is(err, sqlite.ErrFdatasyncUnavailable) {
		return err
	}
	return nil
}

func openSQLite(ctx context.Context, path string, opts Options) (*DB, error) {
	if err := PrepareSQLite(path); err != nil {
		return nil, err
	}
	if err := migrateSQLite(ctx, path, opts); err != nil {
		return nil, err
	}
	w, err := newPinned(ctx, path, opts.MaxBytes)
	if err != nil {
		return nil, err
	}
	c, err := newCalling(sqliteSource(path, "ro", "cache_size(-8000)"), opts.Functions)
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	read := sql.OpenDB(c)
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	if err := read.PingContext(ctx); err != nil {
		return nil, errors.Join(err, read.Close(), w.close())
	}
	return &DB{engine: SQLite, timeout: opts.Timeout, observe: opts.Observe, write: w, read: read, closers: []func() error{read.Close, w.close}}, nil
}

// sqliteSource is the source of databases of this package.
func sqliteSource(path, mode string, pragmas ...string) string {
	return SQLiteSource(path, mode, append([]string{"busy_timeout(10000)", "foreign_keys(1)", "temp_store(memory)"}, pragmas...)...)
}

// SQLiteSource is path as a URI, so that no character of it means anything.
func SQLiteSource(path, mode string, pragmas ...string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") { // C:/data
		path = "/" + path
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: url.Values{"mode": {mode}, "_pragma": pragmas}.Encode()}
	return u.String()
}

// calling opens connections on which statements may call functions of ours,
// which no other connection of the process knows.
type calling struct {
	driver *sqlite.Driver
	source string
}

func newCalling(source string, functions map[string]Function) (*calling, error) {
	c := &calling{driver: &sqlite.Driver{}, source: source}
	for name, f := range functions {
		err := c.driver.RegisterDeterministicScalarFunction(name, f.Arity, f.ofValues)
		if err != nil {
			return nil, fmt.Errorf("register function %s: %w", name, err)
		}
	}
	return c, nil
}

// ofValues is f as the driver calls it. What is no text counts as an empty one.
func (f Function) ofValues(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
	texts := make([]string, len(args))
	for i, a := range args {
		texts[i], _ = a.(string)
	}
	return f.Call(texts), nil
}

// Connect opens a connection.
func (c *calling) Connect(ctx context.Context) (driver.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return c.driver.Open(c.source)
}

// Driver is what opens connections.
func (c *calling) Driver() driver.Driver { return c.driver }

// writing are the settings of connections that write. A commit waits for the
// disk only where it is asked to: see pinned.transact.
func writing() []string {
	return []string{
		"journal_mode(wal)",
		"synchronous(normal)",
		"fullfsync(1)", // macOS: an ordinary sync does not reach the disk there
		"cache_size(-24000)",
		"wal_autocheckpoint(8000)",
		"journal_size_limit(67108864)",
	}
}

// pinned is the one connection that writes, with its prepared statements.
type pinned struct {
	turn       chan struct{} // holds one token, which who writes takes
	db         *sql.DB
	conn       *sql.Conn
	statements map[string]*sql.Stmt
	synced     bool // how the connection is set
}

func newPinned(ctx context.Context, path string, maxBytes int64) (*pinned, error) {
	db, err := sql.Open("sqlite", sqliteSource(path, "rw", writing()...))
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	p := &pinned{turn: make(chan struct{}, 1), db: db, conn: conn, statements: map[string]*sql.Stmt{}}
	p.turn <- struct{}{}
	if maxBytes > 0 {
		if err := p.limit(ctx, maxBytes); err != nil {
			return nil, errors.Join(err, p.close())
		}
	}
	return p, nil
}

func (p *pinned) limit(ctx context.Context, maxBytes int64) error {
	var pageSize int64
	if err := p.conn.QueryRowContext(ctx, "PRAGMA page_size").Scan(&pageSize); err != nil {
		return fmt.Errorf("read page size: %w", err)
	}
	_, err := p.conn.ExecContext(ctx, "PRAGMA max_page_count = "+strconv.FormatInt(max(maxBytes/pageSize, 1), 10))
	if err != nil {
		return fmt.Errorf("limit the size to %d bytes: %w", maxBytes, err)
	}
	return nil
}

func (p *pinned) close() error {
	errs := []error{}
	for _, s := range p.statements {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, p.conn.Close(), p.db.Close())...)
}

// transact waits for its turn until ctx ends. Statements are not interrupted,
// which would cost each of them a goroutine: ctx is looked at between them.
func (p *pinned) transact(ctx context.Context, synced bool, run func(context.Context, *Tx) error) error {
	select {
	case <-p.turn:
		defer func() { p.turn <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := p.sync(ctx, synced); err != nil {
		return err
	}
	if _, err := p.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	err := run(ctx, &Tx{on: p})
	if err == nil {
		if _, err = p.ExecContext(ctx, "COMMIT"); err == nil {
			return nil
		}
		err = fmt.Errorf("commit: %w", err)
	}
	// Fails when SQLite rolled back by itself, which is as good.
	_, _ = p.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	return err
}

// sync sets whether commits wait for the disk, which no transaction may do.
func (p *pinned) sync(ctx context.Context, synced bool) error {
	if p.synced == synced {
		return nil
	}
	text := "PRAGMA synchronous = NORMAL"
	if synced {
		text = "PRAGMA synchronous = FULL"
	}
	if _, err := p.conn.ExecContext(ctx, text); err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	p.synced = synced
	return nil
}

// maxStatements bounds the prepared statements that are kept.
const maxStatements = 256

func (p *pinned) statement(ctx context.Context, text string) (*sql.Stmt, error) {
	if s, ok := p.statements[text]; ok {
		return s, nil
	}
	if len(p.statements) >= maxStatements {
		for other, s := range p.statements {
			delete(p.statements, other)
			if err := s.Close(); err != nil {
				return nil, fmt.Errorf("forget a statement: %w", err)
			}
		}
	}
	s, err := p.conn.PrepareContext(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", text, err)
	}
	p.statements[text] = s
	return s, nil
}

// ExecContext runs a statement on the connection.
func (p *pinned) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ctx = context.WithoutCancel(ctx)
	s, err := p.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

// QueryContext runs a statement on the connection.
func (p *pinned) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ctx = context.WithoutCancel(ctx)
	s, err := p.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}
