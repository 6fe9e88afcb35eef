package service

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// Enqueue makes a job of r and stores it durably. A repetition of an earlier
// request of the same ID stores nothing and returns the same job; another
// request of that ID is distro.CodeConflict. The job is as it was asked for;
// what became of it since is Get's to say.
func (s *Service) Enqueue(ctx context.Context, r Request) (distro.Job, error) {
	job, err := s.job(ctx, r)
	if err != nil {
		return distro.Job{}, err
	}
	if err := s.enqueueJob(ctx, job); err != nil {
		return distro.Job{}, err
	}
	return job, nil
}

// enqueueJob stores one job. Where its ID is that of a job that asks for
// something else, it is distro.CodeConflict.
func (s *Service) enqueueJob(ctx context.Context, job distro.Job) error {
	results, err := s.opts.Broker.Enqueue(ctx, []distro.Job{job})
	if err != nil {
		return fault(fmt.Errorf("enqueue %s on %q: %w", job.Function, job.Queue, err))
	}
	if results[0] == broker.EnqueueConflict {
		return &distro.Error{
			Code: distro.CodeConflict, Field: "id",
			Message: fmt.Sprintf("there is already another job %s", job.ID),
		}
	}
	return nil
}

// EnqueueMany stores the jobs of up to MaxBatch requests in one atomic step.
// When any is refused nothing is stored, and the error joins one *distro.Error
// per refused request, with fields like "jobs[3].kwargs.month".
func (s *Service) EnqueueMany(ctx context.Context, requests []Request) ([]distro.Job, []broker.EnqueueResult, error) {
	if n := len(requests); n == 0 || n > MaxBatch {
		return nil, nil, distro.Invalid("jobs", "must be 1 to %d jobs, not %d", MaxBatch, n)
	}
	jobs := make([]distro.Job, len(requests))
	var refusals []error
	size := 0
	for i, r := range requests {
		job, err := s.job(ctx, r)
		if e, ok := errors.AsType[*distro.Error](err); ok && e.Code == distro.CodeInvalid {
			refusals = append(refusals, InItem("jobs", i, e))
		} else if err != nil {
			return nil, nil, err
		}
		size += len(job.Payload.Data)
		jobs[i] = job
	}
	if len(refusals) > 0 {
		return nil, nil, errors.Join(refusals...)
	}
	results, err := s.opts.Broker.Enqueue(ctx, jobs)
	if err != nil {
		return nil, nil, fault(fmt.Errorf("enqueue %d jobs of %d bytes: %w", len(jobs), size, err))
	}
	return jobs, results, nil
}

// InItem is a refusal of element i of a list, its field named from the list
// on: "jobs[3].queue".
func InItem(list string, i int, e *distro.Error) *distro.Error {
	field := fmt.Sprintf("%s[%d]", list, i)
	if e.Field != "" {
		field += "." + e.Field
	}
	return &distro.Error{Code: e.Code, Field: field, Message: e.Message, Err: e.Err}
}

// job checks r and makes the job it asks for.
func (s *Service) job(ctx context.Context, r Request) (distro.Job, error) {
	if r.ID != "" && !distro.ValidID(r.ID) {
		return distro.Job{}, distro.Invalid("id", "must be 1 to %d letters, digits, - or _", distro.MaxIDLen)
	}
	queue, err := s.queue(r.Queue)
	if err != nil {
		return distro.Job{}, err
	}
	timeout, retries, err := s.limits(r)
	if err != nil {
		return distro.Job{}, err
	}
	due, err := s.due(r)
	if err != nil {
		return distro.Job{}, err
	}
	t, a, err := s.call(ctx, r)
	if err != nil {
		return s.earlier(ctx, r, queue, err)
	}
	data, err := encode(t, a, r.Typed)
	if err != nil {
		return s.earlier(ctx, r, queue, err)
	}
	job := distro.Job{
		ID: r.ID, Queue: queue, Function: t.name(), Payload: data,
		DueAt: due, Timeout: timeout, ResultTTL: s.opts.ResultTTL, FailureTTL: s.opts.FailureTTL,
		RetriesLeft: retries, Trigger: r.Trigger, Caller: cutCaller(r.Caller),
	}
	if s.opts.RetryInterval > 0 {
		job.RetryIntervals = []time.Duration{s.opts.RetryInterval}
	}
	if job.ID == "" {
		job.ID = distro.NewID() // not repeatable, so it needs no fingerprint
	} else {
		job.Fingerprint = fingerprint(t.name(), queue, a, r)
	}
	return job, nil
}

// cutCaller is who asks, as far as it is kept.
func cutCaller(caller string) string {
	return strings.ToValidUTF8(caller[:min(len(caller), distro.MaxCaller)], "")
}

// call checks what r calls, and with what.
func (s *Service) call(ctx context.Context, r Request) (target, arguments, error) {
	t, err := s.target(ctx, r)
	if err != nil {
		return t, arguments{}, err
	}
	a, err := s.arguments(r)
	if err != nil {
		return t, a, err
	}
	err = s.opts.Catalog.CheckCall(t.function, a.positionals, a.keywords)
	if e, ok := errors.AsType[*distro.Error](err); ok && e.Field == "kwargs." {
		err = &distro.Error{Code: e.Code, Field: `kwargs.""`, Message: e.Message, Err: e.Err}
	}
	return t, a, err
}

// earlier is the job that the same request as r made before the module was
// changed in a way that refuses r now; without one it is refused.
func (s *Service) earlier(ctx context.Context, r Request, queue string, refused error) (distro.Job, error) {
	if r.ID == "" || distro.ErrorCode(refused) != distro.CodeInvalid {
		return distro.Job{}, refused
	}
	a, err := s.arguments(r)
	if err != nil {
		return distro.Job{}, refused
	}
	jobs, err := s.opts.Broker.Get(ctx, []string{r.ID})
	if err != nil {
		return distro.Job{}, fault(fmt.Errorf("get job %q: %w", r.ID, err))
	}
	name := r.Function
	if r.Module != "" {
		name = r.Module + "." + name
	}
	if len(jobs) == 0 || jobs[0].Fingerprint != fingerprint(name, queue, a, r) {
		return distro.Job{}, refused
	}
	return jobs[0], nil
}
