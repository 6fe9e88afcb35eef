package broker

import "github.com/distro-orchestrator/distro"

// StockRun is an attempt that was made outside of Distro, by a worker of RQ's
// own, as far as what RQ wrote tells of it.
type StockRun struct {
	// Execution lacks what describes the call. Its Run is RQ's ID of the
	// execution, else started_at as RQ wrote it, else StockEntry and the ID of
	// an entry of the results, which tells nothing of the start.
	Execution distro.Execution
	// Job is the job of the attempt, whose payload is empty where it is long.
	Job distro.Job
	// Last says that the job ended with this attempt.
	Last bool
	// Near says that the attempt may be known by another time of its start: RQ
	// writes one when it begins, and another, of about the same moment, when it
	// has ended.
	Near bool
	// New says that the entry of the results was written since the job was
	// looked at last, so the attempt is none whose end was told.
	New bool
}

// StockEntry begins the Run of an attempt that only an entry of the results
// tells of.
const StockEntry = "result:"

// StockLook is what one look at the queue found that it did not tell before.
type StockLook struct {
	// Runs of one job stand together: the last attempt; those that entries of
	// the results tell of, the oldest first; what is guessed of one that an
	// entry may have told of.
	Runs []StockRun
	More bool // there is more to look at: look again at once
	Busy bool // workers of RQ's own are there, or an attempt runs
}
