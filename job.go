package distro

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"regexp"
	"time"
)

// Forever, as a Job.ResultTTL, FailureTTL or Timeout, sets no limit. RQ writes
// it as -1.
const Forever time.Duration = -1

// Serializers of a Payload.
const (
	SerializerJSON   = "json"
	SerializerPickle = "pickle"
)

// Triggers of jobs.
const (
	TriggerAPI      = "api"      // a request that runs it now
	TriggerSchedule = "schedule" // a request that runs it later
	TriggerCLI      = "cli"      // the command line
	TriggerRerun    = "rerun"    // somebody ran an earlier job again
	TriggerOptions  = "options"  // somebody asked for the options of a parameter
	TriggerRQ       = "rq"       // a producer that uses RQ
)

// MaxCaller is the longest Job.Caller, in bytes; what is longer is cut.
const MaxCaller = 128

// Payload is the encoded call: RQ's tuple (function name, instance, args,
// kwargs). Go never decodes a pickle of it to run it; the job's own process
// does.
type Payload struct {
	Serializer string // SerializerJSON or SerializerPickle
	Data       []byte // the serializer's bytes, not compressed
}

// Job is one requested call. Times are UTC; a zero time means "not yet".
type Job struct {
	ID       string // [A-Za-z0-9_-]{1,128} for jobs created here
	Queue    string
	Function string // dotted: module.function or module.Class.method; empty where the payload does not tell
	Payload  Payload

	Trigger string // what made it: one of the triggers below; empty: not known, as of what producers of RQ made
	Caller  string // who asked for it, for people: at most MaxCaller bytes

	// Fingerprint identifies the request that made the job. A second Enqueue
	// of the same ID is a repetition when it matches, else a conflict. Empty:
	// never a repetition.
	Fingerprint string

	Status     Status
	CreatedAt  time.Time
	EnqueuedAt time.Time // last time it was put on its queue
	DueAt      time.Time // StatusScheduled: not to be queued before
	StartedAt  time.Time // begin of the last attempt
	EndedAt    time.Time // end of the last attempt

	Timeout    time.Duration // of one attempt; Forever: none
	TTL        time.Duration // longest wait in the queue; 0: none
	ResultTTL  time.Duration // the record of a finished job is kept this long; 0: not at all; Forever
	FailureTTL time.Duration // the same for failed and stopped jobs

	RetriesLeft    int             // attempts that may still follow a failed one
	RetryIntervals []time.Duration // pause before each retry; the last one repeats; empty: at once

	Asked int // attempts that the function asked for by returning rq.Retry

	// Functions that producers of RQ name, and no request here. On Redis they go
	// with a job; the embedded queue, which such producers do not reach, keeps none.
	OnSuccess Callback // called in the job's process when the function has returned
	OnFailure Callback // when it raised or ran out of time
	OnStopped Callback // in a process of its own, when somebody stopped the job

	// What a producer wrote beside the call, set where a job is read; Enqueue
	// does not keep it.
	Description string   // the call for people, cut; empty where only the payload tells it
	Meta        []byte   // job.meta in the producer's serializer; nil: empty
	DependsOn   []string // IDs of the jobs that have to end before

	Attempt int    // ordinal of the last begun attempt, from 1; 0: none begun
	Worker  string // name of the worker of the last attempt
	Result  *Result

	// Earlier are results of attempts before that of Result, the oldest first and
	// without Pickle. Set where a job is read whole, as far as they are kept.
	Earlier []Result
}

// RetryDelay is the pause before the next attempt, taken from RetryIntervals
// as RQ takes it: by the number of retries left, the last interval repeating.
func (j *Job) RetryDelay() time.Duration {
	n := len(j.RetryIntervals)
	if n == 0 {
		return 0
	}
	return j.RetryIntervals[min(max(n-j.RetriesLeft, 0), n-1)]
}

// Callback is a function that is called at the end of an attempt, as RQ does.
type Callback struct {
	Name    string        // dotted; empty: none
	Timeout time.Duration // of the call
}

// Result is what one attempt left behind.
type Result struct {
	Outcome   Outcome
	Attempt   int
	Run       string // tells the attempts of a job apart, as Execution.Run; set where it is read
	Worker    string
	Stock     bool // it ran on a worker of RQ's own; set where it is read
	StartedAt time.Time
	EndedAt   time.Time

	Pickle []byte // the returned value in the serializer of the payload, encoded by the job's own process; nil: not encodable or none
	View   View   // the same for people, bounded

	Failure *Failure // nil when the attempt finished
	Again   *Again   // the function asked for another attempt; Failure says so too

	PeakMemory int64         // bytes of resident memory of the job's process; 0: unknown
	CPUTime    time.Duration // user and system time of the job's process; 0: unknown
}

// Again asks for another attempt whatever Job.RetriesLeft says.
type Again struct {
	Delay time.Duration // 0: at once
	Front bool          // to the front of the queue, where Delay is 0
}

// View is a returned value as a person reads it.
type View struct {
	Text      string // JSON when JSON is true, else Python's repr
	JSON      bool
	Truncated bool // Text is the beginning only
}

// Failure says why an attempt did not finish.
type Failure struct {
	Kind      FailureKind
	Type      string // qualified exception class, empty when no exception was seen
	Message   string // one line for people
	Traceback string // as Python prints it; empty when there is none
	ExitCode  int    // of the process, where Kind is FailureExit
	Signal    int    // that ended the process, where Kind is FailureSignal
}

// FailureKind tells failures apart for programs.
type FailureKind string

// The kinds of failure.
const (
	FailureException FailureKind = "exception" // the function raised
	FailureExit      FailureKind = "exit"      // the process ended without a result
	FailureSignal    FailureKind = "signal"    // a signal ended the process
	FailureTimeout   FailureKind = "timeout"   // it ran longer than Job.Timeout
	FailureMemory    FailureKind = "memory"    // it passed the memory limit
	FailureStopped   FailureKind = "stopped"   // somebody stopped it
	FailureLost      FailureKind = "lost"      // its worker died or was drained
	FailureStart     FailureKind = "start"     // no process could be started for it
	FailureRetry     FailureKind = "retry"     // the function returned rq.Retry
)

// MaxIDLen is the longest job ID that is created here.
const MaxIDLen = 128

var idPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// ValidID reports whether id may be given to a new job.
func ValidID(id string) bool { return idPattern.MatchString(id) }

// NewID returns a random UUID v4.
func NewID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: see crypto/rand
	return formatUUID(b, 4)
}

// IDOf returns the UUID v8 (RFC 9562) of a name: always the same one.
func IDOf(name string) string {
	sum := sha256.Sum256([]byte(name))
	return formatUUID([16]byte(sum[:16]), 8)
}

func formatUUID(b [16]byte, version byte) string {
	b[6] = b[6]&0x0f | version<<4
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
