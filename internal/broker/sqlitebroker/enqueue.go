package sqlitebroker

import (
	"context"
	"fmt"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// inlinePayload is the size up to which a payload stands in its job's row.
// Every change of a row writes all of it anew, so larger ones have their own.
const inlinePayload = 1024

// Enqueue implements broker.Broker.
func (b *Broker) Enqueue(ctx context.Context, jobs []distro.Job) ([]broker.EnqueueResult, error) {
	if err := broker.CheckJobs(jobs); err != nil {
		return nil, err
	}
	if len(jobs) == 0 {
		return nil, ctx.Err()
	}
	var results []broker.EnqueueResult
	err := b.writer.do(ctx, func(ctx context.Context, t *txn) error {
		results = make([]broker.EnqueueResult, len(jobs))
		for i := range jobs {
			result, err := t.enqueue(ctx, &jobs[i])
			if err != nil {
				return fmt.Errorf("store job %q: %w", jobs[i].ID, err)
			}
			results[i] = result
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

func (t *txn) enqueue(ctx context.Context, j *distro.Job) (broker.EnqueueResult, error) {
	queue, err := t.nameID(ctx, j.Queue)
	if err != nil {
		return 0, err
	}
	function, err := t.nameID(ctx, j.Function)
	if err != nil {
		return 0, err
	}
	ref := jobRef{seq: t.w.lastSeq + 1, id: j.ID, queue: queue, function: function}
	status, place, enqueuedAt, expiresAt, dueAt := queued, int64(0), t.now, waitsUntil(t.now, j.TTL), int64(0)
	if due := microsAfter(j.DueAt); due > t.now {
		status, enqueuedAt, expiresAt, dueAt = scheduled, 0, 0, due
	} else if place, err = t.nextPlace(ctx); err != nil {
		return 0, err
	}
	size := len(j.Payload.Data)
	inline := j.Payload.Data
	if size > inlinePayload {
		inline = nil
	}
	res, err := t.exec(ctx, `INSERT INTO jobs (seq, id, queue, function, status, pos, created_at, enqueued_at, due_at,
			expires_at, retries_left, timeout, ttl, result_ttl, failure_ttl, retry_intervals, fingerprint, "trigger",
			caller, serializer, payload_size, payload)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
		ref.seq, j.ID, queue, function, status, place, t.now, enqueuedAt, dueAt,
		expiresAt, j.RetriesLeft, int64(j.Timeout), int64(j.TTL), int64(j.ResultTTL), int64(j.FailureTTL),
		formatIntervals(j.RetryIntervals), j.Fingerprint, j.Trigger, j.Caller, j.Payload.Serializer, size, inline)
	if err != nil {
		return 0, err
	}
	if n, err := res.RowsAffected(); err != nil {
		return 0, err
	} else if n == 0 {
		return t.compareFingerprint(ctx, j)
	}
	t.w.lastSeq = ref.seq
	if size > inlinePayload {
		if _, err := t.exec(ctx, "INSERT INTO payloads (seq, data) VALUES (?, ?)", ref.seq, j.Payload.Data); err != nil {
			return 0, err
		}
	}
	t.arrived(ref, status, place, dueAt)
	t.changed(ref, status, change{})
	return broker.Enqueued, nil
}

// arrived counts a job that came to be queued at pos now, or scheduled.
func (t *txn) arrived(ref jobRef, status int, pos, dueAt int64) {
	t.move(ref, noStatus, status)
	if status == queued {
		t.join(ref, waiter{pos: pos, no: max(pos, -pos), enqueuedAt: t.now})
		return
	}
	if t.due == 0 || dueAt < t.due {
		t.due = dueAt
	}
}

// compareFingerprint says what a job is whose ID is taken.
func (t *txn) compareFingerprint(ctx context.Context, j *distro.Job) (broker.EnqueueResult, error) {
	var stored string
	err := t.w.query(ctx, "SELECT fingerprint FROM jobs WHERE id = ?", []any{j.ID}, []any{&stored}, func() error { return nil })
	if err != nil {
		return 0, err
	}
	if stored != "" && stored == j.Fingerprint {
		return broker.EnqueueRepeated, nil
	}
	return broker.EnqueueConflict, nil
}
