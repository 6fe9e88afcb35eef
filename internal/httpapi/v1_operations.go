package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/service"
)

const operationsPath = "/api/v1/operations"

// NewOperation is the body of POST /api/v1/operations. It selects jobs by ids,
// by status (and queue), or by query.
type NewOperation struct {
	Action string   `json:"action" enum:"requeue,cancel,delete"`
	IDs    []string `json:"ids,omitempty" maxItems:"10000"`
	Queue  string   `json:"queue,omitempty" maxLength:"512" doc:"with status; default: all"`
	Status string   `json:"status,omitempty" enum:"scheduled,deferred,queued,finished,failed,stopped,canceled" example:"failed"`
	Query  string   `json:"query,omitempty" maxLength:"4000" doc:"a search of executions; see docs/search.md"`
	DryRun bool     `json:"dry_run,omitempty" doc:"only say what it would be done to"`
}

// Operation is one action on many jobs, carried out in the background.
type Operation struct {
	ID        string     `json:"id,omitempty" doc:"absent in a dry run"`
	Action    string     `json:"action"`
	State     string     `json:"state" enum:"preview,waiting,running,done,canceled,failed"`
	IDs       int        `json:"ids,omitempty" doc:"number of jobs that were named"`
	Queue     string     `json:"queue,omitempty"`
	Status    string     `json:"status,omitempty"`
	Query     string     `json:"query,omitempty"`
	Total     int        `json:"total" doc:"jobs that were selected when it began"`
	Exact     bool       `json:"exact,omitempty" doc:"in a dry run: there are no more than total"`
	Sample    []string   `json:"sample,omitempty" doc:"in a dry run: some of the jobs"`
	Done      int        `json:"done"`
	Skipped   int        `json:"skipped" doc:"gone, or in a status that does not allow it"`
	Failed    int        `json:"failed"`
	Error     string     `json:"error,omitempty" doc:"one of the errors"`
	Caller    string     `json:"caller,omitempty"`
	Canceling bool       `json:"canceling,omitempty"`
	CreatedAt *time.Time `json:"created_at,omitempty"`
	StartedAt *time.Time `json:"started_at,omitempty"`
	EndedAt   *time.Time `json:"ended_at,omitempty"`
}

// OperationList is the newest operations.
type OperationList struct {
	Operations []Operation `json:"operations"`
}

type newOperationInput struct{ Body NewOperation }

type newOperationOutput struct {
	Status   int
	Location string `header:"Location"`
	Body     Operation
}

func (s *Server) createOperation(ctx context.Context, in *newOperationInput) (*newOperationOutput, error) {
	sel := service.Selection{IDs: in.Body.IDs, Queue: in.Body.Queue, Status: distro.Status(in.Body.Status), Query: in.Body.Query}
	action := broker.Action(in.Body.Action)
	if in.Body.DryRun {
		preview, err := s.opts.Service.PreviewOperation(ctx, action, sel)
		if err != nil {
			return nil, err
		}
		shown := Operation{
			Action: in.Body.Action, State: "preview", IDs: len(sel.IDs), Queue: sel.Queue, Status: in.Body.Status, Query: sel.Query,
			Total: preview.Total, Exact: preview.Exact, Sample: preview.Sample,
		}
		return &newOperationOutput{Status: http.StatusOK, Body: shown}, nil
	}
	o, err := s.opts.Service.StartOperation(ctx, idFor(ctx, 0), action, sel, callerOf(ctx).address)
	if err != nil {
		return nil, err
	}
	return &newOperationOutput{Status: http.StatusAccepted, Location: operationsPath + "/" + o.ID, Body: showOperation(o)}, nil
}

type operationInput struct {
	ID string `path:"id" maxLength:"128"`
}

type operationOutput struct{ Body Operation }

func (s *Server) getOperation(ctx context.Context, in *operationInput) (*operationOutput, error) {
	o, err := s.opts.Service.Operation(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &operationOutput{showOperation(o)}, nil
}

func (s *Server) cancelOperation(ctx context.Context, in *operationInput) (*operationOutput, error) {
	o, err := s.opts.Service.CancelOperation(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &operationOutput{showOperation(o)}, nil
}

type listOperationsInput struct {
	Limit int `query:"limit" minimum:"1" maximum:"500" default:"50"`
}

type listOperationsOutput struct{ Body OperationList }

func (s *Server) listOperations(ctx context.Context, in *listOperationsInput) (*listOperationsOutput, error) {
	list, err := s.opts.Service.Operations(ctx, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listOperationsOutput{OperationList{Operations: make([]Operation, len(list))}}
	for i, o := range list {
		out.Body.Operations[i] = showOperation(o)
	}
	return out, nil
}

func showOperation(o service.Operation) Operation {
	return Operation{
		ID: o.ID, Action: o.Action, State: string(o.State), IDs: len(o.Selection.IDs), Queue: o.Selection.Queue,
		Status: string(o.Selection.Status), Query: o.Selection.Query, Total: o.Total, Done: o.Done, Skipped: o.Skipped,
		Failed: o.Failed, Error: o.Operation.Sample, Caller: o.Caller, Canceling: o.CancelRequested && o.EndedAt.IsZero(),
		CreatedAt: moment(o.CreatedAt), StartedAt: moment(o.StartedAt), EndedAt: moment(o.EndedAt),
	}
}
