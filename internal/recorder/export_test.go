package recorder

import (
	"context"
	"time"

	"github.com/distro-orchestrator/distro"
)

// RecordStock looks once and records what is found.
func (r *Recorder) RecordStock(ctx context.Context) error {
	look, err := r.opts.Stock.Look(ctx)
	if err != nil {
		return err
	}
	w := &stockWatch{Recorder: r}
	return w.recordStock(ctx, look.Runs)
}

// QueuedAt is when the attempts that changes tell of were queued, by run.
func (r *Recorder) QueuedAt(ctx context.Context, changes []distro.Change) (map[string]time.Time, error) {
	b, err := r.batch(ctx, changes)
	if err != nil {
		return nil, err
	}
	at := map[string]time.Time{}
	for k, e := range b.found {
		at[k.run] = e.EnqueuedAt
	}
	return at, nil
}
