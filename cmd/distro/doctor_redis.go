package main

import (
	"context"
	"errors"

	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
	"github.com/distro-orchestrator/distro/internal/config"
)

// checkRedis connects to the Redis of the queue and asks it about itself.
func checkRedis(ctx context.Context, cfg config.Config) []finding {
	const check = "redis"
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	b, err := redisbroker.Open(ctx, redisbroker.Options{URL: cfg.RedisURL, Clock: broker.SystemClock()})
	if errors.Is(err, broker.ErrUnavailable) {
		return []finding{fail(check, "%v: start it, or set another redis_url", err)}
	}
	if err != nil {
		return []finding{fail(check, "%v", err)}
	}
	info, err := b.Info(ctx)
	if err := errors.Join(err, b.Close()); err != nil {
		return []finding{fail(check, "%v", err)}
	}
	version := info.Version
	if version == "" {
		version = "of an unknown version"
	}
	list := []finding{fine(check, "%s, Redis %s", info.Where, version)}
	for _, warning := range info.Warnings() {
		list = append(list, warn(check, "%s", warning))
	}
	return list
}
