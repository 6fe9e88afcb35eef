package service

import (
	"context"
	"slices"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/search"
)

// CountJobs counts the jobs of the queue that a search means, of those that q
// selects; its cursor and limit mean nothing. A search for states and queues only
// is answered at once with what the queue itself counts. For others the jobs are
// looked at for some time: then exact is false, and there may be more.
func (s *Service) CountJobs(ctx context.Context, query string, q broker.ListQuery) (n int, exact bool, err error) {
	expr, err := s.parse("q", query)
	if err != nil {
		return 0, false, err
	}
	if q.Status != "" && !q.Status.Valid() {
		return 0, false, distro.Invalid("status", "there is no status %.40q", q.Status)
	}
	if q.Function == "" && countable(expr) {
		n, err := s.countByStatus(ctx, expr, q)
		return n, err == nil, err
	}
	narrow(&q, expr)
	q.Cursor, q.Limit = "", broker.MaxPage
	for began := time.Now(); ; {
		page, err := s.List(ctx, q)
		if err != nil {
			return 0, false, err
		}
		matches, err := s.matching(ctx, expr, page.Jobs)
		if err != nil {
			return 0, false, err
		}
		for _, match := range matches {
			if match {
				n++
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" || time.Since(began) > SearchTime {
			return n, q.Cursor == "", nil
		}
	}
}

// countable reports whether an expression looks at nothing but what the queue
// counts by.
func countable(expr search.Expr) bool {
	switch e := expr.(type) {
	case search.And:
		return !slices.ContainsFunc(e, func(part search.Expr) bool { return !countable(part) })
	case search.Or:
		return !slices.ContainsFunc(e, func(part search.Expr) bool { return !countable(part) })
	case search.Not:
		return countable(e.Of)
	case search.Name:
		return e.Field == search.FieldQueue
	case search.State:
		return true
	}
	return false
}

func (s *Service) countByStatus(ctx context.Context, expr search.Expr, q broker.ListQuery) (int, error) {
	counts, err := s.Queues(ctx)
	if err != nil {
		return 0, err
	}
	total := 0
	for _, queue := range counts.Queues {
		for status, n := range queue.Jobs {
			selected := (q.Queue == "" || q.Queue == queue.Name) && (q.Status == "" || q.Status == status)
			if selected && search.MatchJob(expr, &distro.Job{Queue: queue.Name, Status: status}, "") {
				total += n
			}
		}
	}
	return total, nil
}
