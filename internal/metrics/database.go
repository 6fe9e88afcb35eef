package metrics

import (
	"context"
	"errors"
	"time"

	"github.com/distro-orchestrator/distro/internal/sqldb"
)

// Database returns what measures the operations of one of the process's
// databases. name, like the operations, is one of a few of the program's own.
func (m *Metrics) Database(name string) func(operation string, took time.Duration, err error) {
	of := m.databases.MustCurryWith(map[string]string{"database": name})
	return func(operation string, took time.Duration, err error) {
		of.WithLabelValues(operation, databaseOutcome(err)).Observe(took.Seconds())
	}
}

// databaseOutcome is the label of an error of a database.
func databaseOutcome(err error) string {
	switch trouble := sqldb.Fault(err); {
	case err == nil:
		return "ok"
	case trouble == sqldb.Full:
		return "full"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case trouble == sqldb.Unavailable:
		return "unavailable"
	}
	return "error"
}
