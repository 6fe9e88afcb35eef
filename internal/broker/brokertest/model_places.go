package brokertest

import (
	"cmp"
	"context"
	"slices"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/pickle"
)

// Places implements broker.Broker.
func (m *Model) Places(_ context.Context, q broker.PlaceQuery) (broker.Places, error) {
	if err := q.Check(); err != nil {
		return broker.Places{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.standing(q)
	if q.Backward {
		slices.Reverse(list)
	}
	page := broker.Places{Total: len(list)}
	list = list[min(q.Offset, len(list)):]
	for _, j := range list[:min(cmp.Or(q.Limit, 50), len(list))] {
		job := j.Job
		job.Description = pickle.Description(job.Function, job.Payload.Data)
		if job.Payload.Data, job.Earlier = nil, nil; job.Result != nil {
			job.Result = shownResult(job.Result)
		}
		page.Places = append(page.Places, broker.Place{Job: job})
	}
	return page, nil
}

// shownResult is what places tell of a result.
func shownResult(r *distro.Result) *distro.Result {
	shown := distro.Result{Outcome: r.Outcome}
	if r.Failure != nil {
		failure := *r.Failure
		failure.Traceback = broker.CutTraceback(failure.Traceback)
		shown.Failure = &failure
	}
	return &shown
}

// standing is a whole list.
func (m *Model) standing(q broker.PlaceQuery) []*modelJob {
	if q.Status == distro.StatusQueued {
		return slices.Clone(m.lists[q.Queue])
	}
	var list []*modelJob
	for _, j := range m.created {
		stopped := j.Status == distro.StatusStopped && q.Status == distro.StatusFailed
		if j.Queue == q.Queue && (j.Status == q.Status || stopped) {
			list = append(list, j)
		}
	}
	if q.Status == distro.StatusScheduled {
		slices.SortStableFunc(list, func(a, b *modelJob) int { return a.DueAt.Compare(b.DueAt) })
	}
	return list
}

// Compact implements broker.Broker. Every entry of the Model has its record.
func (m *Model) Compact(_ context.Context, queue string, status distro.Status, cursor string, _ int) (int, string, error) {
	err := broker.CheckCompact(queue, status)
	if err == nil {
		_, err = m.cursor(cursor)
	}
	return 0, "", err
}
