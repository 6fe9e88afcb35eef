package distro

import "time"

// ExecutionState is where an attempt stands, or how it ended.
type ExecutionState string

// The states of an execution: it runs, it ended as an Outcome says, or stock RQ
// tried the job again and wrote nothing of how this attempt ended.
const (
	ExecutionStarted  ExecutionState = "started"
	ExecutionFinished                = ExecutionState(OutcomeFinished)
	ExecutionFailed                  = ExecutionState(OutcomeFailed)
	ExecutionStopped                 = ExecutionState(OutcomeStopped)
	ExecutionLost                    = ExecutionState(OutcomeLost)
	ExecutionRetried  ExecutionState = "retried"
)

// ExecutionStates lists every state of an execution.
func ExecutionStates() []ExecutionState {
	return []ExecutionState{
		ExecutionStarted, ExecutionFinished, ExecutionFailed, ExecutionStopped, ExecutionLost, ExecutionRetried,
	}
}

// Execution is one attempt of a job as history keeps it. Texts that nobody
// wrote are empty, times nobody wrote are zero.
type Execution struct {
	JobID string
	// Run tells the attempts of a job apart, whoever made them: the token of
	// the claim, RQ's execution ID, or the time of the start.
	Run     string
	Attempt int // ordinal, from 1; 0: not known

	Module    string // dotted; empty where the payload does not tell
	Function  string // its part behind the module
	Queue     string
	Arguments string // as a call shows them, without the parentheses; bounded

	State      ExecutionState
	EnqueuedAt time.Time
	StartedAt  time.Time
	EndedAt    time.Time

	Worker string
	Host   string
	Python string // version of the interpreter
	Stock  bool   // it ran on a worker of RQ's own

	CodeHash string // of the module's file: hex of SHA-256
	Commit   string // of modules_path, where it is a Git work tree

	Trigger string // what made the job: api, schedule, cli, rq
	Caller  string // who asked for it, as far as that is known

	Result  View     // of a finished one
	Failure *Failure // nil when it finished or runs

	PeakMemory int64         // bytes; 0: unknown
	CPUTime    time.Duration // 0: unknown
}

// Took is how long the execution ran; 0 while it runs or where it is unknown.
func (e *Execution) Took() time.Duration {
	if e.StartedAt.IsZero() || e.EndedAt.IsZero() {
		return 0
	}
	return max(e.EndedAt.Sub(e.StartedAt), 0)
}

// Waited is how long the job stood in its queue before; 0 where it is unknown.
func (e *Execution) Waited() time.Duration {
	if e.EnqueuedAt.IsZero() || e.StartedAt.IsZero() {
		return 0
	}
	return max(e.StartedAt.Sub(e.EnqueuedAt), 0)
}
