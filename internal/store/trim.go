package store

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/distro-orchestrator/distro/internal/sqldb"
)

// Retention says how much history is kept. Zero is no bound.
type Retention struct {
	MaxAge   time.Duration // since an execution's anchor
	MaxRows  int
	MaxBytes int64 // as Totals estimates them
}

// Minutes are counted for days, hours for more than a year: see Series. What
// operations did is kept for a quarter.
const (
	keepMinutes    = 3 * 24 * time.Hour
	keepHours      = 400 * 24 * time.Hour
	keepOperations = 90 * 24 * time.Hour
)

// Trim deletes the oldest executions that retention does not keep, limit of
// them at most, and says whether there may be more to delete. Executions that
// run are kept. What else has had its time goes too: answers that expired,
// points of charts, operations that ended long ago. Every call is one short
// transaction: call it again while there is more.
func (s *Store) Trim(ctx context.Context, keep Retention, limit int) (deleted int, more bool, err error) {
	limit = max(limit, 1)
	now := s.now()
	err = s.change(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		deleted, more = 0, false
		ids, sizes, err := s.excess(ctx, tx, keep, now, limit)
		if err != nil {
			return fmt.Errorf("find old executions: %w", err)
		}
		if err := s.remove(ctx, tx, ids); err != nil {
			return err
		}
		if err := moveHorizon(ctx, tx, ids); err != nil {
			return fmt.Errorf("move the horizon: %w", err)
		}
		t := totals{executions: -int64(len(ids)), bytes: -sizes}
		if err := t.write(ctx, tx); err != nil {
			return fmt.Errorf("write totals: %w", err)
		}
		deleted, more = len(ids), len(ids) == limit
		rest, err := s.trimRest(ctx, tx, now, limit)
		more = more || rest
		return err
	})
	if err != nil {
		return 0, false, wrap(err, "trim history")
	}
	return deleted, more, nil
}

// horizonFeed is the name under which the horizon stands among the cursors: it
// is a position too, and no feed has this name.
const horizonFeed = "horizon"

// moveHorizon notes which executions were deleted, the oldest first.
func moveHorizon(ctx context.Context, tx *sqldb.Tx, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	position := ""
	err := tx.Query(ctx, "SELECT position FROM distro_cursors WHERE feed = $1", []any{horizonFeed}, []any{&position}, func() error { return nil })
	if err != nil {
		return err
	}
	before, _ := strconv.ParseInt(position, 10, 64) // nothing was deleted yet
	_, err = tx.Exec(ctx, `INSERT INTO distro_cursors (feed, position) VALUES ($1, $2)
		ON CONFLICT (feed) DO UPDATE SET position = excluded.position`, horizonFeed, strconv.FormatInt(max(before, ids[len(ids)-1]), 10))
	return err
}

// Horizon is when the newest of the executions that Trim deleted began: what
// ended before it and is not in history has been there. Zero: nothing was
// deleted.
func (s *Store) Horizon(ctx context.Context) (time.Time, error) {
	position, err := s.Cursor(ctx, horizonFeed)
	if err != nil || position == "" {
		return time.Time{}, err
	}
	id, err := strconv.ParseInt(position, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the horizon: %w", err)
	}
	return moment(id >> ordinalBits), nil
}

// excess finds the oldest executions that are not kept.
func (s *Store) excess(ctx context.Context, tx *sqldb.Tx, keep Retention, now time.Time, limit int) (ids []int64, sizes int64, err error) {
	var executions, bytes int64
	if err := tx.Row(ctx, "SELECT executions, bytes FROM distro_totals", nil, &executions, &bytes); err != nil {
		return nil, 0, err
	}
	rows, oldest := int64(0), int64(0)
	if keep.MaxRows > 0 {
		rows = max(executions-int64(keep.MaxRows), 0)
	}
	if keep.MaxBytes > 0 {
		bytes = max(bytes-keep.MaxBytes, 0)
	} else {
		bytes = 0
	}
	if keep.MaxAge > 0 {
		oldest = firstID(now.Add(-keep.MaxAge))
	}
	var id, size int64
	err = tx.Query(ctx, "SELECT id, size FROM distro_executions WHERE state <> $1 ORDER BY id LIMIT $2",
		[]any{stateStarted, limit}, []any{&id, &size}, func() error {
			if id < oldest || int64(len(ids)) < rows || sizes < bytes {
				ids = append(ids, id)
				sizes += size
			}
			return nil
		})
	return ids, sizes, err
}

// trimRest deletes what is not executions, and says whether there may be more.
func (s *Store) trimRest(ctx context.Context, tx *sqldb.Tx, now time.Time, limit int) (more bool, err error) {
	for _, d := range []struct {
		text string
		args []any
	}{
		{
			"DELETE FROM distro_answers WHERE id IN (SELECT id FROM distro_answers WHERE expires_at <= $1 LIMIT $2)",
			[]any{micros(now), limit},
		},
		{
			`DELETE FROM distro_operations WHERE id IN
				(SELECT id FROM distro_operations WHERE created_at < $1 AND ended_at > 0 AND ended_at < $2 LIMIT $3)`,
			[]any{micros(now.Add(-keepOperations)), micros(now.Add(-keepOperations)), limit},
		},
	} {
		n, err := tx.Exec(ctx, d.text, d.args...)
		if err != nil {
			return false, fmt.Errorf("delete what expired: %w", err)
		}
		more = more || n == int64(limit)
	}
	return more, s.trimTallies(ctx, tx, now)
}

// trimTallies deletes counts that are too old.
func (s *Store) trimTallies(ctx context.Context, tx *sqldb.Tx, now time.Time) error {
	names, err := tallied(ctx, tx)
	if err != nil {
		return fmt.Errorf("list counts: %w", err)
	}
	for step, age := range map[step]time.Duration{minutes: keepMinutes, hours: keepHours} {
		for part := range slices.Chunk(names, maxIn/states/2) {
			all := slices.Concat(everySeries(part, step, axisQueue), everySeries(part, step, axisFunction))
			_, err := tx.Exec(ctx, "DELETE FROM distro_tallies WHERE at < $1 AND series IN ("+placeholders(2, len(all))+")",
				append([]any{now.Add(-age).Unix()}, anys(all)...)...)
			if err != nil {
				return fmt.Errorf("delete old counts: %w", err)
			}
		}
	}
	return nil
}
