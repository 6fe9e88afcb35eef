package store

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/distro-orchestrator/distro/internal/sqldb"
)

// Axes along which ended executions are counted.
const (
	axisQueue    = 1
	axisFunction = 2
)

// Steps at which they are counted, in seconds. Minutes are kept for days, hours
// for as long as charts go back.
const (
	stepMinute = 60
	stepHour   = 3600
)

// waitedCells are the cells of the histogram of how long they waited; those
// before are of how long they took.
const waitedCells = 1000

// tally is a row of the counts.
type tally struct {
	step, axis int64
	name       int64
	at         int64
	state      int
	cell       int64
}

// tallies are changes of the counts.
type tallies map[tally]int

// cell is where a duration stands in a histogram: 0 for an unknown one, else a
// quarter of an octave of microseconds, so that it is known to within 19 %.
func cell(d time.Duration, known bool) int64 {
	if !known {
		return 0
	}
	return 1 + int64(4*math.Log2(float64(max(d.Microseconds(), 1))))
}

// cellBounds are the durations at which a cell begins and ends.
func cellBounds(cell int64) (from, to time.Duration) {
	bound := func(c int64) time.Duration {
		return time.Duration(math.Exp2(float64(c-1)/4) * float64(time.Microsecond))
	}
	return bound(cell), bound(cell + 1)
}

// count notes what a change does to the counts.
func (r *recording) count(ctx context.Context, t tallies, c *change) error {
	if c.old != nil {
		if err := r.countRow(ctx, t, c.old, -1); err != nil {
			return err
		}
	}
	return r.countRow(ctx, t, c.new, 1)
}

func (r *recording) countRow(ctx context.Context, t tallies, of *row, n int) error {
	e := &of.e
	at := micros(e.EndedAt)
	if at == 0 {
		return nil
	}
	queue, err := r.numbers.name(ctx, r.tx, e.Queue)
	if err != nil {
		return err
	}
	fn, err := r.numbers.function(ctx, r.tx, function{e.Module, e.Function})
	if err != nil {
		return err
	}
	started := !e.StartedAt.IsZero()
	for _, step := range []int64{stepMinute, stepHour} {
		seconds := at / 1e6
		base := tally{step: step, at: seconds - seconds%step, state: stateNumber(e.State)}
		for _, cell := range []int64{
			cell(e.Took(), started), waitedCells + cell(e.Waited(), started && !e.EnqueuedAt.IsZero()),
		} {
			base.cell = cell
			base.axis, base.name = axisQueue, queue
			t[base] += n
			base.axis, base.name = axisFunction, fn
			t[base] += n
		}
	}
	return nil
}

func (t tallies) write(ctx context.Context, tx *sqldb.Tx, d dialect) error {
	keys := make([]tally, 0, len(t))
	for k, n := range t {
		if n != 0 {
			keys = append(keys, k)
		}
	}
	// In the table's order, so that neighbours share a page.
	slices.SortFunc(keys, func(a, b tally) int {
		return cmp.Or(cmp.Compare(a.step, b.step), cmp.Compare(a.axis, b.axis), cmp.Compare(a.name, b.name),
			cmp.Compare(a.at, b.at), cmp.Compare(a.state, b.state), cmp.Compare(a.cell, b.cell))
	})
	values := make([][]any, len(keys))
	for i, k := range keys {
		values[i] = []any{k.step, k.axis, k.name, k.at, k.state, k.cell, t[k]}
	}
	return d.many(ctx, tx, values, "INSERT INTO distro_tallies (step, axis, name, at, state, cell, n) VALUES ",
		repeated("?", 7), repeated("?", 7),
		" ON CONFLICT (step, axis, name, at, state, cell) DO UPDATE SET n = distro_tallies.n + excluded.n")
}

// totals are changes of how much there is.
type totals struct{ executions, bytes int64 }

func (t *totals) add(c *change) {
	t.bytes += c.new.size
	if c.old == nil {
		t.executions++
	} else {
		t.bytes -= c.old.size
	}
}

func (t *totals) write(ctx context.Context, tx *sqldb.Tx) error {
	if *t == (totals{}) {
		return nil
	}
	_, err := tx.Exec(ctx, "UPDATE distro_totals SET executions = executions + $1, bytes = bytes + $2", t.executions, t.bytes)
	return err
}
