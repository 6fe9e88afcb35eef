package httpapi

import (
	"encoding/json"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/output"
	"github.com/distro-orchestrator/distro/internal/service"
)

// showJob is a job as the API shows it.
func showJob(job distro.Job) Job {
	shown := Job{
		ID: job.ID, Queue: job.Queue, Function: job.Function, Status: string(job.Status),
		Attempt: job.Attempt, Retries: job.RetriesLeft, Worker: job.Worker,
		CreatedAt: job.CreatedAt, EnqueuedAt: moment(job.EnqueuedAt), DueAt: moment(job.DueAt),
		StartedAt: moment(job.StartedAt), EndedAt: moment(job.EndedAt),
	}
	if job.Timeout != distro.Forever {
		seconds := job.Timeout.Seconds()
		shown.Timeout = &seconds
	}
	shown.Args, shown.Kwargs, shown.Call = service.ShowArguments(job.Payload)
	if r := job.Result; r != nil {
		shown.Failure = showFailure(r.Failure)
		if r.Outcome == distro.OutcomeFinished {
			shown.Result = showView(r.View)
		}
		if r.PeakMemory != 0 || r.CPUTime != 0 {
			shown.Usage = &Usage{PeakMemory: r.PeakMemory, CPUSeconds: r.CPUTime.Seconds()}
		}
	}
	return shown
}

// moment is nil for a time that is not yet.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func showView(v distro.View) *Result {
	if v.JSON && !v.Truncated && json.Valid([]byte(v.Text)) {
		return &Result{Value: json.RawMessage(v.Text)}
	}
	return &Result{Text: v.Text, Truncated: v.Truncated}
}

func showFailure(f *distro.Failure) *Failure {
	if f == nil {
		return nil
	}
	return &Failure{
		Kind: string(f.Kind), Type: f.Type, Message: f.Message,
		Traceback: f.Traceback, ExitCode: f.ExitCode, Signal: f.Signal,
	}
}

func showQueue(q distro.QueueInfo) Queue {
	jobs := make(map[string]int, len(q.Jobs))
	for status, n := range q.Jobs {
		jobs[string(status)] = n
	}
	return Queue{Name: q.Name, Paused: q.Paused, Jobs: jobs, Oldest: moment(q.OldestAt)}
}

func showWorker(w distro.Worker) Worker {
	return Worker{
		Name: w.Name, Host: w.Host, PID: w.PID, Queues: list(w.Queues), Slots: w.Slots,
		Isolation: w.Isolation, Python: w.Python, Version: w.Version,
		StartedAt: w.StartedAt.UTC(), SeenAt: w.SeenAt.UTC(), Draining: w.Draining,
		Running: list(w.Running), Finished: w.Finished, Failed: w.Failed,
	}
}

// list makes an absent list the empty one, so that JSON says [] and not null.
func list[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

func showModule(m distro.Module) Automation {
	shown := Automation{Module: m.Name, Doc: m.Doc, Functions: make([]Function, len(m.Functions))}
	for i, f := range m.Functions {
		shown.Functions[i] = showFunction(f)
		offered(&shown.Functions[i], m)
	}
	if e := m.Error; e != nil {
		shown.Error = &SyntaxError{Message: e.Message, Line: e.Line, Column: e.Column, Text: e.Text}
	}
	if m.Shadows {
		shown.Refused = "it has the name of a module of Python's standard library: rename the file"
	}
	return shown
}

func showFunction(f distro.Function) Function {
	shown := Function{
		Name: f.Name, Doc: f.Doc, Line: f.Line, Async: f.Async,
		Decorators: f.Decorators, Parameters: make([]Parameter, len(f.Parameters)), Returns: f.Returns,
	}
	for i, p := range f.Parameters {
		shown.Parameters[i] = Parameter{Name: p.Name, Kind: string(p.Kind), Annotation: p.Annotation, Default: p.Default}
	}
	return shown
}

func showLine(l output.Line) LogLine {
	return LogLine{Number: l.Number, At: l.At.UTC(), Stream: l.Stream.String(), Text: l.Text, Open: l.Open, Continued: l.Continued}
}
