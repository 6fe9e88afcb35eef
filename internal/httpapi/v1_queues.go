package httpapi

import (
	"context"
)

type listQueuesOutput struct{ Body QueueList }

func (s *Server) listQueues(ctx context.Context, _ *struct{}) (*listQueuesOutput, error) {
	counts, err := s.opts.Service.Queues(ctx)
	if err != nil {
		return nil, err
	}
	out := &listQueuesOutput{QueueList{Queues: make([]Queue, len(counts.Queues)), Suspended: counts.Suspended}}
	for i, q := range counts.Queues {
		out.Body.Queues[i] = showQueue(q)
	}
	return out, nil
}

type queueInput struct {
	Queue string `path:"queue" doc:"percent-escaped"`
}

type queueOutput struct{ Body Queue }

func (s *Server) getQueue(ctx context.Context, in *queueInput) (*queueOutput, error) {
	q, err := s.opts.Service.Queue(ctx, in.Queue)
	if err != nil {
		return nil, err
	}
	return &queueOutput{showQueue(q)}, nil
}

type pausedOutput struct{ Body PausedQueue }

func (s *Server) pauseQueue(ctx context.Context, in *queueInput) (*pausedOutput, error) {
	return s.setPaused(ctx, in, true)
}

func (s *Server) resumeQueue(ctx context.Context, in *queueInput) (*pausedOutput, error) {
	return s.setPaused(ctx, in, false)
}

func (s *Server) setPaused(ctx context.Context, in *queueInput, paused bool) (*pausedOutput, error) {
	answer, err := s.opts.Service.SetPaused(ctx, in.Queue, paused)
	if err != nil {
		return nil, err
	}
	return &pausedOutput{PausedQueue{showQueue(answer.Queue), answer.Ignoring}}, nil
}

type emptiedOutput struct{ Body Emptied }

func (s *Server) emptyQueue(ctx context.Context, in *queueInput) (*emptiedOutput, error) {
	n, err := s.opts.Service.Empty(ctx, in.Queue)
	if err != nil {
		return nil, err
	}
	return &emptiedOutput{Emptied{Deleted: n}}, nil
}
