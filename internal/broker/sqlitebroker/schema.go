package sqlitebroker

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/sqldb"
)

// schemaVersion is the user_version of the schema below.
const schemaVersion = 4

// Times are microseconds UTC and durations nanoseconds; 0 and ” say "none".
//
// A job that waits in its queue has a row in waiting, whose pos orders the
// queue: places are numbered upwards without end, and what is put to the front
// stands at minus its place. queued_no is the place a job had when it joined
// its waiting list, so that Empty can tell who stood there before.
//
// A job that is claimed has a row in claims instead, and its own row is left
// as it was until the attempt has ended: a claim costs one narrow row, not a
// change of a wide one and of all indexes that hold its status. The status
// "started" therefore never stands in jobs; sourceOfRows tells it.
//
// Counts are kept by queue, function and true status, and under status 0 for
// the jobs that wait. List finds by them which ranges of jobs_list hold jobs.
const schema = `
CREATE TABLE names (
	id   INTEGER PRIMARY KEY,
	name TEXT NOT NULL UNIQUE
);
CREATE TABLE jobs (
	seq             INTEGER PRIMARY KEY,
	id              TEXT    NOT NULL UNIQUE,
	queue           INTEGER NOT NULL,
	function        INTEGER NOT NULL,
	status          INTEGER NOT NULL,
	pos             INTEGER NOT NULL DEFAULT 0,
	created_at      INTEGER NOT NULL,
	enqueued_at     INTEGER NOT NULL DEFAULT 0,
	due_at          INTEGER NOT NULL DEFAULT 0,
	started_at      INTEGER NOT NULL DEFAULT 0,
	ended_at        INTEGER NOT NULL DEFAULT 0,
	expires_at      INTEGER NOT NULL DEFAULT 0,
	attempt         INTEGER NOT NULL DEFAULT 0,
	retries_left    INTEGER NOT NULL,
	asked           INTEGER NOT NULL DEFAULT 0,
	worker          TEXT    NOT NULL DEFAULT '',
	settled         TEXT    NOT NULL DEFAULT '',
	settled_outcome TEXT    NOT NULL DEFAULT '',
	timeout         INTEGER NOT NULL,
	ttl             INTEGER NOT NULL,
	result_ttl      INTEGER NOT NULL,
	failure_ttl     INTEGER NOT NULL,
	retry_intervals TEXT    NOT NULL,
	fingerprint     TEXT    NOT NULL,
	"trigger"       TEXT    NOT NULL DEFAULT '',
	caller          TEXT    NOT NULL DEFAULT '',
	serializer      TEXT    NOT NULL,
	payload_size    INTEGER NOT NULL,
	payload         BLOB
);
CREATE INDEX jobs_list     ON jobs (queue, function, status);
CREATE INDEX jobs_due      ON jobs (due_at)     WHERE status = 1;
CREATE INDEX jobs_expiring ON jobs (expires_at) WHERE expires_at > 0;
CREATE TABLE waiting (
	queue       INTEGER NOT NULL,
	pos         INTEGER NOT NULL,
	seq         INTEGER NOT NULL,
	queued_no   INTEGER NOT NULL,
	enqueued_at INTEGER NOT NULL,
	PRIMARY KEY (queue, pos)
) WITHOUT ROWID;
CREATE TABLE claims (
	seq        INTEGER PRIMARY KEY,
	token      TEXT    NOT NULL,
	holder     TEXT    NOT NULL,
	begun      INTEGER NOT NULL,
	stop       INTEGER NOT NULL,
	attempt    INTEGER NOT NULL,
	begun_at   INTEGER NOT NULL
);
CREATE TABLE payloads (
	seq  INTEGER PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
	data BLOB NOT NULL
);
CREATE TABLE results (
	seq         INTEGER PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
	run         TEXT    NOT NULL DEFAULT '',
	outcome     TEXT    NOT NULL,
	attempt     INTEGER NOT NULL,
	worker      TEXT    NOT NULL,
	started_at  INTEGER NOT NULL,
	ended_at    INTEGER NOT NULL,
	peak_memory INTEGER NOT NULL,
	cpu_time    INTEGER NOT NULL,
	pickle      BLOB,
	view        TEXT    NOT NULL,
	view_flags  INTEGER NOT NULL,
	kind        TEXT    NOT NULL DEFAULT '',
	type        TEXT    NOT NULL DEFAULT '',
	message     TEXT    NOT NULL DEFAULT '',
	traceback   TEXT    NOT NULL DEFAULT '',
	exit_code   INTEGER NOT NULL DEFAULT 0,
	signal      INTEGER NOT NULL DEFAULT 0
);
` + earlier + `
CREATE TABLE counts (
	queue    INTEGER NOT NULL,
	function INTEGER NOT NULL,
	status   INTEGER NOT NULL,
	jobs     INTEGER NOT NULL,
	PRIMARY KEY (queue, function, status)
) WITHOUT ROWID;
CREATE TABLE feed (
	no      INTEGER PRIMARY KEY,
	job     TEXT    NOT NULL,
	queue   INTEGER NOT NULL,
	status  INTEGER NOT NULL,
	outcome TEXT    NOT NULL,
	attempt INTEGER NOT NULL,
	token   TEXT    NOT NULL,
	at      INTEGER NOT NULL
);
CREATE TABLE paused (queue TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE places (reserved INTEGER NOT NULL);
INSERT INTO places VALUES (0);
`

