package httpapi

import (
	"encoding/json"
	"time"
)

// The types of /api/v1 as JSON. The command line decodes into the same types.

// NewJob is the body of POST /api/v1/jobs.
type NewJob struct {
	Function string          `json:"function" doc:"module.function, as the catalog lists it" example:"report.build"`
	Args     json.RawMessage `json:"args,omitempty" doc:"positional arguments, a list"`
	Kwargs   json.RawMessage `json:"kwargs,omitempty" doc:"keyword arguments, an object"`
	Queue    string          `json:"queue,omitempty" doc:"default: \"default\" where configured, else the last configured queue"`
	ID       string          `json:"id,omitempty" doc:"makes the request repeatable; default: a random UUID"`
	Delay    string          `json:"delay,omitempty" doc:"time to wait first, like 2h10m20s"`
	At       *time.Time      `json:"at,omitempty" doc:"moment not to start before; not together with delay"`
	Timeout  string          `json:"timeout,omitempty" doc:"of one attempt, like 90s or a number of seconds; \"none\" for no limit"`
	Retries  *int            `json:"retries,omitempty" minimum:"0" maximum:"100" doc:"attempts that may follow a failed one"`
	Typed    bool            `json:"typed,omitempty" doc:"make of args and kwargs the Python values that the annotations of the function ask for, like date, Decimal, set, Path, members of enumerations and dataclasses, and refuse what does not fit; default: values stay what JSON has"`
}

// RerunJob is the body of POST /api/v1/jobs/{id}/rerun.
type RerunJob struct {
	Args   json.RawMessage `json:"args,omitempty" doc:"positional arguments, a list; default: those of the job"`
	Kwargs json.RawMessage `json:"kwargs,omitempty" doc:"keyword arguments, an object; default: those of the job"`
	Queue  string          `json:"queue,omitempty" doc:"default: that of the job"`
	Typed  bool            `json:"typed,omitempty" doc:"as of a new job, where args or kwargs are given"`
}

// Job is a job as the API shows it.
type Job struct {
	ID         string          `json:"id"`
	Queue      string          `json:"queue"`
	Function   string          `json:"function"`
	Status     string          `json:"status"`
	Attempt    int             `json:"attempt" doc:"ordinal of the last attempt that began; 0: none"`
	Retries    int             `json:"retries_left"`
	CreatedAt  time.Time       `json:"created_at"`
	EnqueuedAt *time.Time      `json:"enqueued_at,omitempty"`
	DueAt      *time.Time      `json:"due_at,omitempty"`
	StartedAt  *time.Time      `json:"started_at,omitempty"`
	EndedAt    *time.Time      `json:"ended_at,omitempty"`
	Worker     string          `json:"worker,omitempty"`
	Timeout    *float64        `json:"timeout_seconds,omitempty" doc:"absent: no limit"`
	Args       json.RawMessage `json:"args,omitempty" doc:"absent in lists, and where the arguments are not plain JSON data"`
	Kwargs     json.RawMessage `json:"kwargs,omitempty" doc:"absent in lists, and where the arguments are not plain JSON data"`
	Call       string          `json:"call,omitempty" doc:"the call in Python's spelling, where args and kwargs do not tell it all"`
	Result     *Result         `json:"result,omitempty" doc:"of the last attempt that finished; absent in lists"`
	Failure    *Failure        `json:"failure,omitempty" doc:"of the last attempt, where it did not finish; absent in lists"`
	Usage      *Usage          `json:"usage,omitempty"`
}

// Result is what a function returned, for people.
type Result struct {
	Value     json.RawMessage `json:"value,omitempty" doc:"the value, where it is plain JSON and small"`
	Text      string          `json:"text,omitempty" doc:"Python's repr otherwise"`
	Truncated bool            `json:"truncated,omitempty"`
}

// Failure says why an attempt did not finish.
type Failure struct {
	Kind      string `json:"kind" enum:"exception,exit,signal,timeout,memory,stopped,lost,start"`
	Type      string `json:"type,omitempty"`
	Message   string `json:"message"`
	Traceback string `json:"traceback,omitempty"`
	ExitCode  int    `json:"exit_code,omitempty"`
	Signal    int    `json:"signal,omitempty"`
}

