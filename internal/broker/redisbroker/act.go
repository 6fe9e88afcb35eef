package redisbroker

import (
	"context"
	"fmt"
	"slices"

	"github.com/distro-orchestrator/distro/internal/broker"
)

// actStep is how many jobs one call acts on: others wait for no more than that.
const actStep = 12

// Act implements broker.Broker.
func (b *Broker) Act(ctx context.Context, action broker.Action, ids []string) ([]error, error) {
	if err := action.Check(); err != nil {
		return nil, err
	}
	errs := make([]error, 0, len(ids))
	for part := range slices.Chunk(ids, actStep) {
		a := b.begin(b.now(), len(part)+2)
		a.text(string(action))
		a.many(part)
		reply, err := b.run(ctx, "act", a)
		if err != nil {
			return nil, fmt.Errorf("%s %d jobs: %w", action, len(part), err)
		}
		codes, err := reply.AsIntSlice()
		if err != nil || len(codes) != len(part) {
			return nil, malformed("act", err)
		}
		for _, code := range codes {
			errs = append(errs, []error{nil, broker.ErrNotFound, broker.ErrConflict}[code])
		}
	}
	return errs, nil
}

// SetPaused implements broker.Broker.
func (b *Broker) SetPaused(ctx context.Context, queue string, paused bool) error {
	ctx, cancel := context.WithTimeout(ctx, b.opts.Timeout)
	defer cancel()
	c := b.client.B()
	change := c.Set().Key(keySuspended).Value("1").Build()
	switch {
	case queue == "" && !paused:
		change = c.Del().Key(keySuspended).Build()
	case queue != "" && paused:
		change = c.Sadd().Key(ownPaused).Member(queue).Build()
	case queue != "":
		change = c.Srem().Key(ownPaused).Member(queue).Build()
	}
	for _, result := range b.client.DoMulti(ctx, change, c.Publish().Channel(b.wakeChannel()).Message("paused").Build()) {
		if err := unavailable(result.Error()); err != nil {
			return fmt.Errorf("pause or resume %q: %w", queue, err)
		}
	}
	return nil
}
