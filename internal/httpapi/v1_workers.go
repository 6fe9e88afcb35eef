package httpapi

import "context"

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
