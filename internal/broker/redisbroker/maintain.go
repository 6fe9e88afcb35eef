package redisbroker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"github.com/distro-orchestrator/distro"
)

const (
	maintainEvery = 30 * time.Second
	maintainStep  = 32               // entries of a queue that are looked at in one call
	maintainLife  = 60 * time.Second // of RQ's lock, should this process die with it
	stuckFor      = 60 * time.Second // as in RQ 1.16.2 and later
	releaseSteps  = 64               // calls that enqueue dependents in one Sweep
)

// maintain repairs, every now and then, what processes left that died. It is
// what RQ's own workers do for their queues, under the same locks.
func (b *Broker) maintain(ctx context.Context) error {
	if err := b.releaseDependents(ctx); err != nil {
		return err
	}
	now := b.opts.Clock.Monotonic()
	b.mu.Lock()
	due := b.upkeep == 0 || now-b.upkeep >= maintainEvery
	if due {
		b.upkeep = now
	}
	b.mu.Unlock()
	if !due {
		return nil
	}
	queues, err := b.lookedAfter(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, queue := range queues {
		if err := b.maintainQueue(ctx, queue); err != nil {
			errs = append(errs, fmt.Errorf("maintain queue %q: %w", queue, err))
		}
	}
	return errors.Join(errs...)
}

func (b *Broker) maintainQueue(ctx context.Context, queue string) error {
	const reason = "Moved to FailedJobRegistry, due to AbandonedJobError: its worker is gone"
	a := b.begin(b.now(), 6)
	a.text(queue)
	a.number(seconds(maintainLife))
	a.number(seconds(stuckFor))
	a.number(maintainStep)
	a.text(b.codec.excString(reason + "\n"))
	a.text(string(b.codec.resultTail(&distro.Result{
		Outcome: distro.OutcomeLost, Failure: &distro.Failure{Kind: distro.FailureLost, Message: reason},
	})))
	reply, err := b.run(ctx, "maintain", a)
	if err != nil {
		return err
	}
	counts, err := reply.AsIntSlice()
	if err != nil || len(counts) != 2 {
		return malformed("maintain", err)
	}
	if counts[0]+counts[1] > 0 {
		b.opts.Logger.Warn("jobs of dead RQ workers were repaired", "queue", queue, "abandoned", counts[0], "unstuck", counts[1])
	}
	return nil
}

// releaseDependents goes on with ended jobs that too many others wait for to
// release them in one step: a bounded part of it.
func (b *Broker) releaseDependents(ctx context.Context) error {
	short, cancel := b.bound(ctx)
	parents, err := b.client.Do(short, b.client.B().Hkeys().Key(ownRelease).Build()).AsStrSlice()
	cancel()
	if err != nil && !rueidis.IsRedisNil(err) {
		return unavailable(err)
	}
	steps := 0
	for _, parent := range parents {
		for left := int64(1); left > 0 && steps < releaseSteps; steps++ {
			a := b.begin(b.now(), 1)
			a.text(parent)
			reply, err := b.run(ctx, "release", a)
			if err != nil {
				return fmt.Errorf("release the dependents of %q: %w", parent, err)
			}
			if left, err = reply.AsInt64(); err != nil {
				return malformed("release", err)
			}
		}
	}
	return nil
}
