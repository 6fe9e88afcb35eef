package store

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/distro-orchestrator/distro/internal/sqldb"
)

// axis is along what ended executions are counted.
type axis int64

const (
	axisQueue axis = iota
	axisFunction
)

// step is at what distance in time they are counted. Minutes are kept for days,
// hours for as long as charts go back.
type step int64

const (
	minutes step = iota
	hours
)

func steps() []step { return []step{minutes, hours} }

func (s step) seconds() int64 {
	if s == hours {
		return 3600
	}
	return 60
}

// seriesBits are those of a series' number below the number of its name.
const seriesBits = 5

// series is the number of a name's counts.
func series(name int64, s step, a axis, state int) int64 {
	return name<<seriesBits | int64(s)<<4 | int64(a)<<3 | int64(state)
}

// everySeries are the numbers of the counts of names, of all states.
func everySeries(names []int64, s step, a axis) []int64 {
	var all []int64
	for _, name := range names {
		for state := range states {
			all = append(all, series(name, s, a, state))
		}
	}
	return all
}

// waitedCells are the cells of the histogram of how long they waited; those
// before are of how long they took.
const waitedCells = 1000

// tally is the key of a row of the counts.
type tally struct{ series, at, cell int64 }

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
	state, started := stateNumber(e.State), !e.StartedAt.IsZero()
	cells := []int64{
		cell(e.Took(), started), waitedCells + cell(e.Waited(), started && !e.EnqueuedAt.IsZero()),
	}
	for _, s := range steps() {
		seconds := at / 1e6
		seconds -= seconds % s.seconds()
		for _, cell := range cells {
			t[tally{series(queue, s, axisQueue, state), seconds, cell}] += n
			t[tally{series(fn, s, axisFunction, state), seconds, cell}] += n
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
		return cmp.Or(cmp.Compare(a.series, b.series), cmp.Compare(a.at, b.at), cmp.Compare(a.cell, b.cell))
	})
	values := make([][]any, len(keys))
	for i, k := range keys {
		values[i] = []any{k.series, k.at, k.cell, t[k]}
	}
	return d.many(ctx, tx, values, "INSERT INTO distro_tallies (series, at, cell, n) VALUES ", repeated("?", 4), repeated("?", 4),
		" ON CONFLICT (series, at, cell) DO UPDATE SET n = distro_tallies.n + excluded.n")
}

// tallied are numbers of names that have counts of any kind, found by skipping
// from one to the next.
func tallied(ctx context.Context, on reader) ([]int64, error) {
	var names []int64
	var name int64
	err := on.Query(ctx, `WITH RECURSIVE found (series) AS (
			SELECT min(series) FROM distro_tallies
			UNION ALL
			SELECT (SELECT min(t.series) FROM distro_tallies t WHERE t.series >= ((f.series >> 5) + 1) << 5)
			FROM found f WHERE f.series IS NOT NULL)
		SELECT series >> 5 FROM found WHERE series IS NOT NULL`, nil, []any{&name}, func() error {
		names = append(names, name)
		return nil
	})
	return names, err
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
