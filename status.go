package distro

// Status is where a job stands, in RQ's words. The zero value is no status.
type Status string

// The statuses Distro writes. RQ 2.x refuses to load any other.
const (
	StatusQueued    Status = "queued"    // waits in its queue, or is claimed and not begun
	StatusStarted   Status = "started"   // runs on a worker
	StatusFinished  Status = "finished"  // returned a value
	StatusFailed    Status = "failed"    // raised, died, timed out or was lost, and no retry is left
	StatusDeferred  Status = "deferred"  // waits for other jobs
	StatusScheduled Status = "scheduled" // waits for its due time
	StatusStopped   Status = "stopped"   // was stopped while it ran
	StatusCanceled  Status = "canceled"  // was canceled before it ran
)

// Statuses lists every status in the order of a job's life.
func Statuses() []Status {
	return []Status{
		StatusScheduled, StatusDeferred, StatusQueued, StatusStarted,
		StatusFinished, StatusFailed, StatusStopped, StatusCanceled,
	}
}

// Valid reports whether s is one of the statuses Distro writes.
func (s Status) Valid() bool {
	switch s {
	case StatusQueued, StatusStarted, StatusFinished, StatusFailed,
		StatusDeferred, StatusScheduled, StatusStopped, StatusCanceled:
		return true
	}
	return false
}

// Ended reports whether a job of this status will not run again by itself.
func (s Status) Ended() bool {
	switch s {
	case StatusFinished, StatusFailed, StatusStopped, StatusCanceled:
		return true
	}
	return false
}

// Outcome is how one attempt ended. An attempt that failed or was lost may be
// followed by another (see Job.RetriesLeft); the others end the job.
type Outcome string

// The outcomes of an attempt.
const (
	OutcomeFinished Outcome = "finished" // the function returned
	OutcomeFailed   Outcome = "failed"   // it raised, exited, crashed, timed out or passed a limit
	OutcomeStopped  Outcome = "stopped"  // somebody stopped it
	OutcomeLost     Outcome = "lost"     // its worker died or was drained; stored as failed
)

// Retries reports whether an attempt with this outcome may be followed by
// another one.
func (o Outcome) Retries() bool { return o == OutcomeFailed || o == OutcomeLost }

// Status is the status of a job whose last attempt ended with o.
func (o Outcome) Status() Status {
	switch o {
	case OutcomeFinished:
		return StatusFinished
	case OutcomeStopped:
		return StatusStopped
	default:
		return StatusFailed
	}
}
