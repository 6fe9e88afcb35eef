package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
)

// Axis is by what a series tells executions apart.
type Axis string

// The axes.
const (
	ByNothing  Axis = ""
	ByQueue    Axis = "queue"
	ByFunction Axis = "function"
)

// MaxPoints is the most points that one line of a series has.
const MaxPoints = 1000

// SeriesQuery asks how many executions ended, and how long they had waited and
// took.
type SeriesQuery struct {
	By    Axis
	Names []string // of queues, or dotted names of functions or modules; empty: all

	// From and To are rounded down and up to whole steps. Steps are whole
	// minutes; those that are whole hours go back more than a year, others
	// three days. A Step of 0 makes one point of all, whose bounds are rounded
	// to minutes where these are kept, else to hours.
	From, To time.Time
	Step     time.Duration
}

// Line is the series of one name.
type Line struct {
	Name   string // of a queue, or module.function; empty: ByNothing
	Points []Point
}

// Point is what ended in one step. Points where nothing did are left out.
type Point struct {
	At     time.Time // begin of the step
	Ended  map[distro.ExecutionState]int
	Waited Quantiles // of those of which it is known
	Took   Quantiles
}

// Quantiles of durations, known to within a fifth.
type Quantiles struct {
	Count    int // of durations
	P50, P95 time.Duration
}

// Series reads counts that Record keeps: it takes no longer where there are
// more executions. Executions count at their end, and go on counting when Trim
// has deleted them. Lines are in the order of their names.
//
// A step that is not a whole number of minutes, times the wrong way around and
// more than MaxPoints are ErrInvalid.
func (s *Store) Series(ctx context.Context, q SeriesQuery) ([]Line, error) {
	asked, err := s.tallyQuery(q)
	if err != nil {
		return nil, err
	}
	names, err := s.tallyNames(ctx, q)
	if err != nil {
		return nil, wrap(err, "find names of series")
	}
	along := axisQueue
	if q.By == ByFunction {
		along = axisFunction
	}
	lines := map[int64]*line{}
	for part := range slices.Chunk(names, maxIn) {
		asked.series = everySeries(part, asked.level, along)
		err := s.tallies(ctx, asked, func(name int64) *line {
			if q.By == ByNothing {
				name = 0
			}
			if lines[name] == nil {
				lines[name] = &line{points: map[int64]*point{}}
			}
			return lines[name]
		})
		if err != nil {
			return nil, wrap(err, "read series")
		}
	}
	drawn, err := s.draw(ctx, q.By, lines)
	return drawn, wrap(err, "name series")
}

// tallyQuery checks a query and rounds its times.
func (s *Store) tallyQuery(q SeriesQuery) (tallyQuery, error) {
	whole := q.Step == 0
	if whole {
		q.Step = s.finest(q.From)
	}
	step := int64(q.Step / time.Second)
	if step <= 0 || q.Step%time.Minute != 0 {
		return tallyQuery{}, fmt.Errorf("series with a step of %v: %w", q.Step, ErrInvalid)
	}
	from, to := q.From.Unix(), q.To.Add(q.Step-time.Nanosecond).Unix()
	from, to = from-mod(from, step), to-mod(to, step)
	if q.To.Before(q.From) || !whole && (to-from)/step > MaxPoints {
		return tallyQuery{}, fmt.Errorf("series of %d points from %v to %v: %w", (to-from)/step, q.From, q.To, ErrInvalid)
	}
	asked := tallyQuery{level: minutes, from: from, to: to, step: step}
	if step%hours.seconds() == 0 {
		asked.level = hours
	}
	if whole {
		asked.step = to - from + 1
	}
	return asked, nil
}

// finest is the smallest step for which counts are kept since from.
func (s *Store) finest(from time.Time) time.Duration {
	if s.now().Sub(from) < keepMinutes-time.Hour {
		return time.Minute
	}
	return time.Hour
}

func mod(n, by int64) int64 { return (n%by + by) % by }

