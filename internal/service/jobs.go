package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/search"
)

// maxForeignID bounds the IDs that are looked up, in bytes. Other producers on
// a shared queue may use any text as an ID.
const maxForeignID = 1024

// List returns a page of jobs, newest first, without arguments and results.
func (s *Service) List(ctx context.Context, q broker.ListQuery) (broker.Page, error) {
	if q.Status != "" && !q.Status.Valid() {
		return broker.Page{}, distro.Invalid("status", "there is no status %.40q", q.Status)
	}
	if q.Limit < 0 || q.Limit > broker.MaxPage {
		return broker.Page{}, distro.Invalid("limit", "must be 1 to %d", broker.MaxPage)
	}
	page, err := s.opts.Broker.List(ctx, q)
	if errors.Is(err, broker.ErrCursorLost) {
		return broker.Page{}, distro.Invalid("cursor", "is not one that a list returned")
	}
	if err != nil {
		return broker.Page{}, fault(fmt.Errorf("list jobs: %w", err))
	}
	return page, nil
}

// Search is List of the jobs that a search means, of those that q selects. It
// gives up looking after within, and then says that the page is partial: Next
// goes on there.
func (s *Service) Search(ctx context.Context, query string, q broker.ListQuery, within time.Duration) (jobs broker.Page, partial bool, err error) {
	expr, err := s.parse("q", query)
	if err != nil {
		return broker.Page{}, false, err
	}
	narrow(&q, expr)
	found, err := sift(q.Cursor, q.Limit, within, func(cursor string, limit int) (page[distro.Job], error) {
		q.Cursor, q.Limit = cursor, limit
		listed, err := s.List(ctx, q)
		return page[distro.Job]{items: listed.Jobs, next: listed.Next}, err
	}, func(listed []distro.Job) ([]bool, error) { return s.matching(ctx, expr, listed) })
	return broker.Page{Jobs: found.items, Next: found.next}, found.partial, err
}

// narrow lets the queue leave out jobs of another status.
func narrow(q *broker.ListQuery, expr search.Expr) {
	parts, ok := expr.(search.And)
	if !ok {
		parts = search.And{expr}
	}
	for _, part := range parts {
		if e, ok := part.(search.State); ok && q.Status == "" && distro.Status(e.Value).Valid() {
			q.Status = distro.Status(e.Value)
		}
	}
}

// readAtOnce bounds how many jobs are read whole at a time: each may have
// megabytes of arguments.
const readAtOnce = 16

// matching says which of the listed jobs expr means.
func (s *Service) matching(ctx context.Context, expr search.Expr, listed []distro.Job) ([]bool, error) {
	matches := make([]bool, len(listed))
	if !looksInside(expr) {
		for i := range listed {
			matches[i] = search.MatchJob(expr, &listed[i], "")
		}
		return matches, nil
	}
	ids := make([]string, len(listed))
	for i := range listed {
		ids[i] = listed[i].ID
	}
	err := s.readWhole(ctx, ids, func(job *distro.Job) {
		matches[slices.Index(ids, job.ID)] = search.MatchJob(expr, job, ArgumentLine(job.Payload))
	})
	return matches, err
}

// ArgumentLines are the ArgumentLine of each job of ids that the queue knows.
func (s *Service) ArgumentLines(ctx context.Context, ids []string) (map[string]string, error) {
	lines := make(map[string]string, len(ids))
	err := s.readWhole(ctx, ids, func(job *distro.Job) { lines[job.ID] = ArgumentLine(job.Payload) })
	return lines, err
}

// readWhole hands the jobs of ids that exist to use, a few of them in memory at a
// time.
func (s *Service) readWhole(ctx context.Context, ids []string, use func(*distro.Job)) error {
	for part := range slices.Chunk(ids, readAtOnce) {
		whole, err := s.opts.Broker.Get(ctx, part)
		if err != nil {
			return fault(fmt.Errorf("get %d jobs: %w", len(part), err))
		}
		for i := range whole {
			use(&whole[i])
		}
	}
	return nil
}

// looksInside reports whether expr looks at arguments or failures, which lists
// do not tell.
func looksInside(expr search.Expr) bool {
	switch e := expr.(type) {
	case search.And:
		return slices.ContainsFunc(e, looksInside)
	case search.Or:
		return slices.ContainsFunc(e, looksInside)
	case search.Not:
		return looksInside(e.Of)
	case search.Text, search.Keyword:
		return true
	}
	return false
}

// Get returns a whole job, or distro.CodeNotFound.
func (s *Service) Get(ctx context.Context, id string) (distro.Job, error) {
	if id == "" || len(id) > maxForeignID {
		return distro.Job{}, noJob(id)
	}
	jobs, err := s.opts.Broker.Get(ctx, []string{id})
	if err != nil {
		return distro.Job{}, fault(fmt.Errorf("get job %q: %w", id, err))
	}
	if len(jobs) == 0 {
		return distro.Job{}, noJob(id)
	}
	return jobs[0], nil
}

func noJob(id string) error {
	return distro.Errorf(distro.CodeNotFound, "there is no job %.128q", id)
}

// Find is Get that knows of a job whose record was not kept, for as long as
// the change feed tells how it ended: such a job has no call and no result.
func (s *Service) Find(ctx context.Context, id string) (distro.Job, error) {
	return s.find(ctx, distro.Job{ID: id, Timeout: distro.Forever}, "")
}

