package recorder

import (
	"context"
	"fmt"
	"slices"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// reconcile looks at all jobs after a part of the feed was lost: at the last
// attempts of each, and at the executions that history believes to run. Attempts
// whose results are not kept any more are lost to it.
func (r *Recorder) reconcile(ctx context.Context) error {
	open, err := r.opts.History.Running(ctx, maxOpen)
	if err != nil {
		return fmt.Errorf("list open executions: %w", err)
	}
	horizon, err := r.opts.History.Horizon(ctx)
	if err != nil {
		return fmt.Errorf("find what history has forgotten: %w", err)
	}
	runs := map[key]bool{}
	for _, e := range open {
		runs[key{e.JobID, e.Run}] = true
	}
	isNews := func(e *distro.Execution) bool { return runs[key{e.JobID, e.Run}] || !forgotten(e, horizon) }
	for _, status := range distro.Statuses() {
		for cursor := ""; ; {
			page, err := r.opts.Broker.List(ctx, broker.ListQuery{Status: status, Cursor: cursor, Limit: broker.MaxPage})
			if err != nil {
				return fmt.Errorf("list jobs that are %s: %w", status, err)
			}
			if err := r.recordEnded(ctx, page.Jobs, isNews); err != nil {
				return err
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
	}
	return r.closeLost(ctx)
}

// recordEnded records the attempts of jobs whose results are kept, where they are
// news.
func (r *Recorder) recordEnded(ctx context.Context, listed []distro.Job, isNews func(*distro.Execution) bool) error {
	ids := make([]string, 0, len(listed))
	for i := range listed {
		if listed[i].Attempt > 0 {
			ids = append(ids, listed[i].ID)
		}
	}
	jobs, err := r.opts.Broker.Get(ctx, ids)
	if err != nil {
		return fmt.Errorf("get %d jobs: %w", len(ids), err)
	}
	b := newBatch()
	for i := range jobs {
		job := &jobs[i]
		results := job.Earlier
		if job.Result != nil {
			results = append(slices.Clone(results), *job.Result)
		}
		for n := range results {
			res := &results[n]
			if res.Run == "" || res.Stock && r.opts.Stock != nil || !isNews(&distro.Execution{JobID: job.ID, Run: res.Run, EndedAt: res.EndedAt}) {
				continue
			}
			k := key{job.ID, res.Run}
			e := b.of(k)
			e.Stock = res.Stock
			e.Queue, e.State, e.Attempt = job.Queue, distro.ExecutionState(res.Outcome), res.Attempt
			e.StartedAt, e.EndedAt = res.StartedAt, res.EndedAt
			b.last[k] = job.Status.Ended() && n >= len(job.Earlier)
			r.complete(ctx, e, job)
		}
	}
	if len(b.order) == 0 {
		return nil
	}
	return r.record(ctx, b, "", "")
}

// maxOpen bounds the executions that are looked at as open ones.
const maxOpen = 10_000

// closeLost ends the executions in history that run no more, and whose end
// nobody saw.
func (r *Recorder) closeLost(ctx context.Context) error {
	open, err := r.opts.History.Running(ctx, maxOpen)
	if err != nil {
		return fmt.Errorf("list open executions: %w", err)
	}
	for len(open) > 0 {
		part := open[:min(len(open), broker.MaxPage)]
		open = open[len(part):]
		ids := make([]string, len(part))
		for i := range part {
			ids[i] = part[i].JobID
		}
		jobs, err := r.opts.Broker.Get(ctx, ids)
		if err != nil {
			return fmt.Errorf("get %d jobs: %w", len(ids), err)
		}
		runs := map[key]bool{}
		for i := range jobs {
			if jobs[i].Status == distro.StatusStarted {
				runs[key{jobs[i].ID, fmt.Sprint(jobs[i].Attempt)}] = true
			}
		}
		b := newBatch()
		for _, e := range part {
			if runs[key{e.JobID, fmt.Sprint(e.Attempt)}] || e.Stock && r.opts.Stock != nil {
				continue // it runs, or is followed by those who look at RQ's workers
			}
			k := key{e.JobID, e.Run}
			*b.of(k) = e
			b.found[k].State = distro.ExecutionLost
			b.found[k].Failure = &distro.Failure{Kind: distro.FailureLost, Message: "its end was not seen"}
		}
		if err := r.record(ctx, b, "", ""); err != nil {
			return err
		}
	}
	return nil
}
