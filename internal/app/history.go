package app

import (
	"context"
	"path/filepath"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/recorder"
	"github.com/distro-orchestrator/distro/internal/store"
)

// openHistory opens the database of what ran, and what copies it there. Who
// wants to know of ends hears of them when they are recorded.
func (a *App) openHistory(ctx context.Context) (err error) {
	cfg, log := a.opts.Config, a.opts.Logger
	a.history, err = store.Open(ctx, store.Options{
		Path: filepath.Join(cfg.DataDir, "history.db"), URL: cfg.PostgreURL, Logger: log, Observe: a.metrics.Database("history"),
	})
	if err != nil {
		return err
	}
	a.closers.add("history", a.history.Close)
	feed := "embedded"
	if cfg.RedisURL != "" {
		feed = "redis " + a.queue.where
	}
	embedded := ""
	if a.worker != nil {
		embedded = a.worker.Name()
	}
	a.sources = &recorder.Sources{Dir: cfg.ModulesPath}
	a.recorder = recorder.New(recorder.Options{
		Broker: a.queue, History: a.history, Feed: feed, Embedded: embedded, Logger: log, Ended: a.ended,
		Stock: a.queue.stock, Sources: a.sources,
	})
	return nil
}

// ended tells of an attempt that was recorded.
func (a *App) ended(e distro.Execution, last bool) {
	a.metrics.Observe(e)
	failed := e.State == distro.ExecutionFailed || e.State == distro.ExecutionLost
	if a.webhook != nil && last && failed {
		a.webhook.Failed(e)
	}
}
