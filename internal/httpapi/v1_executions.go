package httpapi

import (
	"context"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/store"
)

// Execution is one attempt of a job, as history remembers it.
type Execution struct {
	JobID      string     `json:"job_id"`
	Attempt    int        `json:"attempt" doc:"ordinal, from 1; 0: not known"`
	State      string     `json:"state" enum:"started,finished,failed,stopped,lost,retried"`
	Module     string     `json:"module"`
	Function   string     `json:"function" doc:"its name within the module"`
	Queue      string     `json:"queue"`
	Arguments  string     `json:"arguments" doc:"as a call in Python shows them; bounded"`
	EnqueuedAt *time.Time `json:"enqueued_at,omitempty"`
	StartedAt  *time.Time `json:"started_at,omitempty"`
	EndedAt    *time.Time `json:"ended_at,omitempty"`
	Waited     *float64   `json:"waited_seconds,omitempty"`
	Took       *float64   `json:"took_seconds,omitempty"`
	Worker     string     `json:"worker,omitempty"`
	Host       string     `json:"host,omitempty"`
	Python     string     `json:"python,omitempty"`
	Stock      bool       `json:"stock,omitempty" doc:"it ran on a worker of RQ's own"`
	CodeHash   string     `json:"code_hash,omitempty" doc:"SHA-256 of the module's file"`
	Commit     string     `json:"commit,omitempty" doc:"that was checked out in modules_path"`
	Trigger    string     `json:"trigger,omitempty" doc:"what made the job: api, schedule, cli, rerun, options or rq"`
	Caller     string     `json:"caller,omitempty"`
	Result     *Result    `json:"result,omitempty"`
	Failure    *Failure   `json:"failure,omitempty"`
	Usage      *Usage     `json:"usage,omitempty"`
	Abridged   bool       `json:"abridged,omitempty" doc:"in lists: the attempts of the job have more of it"`
}

// ExecutionPage is a part of a list of executions.
type ExecutionPage struct {
	Executions []Execution `json:"executions"`
	Next       string      `json:"next,omitempty" doc:"cursor of the next page; absent at the end"`
	Partial    bool        `json:"partial,omitempty" doc:"time was up before the page was full; next goes on"`
	Behind     *time.Time  `json:"behind_since,omitempty" doc:"history lacks what happened since: its database cannot be reached"`
}

// ExecutionCount answers GET /api/v1/executions/count.
type ExecutionCount struct {
	Count int  `json:"count"`
	Exact bool `json:"exact" doc:"false: there may be more, or, where the search is for words in an order, fewer"`
}

// AttemptList is every attempt of a job, the oldest first.
type AttemptList struct {
	Attempts []Execution `json:"attempts"`
}

// SeriesList is what a chart is drawn from.
type SeriesList struct {
	Series []Series `json:"series"`
}

// Series is a line of a chart.
type Series struct {
	Name   string  `json:"name" doc:"of a queue, or module.function; empty where all are taken together"`
	Points []Point `json:"points" doc:"steps in which nothing ended are left out"`
}

// Point is what ended in one step.
type Point struct {
	At     time.Time      `json:"at" doc:"begin of the step"`
	Ended  map[string]int `json:"ended" doc:"number of executions by state"`
	Waited Quantiles      `json:"waited"`
	Took   Quantiles      `json:"took"`
}

// Quantiles are of durations, to within a fifth.
type Quantiles struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50_seconds"`
	P95   float64 `json:"p95_seconds"`
}

type listExecutionsInput struct {
	Query  string `query:"q" maxLength:"4000" example:"state:failed queue:high when:today" doc:"a search; see docs/search.md"`
	Cursor string `query:"cursor" maxLength:"512" doc:"next of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50"`
}

type listExecutionsOutput struct{ Body ExecutionPage }

