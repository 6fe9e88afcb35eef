package sqlitebroker

import "context"

// waiter is the place of a job in its waiting list.
type waiter struct {
	pos, no    int64
	seq        int64
	queue      int64
	enqueuedAt int64
}

// join puts a job into the waiting list of its queue when t catches up. Its row
// holds w.pos already.
func (t *txn) join(ref jobRef, w waiter) {
	w.seq, w.queue = ref.seq, ref.queue
	t.joined = append(t.joined, w)
	t.count(ref.queue, ref.function, waiting, 1)
}

// leave takes a job out of the waiting list of its queue.
func (t *txn) leave(ctx context.Context, r *row) error {
	if err := t.catchUp(ctx); err != nil {
		return err
	}
	t.count(r.queue, r.function, waiting, -1)
	_, err := t.exec(ctx, "DELETE FROM waiting WHERE queue = ? AND pos = ?", r.queue, r.pos)
	return err
}

// fromWaiting finds the first jobs of a waiting list.
const fromWaiting = "waiting CROSS JOIN jobs ON jobs.seq = waiting.seq LEFT JOIN claims ON claims.seq = jobs.seq"
