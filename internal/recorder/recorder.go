// Package recorder copies what happens to jobs from the queue's change feed
// into history.
//
// The feed says which attempt began or ended when, and by which token; what
// else is to be known of it is read from the job. Each batch is recorded
// together with the position behind it, so that nothing is missed and nothing
// is there twice, however often the recorder is killed.
package recorder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// History is where executions are kept: store.Store.
type History interface {
	// Record keeps executions and the position of a feed in one step. Repeating
	// it changes nothing. Without a feed only the executions are kept.
	Record(ctx context.Context, executions []distro.Execution, feed, cursor string) error
	// Forget removes executions that never came to run.
	Forget(ctx context.Context, executions []distro.Execution) error
	// Cursor is the position of the feed that was recorded last; empty: none.
	Cursor(ctx context.Context, feed string) (string, error)
	// Running returns executions that have not ended, the oldest first.
	Running(ctx context.Context, limit int) ([]distro.Execution, error)
	// Horizon says what was deleted because it was kept long enough: what ended
	// before it and is not there. Zero: nothing was.
	Horizon(ctx context.Context) (time.Time, error)
	// Attempts returns the executions of a job.
	Attempts(ctx context.Context, jobID string) ([]distro.Execution, error)
}

// Options configure a Recorder.
type Options struct {
	Broker  broker.Broker
	History History
	Feed    string // names the feed in history: queues differ
	// Stock finds what workers of RQ's own did; nil: there are none.
	Stock Stock
	// Sources tells of the code that an embedded worker runs; nil: nobody knows.
	Sources *Sources
	// Embedded is the worker of this process, whose code Sources knows; empty:
	// there is none.
	Embedded string
	// Ended is called for each attempt when its end was recorded, at least once;
	// last says that the job ended with it. Attempts on workers of RQ's own
	// that had ended before history knew of that queue are left out. Several
	// goroutines call it. nil: nobody wants to know.
	Ended  func(e distro.Execution, last bool)
	Logger *slog.Logger
}

// Recorder follows a change feed.
type Recorder struct {
	opts    Options
	workers workers
	feed    lag
	stock   lag
}

// New returns a recorder that is ready to Run.
func New(opts Options) *Recorder {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &Recorder{
		opts: opts, workers: workers{broker: opts.Broker},
		feed: lag{what: "what happens"}, stock: lag{what: "what RQ's workers do"},
	}
}

// Behind is since when history lacks what happens; zero while it does not.
func (r *Recorder) Behind() time.Time {
	feed, stock := r.feed.behind(), r.stock.behind()
	if feed.IsZero() || !stock.IsZero() && stock.Before(feed) {
		return stock
	}
	return feed
}

const (
	retryFirst = 100 * time.Millisecond
	retryLast  = 5 * time.Second
	// gather is the least time between two batches that are not full: where much
	// happens many are recorded at once, at a fraction of the cost of each.
	gather = 20 * time.Millisecond
)

// Run records until ctx ends. What fails is tried again: the feed keeps what
// comes meanwhile, and no more than one batch of it is held here.
func (r *Recorder) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	if r.opts.Stock != nil {
		wg.Go(func() { r.watchStock(ctx) })
	}
	pause := retryFirst
	for ctx.Err() == nil {
		err := r.follow(ctx, func() { pause = retryFirst })
		if ctx.Err() != nil || errors.Is(err, broker.ErrClosed) {
			break
		}
		r.feed.fell(r.opts.Logger, err)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, retryLast)
	}
	return nil
}

// lag knows whether something is recorded as it happens.
type lag struct {
	what string

	mu    sync.Mutex
	since time.Time // since when it is not; zero: it is
}

func (l *lag) behind() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.since
}

// fell notes that it is not recorded for now.
func (l *lag) fell(logger *slog.Logger, reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.since.IsZero() {
		l.since = time.Now()
		logger.Error("history is behind: "+l.what+" is recorded later", "reason", reason)
	}
}

// caughtUp notes that everything is recorded.
func (l *lag) caughtUp(logger *slog.Logger) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.since.IsZero() {
		logger.Info("history has caught up with "+l.what, "was_behind", time.Since(l.since).Round(time.Millisecond))
		l.since = time.Time{}
	}
}

// follow records from the last position on until something fails. went is
// called whenever it went well.
func (r *Recorder) follow(ctx context.Context, went func()) error {
	cursor, err := r.opts.History.Cursor(ctx, r.opts.Feed)
	if err != nil {
		return fmt.Errorf("find where history ends: %w", err)
	}
	for {
		next := time.After(gather)
		changes, err := r.opts.Broker.Changes(ctx, cursor, broker.MaxPage)
		switch {
		case errors.Is(err, broker.ErrCursorLost) && cursor != "":
			r.opts.Logger.Warn("the change feed does not reach back to where history ends; looking at all jobs")
			if err := r.reconcile(ctx); err != nil {
				return err
			}
			cursor = ""
			continue
		case err != nil:
			return fmt.Errorf("read the change feed behind %q: %w", cursor, err)
		case len(changes) == 0:
			r.feed.caughtUp(r.opts.Logger)
			if err := r.opts.Broker.Wait(ctx, broker.Interest{Feed: true, Cursor: cursor}); err != nil {
				return fmt.Errorf("wait for changes: %w", err)
			}
			continue
		}
		b, err := r.batch(ctx, changes)
		if err != nil {
			return err
		}
		cursor = changes[len(changes)-1].Cursor
		if err := r.record(ctx, b, r.opts.Feed, cursor); err != nil {
			return err
		}
		went()
		if len(changes) < broker.MaxPage {
			select {
			case <-ctx.Done():
			case <-next:
			}
		}
	}
}

// record keeps a batch, and tells of the ends in it. What is to be forgotten is
// so first: should this end in between, it is forgotten once more.
func (r *Recorder) record(ctx context.Context, b *batch, feed, cursor string) error {
	list, unrun := b.lists()
	if len(unrun) > 0 {
		if err := r.opts.History.Forget(ctx, unrun); err != nil {
			return fmt.Errorf("forget %d executions: %w", len(unrun), err)
		}
	}
	if err := r.opts.History.Record(ctx, list, feed, cursor); err != nil {
		return fmt.Errorf("record %d executions: %w", len(list), err)
	}
	if r.opts.Ended == nil {
		return nil
	}
	for _, e := range list {
		if e.State != distro.ExecutionStarted {
			r.opts.Ended(e, b.last[key{e.JobID, e.Run}])
		}
	}
	return nil
}
