// Package redistest starts what tests of the queue on Redis talk to: Redis
// servers, a proxy that delays and cuts their replies, and the stock RQ that
// Debian packages. All of it is real, and none of it is skipped where missing.
package redistest

import "context"

// TB is a test, a benchmark, or one case of a property test.
type TB interface {
	Helper()
	Context() context.Context
	Cleanup(fn func())
	Fatalf(format string, args ...any)
}
