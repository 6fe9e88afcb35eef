package webhook

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/distro-orchestrator/distro"
)

// Type is what an Event tells.
type Type string

// The types.
const (
	JobFailed  Type = "job.failed"  // a job ended failed, and no retry follows
	QueueLate  Type = "queue.late"  // a queue's oldest job waits longer than the limit
	WorkerLost Type = "worker.lost" // a worker gave no sign any more
)

// Bounds of what an event holds.
const (
	maxMessage = 1000 // characters of an error's message
	maxText    = 300  // characters of every other text
	maxJobs    = 20   // IDs of jobs
)

// Event is the body of a request. It has neither arguments nor results nor
// tracebacks: these hold what people typed, and go nowhere they did not expect.
type Event struct {
	ID   string    `json:"id"` // of the event, the same in every try to deliver it; empty: a new one
	Type Type      `json:"type"`
	Time time.Time `json:"time"` // zero: now

	JobID        string `json:"job_id,omitempty"`
	Function     string `json:"function,omitempty"` // dotted, with its module
	Queue        string `json:"queue,omitempty"`
	Attempt      int    `json:"attempt,omitempty"`
	Worker       string `json:"worker,omitempty"`
	Host         string `json:"host,omitempty"`
	ErrorKind    string `json:"error_kind,omitempty"` // a distro.FailureKind
	ErrorType    string `json:"error_type,omitempty"`
	ErrorMessage string `json:"error_message,omitempty"`

	OldestSeconds float64  `json:"oldest_seconds,omitempty"`
	LimitSeconds  float64  `json:"limit_seconds,omitempty"`
	Waiting       int      `json:"waiting,omitempty"` // jobs in the queue
	Paused        bool     `json:"paused,omitempty"`
	JobIDs        []string `json:"job_ids,omitempty"` // that the worker ran, as far as it is known
}

// Failed tells of an execution after which its job stays failed. The caller
// sees to it that no retry follows.
func (s *Sender) Failed(x distro.Execution) {
	e := Event{
		Type: JobFailed, Time: x.EndedAt, JobID: x.JobID, Queue: x.Queue, Attempt: x.Attempt, Worker: x.Worker, Host: x.Host,
		Function: strings.Trim(x.Module+"."+x.Function, "."),
	}
	if f := x.Failure; f != nil {
		e.ErrorKind, e.ErrorType, e.ErrorMessage = string(f.Kind), f.Type, f.Message
	}
	s.Notify(e)
}

// QueueLate tells that the oldest of the jobs that wait in a queue waits
// longer than limit.
func (s *Sender) QueueLate(q distro.QueueInfo, oldest, limit time.Duration) {
	s.Notify(Event{
		Type: QueueLate, Queue: q.Name, Paused: q.Paused, Waiting: q.Jobs[distro.StatusQueued],
		OldestSeconds: oldest.Round(time.Millisecond).Seconds(), LimitSeconds: limit.Seconds(),
	})
}

// WorkerLost tells that a worker gave no sign any more.
func (s *Sender) WorkerLost(w distro.Worker) {
	s.Notify(Event{Type: WorkerLost, Worker: w.Name, Host: w.Host, JobIDs: w.Running})
}

// encode bounds an event and makes its body.
func (e *Event) encode() ([]byte, error) {
	if e.ID == "" {
		e.ID = distro.NewID()
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.UTC()
	for _, text := range []*string{
		&e.JobID, &e.Function, &e.Queue, &e.Worker, &e.Host, &e.ErrorKind, &e.ErrorType,
	} {
		*text = cut(*text, maxText)
	}
	e.ErrorMessage = cut(e.ErrorMessage, maxMessage)
	ids := make([]string, 0, min(len(e.JobIDs), maxJobs))
	for _, id := range e.JobIDs[:cap(ids)] {
		ids = append(ids, cut(id, maxText))
	}
	e.JobIDs = ids
	return json.Marshal(e)
}

// cut shortens a text to limit characters.
func cut(text string, limit int) string {
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	n := 0
	for at := range text {
		if n == limit-1 {
			return text[:at] + "…"
		}
		n++
	}
	return text
}
