package sqldb

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Trouble is what an error says of the database.
type Trouble int

// The troubles.
const (
	None        Trouble = iota // the error is not of the database's making
	Unavailable                // it cannot be reached, is overloaded or shutting down, or does not answer in time: try again
	Full                       // there is no room: make some, and try again
)

// Fault finds in err what it says of the database.
func Fault(err error) Trouble {
	if errors.Is(err, context.Canceled) {
		return None
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return ofSQLite(e.Code())
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return ofPostgres(e)
	}
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	_, network := errors.AsType[net.Error](err)
	switch {
	case connecting, network,
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, driver.ErrBadConn), errors.Is(err, pgconn.ErrConnClosed),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return Unavailable
	}
	return None
}

func ofSQLite(code int) Trouble {
	switch {
	case code&0xff == sqlite3.SQLITE_FULL:
		return Full
	// The log's index lies in a file of its own, whose growth fails as an I/O
	// error when the disk is full.
	case code == sqlite3.SQLITE_IOERR_SHMSIZE:
		return Full
	case code&0xff == sqlite3.SQLITE_BUSY, code&0xff == sqlite3.SQLITE_LOCKED, code&0xff == sqlite3.SQLITE_INTERRUPT:
		return Unavailable
	}
	return None
}

func ofPostgres(e *pgconn.PgError) Trouble {
	switch e.Code {
	case "53100": // disk_full
		return Full
	case "57014", // query_canceled: a timeout of the server's, or ours that reached it
		"25006",          // read_only_sql_transaction: it has become a standby
		"40001", "40P01", // serialization_failure, deadlock_detected
		"55P03",                   // lock_not_available
		"57P01", "57P02", "57P03", // shutting down, crashed, starting
		"57P05": // idle_session_timeout
		return Unavailable
	}
	switch {
	case strings.HasPrefix(e.Code, "53"), // insufficient resources
		strings.HasPrefix(e.Code, "08"), // connection
		strings.HasPrefix(e.Code, "28"), // a password that was changed meanwhile
		e.Code == "3D000":               // a database that was dropped
		return Unavailable
	}
	return None
}
