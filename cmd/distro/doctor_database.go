package main

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/distro-orchestrator/distro/internal/sqldb"
)

// databaseCheckTime bounds the reading of a large database.
const databaseCheckTime = 5 * time.Second

// checkHistory connects to the PostgreSQL of the history.
func checkHistory(ctx context.Context, url string) finding {
	const check = "history"
	ctx, cancel := context.WithTimeout(ctx, databaseCheckTime)
	defer cancel()
	where, err := sqldb.PingPostgres(ctx, url)
	if err != nil {
		return fail(check, "%v", err)
	}
	return fine(check, "PostgreSQL %s", where)
}

// checkDatabase opens the embedded queue or history, which a running orchestrator may
// own, and lets SQLite look for damage.
func checkDatabase(ctx context.Context, path string) finding {
	const check = "database"
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fine(check, "%s will be made", path)
	}
	uriPath := filepath.ToSlash(path)
	if !strings.HasPrefix(uriPath, "/") { // C:/data
		uriPath = "/" + uriPath
	}
	uri := url.URL{Scheme: "file", Path: uriPath, RawQuery: "mode=rw&_pragma=busy_timeout(1000)"}
	db, err := sql.Open("sqlite", uri.String())
	if err != nil {
		return fail(check, "%v", err)
	}
	defer func() { _ = db.Close() }() // it was only read
	limited, cancel := context.WithTimeout(ctx, databaseCheckTime)
	defer cancel()
	var verdict string
	err = db.QueryRowContext(limited, "PRAGMA quick_check(1)").Scan(&verdict)
	switch {
	case limited.Err() != nil && ctx.Err() == nil:
		return fine(check, "%s opens; it is too large to be read whole here", path)
	case err != nil:
		return fail(check, "%s cannot be read (%v): let this user read and write it, or restore it from a backup", path, err)
	case verdict != "ok":
		return fail(check, "%s is damaged (%s): restore it from a backup, or move it away to begin anew", path, verdict)
	}
	return fine(check, "%s", path)
}