func (s *Server) listExecutions(ctx context.Context, in *listExecutionsInput) (*listExecutionsOutput, error) {
	found, err := s.opts.Service.Executions(ctx, in.Query, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listExecutionsOutput{ExecutionPage{
		Executions: make([]Execution, len(found.Executions)), Next: found.Next, Partial: found.Partial, Behind: moment(found.Behind),
	}}
	for i := range found.Executions {
		e := &found.Executions[i]
		out.Body.Executions[i] = showExecution(&e.Execution)
		out.Body.Executions[i].Abridged = e.Abridged
	}
	return out, nil
}

type countExecutionsInput struct {
	Query string `query:"q" maxLength:"4000" doc:"a search; see docs/search.md"`
}

type countExecutionsOutput struct{ Body ExecutionCount }

func (s *Server) countExecutions(ctx context.Context, in *countExecutionsInput) (*countExecutionsOutput, error) {
	n, exact, err := s.opts.Service.CountExecutions(ctx, in.Query)
	if err != nil {
		return nil, err
	}
	return &countExecutionsOutput{ExecutionCount{n, exact}}, nil
}

type attemptsOutput struct{ Body AttemptList }

func (s *Server) listAttempts(ctx context.Context, in *jobInput) (*attemptsOutput, error) {
	list, err := s.opts.Service.Attempts(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := &attemptsOutput{AttemptList{Attempts: make([]Execution, len(list))}}
	for i := range list {
		out.Body.Attempts[i] = showExecution(&list[i])
	}
	return out, nil
}

type seriesInput struct {
	By   string    `query:"by" enum:",queue,function" doc:"a line for each; default: one for all"`
	Name []string  `query:"name" maxItems:"50" doc:"of queues, or dotted names of functions or modules; default: all"`
	From time.Time `query:"from" doc:"default: a day before to"`
	To   time.Time `query:"to" doc:"default: now"`
	Step string    `query:"step" maxLength:"20" default:"1h" doc:"whole minutes, like 5m, for the last three days; whole hours for longer"`
}

type seriesOutput struct{ Body SeriesList }

func (s *Server) listSeries(ctx context.Context, in *seriesInput) (*seriesOutput, error) {
	step, err := time.ParseDuration(in.Step)
	if err != nil || step <= 0 {
		return nil, distro.Invalid("step", "%.40q is not a time like 5m or 1h", in.Step)
	}
	if in.To.IsZero() {
		in.To = time.Now()
	}
	if in.From.IsZero() {
		in.From = in.To.Add(-24 * time.Hour)
	}
	lines, err := s.opts.Service.Series(ctx, store.SeriesQuery{By: store.Axis(in.By), Names: in.Name, From: in.From, To: in.To, Step: step})
	if err != nil {
		return nil, err
	}
	out := &seriesOutput{SeriesList{Series: make([]Series, len(lines))}}
	for i, line := range lines {
		out.Body.Series[i] = Series{Name: line.Name, Points: make([]Point, len(line.Points))}
		for n, p := range line.Points {
			ended := make(map[string]int, len(p.Ended))
			for state, count := range p.Ended {
				ended[string(state)] = count
			}
			out.Body.Series[i].Points[n] = Point{At: p.At.UTC(), Ended: ended, Waited: showQuantiles(p.Waited), Took: showQuantiles(p.Took)}
		}
	}
	return out, nil
}

func showQuantiles(q store.Quantiles) Quantiles {
	return Quantiles{Count: q.Count, P50: q.P50.Seconds(), P95: q.P95.Seconds()}
}

func showExecution(e *distro.Execution) Execution {
	shown := Execution{
		JobID: e.JobID, Attempt: e.Attempt, State: string(e.State), Module: e.Module, Function: e.Function, Queue: e.Queue,
		Arguments: e.Arguments, EnqueuedAt: moment(e.EnqueuedAt), StartedAt: moment(e.StartedAt), EndedAt: moment(e.EndedAt),
		Worker: e.Worker, Host: e.Host, Python: e.Python, Stock: e.Stock, CodeHash: e.CodeHash, Commit: e.Commit,
		Trigger: e.Trigger, Caller: e.Caller, Failure: showFailure(e.Failure),
	}
	if e.Stock && shown.Trigger == "" {
		shown.Trigger = distro.TriggerRQ
	}
	if !e.EnqueuedAt.IsZero() && !e.StartedAt.IsZero() {
		seconds := e.Waited().Seconds()
		shown.Waited = &seconds
	}
	if !e.StartedAt.IsZero() && !e.EndedAt.IsZero() {
		seconds := e.Took().Seconds()
		shown.Took = &seconds
	}
	if e.State == distro.ExecutionFinished {
		shown.Result = showView(e.Result)
	}
	if e.PeakMemory != 0 || e.CPUTime != 0 {
		shown.Usage = &Usage{PeakMemory: e.PeakMemory, CPUSeconds: e.CPUTime.Seconds()}
	}
	return shown
}
