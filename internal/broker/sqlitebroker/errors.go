package sqlitebroker

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/distro-orchestrator/distro/internal/broker"
)

// classify gives err the broker's name for it.
func classify(err error) error {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	// The log's index lies in a file of its own, whose growth fails as an I/O
	// error when the disk is full.
	if code := e.Code(); code&0xff == sqlite3.SQLITE_FULL || code == sqlite3.SQLITE_IOERR_SHMSIZE {
		return fmt.Errorf("%w: %w", broker.ErrFull, err)
	}
	return err
}