// earlier has the results of the attempts before that of results.
const earlier = `CREATE TABLE earlier (
	seq         INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
	attempt     INTEGER NOT NULL,
	run         TEXT    NOT NULL,
	outcome     TEXT    NOT NULL,
	worker      TEXT    NOT NULL,
	started_at  INTEGER NOT NULL,
	ended_at    INTEGER NOT NULL,
	peak_memory INTEGER NOT NULL,
	cpu_time    INTEGER NOT NULL,
	view        TEXT    NOT NULL,
	view_flags  INTEGER NOT NULL,
	kind        TEXT    NOT NULL,
	type        TEXT    NOT NULL,
	message     TEXT    NOT NULL,
	traceback   TEXT    NOT NULL,
	exit_code   INTEGER NOT NULL,
	signal      INTEGER NOT NULL,
	PRIMARY KEY (seq, attempt)
) WITHOUT ROWID;`

// Statuses in the database. Zero is no status: of a deleted job in the feed,
// and of those that wait in the counts. The partial indexes of the schema and
// the statements that use them spell the numbers out, as SQLite demands.
const (
	noStatus = iota
	scheduled
	deferred
	queued
	started
	finished
	failed
	stopped
	canceled
)

// waiting is the status under which counts holds the jobs that wait.
const waiting = noStatus

// statusWord is the status of a number of the database.
func statusWord(n int) distro.Status {
	words := [...]distro.Status{
		scheduled: distro.StatusScheduled, deferred: distro.StatusDeferred,
		queued: distro.StatusQueued, started: distro.StatusStarted,
		finished: distro.StatusFinished, failed: distro.StatusFailed,
		stopped: distro.StatusStopped, canceled: distro.StatusCanceled,
	}
	if n < 0 || n >= len(words) {
		return ""
	}
	return words[n]
}

// statusNumber is the number of a status in the database.
func statusNumber(s distro.Status) int {
	for n := scheduled; n <= canceled; n++ {
		if statusWord(n) == s {
			return n
		}
	}
	return noStatus
}

// openWriter opens the one connection that writes and sees to the schema.
func openWriter(ctx context.Context, opts Options) (*sql.DB, *sql.Conn, error) {
	if err := sqldb.PrepareSQLite(opts.Path); err != nil {
		return nil, nil, err
	}
	db, err := sql.Open("sqlite", sqldb.SQLiteSource(opts.Path, "rw",
		"busy_timeout(5000)",
		"journal_mode(wal)",
		"synchronous(full)",
		"fullfsync(1)", // macOS: an ordinary sync does not reach the disk there
		"foreign_keys(1)",
		"temp_store(memory)",
		"cache_size(-16000)",
		"wal_autocheckpoint(4000)",
		"journal_size_limit(67108864)",
	))
	if err != nil {
		return nil, nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	if err := prepareSchema(ctx, conn, opts.MaxBytes); err != nil {
		return nil, nil, errors.Join(err, conn.Close(), db.Close())
	}
	return db, conn, nil
}

func openReaders(ctx context.Context, path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", sqldb.SQLiteSource(path, "ro", "busy_timeout(5000)", "temp_store(memory)", "cache_size(-2000)"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(4)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// upgrades make a file of version i+1 one of version i+2.
func upgrades() []string {
	return []string{
		"ALTER TABLE jobs ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;",
		"ALTER TABLE jobs ADD COLUMN \"trigger\" TEXT NOT NULL DEFAULT ''; ALTER TABLE jobs ADD COLUMN caller TEXT NOT NULL DEFAULT '';",
		"ALTER TABLE results ADD COLUMN run TEXT NOT NULL DEFAULT ''; UPDATE results SET run = ifnull((SELECT settled FROM jobs WHERE jobs.seq = results.seq), '');" + earlier,
	}
}

// prepareSchema makes the tables of a new file, brings those of an older
// Distro up to date, and refuses the files of a newer one.
func prepareSchema(ctx context.Context, conn *sql.Conn, maxBytes int64) error {
	var version, tables, pageSize int64
	for pragma, dest := range map[string]*int64{
		"PRAGMA user_version":                &version,
		"SELECT count(*) FROM sqlite_schema": &tables,
		"PRAGMA page_size":                   &pageSize,
	} {
		if err := conn.QueryRowContext(ctx, pragma).Scan(dest); err != nil {
			return fmt.Errorf("%s: %w", pragma, err)
		}
	}
	switch {
	case version == schemaVersion:
		return limitSize(ctx, conn, maxBytes, pageSize)
	case version > schemaVersion:
		return fmt.Errorf("written by a newer Distro (schema %d, this one knows %d): use that one, or another data folder",
			version, schemaVersion)
	case version == 0 && tables != 0 || version < 0:
		return fmt.Errorf("not a queue of Distro (user_version %d, %d tables and indexes): use another data folder", version, tables)
	}
	step := schema
	if version > 0 {
		step = strings.Join(upgrades()[version-1:], "")
	}
	step = "BEGIN IMMEDIATE;" + step + "PRAGMA user_version = " + strconv.Itoa(schemaVersion) + ";COMMIT"
	if _, err := conn.ExecContext(ctx, step); err != nil {
		return fmt.Errorf("make the tables: %w", err)
	}
	return limitSize(ctx, conn, maxBytes, pageSize)
}

// limitSize is for a file that is up to date: one that is full must have room
// for that.
func limitSize(ctx context.Context, conn *sql.Conn, maxBytes, pageSize int64) error {
	if maxBytes <= 0 {
		return nil
	}
	pages := strconv.FormatInt(max(maxBytes/pageSize, 1), 10)
	if _, err := conn.ExecContext(ctx, "PRAGMA max_page_count = "+pages); err != nil {
		return fmt.Errorf("limit the size to %d bytes: %w", maxBytes, err)
	}
	return nil
}
