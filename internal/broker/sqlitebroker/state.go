package sqlitebroker

import (
	"context"
	"fmt"
)

// placesAtOnce is how many places are reserved by one write.
const placesAtOnce = 10_000

// state is the writer's copy of what the database says. After a rollback it is
// read anew; workers and their beats live here only.
type state struct {
	stale    bool // a rollback left it wrong
	fresh    bool // it was read, and the signals do not know yet
	claims   claims
	workers  map[string]*worker
	watched  watch
	waiting  map[int64]int   // jobs that wait, by queue
	paused   map[string]bool // queues; "" stands for all workers
	lastSeq  int64           // of jobs
	place    int64           // the last one given
	reserved int64           // the last one that may be given without a write
	feedLast int64           // newest entry of the feed
}

// load reads the state from the database.
func (w *writer) load(ctx context.Context) error {
	w.stale, w.fresh = true, true
	w.claims = newClaims()
	w.waiting, w.paused = map[int64]int{}, map[string]bool{}
	err := w.query(ctx, `SELECT
			(SELECT ifnull(max(seq), 0) FROM jobs),
			(SELECT ifnull(max(no), 0) FROM feed),
			(SELECT reserved FROM places)`,
		nil, []any{&w.lastSeq, &w.feedLast, &w.reserved}, func() error { return nil })
	if err != nil {
		return fmt.Errorf("read the counters: %w", err)
	}
	w.place = w.reserved
	if err := w.loadNames(ctx); err != nil {
		return fmt.Errorf("read names: %w", err)
	}
	var queue int64
	var jobs int
	err = w.query(ctx, "SELECT queue, sum(jobs) FROM counts WHERE status = 0 GROUP BY queue", nil,
		[]any{&queue, &jobs}, func() error { w.waiting[queue] = jobs; return nil })
	if err != nil {
		return fmt.Errorf("read what waits: %w", err)
	}
	var name string
	err = w.query(ctx, "SELECT queue FROM paused", nil, []any{&name}, func() error { w.paused[name] = true; return nil })
	if err != nil {
		return fmt.Errorf("read what is paused: %w", err)
	}
	if err := w.loadClaims(ctx); err != nil {
		return fmt.Errorf("read claims: %w", err)
	}
	w.stale = false
	return nil
}

func (w *writer) loadNames(ctx context.Context) error {
	w.names.reset()
	var id int64
	var name string
	return w.query(ctx, "SELECT id, name FROM names", nil, []any{&id, &name}, func() error {
		w.names.add(id, name)
		return nil
	})
}

// nextPlace numbers a place in a queue: behind all others as it is, before all
// others when negated. No number is ever given twice, not even after a restart.
func (t *txn) nextPlace(ctx context.Context) (int64, error) {
	if t.w.place == t.w.reserved {
		if _, err := t.exec(ctx, "UPDATE places SET reserved = ?", t.w.reserved+placesAtOnce); err != nil {
			return 0, fmt.Errorf("reserve places: %w", err)
		}
		t.w.reserved += placesAtOnce
	}
	t.w.place++
	return t.w.place, nil
}
