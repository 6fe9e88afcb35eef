package sqlitebroker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/distro-orchestrator/distro/internal/broker"
)

// actAtOnce bounds the jobs that one operation of the writer acts on.
const actAtOnce = 256

// Act implements broker.Broker.
func (b *Broker) Act(ctx context.Context, action broker.Action, ids []string) ([]error, error) {
	if err := action.Check(); err != nil {
		return nil, err
	}
	results := make([]error, 0, len(ids))
	for part := range slices.Chunk(ids, actAtOnce) {
		var errs []error
		err := b.writer.do(ctx, func(ctx context.Context, t *txn) error {
			errs = make([]error, len(part))
			for i, id := range part {
				errs[i] = t.act(ctx, action, id)
				if err := errs[i]; err != nil && !errors.Is(err, broker.ErrNotFound) && !errors.Is(err, broker.ErrConflict) {
					return fmt.Errorf("%s job %q: %w", action, id, err)
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		results = append(results, errs...)
	}
	return results, ctx.Err()
}

func (t *txn) act(ctx context.Context, action broker.Action, id string) error {
	list, err := t.find(ctx, "FROM "+sourceOfRows+" WHERE id = ?", id)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return broker.ErrNotFound
	}
	r := &list[0]
	if !allows(r.status, action) {
		return broker.ErrConflict
	}
	switch action {
	case broker.ActionCancel:
		return t.cancel(ctx, r)
	case broker.ActionRequeue:
		return t.requeue(ctx, r, false)
	case broker.ActionDelete:
		return t.drop(ctx, r)
	case broker.ActionRunFirst:
		return t.runFirst(ctx, r)
	default:
		return t.stop(ctx, r)
	}
}

// allows reports whether a job of this status may be acted on so.
func allows(status int, action broker.Action) bool {
	switch action {
	case broker.ActionCancel:
		return status == queued || status == scheduled || status == deferred
	case broker.ActionRequeue:
		return status == failed || status == stopped || status == canceled
	case broker.ActionRunFirst:
		return status == queued || status == scheduled
	case broker.ActionStop:
		return status == started
	default:
		return status != started
	}
}

// find returns the jobs that the rest of a SELECT finds.
func (t *txn) find(ctx context.Context, from string, args ...any) ([]row, error) {
	if err := t.catchUp(ctx); err != nil {
		return nil, err
	}
	var list []row
	var r row
	err := t.w.query(ctx, "SELECT "+rowColumns+" "+from, args, r.dest(), func() error {
		list = append(list, r)
		return nil
	})
	return list, err
}

func (t *txn) cancel(ctx context.Context, r *row) error {
	if err := t.leaveQueue(ctx, r); err != nil {
		return err
	}
	if _, err := t.exec(ctx, "UPDATE jobs SET status = 8, due_at = 0, expires_at = 0 WHERE seq = ?", r.seq); err != nil {
		return err
	}
	t.move(r.jobRef, r.status, canceled)
	t.changed(r.jobRef, canceled, change{attempt: r.attempt})
	return nil
}

// drop deletes a job that does not run.
func (t *txn) drop(ctx context.Context, r *row) error {
	if err := t.leaveQueue(ctx, r); err != nil {
		return err
	}
	return t.delete(ctx, r.jobRef, r.status, r.attempt)
}

// leaveQueue takes r from its waiting list, or from the worker that claimed it
// and did not begin it.
func (t *txn) leaveQueue(ctx context.Context, r *row) error {
	if r.status != queued {
		return nil
	}
	if cl := t.w.claims.byJob[r.id]; cl != nil {
		t.endClaim(cl)
		return nil
	}
	return t.leave(ctx, r)
}

// requeue puts a job that is not queued into its queue.
func (t *txn) requeue(ctx context.Context, r *row, front bool) error {
	place, err := t.nextPlace(ctx)
	if err != nil {
		return err
	}
	pos := place
	if front {
		pos = -place
	}
	if _, err := t.exec(ctx, `UPDATE jobs SET status = 3, pos = ?, enqueued_at = ?, due_at = 0, expires_at = ?
		WHERE seq = ?`, pos, t.now, waitsUntil(t.now, r.ttl), r.seq); err != nil {
		return err
	}
	t.move(r.jobRef, r.status, queued)
	t.join(r.jobRef, waiter{pos: pos, no: place, enqueuedAt: t.now})
	t.changed(r.jobRef, queued, change{attempt: r.attempt})
	return nil
}

func (t *txn) runFirst(ctx context.Context, r *row) error {
	if r.status == scheduled {
		return t.requeue(ctx, r, true)
	}
	if r.token != "" { // it is ahead of all that wait
		return nil
	}
	place, err := t.nextPlace(ctx)
	if err != nil {
		return err
	}
	if err := t.catchUp(ctx); err != nil {
		return err
	}
	// It keeps its number: it has waited since then.
	if _, err := t.exec(ctx, "UPDATE waiting SET pos = ? WHERE queue = ? AND pos = ?", -place, r.queue, r.pos); err != nil {
		return err
	}
	_, err = t.exec(ctx, "UPDATE jobs SET pos = ? WHERE seq = ?", -place, r.seq)
	return err
}

func (t *txn) stop(ctx context.Context, r *row) error {
	cl := t.w.claims.byJob[r.id]
	if cl == nil { // not reached: what is started is claimed
		return broker.ErrConflict
	}
	if cl.stop {
		return nil
	}
	if _, err := t.exec(ctx, "UPDATE claims SET stop = 1 WHERE seq = ?", r.seq); err != nil {
		return err
	}
	cl.stop = true
	t.touchHolder(cl.holder)
	return nil
}

// SetPaused implements broker.Broker.
func (b *Broker) SetPaused(ctx context.Context, queue string, paused bool) error {
	return b.writer.do(ctx, func(ctx context.Context, t *txn) error {
		if t.w.paused[queue] == paused {
			return nil
		}
		text := "INSERT INTO paused (queue) VALUES (?)"
		if !paused {
			text = "DELETE FROM paused WHERE queue = ?"
		}
		if _, err := t.exec(ctx, text, queue); err != nil {
			return fmt.Errorf("pause or resume queue %q: %w", queue, err)
		}
		if paused {
			t.w.paused[queue] = true
		} else {
			delete(t.w.paused, queue)
		}
		return nil
	})
}

// maxEmpty bounds the jobs of one step of Empty.
const maxEmpty = 1000

// Empty implements broker.Broker. Its cursor is the last place given when the
// walk began: who joined the waiting list later has a higher one.
func (b *Broker) Empty(ctx context.Context, queue, cursor string, limit int) (deleted int, next string, err error) {
	end, err := parseCursor(emptyCursor, cursor)
	if err != nil {
		return 0, "", err
	}
	if limit <= 0 || limit > maxEmpty {
		limit = maxEmpty
	}
	err = b.writer.do(ctx, func(ctx context.Context, t *txn) error {
		deleted, next = 0, ""
		id, ok := t.w.names.id(queue)
		if !ok {
			return nil
		}
		last := end
		if cursor == "" {
			last = t.w.place
		}
		var err error
		if deleted, err = t.empty(ctx, id, last, limit); err != nil {
			return fmt.Errorf("empty queue %q: %w", queue, err)
		}
		if deleted == limit {
			next = formatCursor(emptyCursor, last)
		}
		return nil
	})
	if err != nil {
		return 0, "", err
	}
	return deleted, next, nil
}

func (t *txn) empty(ctx context.Context, queue, last int64, limit int) (int, error) {
	// What was put to the front stands before all others, and was perhaps put
	// there since the walk began.
	list, err := t.find(ctx, "FROM "+fromWaiting+`
		WHERE waiting.queue = ? AND waiting.pos <= ? AND queued_no <= ? ORDER BY waiting.pos LIMIT ?`,
		queue, last, last, limit)
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
