package service

import (
	"context"
	"fmt"
	"slices"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// emptyStep is how many jobs one step of emptying a queue deletes.
const emptyStep = 500

// Queues returns all queues, the configured ones first and by priority, and
// whether all workers are suspended.
func (s *Service) Queues(ctx context.Context) (broker.Counts, error) {
	counts, err := s.opts.Broker.Counts(ctx)
	if err != nil {
		return broker.Counts{}, fault(fmt.Errorf("count jobs: %w", err))
	}
	queues := make([]distro.QueueInfo, 0, len(s.opts.Queues)+len(counts.Queues))
	for _, name := range s.opts.Queues {
		if i := indexQueue(counts.Queues, name); i >= 0 {
			queues = append(queues, counts.Queues[i])
		} else {
			queues = append(queues, distro.QueueInfo{Name: name})
		}
	}
	for _, q := range counts.Queues {
		if !slices.Contains(s.opts.Queues, q.Name) {
			queues = append(queues, q)
		}
	}
	counts.Queues = queues
	return counts, nil
}

func indexQueue(queues []distro.QueueInfo, name string) int {
	return slices.IndexFunc(queues, func(q distro.QueueInfo) bool { return q.Name == name })
}

// Queue returns one queue, or distro.CodeNotFound: a queue is there when it is
// configured, holds a job or is paused.
func (s *Service) Queue(ctx context.Context, name string) (distro.QueueInfo, error) {
	counts, err := s.Queues(ctx)
	if err != nil {
		return distro.QueueInfo{}, err
	}
	i := indexQueue(counts.Queues, name)
	if i < 0 {
		return distro.QueueInfo{}, distro.Errorf(distro.CodeNotFound, "there is no queue %.100q%s", name, didYouMean(name, s.opts.Queues))
	}
	return counts.Queues[i], nil
}

// Paused answers SetPaused.
type Paused struct {
	Queue distro.QueueInfo
	// Ignoring names the workers that take jobs from the queue all the same:
	// those of RQ, which knows no pause of one queue.
	Ignoring []string
}

// SetPaused pauses a queue or lets it go on.
func (s *Service) SetPaused(ctx context.Context, queue string, paused bool) (Paused, error) {
	if _, err := s.Queue(ctx, queue); err != nil {
		return Paused{}, err
	}
	if err := s.opts.Broker.SetPaused(ctx, queue, paused); err != nil {
		return Paused{}, fault(fmt.Errorf("set paused of queue %q to %t: %w", queue, paused, err))
	}
	s.opts.Logger.InfoContext(ctx, "queue paused or resumed", "queue", queue, "paused", paused)
	info, err := s.Queue(ctx, queue)
	if err != nil || !paused {
		return Paused{Queue: info}, err
	}
	workers, err := s.Workers(ctx)
	if err != nil {
		return Paused{}, err
	}
	answer := Paused{Queue: info}
	for _, w := range workers {
		if w.Stock && slices.Contains(w.Queues, queue) {
			answer.Ignoring = append(answer.Ignoring, w.Name)
		}
	}
	return answer, nil
}

// SetSuspended suspends all workers or lets them go on.
func (s *Service) SetSuspended(ctx context.Context, suspended bool) error {
	if err := s.opts.Broker.SetPaused(ctx, "", suspended); err != nil {
		return fault(fmt.Errorf("set suspended to %t: %w", suspended, err))
	}
	s.opts.Logger.InfoContext(ctx, "workers suspended or resumed", "suspended", suspended)
	return nil
}

// Empty deletes the jobs that stand in the waiting list of a queue when it is
// called, and returns how many. Later ones, and those that run, are scheduled
// or deferred, stay.
func (s *Service) Empty(ctx context.Context, queue string) (int, error) {
	if _, err := s.Queue(ctx, queue); err != nil {
		return 0, err
	}
	return s.empty(ctx, queue)
}

// Clean empties one configured queue, or all of them when queue is empty. A
// queue that is not configured is another application's, and refused.
func (s *Service) Clean(ctx context.Context, queue string) (int, error) {
	if queue == "" {
		return s.empty(ctx, s.opts.Queues...)
	}
	name, err := s.queue(queue)
	if err != nil {
		return 0, err
	}
	return s.empty(ctx, name)
}

// empty walks over all queues side by side, so that every walk begins, and
// with it is settled what it deletes, before the long way through the first.
// What has begun goes on when ctx ends, as when a client did not wait; only the
// end of the broker stops it.
func (s *Service) empty(ctx context.Context, queues ...string) (int, error) {
	if err := s.checkDelete(); err != nil {
		return 0, err
	}
	total := 0
	cursors := make([]string, len(queues))
	walk := ctx
	for left := slices.Clone(queues); len(left) > 0; {
		for i := 0; i < len(left); {
			n, next, err := s.opts.Broker.Empty(walk, left[i], cursors[i], emptyStep)
			total += n
			if err != nil {
				return total, fault(fmt.Errorf("empty queue %q after %d jobs: %w", left[i], total, err))
			}
			walk = context.WithoutCancel(ctx)
			if next == "" {
				left, cursors = slices.Delete(left, i, i+1), slices.Delete(cursors, i, i+1)
				continue
			}
			cursors[i] = next
			i++
		}
	}
	s.opts.Logger.InfoContext(ctx, "queues emptied", "queues", queues, "deleted", total)
	return total, nil
}