// Usage is what the last attempt cost.
type Usage struct {
	PeakMemory int64   `json:"peak_memory_bytes"`
	CPUSeconds float64 `json:"cpu_seconds"`
}

// JobPage is a part of a list of jobs.
type JobPage struct {
	Jobs    []Job  `json:"jobs"`
	Next    string `json:"next,omitempty" doc:"cursor of the next page; absent at the end"`
	Partial bool   `json:"partial,omitempty" doc:"of a search: it took too long; next goes on where it stopped"`
}

// JobCount answers GET /api/v1/jobs/count.
type JobCount struct {
	Count int  `json:"count"`
	Exact bool `json:"exact" doc:"false: there are more, or may be; it took too long to look at all jobs"`
}

// BatchRequest is the body of POST /api/v1/jobs/batch.
type BatchRequest struct {
	Jobs []NewJob `json:"jobs" minItems:"1" maxItems:"500" nullable:"false"`
}

// BatchReply answers it, in the order of the request.
type BatchReply struct {
	Jobs []BatchItem `json:"jobs"`
}

// BatchItem says what became of one job of a batch.
type BatchItem struct {
	ID     string `json:"id"`
	Result string `json:"result" enum:"enqueued,repeated,conflict"`
}

// LogLine is a line of a job's output.
type LogLine struct {
	Number int64     `json:"n" doc:"from 1"`
	At     time.Time `json:"at"`
	Stream string    `json:"stream" enum:"stdout,stderr,distro" doc:"distro: a note of the orchestrator, like the begin of an attempt"`
	Text   string    `json:"text"`
	Open   bool      `json:"open,omitempty" doc:"the line has not ended yet"`

	Continued bool `json:"continued,omitempty" doc:"a part of a long line, which goes on in the next one of its stream"`
}

// LogPage is a range of a job's output.
type LogPage struct {
	Lines []LogLine `json:"lines"`
	Next  int64     `json:"next" doc:"number of the line to ask for next; in a search, where to look for the next match"`
	Total int64     `json:"total" doc:"number of lines so far, those that were cut too"`
	Ended bool      `json:"ended" doc:"no more lines will come"`

	Matches *LogMatches `json:"matches,omitempty" doc:"of a search"`
}

// LogMatches counts the lines that a search finds in all of a job's output.
type LogMatches struct {
	Found int  `json:"found" doc:"up to 10000"`
	More  bool `json:"more" doc:"there are, or may be, more"`
}

// ArtifactList is what a job left.
type ArtifactList struct {
	Artifacts []Artifact `json:"artifacts" doc:"by attempt and name, at most 1000"`
}

// Artifact is a file that a job left in DISTRO_ARTIFACTS.
type Artifact struct {
	Name       string    `json:"name" doc:"with slashes, the attempt first" example:"2/screenshot.png"`
	Attempt    int       `json:"attempt"`
	Size       int64     `json:"size_bytes"`
	ModifiedAt time.Time `json:"modified_at"`
	Type       string    `json:"type" enum:"image/png,image/jpeg,image/gif,image/webp,application/octet-stream" doc:"of a picture by its name and its first bytes, else application/octet-stream"`
	Image      bool      `json:"image" doc:"it is a picture that a browser shows"`
}

// LogEnd is the data of the event "end" that closes GET /jobs/{id}/log/stream.
type LogEnd struct {
	Status string `json:"status"`
}

// Queue is a queue as the API shows it.
type Queue struct {
	Name   string         `json:"name"`
	Paused bool           `json:"paused"`
	Jobs   map[string]int `json:"jobs" doc:"number of jobs by status"`
	Oldest *time.Time     `json:"oldest_at,omitempty" doc:"enqueue time of the job that waits longest"`
}

// PausedQueue answers POST /api/v1/queues/{queue}/pause and resume.
type PausedQueue struct {
	Queue
	IgnoredBy []string `json:"ignored_by,omitempty" doc:"workers of RQ's own on this queue: they know nothing of the pause and go on"`
}

// QueueList is every queue, the configured ones first, by priority.
type QueueList struct {
	Queues    []Queue `json:"queues"`
	Suspended bool    `json:"suspended" doc:"no worker starts a job"`
}

