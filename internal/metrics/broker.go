package metrics

import (
	"context"
	"errors"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// Broker returns b with its calls measured.
func (m *Metrics) Broker(b broker.Broker) broker.Broker { return &measured{b, m} }

// measured passes everything on to the broker it measures. Wait, which takes
// as long as there is nothing to do, is not measured.
type measured struct {
	broker.Broker
	metrics *Metrics
}

var _ broker.Broker = (*measured)(nil)

// call begins a measurement; what it returns ends it.
func (b *measured) call(operation string) func(error) {
	began := time.Now()
	return func(err error) {
		b.metrics.calls.WithLabelValues(operation, outcome(err)).Observe(time.Since(began).Seconds())
	}
}

// outcome is the label of an error.
func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	for _, known := range []struct {
		err   error
		label string
	}{
		{broker.ErrUnavailable, "unavailable"},
		{broker.ErrFull, "full"},
		{broker.ErrNotFound, "not_found"},
		{broker.ErrConflict, "conflict"},
		{broker.ErrCursorLost, "cursor_lost"},
		{broker.ErrNameTaken, "name_taken"},
		{broker.ErrClosed, "closed"},
		{context.Canceled, "canceled"},
		{context.DeadlineExceeded, "timeout"},
	} {
		if errors.Is(err, known.err) {
			return known.label
		}
	}
	return "error"
}

// Enqueue implements broker.Broker.
func (b *measured) Enqueue(ctx context.Context, jobs []distro.Job) (results []broker.EnqueueResult, err error) {
	done := b.call("enqueue")
	results, err = b.Broker.Enqueue(ctx, jobs)
	done(err)
	return results, err
}

// Exchange implements broker.Broker.
func (b *measured) Exchange(ctx context.Context, req broker.ExchangeRequest) (reply broker.ExchangeReply, err error) {
	done := b.call("exchange")
	reply, err = b.Broker.Exchange(ctx, req)
	done(err)
	return reply, err
}

// Act implements broker.Broker.
func (b *measured) Act(ctx context.Context, action broker.Action, ids []string) (results []error, err error) {
	done := b.call("act")
	results, err = b.Broker.Act(ctx, action, ids)
	done(err)
	return results, err
}

// Get implements broker.Broker.
func (b *measured) Get(ctx context.Context, ids []string) (jobs []distro.Job, err error) {
	done := b.call("get")
	jobs, err = b.Broker.Get(ctx, ids)
	done(err)
	return jobs, err
}

// List implements broker.Broker.
func (b *measured) List(ctx context.Context, q broker.ListQuery) (page broker.Page, err error) {
	done := b.call("list")
	page, err = b.Broker.List(ctx, q)
	done(err)
	return page, err
}

// Places implements broker.Broker.
func (b *measured) Places(ctx context.Context, q broker.PlaceQuery) (places broker.Places, err error) {
	done := b.call("places")
	places, err = b.Broker.Places(ctx, q)
	done(err)
	return places, err
}

// Compact implements broker.Broker.
func (b *measured) Compact(ctx context.Context, queue string, status distro.Status, cursor string, limit int) (dropped int, next string, err error) {
	done := b.call("compact")
	dropped, next, err = b.Broker.Compact(ctx, queue, status, cursor, limit)
	done(err)
	return dropped, next, err
}

// Counts implements broker.Broker.
func (b *measured) Counts(ctx context.Context) (counts broker.Counts, err error) {
	done := b.call("counts")
	counts, err = b.Broker.Counts(ctx)
	done(err)
	return counts, err
}

// SetPaused implements broker.Broker.
func (b *measured) SetPaused(ctx context.Context, queue string, paused bool) error {
	done := b.call("set_paused")
	err := b.Broker.SetPaused(ctx, queue, paused)
	done(err)
	return err
}

// Empty implements broker.Broker.
func (b *measured) Empty(ctx context.Context, queue, cursor string, limit int) (deleted int, next string, err error) {
	done := b.call("empty")
	deleted, next, err = b.Broker.Empty(ctx, queue, cursor, limit)
	done(err)
	return deleted, next, err
}

// Sweep implements broker.Broker.
func (b *measured) Sweep(ctx context.Context, limit int) (swept broker.Swept, err error) {
	done := b.call("sweep")
	swept, err = b.Broker.Sweep(ctx, limit)
	done(err)
	return swept, err
}

// Workers implements broker.Broker.
func (b *measured) Workers(ctx context.Context) (workers []distro.Worker, err error) {
	done := b.call("workers")
	workers, err = b.Broker.Workers(ctx)
	done(err)
	return workers, err
}

// Changes implements broker.Broker.
func (b *measured) Changes(ctx context.Context, cursor string, limit int) (changes []distro.Change, err error) {
	done := b.call("changes")
	changes, err = b.Broker.Changes(ctx, cursor, limit)
	done(err)
	return changes, err
}

// FeedEnd implements broker.Broker.
func (b *measured) FeedEnd(ctx context.Context) (cursor string, err error) {
	done := b.call("feed_end")
	cursor, err = b.Broker.FeedEnd(ctx)
	done(err)
	return cursor, err
}
