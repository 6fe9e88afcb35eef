package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// Places returns a part of one of the lists of a queue, by place.
func (s *Service) Places(ctx context.Context, q broker.PlaceQuery) (broker.Places, error) {
	page, err := s.opts.Broker.Places(ctx, q)
	if err != nil {
		return broker.Places{}, fault(fmt.Errorf("list places: %w", err))
	}
	return page, nil
}

// ReadWhole hands the jobs of ids that exist to use, whole, a few of them in
// memory at a time.
func (s *Service) ReadWhole(ctx context.Context, ids []string, use func(*distro.Job)) error {
	return s.readWhole(ctx, ids, use)
}

const (
	atOnce       = 200 // jobs that ActOnList acts on before it answers
	compactStep  = 500 // entries
	compactWhile = time.Second
)

// OnList is what ActOnList did, or began.
type OnList struct {
	Count     int    // jobs that it was done to, or that it is going to be done to
	Operation string // that does it in the background; empty: it is done
}

// ActOnList does action to all jobs that stand in a list of a queue, which is
// named as in Places: at once where they are few, else as an operation. Jobs that
// do not allow it any more are passed over. A short list is rid of entries without
// record when its jobs are deleted.
func (s *Service) ActOnList(ctx context.Context, action broker.Action, queue string, status distro.Status, caller string) (OnList, error) {
	page, err := s.Places(ctx, broker.PlaceQuery{Queue: queue, Status: status, Limit: atOnce})
	if err != nil || page.Total == 0 {
		return OnList{}, err
	}
	if !allows(action, status) {
		return OnList{}, distro.Errorf(distro.CodeConflict, "no job that is %s can be %s", status, pastOf(action))
	}
	if action == broker.ActionDelete {
		if err := s.checkDelete(); err != nil {
			return OnList{}, err
		}
	}
	if page.Total > len(page.Places) {
		return s.actInBackground(ctx, action, queue, status, page.Total, caller)
	}
	if action == broker.ActionDelete {
		if _, err := s.Compact(ctx, queue, status); err != nil {
			return OnList{}, err
		}
	}
	ids := make([]string, 0, len(page.Places))
	for _, p := range slices.Backward(page.Places) { // the way to the newest is short
		if !p.Gone {
			ids = append(ids, p.Job.ID)
		}
	}
	return s.actOnFew(ctx, action, ids)
}

// actInBackground begins operations. The stopped jobs among many failed ones
// are not counted by every broker, so one is begun for them too.
func (s *Service) actInBackground(ctx context.Context, action broker.Action, queue string, status distro.Status, total int, caller string) (OnList, error) {
	o, err := s.StartOperation(ctx, "", action, Selection{Queue: queue, Status: status}, caller)
	if err == nil && status == distro.StatusFailed {
		_, err = s.StartOperation(ctx, "", action, Selection{Queue: queue, Status: distro.StatusStopped}, caller)
	}
	return OnList{Count: total, Operation: o.ID}, err
}

func (s *Service) actOnFew(ctx context.Context, action broker.Action, ids []string) (OnList, error) {
	results, err := s.opts.Broker.Act(ctx, action, ids)
	if err != nil {
		return OnList{}, fault(fmt.Errorf("%s %d jobs: %w", action, len(ids), err))
	}
	var done OnList
	for i, err := range results {
		if err == nil {
			done.Count++
			if action == broker.ActionDelete {
				err = s.forget(ids[i])
			}
		}
		if err != nil && !errors.Is(err, broker.ErrConflict) && !errors.Is(err, broker.ErrNotFound) {
			return done, fmt.Errorf("%s job %q: %w", action, ids[i], err)
		}
	}
	s.opts.Logger.InfoContext(ctx, "jobs operated", "action", string(action), "jobs", done.Count)
	return done, nil
}

// Compact takes entries whose record is gone out of a list of a queue, as far as
// it comes within a second, and returns how many.
func (s *Service) Compact(ctx context.Context, queue string, status distro.Status) (int, error) {
	began, total := time.Now(), 0
	for cursor := ""; ; {
		n, next, err := s.opts.Broker.Compact(ctx, queue, status, cursor, compactStep)
		if total += n; err != nil {
			return total, fault(fmt.Errorf("compact the %s list of queue %q: %w", status, queue, err))
		}
		if cursor = next; next == "" || time.Since(began) > compactWhile {
			break
		}
	}
	if total > 0 {
		s.opts.Logger.InfoContext(ctx, "list compacted", "queue", queue, "status", string(status), "dropped", total)
	}
	return total, nil
}
