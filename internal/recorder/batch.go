package recorder

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/pickle"
)

// key tells executions apart.
type key struct{ job, run string }

// batch gathers what a part of the feed tells, an attempt that begins and ends
// in it once.
type batch struct {
	found  map[key]*distro.Execution
	order  []key
	last   map[key]bool         // the job ended with it
	queued map[string]time.Time // when a job joined its queue last
}

func newBatch() *batch {
	return &batch{found: map[key]*distro.Execution{}, last: map[key]bool{}, queued: map[string]time.Time{}}
}

// of returns the execution of a key, a new one where there is none.
func (b *batch) of(k key) *distro.Execution {
	if b.found[k] == nil {
		b.found[k] = &distro.Execution{JobID: k.job, Run: k.run}
		b.order = append(b.order, k)
	}
	return b.found[k]
}

// lists are the executions that were gathered, in the order of the feed, and
// apart from them those that never came to run.
func (b *batch) lists() (list, unrun []distro.Execution) {
	for _, k := range b.order {
		if e := b.found[k]; e.State == "" {
			unrun = append(unrun, *e)
		} else {
			list = append(list, *e)
		}
	}
	return list, unrun
}

// batch reads what there is to know of the attempts that changes tell of.
// Changes without a token are of jobs that nobody runs.
func (r *Recorder) batch(ctx context.Context, changes []distro.Change) (*batch, error) {
	b := newBatch()
	for i := range changes {
		c := &changes[i]
		if c.Token == "" {
			b.joined(c)
			continue
		}
		b.add(c)
	}
	runs := map[string][]key{}
	var ids []string
	for _, k := range b.order {
		if runs[k.job] == nil {
			ids = append(ids, k.job)
		}
		runs[k.job] = append(runs[k.job], k)
	}
	for part := range slices.Chunk(ids, together) {
		jobs, err := r.opts.Broker.Get(ctx, part)
		if err != nil {
			return nil, fmt.Errorf("get %d jobs: %w", len(part), err)
		}
		for i := range jobs {
			for _, k := range runs[jobs[i].ID] {
				r.complete(ctx, b.found[k], &jobs[i])
			}
		}
	}
	return b, nil
}

// together is how many jobs are in memory at a time, each with the tracebacks of
// several attempts.
const together = 100

// joined notes that a job has joined its queue, as the first time or for another
// attempt: the job tells it of its last attempt only. What stock programs queue
// later nobody tells of, so the time is of the very next change alone.
func (b *batch) joined(c *distro.Change) {
	if c.Status == distro.StatusQueued {
		b.queued[c.JobID] = c.At
	} else {
		delete(b.queued, c.JobID)
	}
}

// add takes one change over.
func (b *batch) add(c *distro.Change) {
	k := key{c.JobID, c.Token}
	e := b.of(k)
	e.Queue = c.Queue
	switch {
	case c.Outcome != "":
		e.State, e.Attempt, e.EndedAt = distro.ExecutionState(c.Outcome), c.Attempt, c.At
		b.last[k] = c.Status.Ended()
		b.joined(c)
	case c.Status == distro.StatusStarted:
		e.State, e.Attempt, e.StartedAt = distro.ExecutionStarted, c.Attempt, c.At
		if at := b.queued[c.JobID]; !at.After(c.At) { // clocks differ
			e.EnqueuedAt = at
		}
	default: // it was given back before it ran
		e.State = ""
	}
}

// resultOf is the result of one of the attempts of a job; nil where it is not
// kept any more.
func resultOf(job *distro.Job, run string) *distro.Result {
	if job.Result != nil && job.Result.Run == run {
		return job.Result
	}
	for i := range job.Earlier {
		if job.Earlier[i].Run == run {
			return &job.Earlier[i]
		}
	}
	return nil
}

// complete adds what the job tells of one of its attempts, as far as it is
// still that one's: a later one may have taken its place.
func (r *Recorder) complete(ctx context.Context, e *distro.Execution, job *distro.Job) {
	e.Module, e.Function = r.opts.Sources.split(job.Function)
	e.Arguments = pickle.Arguments(job.Payload.Data, job.Payload.Serializer == distro.SerializerJSON)
	e.Trigger, e.Caller = job.Trigger, job.Caller
	// A stock worker that made another attempt meanwhile did not count it.
	current := job.Attempt == e.Attempt && (e.StartedAt.IsZero() || e.StartedAt.Equal(job.StartedAt))
	if current && !e.StartedAt.IsZero() {
		e.Worker = job.Worker
	}
	if res := resultOf(job, e.Run); res != nil {
		e.Worker, e.Result, e.Failure = res.Worker, res.View, res.Failure
		e.PeakMemory, e.CPUTime = res.PeakMemory, res.CPUTime
		if e.StartedAt.IsZero() {
			e.StartedAt = res.StartedAt
		}
		current = current || res == job.Result
	}
	if at := job.EnqueuedAt; e.EnqueuedAt.IsZero() && current && !at.After(later(e.StartedAt, job.StartedAt)) {
		e.EnqueuedAt = at
	}
	if w, ok := r.workers.find(ctx, e.Worker); ok {
		e.Host, e.Python = w.Host, w.Python
		if r.opts.Embedded != "" && w.Name == r.opts.Embedded {
			e.CodeHash, e.Commit = r.opts.Sources.hash(e.Module), r.opts.Sources.Commit()
		}
	}
}
