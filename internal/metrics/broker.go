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

// call measures a call that has ended with err.
func (b *measured) call(operation string, began time.Time, err *error) {
	b.metrics.calls.WithLabelValues(operation, outcome(*err)).Observe(time.Since(began).Seconds())
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
	defer b.call("enqueue", time.Now(), &err)
	return b.Broker.Enqueue(ctx, jobs)
}

// Exchange implements broker.Broker.
func (b *measured) Exchange(ctx context.Context, req broker.ExchangeRequest) (reply broker.ExchangeReply, err error) {
	defer b.call("exchange", time.Now(), &err)
	return b.Broker.Exchange(ctx, req)
}

// Act implements broker.Broker.
func (b *measured) Act(ctx context.Context, action broker.Action, ids []string) (results []error, err error) {
	defer b.call("act", time.Now(), &err)
	return b.Broker.Act(ctx, action, ids)
}

// Get implements broker.Broker.
func (b *measured) Get(ctx context.Context, ids []string) (jobs []distro.Job, err error) {
	defer b.call("get", time.Now(), &err)
	return b.Broker.Get(ctx, ids)
}

// List implements broker.Broker.
func (b *measured) List(ctx context.Context, q broker.ListQuery) (page broker.Page, err error) {
	defer b.call("list", time.Now(), &err)
	return b.Broker.List(ctx, q)
}

// Places implements broker.Broker.
func (b *measured) Places(ctx context.Context, q broker.PlaceQuery) (places broker.Places, err error) {
	defer b.call("places", time.Now(), &err)
	return b.Broker.Places(ctx, q)
}

// Compact implements broker.Broker.
func (b *measured) Compact(ctx context.Context, queue string, status distro.Status, cursor string, limit int) (dropped int, next string, err error) {
	defer b.call("compact", time.Now(), &err)
	return b.Broker.Compact(ctx, queue, status, cursor, limit)
}

// Counts implements broker.Broker.
func (b *measured) Counts(ctx context.Context) (counts broker.Counts, err error) {
	defer b.call("counts", time.Now(), &err)
	return b.Broker.Counts(ctx)
}

// SetPaused implements broker.Broker.
func (b *measured) SetPaused(ctx context.Context, queue string, paused bool) (err error) {
	defer b.call("set_paused", time.Now(), &err)
	return b.Broker.SetPaused(ctx, queue, paused)
}

// Empty implements broker.Broker.
func (b *measured) Empty(ctx context.Context, queue, cursor string, limit int) (deleted int, next string, err error) {
	defer b.call("empty", time.Now(), &err)
	return b.Broker.Empty(ctx, queue, cursor, limit)
}

// Sweep implements broker.Broker.
func (b *measured) Sweep(ctx context.Context, limit int) (swept broker.Swept, err error) {
	defer b.call("sweep", time.Now(), &err)
	return b.Broker.Sweep(ctx, limit)
}

// Workers implements broker.Broker.
func (b *measured) Workers(ctx context.Context) (workers []distro.Worker, err error) {
	defer b.call("workers", time.Now(), &err)
	return b.Broker.Workers(ctx)
}

// Changes implements broker.Broker.
func (b *measured) Changes(ctx context.Context, cursor string, limit int) (changes []distro.Change, err error) {
	defer b.call("changes", time.Now(), &err)
	return b.Broker.Changes(ctx, cursor, limit)
}

// FeedEnd implements broker.Broker.
func (b *measured) FeedEnd(ctx context.Context) (cursor string, err error) {
	defer b.call("feed_end", time.Now(), &err)
	return b.Broker.FeedEnd(ctx)
}
