package recorder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/pickle"
)

// Stock finds what workers of RQ's own did, which no feed tells:
// redisbroker.Stock.
type Stock interface {
	// Look returns what it did not return before. After an error it returns
	// it at the next time.
	Look(ctx context.Context) (broker.StockLook, error)
	// Follow takes over attempts that ran when they were recorded, so that
	// their end is found.
	Follow(executions []distro.Execution)
}

const (
	// stockEvery is how often is looked while RQ's workers are there, and
	// stockQuiet else: both leave time to record within five seconds.
	stockEvery = time.Second
	stockQuiet = 3 * time.Second
	// stockStep is how many attempts are recorded at once.
	stockStep = 200
)

// stockWatch records what Stock finds.
type stockWatch struct {
	*Recorder
	feed    string
	since   time.Time         // what ended before history first looked is no news
	pending []broker.StockRun // found and not recorded yet
	caught  bool              // all that was there at the begin was found
	fresh   bool              // pending was not there at the begin
}

// watchStock records what workers of RQ's own do, until ctx ends. What was
// found stays here until it is recorded, and nothing else is looked for until
// then.
func (r *Recorder) watchStock(ctx context.Context) {
	w := &stockWatch{Recorder: r, feed: r.opts.Feed + "/stock"}
	pause := retryFirst
	for ctx.Err() == nil {
		err := w.follow(ctx, func() { pause = retryFirst })
		if ctx.Err() != nil || errors.Is(err, broker.ErrClosed) {
			return
		}
		r.stock.fell(r.opts.Logger, err)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, retryLast)
	}
}

// follow looks and records until something fails.
func (w *stockWatch) follow(ctx context.Context, went func()) error {
	if err := w.begin(ctx); err != nil {
		return err
	}
	var look broker.StockLook
	for {
		for len(w.pending) > 0 {
			n := step(w.pending)
			if err := w.recordStock(ctx, w.pending[:n]); err != nil {
				return err
			}
			w.pending = w.pending[n:]
		}
		went()
		pause := stockQuiet
		switch {
		case look.More:
			pause = 0
		case look.Busy, len(look.Runs) > 0:
			pause = stockEvery
		}
		if !look.More {
			w.stock.caughtUp(w.opts.Logger)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		var err error
		if look, err = w.opts.Stock.Look(ctx); err != nil {
			return fmt.Errorf("look at what RQ's workers did: %w", err)
		}
		w.pending, w.fresh = look.Runs, w.caught
		w.caught = w.caught || !look.More
	}
}

// begin goes on where an earlier recorder was, once.
func (w *stockWatch) begin(ctx context.Context) error {
	if !w.since.IsZero() {
		return nil
	}
	cursor, err := w.opts.History.Cursor(ctx, w.feed)
	if err != nil {
		return fmt.Errorf("find when history began: %w", err)
	}
	since, err := time.Parse(time.RFC3339Nano, cursor)
	if err != nil {
		since = time.Now().UTC()
		if err := w.opts.History.Record(ctx, nil, w.feed, since.Format(time.RFC3339Nano)); err != nil {
			return fmt.Errorf("record when history begins: %w", err)
		}
	}
	open, err := w.opts.History.Running(ctx, maxOpen)
	if err != nil {
		return fmt.Errorf("list open executions: %w", err)
	}
	w.opts.Stock.Follow(slices.DeleteFunc(open, func(e distro.Execution) bool { return !e.Stock }))
	w.since = since
	return nil
}

// step is how many runs are recorded at once: all of a job together.
func step(runs []broker.StockRun) int {
	n := min(stockStep, len(runs))
	for n < len(runs) && runs[n].Execution.JobID == runs[n-1].Execution.JobID {
		n++
	}
	return n
}

// recordStock records what is news in runs, and tells of the ends in it.
func (w *stockWatch) recordStock(ctx context.Context, runs []broker.StockRun) error {
	var horizon time.Time
	if !w.fresh {
		var err error
		if horizon, err = w.opts.History.Horizon(ctx); err != nil {
			return fmt.Errorf("find what history has forgotten: %w", err)
		}
	}
	var news []broker.StockRun
	for len(runs) > 0 {
		id := runs[0].Execution.JobID
		n := slices.IndexFunc(runs, func(run broker.StockRun) bool { return run.Execution.JobID != id })
		if n < 0 {
			n = len(runs)
		}
		known, err := w.opts.History.Attempts(ctx, id)
		if err != nil {
			return fmt.Errorf("list the attempts of job %q: %w", id, err)
		}
		news = append(news, unforgotten(stockNews(known, runs[:n]), known, horizon)...)
		runs = runs[n:]
	}
	if len(news) == 0 {
		return nil
	}
	list := make([]distro.Execution, len(news))
	for i := range news {
		list[i] = w.described(&news[i])
	}
	if err := w.opts.History.Record(ctx, list, "", ""); err != nil {
		return fmt.Errorf("record %d executions of RQ's workers: %w", len(list), err)
	}
	if w.opts.Ended == nil {
		return nil
	}
	for i, e := range list {
		if e.State != distro.ExecutionStarted && !later(e.StartedAt, e.EndedAt).Before(w.since) {
			w.opts.Ended(e, news[i].Last)
		}
	}
	return nil
}

// unforgotten are the runs that history did not have and delete: RQ keeps jobs
// that failed for a year, and whoever begins to look finds them all.
func unforgotten(news []broker.StockRun, known []distro.Execution, horizon time.Time) []broker.StockRun {
	return slices.DeleteFunc(news, func(run broker.StockRun) bool {
		e := &run.Execution
		return forgotten(e, horizon) && !slices.ContainsFunc(known, func(k distro.Execution) bool { return k.Run == e.Run })
	})
}

// forgotten reports whether an attempt that is not in history has been there.
func forgotten(e *distro.Execution, horizon time.Time) bool {
	return !e.EndedAt.IsZero() && e.EndedAt.Before(horizon)
}

// described is the execution of a run with what its job tells of the call.
func (w *stockWatch) described(run *broker.StockRun) distro.Execution {
	e := run.Execution
	e.Module, e.Function = w.opts.Sources.split(run.Job.Function)
	e.Arguments = pickle.Arguments(run.Job.Payload.Data, run.Job.Payload.Serializer == distro.SerializerJSON)
	e.Trigger, e.Caller = run.Job.Trigger, run.Job.Caller
	return e
}
