package distro

import "time"

// Worker is one claim loop: a process, or a part of one, that runs jobs.
type Worker struct {
	Name      string
	Host      string
	PID       int
	Queues    []string // in the order of priority
	Slots     int
	Isolation string // fork, pool or spawn
	Python    string // version of the interpreter
	Version   string // of Distro
	StartedAt time.Time
	SeenAt    time.Time // last beat, by the broker's clock
	Draining  bool      // claims nothing any more
	Running   []string  // IDs of the jobs it has begun
	Finished  int64     // attempts it ended since it started
	Failed    int64     // of these, those that did not finish
	Stock     bool      // it is RQ's own worker: it knows nothing of paused queues

	// What RQ's own workers tell beside.
	State  string        // started, idle, busy or suspended; empty: not told
	Build  string        // of its interpreter, in full
	Worked time.Duration // in jobs
}

// QueueInfo counts the jobs of a queue by status.
type QueueInfo struct {
	Name     string
	Paused   bool
	Jobs     map[Status]int // statuses without a job may be missing
	OldestAt time.Time      // enqueue time of the job that waits longest; zero when none waits
}

// Change is one entry of the change feed: a job took a status.
type Change struct {
	Cursor  string // position behind this entry
	JobID   string
	Queue   string
	Status  Status // "" when the job's record was deleted
	Outcome Outcome
	Attempt int
	Token   string // of the claim, where one was involved
	At      time.Time
}
