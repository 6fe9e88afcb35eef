package dashboard

import (
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
)

// stateView is a state of a job or of an execution: a word, a shape and a colour.
type stateView struct {
	Code string // of distro.Status or distro.ExecutionState
	Tone string // run, done, fail, wait or rest
}

func viewState(code string) stateView {
	tone := "rest"
	switch code {
	case string(distro.StatusStarted):
		tone = "run"
	case string(distro.StatusFinished):
		tone = "done"
	case string(distro.StatusFailed), string(distro.ExecutionLost):
		tone = "fail"
	case string(distro.StatusScheduled), string(distro.StatusDeferred), string(distro.ExecutionRetried):
		tone = "wait"
	}
	return stateView{code, tone}
}

// jobRow is a line of a list of jobs.
type jobRow struct {
	ID        string
	State     stateView
	Module    string
	Function  string // behind the module
	Arguments string
	Error     string // of one that failed, one line
	Queue     string
	Worker    string
	Attempt   int
	When      moment // of its start, else of what is known of its life
	Waited    string
	Took      string
	Since     moment // it has run since then
}

// Name is the function with its module.
func (j jobRow) Name() string {
	if j.Module == "" {
		return j.Function
	}
	return j.Module + "." + j.Function
}

const (
	shownArguments = 160 // characters in a line of a list
	shownError     = 200
)

// rowOfJob is the line of a job of the queue.
func (r *reader) rowOfJob(j *distro.Job) jobRow {
	row := jobRow{
		ID: j.ID, State: viewState(string(j.Status)), Queue: j.Queue, Worker: j.Worker, Attempt: j.Attempt,
		Waited: "—", Took: "—",
	}
	row.Module, row.Function = parted(j.Function)
	when := j.StartedAt
	switch j.Status {
	case distro.StatusScheduled:
		when = j.DueAt
	case distro.StatusQueued, distro.StatusDeferred:
		when = firstOf(j.EnqueuedAt, j.CreatedAt)
	}
	row.When = r.moment(firstOf(when, j.EndedAt, j.EnqueuedAt, j.CreatedAt))
	switch {
	case j.Status == distro.StatusQueued && !j.EnqueuedAt.IsZero():
		row.Waited = r.lasted(r.now.Sub(j.EnqueuedAt))
	case j.Status != distro.StatusScheduled && !j.StartedAt.IsZero() && !j.EnqueuedAt.IsZero():
		row.Waited = r.lasted(j.StartedAt.Sub(j.EnqueuedAt))
	}
	switch {
	case j.Status == distro.StatusStarted:
		row.Since = r.moment(j.StartedAt)
		row.Took = r.lasted(r.now.Sub(j.StartedAt))
	case j.Status.Ended() && !j.EndedAt.IsZero() && !j.StartedAt.IsZero():
		row.Took = r.lasted(j.EndedAt.Sub(j.StartedAt))
	}
	if j.Result != nil && j.Result.Failure != nil && j.Status == distro.StatusFailed {
		row.Error = cut(errorLine(j.Result.Failure), shownError)
	}
	return row
}

// rowOfExecution is the line of an execution of history.
func (r *reader) rowOfExecution(x *distro.Execution) jobRow {
	row := jobRow{
		ID: x.JobID, State: viewState(string(x.State)), Module: x.Module, Function: x.Function,
		Arguments: cut(x.Arguments, shownArguments), Queue: x.Queue, Worker: x.Worker, Attempt: x.Attempt,
		When:   r.moment(firstOf(x.StartedAt, x.EndedAt, x.EnqueuedAt)),
		Waited: r.lasted(x.Waited()), Took: r.lasted(x.Took()),
	}
	if x.State == distro.ExecutionStarted {
		row.Since = r.moment(x.StartedAt)
		row.Took = r.lasted(r.now.Sub(x.StartedAt))
	}
	if x.Failure != nil && x.State != distro.ExecutionStopped {
		row.Error = cut(errorLine(x.Failure), shownError)
	}
	return row
}

// errorLine is a failure in a line: its type without the module, and its
// message, which may begin with it already.
func errorLine(f *distro.Failure) string {
	kind := f.Type[strings.LastIndexByte(f.Type, '.')+1:]
	if kind == "" || strings.HasPrefix(f.Message, kind) || strings.HasPrefix(f.Message, f.Type) {
		return f.Message
	}
	return kind + ": " + f.Message
}

// parted parts a dotted name before its last part. Of a static method the class
// goes with the module: nothing tells it from one.
func parted(function string) (module, name string) {
	at := strings.LastIndexByte(function, '.')
	if at < 0 {
		return "", function
	}
	return function[:at], function[at+1:]
}

// firstOf is the first time that is known.
func firstOf(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}
