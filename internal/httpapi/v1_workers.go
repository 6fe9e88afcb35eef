package httpapi

import (
	"context"

	"github.com/distro-orchestrator/distro"
)

type listWorkersOutput struct{ Body WorkerList }

func (s *Server) listWorkers(ctx context.Context, _ *struct{}) (*listWorkersOutput, error) {
	workers, err := s.opts.Service.Workers(ctx)
	if err != nil {
		return nil, err
	}
	out := &listWorkersOutput{WorkerList{Workers: make([]Worker, len(workers))}}
	for i, w := range workers {
		out.Body.Workers[i] = showWorker(w)
	}
	return out, nil
}

type workerInput struct {
	Worker string `path:"worker" doc:"percent-escaped"`
}

type workerOutput struct{ Body Worker }

func (s *Server) stopWorker(ctx context.Context, in *workerInput) (*workerOutput, error) {
	return workerAnswer(s.opts.Service.StopWorker(ctx, in.Worker))
}

func (s *Server) killHorse(ctx context.Context, in *workerInput) (*workerOutput, error) {
	return workerAnswer(s.opts.Service.KillHorse(ctx, in.Worker))
}

func workerAnswer(w distro.Worker, err error) (*workerOutput, error) {
	if err != nil {
		return nil, err
	}
	return &workerOutput{showWorker(w)}, nil
}

type suspensionOutput struct{ Body Suspension }

func (s *Server) suspendWorkers(ctx context.Context, _ *struct{}) (*suspensionOutput, error) {
	return s.setSuspended(ctx, true)
}

func (s *Server) resumeWorkers(ctx context.Context, _ *struct{}) (*suspensionOutput, error) {
	return s.setSuspended(ctx, false)
}

func (s *Server) setSuspended(ctx context.Context, suspended bool) (*suspensionOutput, error) {
	if err := s.opts.Service.SetSuspended(ctx, suspended); err != nil {
		return nil, err
	}
	return &suspensionOutput{Suspension{suspended}}, nil
}
