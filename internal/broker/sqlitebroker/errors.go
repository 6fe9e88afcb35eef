package sqlitebroker

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/distro-orchestrator/distro/internal/broker"
)

// resultCode is SQLite's extended result code in err, 0 when there is none.
func resultCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()
	}
	return 0
}

// endsTransaction reports whether err may have rolled back the whole
// transaction, or leaves nothing to go on with: then even what neighbours did
// before is gone.
func endsTransaction(err error) bool {
	switch resultCode(err) & 0xff {
	case 0, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG,
		sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE:
		return false
	}
	return true
}

// classify gives err the broker's name for it.
func classify(err error) error {
	// The log's index lies in a file of its own, whose growth fails as an I/O
	// error when the disk is full.
	if code := resultCode(err); code&0xff == sqlite3.SQLITE_FULL || code == sqlite3.SQLITE_IOERR_SHMSIZE {
		return fmt.Errorf("%w: %w", broker.ErrFull, err)
	}
	return err
}