// Emptied answers POST /api/v1/queues/{queue}/empty.
type Emptied struct {
	Deleted int `json:"deleted"`
}

// Worker is a worker as the API shows it.
type Worker struct {
	Name      string    `json:"name"`
	Host      string    `json:"host"`
	PID       int       `json:"pid"`
	Queues    []string  `json:"queues"`
	Slots     int       `json:"slots"`
	Isolation string    `json:"isolation"`
	Python    string    `json:"python"`
	Version   string    `json:"version"`
	StartedAt time.Time `json:"started_at"`
	SeenAt    time.Time `json:"seen_at"`
	Draining  bool      `json:"draining"`
	Running   []string  `json:"running" doc:"ids of the jobs that run on it"`
	Finished  int64     `json:"finished"`
	Failed    int64     `json:"failed"`
}

// WorkerList is every worker.
type WorkerList struct {
	Workers []Worker `json:"workers"`
}

// Automation is a module and what can be called in it.
type Automation struct {
	Module    string       `json:"module"`
	Doc       string       `json:"doc,omitempty"`
	Functions []Function   `json:"functions"`
	Error     *SyntaxError `json:"error,omitempty" doc:"the file does not parse"`
	Refused   string       `json:"refused,omitempty" doc:"why nothing of it can be enqueued"`
}

// ModuleSource is the source text of a module.
type ModuleSource struct {
	Module    string `json:"module"`
	Text      string `json:"text"`
	Truncated bool   `json:"truncated,omitempty" doc:"text is the beginning only, 1 MiB"`
	Hash      string `json:"code_hash" doc:"SHA-256 of the module's file"`
	Commit    string `json:"commit,omitempty" doc:"that is checked out in modules_path"`
}

// SyntaxError says where a file does not parse.
type SyntaxError struct {
	Message string `json:"message"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Text    string `json:"text,omitempty"`
}

// AutomationList is every module.
type AutomationList struct {
	Automations []Automation `json:"automations"`
}

// Function is a callable of a module.
type Function struct {
	Name       string      `json:"name"`
	Doc        string      `json:"doc,omitempty"`
	Line       int         `json:"line"`
	Async      bool        `json:"async,omitempty"`
	Decorators []string    `json:"decorators,omitempty"`
	Parameters []Parameter `json:"parameters"`
	Returns    string      `json:"returns,omitempty"`
	OptionsOf  string      `json:"options_of,omitempty" doc:"the parameter of other functions for which it offers values"`

	Schema json.RawMessage `json:"schema,omitempty" doc:"JSON Schema (2020-12) of kwargs, in the answer of one function only; its member x-args, where it is there, is a JSON Schema of args: of the parameters that are taken by position only. Names agree with what is refused when a job is enqueued; types are what the annotations say, and are not enforced"`
}

// Parameter is a parameter of a Function.
type Parameter struct {
	Name       string  `json:"name"`
	Kind       string  `json:"kind"`
	Annotation string  `json:"annotation,omitempty"`
	Default    *string `json:"default,omitempty" doc:"source text; absent: the argument is required"`
	Options    string  `json:"options_function,omitempty" doc:"the function of the module that offers values for it"`
}

// Suspension answers POST /api/v1/workers/suspend and /resume.
type Suspension struct {
	Suspended bool `json:"suspended" doc:"no worker starts a job"`
}

// Problem is every error, by RFC 9457, with a code for programs.
type Problem struct {
	Title  string         `json:"title"`
	Status int            `json:"status"`
	Detail string         `json:"detail" doc:"one sentence for people"`
	Code   string         `json:"code" example:"invalid" doc:"invalid, not_found, conflict, forbidden, unauthorized, unavailable, full, method_not_allowed, too_large or internal"`
	Field  string         `json:"field,omitempty" example:"kwargs.month" doc:"the field that was refused"`
	Errors []ProblemError `json:"errors,omitempty" doc:"every field that was refused"`
}

// ProblemError is one refused field.
type ProblemError struct {
	Message  string `json:"message"`
	Location string `json:"location" example:"body.jobs[3].kwargs.month"`
}
