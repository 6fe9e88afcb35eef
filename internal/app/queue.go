package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
	"github.com/distro-orchestrator/distro/internal/broker/sqlitebroker"
	"github.com/distro-orchestrator/distro/internal/config"
	"github.com/distro-orchestrator/distro/internal/metrics"
	"github.com/distro-orchestrator/distro/internal/recorder"
	"github.com/distro-orchestrator/distro/internal/service"
	"github.com/distro-orchestrator/distro/internal/shipping"
)

// queue is what holds the jobs.
type queue struct {
	broker.Broker
	redis    func() string    // URL for the processes of jobs; nil: it is no Redis
	output   transit          // from workers on other hosts; nil: there are none
	commands service.Commands // to single workers; nil: they hear none
	stock    recorder.Stock   // finds what workers of RQ's own do; nil: there are none
	where    string           // address of the Redis
	full     func() bool      // the last change found no room on the disk of data_dir; nil: nothing is kept there
	close    func() error
}

// transit brings the output of jobs from workers to an orchestrator.
type transit interface {
	shipping.Outbox
	shipping.Inbox
	service.Arrivals
}

// arrivals is what a service asks about output on its way.
func (q queue) arrivals() service.Arrivals {
	if q.output == nil {
		return nil
	}
	return q.output
}

// openQueue opens the queue that the settings name.
func openQueue(ctx context.Context, cfg config.Config, clock broker.Clock, measured *metrics.Metrics, log *slog.Logger) (queue, error) {
	if cfg.RedisURL != "" {
		return openRedis(ctx, redisbroker.Options{
			URL: cfg.RedisURL, Clock: clock, Schedule: cfg.Queues, Queues: cfg.Queues, Feed: true, Logger: log,
		}, "redis_url")
	}
	if line := ForgottenRedis(ctx, cfg, LocalRedis); line != "" {
		log.WarnContext(ctx, line)
	}
	b, err := sqlitebroker.Open(ctx, sqlitebroker.Options{
		Path: filepath.Join(cfg.DataDir, "queue.db"), Clock: clock, Logger: log, Observe: measured.Database("queue"),
	})
	if err != nil {
		return queue{}, fmt.Errorf("open the queue: %w", err)
	}
	return queue{Broker: b, close: b.Close, full: b.Full}, nil
}

// openRedis opens a queue on Redis and logs what an operator should know of
// it. setting is where its URL comes from.
func openRedis(ctx context.Context, opts redisbroker.Options, setting string) (queue, error) {
	b, err := redisbroker.Open(ctx, opts)
	if errors.Is(err, broker.ErrUnavailable) {
		return queue{}, fmt.Errorf("%w: start it, or name another Redis with %s", err, setting)
	}
	if err != nil {
		return queue{}, fmt.Errorf("open the queue: %w", err)
	}
	info, err := b.Info(ctx)
	if err != nil {
		return queue{}, errors.Join(fmt.Errorf("open the queue: %w", err), b.Close())
	}
	opts.Logger.InfoContext(ctx, "the queue is on Redis", "redis", info.Where, "version", info.Version)
	for _, warning := range info.Warnings() {
		opts.Logger.WarnContext(ctx, warning)
	}
	return queue{Broker: b, where: info.Where, redis: b.ChildURL, output: b, commands: b, stock: b.Stock(), close: b.Close}, nil
}

// LocalRedis is where the Redis of a team usually is that ran RQ on this
// machine.
const LocalRedis = "127.0.0.1:6379"

// ForgottenRedis says how to join the Redis at an address, which holds queues
// of RQ, where the settings name a PostgreSQL and no Redis: who has a
// PostgreSQL hardly wants the queue of a single machine. It is empty where
// there is nothing to say.
func ForgottenRedis(ctx context.Context, cfg config.Config, address string) string {
	if cfg.PostgreURL == "" || cfg.RedisURL != "" {
		return ""
	}
	// An error says that there is none to join.
	if holds, err := redisbroker.HoldsQueues(ctx, address); err != nil || !holds {
		return ""
	}
	return "the Redis on " + address + " holds queues of RQ, and redis_url is not set, so their jobs are not seen: " +
		"set redis_url = redis://" + address + "/0 to join them"
}