// tallyNames are the numbers of the names that a series is of.
func (s *Store) tallyNames(ctx context.Context, q SeriesQuery) ([]int64, error) {
	switch {
	case len(q.Names) == 0:
		return tallied(ctx, s.db)
	case q.By == ByFunction:
		names, err := collect(ctx, q.Names, s.findFunctions)
		return unique(names), err
	default:
		return s.numbersOf(ctx, q.Names)
	}
}

// tallyQuery asks for counts from a time on and before another, in steps that
// begin there; all in seconds.
type tallyQuery struct {
	series   []int64
	level    step
	from, to int64
	step     int64
}

// line and point gather counts.
type (
	line  struct{ points map[int64]*point }
	point struct {
		ended  map[distro.ExecutionState]int
		waited map[int64]int
		took   map[int64]int
	}
)

func (s *Store) tallies(ctx context.Context, q tallyQuery, of func(name int64) *line) error {
	var series, at, cell int64
	var n int
	args := append([]any{q.from, q.to, q.step}, anys(q.series)...)
	text := `SELECT series, at - (at - $1) % $3, cell, CAST(sum(n) AS BIGINT) FROM distro_tallies
		WHERE at >= $1 AND at < $2 AND series IN (` + placeholders(4, len(q.series)) + `) GROUP BY 1, 2, 3`
	return s.db.Query(ctx, text, args, []any{&series, &at, &cell, &n}, func() error {
		if n > 0 {
			of(series>>seriesBits).add(at, int(series&7), cell, n)
		}
		return nil
	})
}

func (l *line) add(at int64, state int, cell int64, n int) {
	p := l.points[at]
	if p == nil {
		p = &point{ended: map[distro.ExecutionState]int{}, waited: map[int64]int{}, took: map[int64]int{}}
		l.points[at] = p
	}
	if cell >= waitedCells {
		p.waited[cell-waitedCells] += n
		return
	}
	p.ended[stateWord(state)] += n
	p.took[cell] += n
}

// draw makes lines of what was gathered.
func (s *Store) draw(ctx context.Context, by Axis, lines map[int64]*line) ([]Line, error) {
	var drawn []Line
	for id, l := range lines {
		name, err := s.lineName(ctx, by, id)
		if err != nil {
			return nil, err
		}
		d := Line{Name: name}
		for at, p := range l.points {
			d.Points = append(d.Points, Point{
				At: time.Unix(at, 0).UTC(), Ended: p.ended, Waited: quantiles(p.waited), Took: quantiles(p.took),
			})
		}
		slices.SortFunc(d.Points, func(a, b Point) int { return a.At.Compare(b.At) })
		drawn = append(drawn, d)
	}
	slices.SortFunc(drawn, func(a, b Line) int { return cmp.Compare(a.Name, b.Name) })
	return drawn, nil
}

func (s *Store) lineName(ctx context.Context, by Axis, id int64) (string, error) {
	switch by {
	case ByQueue:
		g, err := s.resolve(ctx, s.db, []int64{id}, nil)
		if err != nil {
			return "", err
		}
		return g.texts[id], nil
	case ByFunction:
		g, err := s.resolve(ctx, s.db, nil, []int64{id})
		if err != nil {
			return "", err
		}
		f := g.functions[id]
		return strings.TrimPrefix(f.module+"."+f.name, "."), nil
	default:
		return "", nil
	}
}

// quantiles reads a histogram.
func quantiles(cells map[int64]int) Quantiles {
	delete(cells, 0) // unknown
	var q Quantiles
	order := make([]int64, 0, len(cells))
	for cell, n := range cells {
		q.Count += n
		order = append(order, cell)
	}
	slices.Sort(order)
	q.P50, q.P95 = quantile(cells, order, q.Count, 50), quantile(cells, order, q.Count, 95)
	return q
}

// quantile is the duration that percent of n are not above, as if those of a
// cell were spread evenly.
func quantile(cells map[int64]int, order []int64, n, percent int) time.Duration {
	rank := (n*percent + 99) / 100
	for _, cell := range order {
		if rank > cells[cell] {
			rank -= cells[cell]
			continue
		}
		from, to := cellBounds(cell)
		return from + time.Duration(float64(to-from)*(float64(rank)-0.5)/float64(cells[cell]))
	}
	return 0
}
