// Package store keeps history: every execution of a job, on SQLite or on
// PostgreSQL, to be listed, searched and counted after the queue has forgotten
// it; and with it what else outlives a queue: bulk operations and answers that
// a repeated request gets again.
//
// Every method may be called at once with every other. Those that change
// something happen wholly or not at all. Beside the errors their comments name,
// all answer ErrUnavailable and ErrFull.
package store