// find is Find for a job that was as seen where the feed stood at cursor.
func (s *Service) find(ctx context.Context, seen distro.Job, cursor string) (distro.Job, error) {
	job, missing := s.Get(ctx, seen.ID)
	if distro.ErrorCode(missing) != distro.CodeNotFound || seen.ID == "" || len(seen.ID) > maxForeignID {
		return job, missing
	}
	for {
		changes, err := s.opts.Broker.Changes(ctx, cursor, broker.MaxPage)
		switch {
		case errors.Is(err, broker.ErrCursorLost) && cursor != "":
			cursor = ""
			continue
		case err != nil:
			return distro.Job{}, fault(fmt.Errorf("look for the end of job %q: %w", seen.ID, err))
		case len(changes) == 0 && seen.Status.Ended():
			return seen, nil
		case len(changes) == 0:
			return distro.Job{}, missing
		}
		for _, c := range changes {
			if cursor = c.Cursor; c.JobID == seen.ID {
				s.apply(&seen, c)
			}
		}
	}
}

// apply brings a job up to an entry of the feed. One that was deleted before
// its time has no status: somebody wanted it gone.
func (s *Service) apply(job *distro.Job, c distro.Change) {
	if c.Status == "" {
		ttl := s.opts.FailureTTL
		if job.Status == distro.StatusFinished {
			ttl = s.opts.ResultTTL
		}
		if ttl == distro.Forever || c.At.Add(time.Second).Before(job.EndedAt.Add(ttl)) {
			job.Status = ""
		}
		return
	}
	if job.CreatedAt.IsZero() {
		job.CreatedAt = c.At
	}
	job.Queue, job.Status, job.Attempt = c.Queue, c.Status, max(job.Attempt, c.Attempt)
	if c.Status.Ended() {
		job.EndedAt = c.At
	}
}

// Wait returns a job as soon as it ended, and as it then is after limit, at
// most MaxWait. One that ended and is not kept is as Find tells it.
func (s *Service) Wait(ctx context.Context, id string, limit time.Duration) (distro.Job, error) {
	if limit <= 0 {
		return s.Get(ctx, id)
	}
	cursor := s.follower.position()
	job, err := s.Find(ctx, id)
	if err != nil || job.Status.Ended() {
		return job, err
	}
	changed, leave, err := s.follower.watch(ctx, id)
	if err != nil {
		return distro.Job{}, fault(fmt.Errorf("wait for job %q: %w", id, err))
	}
	defer leave()
	timer := time.NewTimer(min(limit, MaxWait))
	defer timer.Stop()
	for {
		if job, err = s.find(ctx, job, cursor); err != nil || job.Status.Ended() {
			return job, err
		}
		select {
		case err := <-changed:
			if err != nil {
				return distro.Job{}, fault(fmt.Errorf("wait for job %q: %w", id, err))
			}
		case <-timer.C:
			return s.find(ctx, job, cursor)
		case <-ctx.Done():
			return distro.Job{}, fault(fmt.Errorf("wait for job %q: %w", id, ctx.Err()))
		}
	}
}

// Act does action to one job and returns the job as it is afterwards. A job
// whose status does not allow it is distro.CodeConflict.
func (s *Service) Act(ctx context.Context, action broker.Action, id string) (distro.Job, error) {
	if err := s.act(ctx, action, id); err != nil {
		return distro.Job{}, err
	}
	return s.Get(ctx, id)
}

func (s *Service) act(ctx context.Context, action broker.Action, id string) error {
	if action == broker.ActionDelete {
		if err := s.checkDelete(); err != nil {
			return err
		}
	}
	if id == "" || len(id) > maxForeignID {
		return noJob(id)
	}
	results, err := s.opts.Broker.Act(ctx, action, []string{id})
	if err == nil {
		err = results[0]
	}
	switch {
	case errors.Is(err, broker.ErrNotFound):
		return noJob(id)
	case errors.Is(err, broker.ErrConflict):
		return s.conflict(ctx, action, id)
	case err != nil:
		return fault(fmt.Errorf("%s job %q: %w", action, id, err))
	}
	s.opts.Logger.InfoContext(ctx, "job operated", "action", string(action), "job_id", id)
	return nil
}

func (s *Service) conflict(ctx context.Context, action broker.Action, id string) error {
	job, err := s.Get(ctx, id)
	if err != nil {
		return err
	}
	allowed := map[broker.Action]string{
		broker.ActionCancel:   "only queued, scheduled and deferred jobs can be canceled (stop a started one)",
		broker.ActionRequeue:  "only failed, stopped and canceled jobs can be requeued",
		broker.ActionDelete:   "a started job cannot be deleted (stop it first)",
		broker.ActionRunFirst: "only queued and scheduled jobs can be moved to the front",
		broker.ActionStop:     "only started jobs can be stopped (cancel one that waits)",
	}
	return distro.Errorf(distro.CodeConflict, "job %.128q is %s: %s", id, job.Status, allowed[action])
}

// Delete deletes a job that is not started, with its result, output and files.
func (s *Service) Delete(ctx context.Context, id string) error {
	if err := s.act(ctx, broker.ActionDelete, id); err != nil {
		return err
	}
	return s.forget(id)
}
