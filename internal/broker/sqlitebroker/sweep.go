package sqlitebroker

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/distro-orchestrator/distro/internal/broker"
)

// maxSweep bounds the jobs of one Sweep whatever its caller asks for: all that
// others ask for waits behind it.
const maxSweep = 1000

// feedPerSweep is how many old feed entries one Sweep deletes at most. They lie
// side by side, so that this takes a few milliseconds.
const feedPerSweep = 10_000

// Sweep implements broker.Broker.
func (b *Broker) Sweep(ctx context.Context, limit int) (broker.Swept, error) {
	if limit <= 0 || limit > maxSweep {
		limit = maxSweep
	}
	var swept broker.Swept
	err := b.writer.do(ctx, func(ctx context.Context, t *txn) (err error) {
		swept, err = t.sweep(ctx, limit)
		return err
	})
	if err != nil {
		return broker.Swept{}, err
	}
	return swept, nil
}

func (t *txn) sweep(ctx context.Context, limit int) (s broker.Swept, err error) {
	left := limit
	if s.Due, err = t.queueDue(ctx, left); err != nil {
		return s, fmt.Errorf("queue due jobs: %w", err)
	}
	left -= s.Due
	lost := t.w.lostWorkers()
	if s.Rescued, err = t.rescueLost(ctx, lost, left); err != nil {
		return s, fmt.Errorf("rescue claims of %q: %w", lost, err)
	}
	left -= s.Rescued
	if s.Expired, err = t.expire(ctx, left); err != nil {
		return s, fmt.Errorf("delete expired jobs: %w", err)
	}
	left -= s.Expired
	more, err := t.trimFeed(ctx)
	if err != nil {
		return s, fmt.Errorf("trim the feed: %w", err)
	}
	s.More = left == 0 || more
	var next int64
	err = t.w.query(ctx, "SELECT ifnull(min(due_at), 0) FROM jobs INDEXED BY jobs_due WHERE status = 1", nil,
		[]any{&next}, func() error { return nil })
	if err != nil {
		return s, fmt.Errorf("find what is due next: %w", err)
	}
	s.NextDue = moment(next)
	t.swept, t.sweptNext, t.due = true, next, 0
	return s, nil
}

// queueDue queues scheduled jobs whose time has come, the earliest first.
func (t *txn) queueDue(ctx context.Context, limit int) (int, error) {
	list, err := t.find(ctx, "FROM "+sourceOfRows+`
		WHERE status = 1 AND due_at <= ? ORDER BY due_at, jobs.seq LIMIT ?`, t.now, limit)
	if err != nil {
		return 0, err
	}
	for i := range list {
		if err := t.requeue(ctx, &list[i], false); err != nil {
			return 0, err
		}
	}
	return len(list), nil
}

// expire deletes jobs whose time to be kept has passed.
func (t *txn) expire(ctx context.Context, limit int) (int, error) {
	list, err := t.find(ctx, "FROM "+sourceOfRows+`
		WHERE expires_at > 0 AND expires_at <= ? AND token IS NULL ORDER BY expires_at, jobs.seq LIMIT ?`, t.now, limit)
	if err != nil {
		return 0, err
	}
	for i := range list {
		if err := t.drop(ctx, &list[i]); err != nil {
			return 0, err
		}
	}
	return len(list), nil
}

// lostWorkers reads the beats of all workers, and of those that only claims
// tell of.
func (w *writer) lostWorkers() []string {
	beats := make(map[string]uint64, len(w.workers))
	for name := range w.claims.byHolder {
		beats[name] = 0
	}
	for name, wk := range w.workers {
		beats[name] = wk.beat
	}
	return w.watched.lost(w.clock.Monotonic(), beats)
}

func (t *txn) rescueLost(ctx context.Context, lost []string, limit int) (int, error) {
	rescued := 0
	for _, name := range lost {
		held := t.w.claims.of(name)
		// Where the limit cuts, those at the front of the queue come in a later
		// sweep, which puts them before the others again.
		slices.SortStableFunc(held, func(a, b *claim) int { return cmp.Compare(b.pos, a.pos) })
		held = held[:min(len(held), limit-rescued)]
		if err := t.rescue(ctx, held, "it gave no sign for "+broker.LostAfter.String()); err != nil {
			return 0, err
		}
		rescued += len(held)
		if len(t.w.claims.byHolder[name]) == 0 {
			delete(t.w.workers, name)
		}
		t.w.logger.WarnContext(ctx, "worker lost", "worker", name, "jobs", len(held))
	}
	return rescued, nil
}

// trimFeed deletes entries beyond those to keep and reports whether more are
// left.
func (t *txn) trimFeed(ctx context.Context) (more bool, err error) {
	// This transaction's own entries are not written yet; the next sweep
	// counts them.
	var oldest int64
	err = t.w.query(ctx, "SELECT ifnull(min(no), 0) FROM feed", nil, []any{&oldest}, func() error { return nil })
	if err != nil {
		return false, err
	}
	end := t.w.feedLast - t.w.feedKeep
	if oldest == 0 || oldest > end {
		return false, nil
	}
	_, err = t.exec(ctx, "DELETE FROM feed WHERE no <= ?", min(end, oldest+feedPerSweep-1))
	return oldest+feedPerSweep <= end, err
}
