package store

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// How a search goes about it. What is asked for is first taken apart into
// conjunctions, of which each is searched alone, from the newest execution on,
// by the way that will be the shortest whatever the database's planner thinks:
//
//   - If an index says that few executions can be meant at all, they are read
//     and sorted.
//   - If words are asked for, an index of words finds them: see byWords.
//   - Else, or if the words are so common that the index of them says little, an
//     index that has the order of the list is walked, or the list itself.

// effort bounds what a search does before it goes another way.
type effort struct {
	few    int   // executions that are read and sorted
	sample int   // newest executions that tell whether words are common
	spread int   // words with one beginning that SQLite is asked for one by one
	recent int   // newest executions in which PostgreSQL looks for words before it asks the index of words
	window int64 // part of the list, in executions, that is walked before it is seen whether time is left
}

func usualEffort() effort {
	return effort{few: 2000, sample: 2000, spread: 32, recent: 10_000, window: 8192}
}

// maxStreams bounds the parts of an index that are walked side by side.
const maxStreams = 64

// finder is one search for ids, or a count of them.
type finder struct {
	s        *Store
	limit    int
	counting bool
	deadline time.Time

	ids   []int64
	count int
}

// left is how many more are wanted.
func (f *finder) left() int {
	if f.counting {
		return f.limit - f.count
	}
	return f.limit - len(f.ids)
}

// run runs a statement that reads ids. Its text ends in a LIMIT.
func (f *finder) run(ctx context.Context, text string, args []any) error {
	var id int64
	if f.counting {
		var n int
		if err := f.s.db.Row(ctx, "SELECT count(*) FROM ("+text+") c", args, &n); err != nil {
			return err
		}
		f.count += n
		return nil
	}
	return f.s.db.Query(ctx, text, args, []any{&id}, func() error {
		f.ids = append(f.ids, id)
		return nil
	})
}

// conjunction is what a search for one conjunction works with.
type conjunction struct {
	lo, hi int64 // ids from lo, below hi
	where  all   // what else is asked for
}

// newConjunction takes the bounds of ids out of c, and joins what asks for
// values of the same column.
func newConjunction(c all, lo, hi int64) conjunction {
	j := conjunction{lo: lo, hi: hi}
	columns := map[string]int{}
	for _, part := range c {
		switch part := part.(type) {
		case span:
			if !part.not {
				j.lo, j.hi = max(j.lo, part.from), min(j.hi, part.to)
				continue
			}
		case in:
			if i, ok := columns[part.column]; ok && !part.not {
				j.where[i] = both(j.where[i].(in), part)
				continue
			}
			if !part.not {
				columns[part.column] = len(j.where)
			}
		}
		j.where = append(j.where, part)
	}
	return j
}

func both(a, b in) condition {
	a.ids = slices.DeleteFunc(slices.Clone(a.ids), func(id int64) bool { return !slices.Contains(b.ids, id) })
	return a
}

// impossible reports whether nothing can be found.
func (j conjunction) impossible() bool {
	return j.lo >= j.hi || slices.ContainsFunc(j.where, func(c condition) bool {
		column, ok := c.(in)
		return ok && !column.not && len(column.ids) == 0
	})
}

// column is where values of a column are asked for, -1 if nowhere.
func (j conjunction) column(name string) int {
	return slices.IndexFunc(j.where, func(c condition) bool {
		column, ok := c.(in)
		return ok && !column.not && column.column == name
	})
}

// without is what is asked for beside some parts.
func (j conjunction) without(parts ...int) all {
	var rest all
	for i, c := range j.where {
		if !slices.Contains(parts, i) {
			rest = append(rest, c)
		}
	}
	return rest
}

// way is an index and what it answers.
type way struct {
	index   string
	covers  []int    // parts of the conjunction
	extra   string   // what a partial index demands, word for word
	columns []string // of the index before the id, for walking it; none: it has another order
}

// ways are the indexes that help, the narrowest first.
func (j conjunction) ways() []way {
	var found []way
	for i, c := range j.where {
		switch c := c.(type) {
		case jobs:
			if !c.not {
				found = append(found, way{index: jobIndex, covers: []int{i}})
			}
		case duration:
			if !c.not && c.from >= tookIndexed {
				found = append(found, way{
					index: "distro_executions_took", covers: []int{i}, extra: " AND e.took >= " + strconv.Itoa(tookIndexed),
				})
			}
		}
	}
	state := j.column("state")
	if i := j.column("function"); i >= 0 {
		w := way{index: "distro_executions_function", covers: []int{i}, columns: []string{"function", "state"}}
		if state >= 0 {
			w.covers = append(w.covers, state)
		}
		found = append(found, w)
	}
	if i := j.column("worker"); i >= 0 {
		found = append(found, way{index: "distro_executions_worker", covers: []int{i}, columns: []string{"worker"}})
	}
	if state >= 0 && !slices.Contains(j.where[state].(in).ids, stateFinished) {
		found = append(found, way{
			index: "distro_executions_state", covers: []int{state}, extra: " AND e.state <> " + strconv.Itoa(stateFinished),
			columns: []string{"state"},
		})
	}
	if i := j.column("queue"); i >= 0 {
		found = append(found, way{index: "distro_executions_queue", covers: []int{i}, columns: []string{"queue"}})
	}
	return found
}

// jobIndex finds the executions of jobs, which are few.
const jobIndex = "distro_executions_job"

// tookIndexed is the shortest duration, in microseconds, that has an index.
const tookIndexed = 10_000_000

// find searches one conjunction. Where time was up before it was through, what
// it found lacks nothing from the id stopped on; else stopped is 0.
func (f *finder) find(ctx context.Context, j conjunction) (stopped int64, err error) {
	if j.impossible() || f.left() <= 0 {
		return 0, nil
	}
	ways := j.ways()
	if len(ways) > 0 && ways[0].index != jobIndex {
		table, err := f.rareWords(ctx, j)
		if err != nil {
			return 0, err
		}
		if table != "" {
			return f.byOrderedWords(ctx, j, table, nobody)
		}
	}
	for _, w := range ways {
		rare, err := f.rare(ctx, j, w)
		if err != nil {
			return 0, err
		}
		if rare {
			return 0, f.few(ctx, j, w)
		}
	}
	if len(j.wordTables()) > 0 {
		return f.byWords(ctx, j, ways)
	}
	return f.inOrder(ctx, j, ways)
}

// inOrder reads the list, by an index of ours that has its order if one helps.
func (f *finder) inOrder(ctx context.Context, j conjunction, ways []way) (stopped int64, err error) {
	for _, w := range ways {
		if streams := j.streams(w); len(streams) > 0 && len(streams) <= maxStreams {
			return 0, f.walk(ctx, j, w, streams)
		}
	}
	return f.windows(ctx, j, f.scan)
}

// bounds are the bounds of ids as an index holds them.
func (j conjunction) bounds(b *builder, id string) string {
	text := ""
	if j.lo > 0 {
		text += " AND " + id + " >= " + b.arg(j.lo)
	}
	if j.hi < math.MaxInt64 {
		text += " AND " + id + " < " + b.arg(j.hi)
	}
	return text
}

// within is what an index of ours answers of j.
func (f *finder) within(b *builder, j conjunction, w way) string {
	var covered all
	for _, i := range w.covers {
		covered = append(covered, j.where[i])
	}
	return "distro_executions e" + f.s.dialect.indexedBy(w.index) + " WHERE " + covered.sql(b) + w.extra +
		j.bounds(b, f.s.dialect.ordered)
}

// rare reports whether few executions can be meant.
func (f *finder) rare(ctx context.Context, j conjunction, w way) (bool, error) {
	if w.index == jobIndex {
		return true, nil
	}
	b := &builder{dialect: f.s.dialect}
	text := "SELECT count(*) FROM (SELECT 1 FROM " + f.within(b, j, w) + " LIMIT " + strconv.Itoa(f.s.effort.few+1) + ") c"
	n := 0
	err := f.s.db.Row(ctx, text, b.args, &n)
	return n <= f.s.effort.few, err
}

// few finds what is asked for among the few that an index names. Whether one of
// them holds words takes so long that it is asked in the list's order, until
// enough do.
func (f *finder) few(ctx context.Context, j conjunction, w way) error {
	if len(j.wordTables()) > 0 {
		if streams := j.streams(w); len(streams) > 0 && len(streams) <= maxStreams {
			return f.walk(ctx, j, w, streams)
		}
	}
	return f.sort(ctx, j, w)
}

// sort reads what an index names, and sorts what is asked for of it.
func (f *finder) sort(ctx context.Context, j conjunction, w way) error {
	b := &builder{dialect: f.s.dialect}
	text := "WITH hits AS MATERIALIZED (SELECT e.id FROM " + f.within(b, j, w) + ") "
	return f.run(ctx, text+f.ofHits(b, j.without(w.covers...)), b.args)
}

// ofHits selects from ids at hand.
func (f *finder) ofHits(b *builder, rest all) string {
	if len(rest) == 0 {
		return fmt.Sprintf("SELECT h.id FROM hits h ORDER BY h.id DESC LIMIT %d", f.left())
	}
	return fmt.Sprintf("SELECT e.id FROM hits h CROSS JOIN distro_executions e WHERE e.id = h.id AND %s ORDER BY e.id DESC LIMIT %d",
		rest.rest(b), f.left())
}

// streams are the combinations of values under which an index has the list's
// order; none when it never has.
func (j conjunction) streams(w way) [][]int64 {
	if len(w.columns) == 0 {
		return nil
	}
	streams := [][]int64{{}}
	for _, column := range w.columns {
		values := everyState()
		if i := j.column(column); i >= 0 {
			values = j.where[i].(in).ids
		}
		var longer [][]int64
		for _, s := range streams {
			for _, v := range values {
				longer = append(longer, append(slices.Clone(s), v))
			}
		}
		if streams = longer; len(streams) > maxStreams {
			break
		}
	}
	return streams
}

func everyState() []int64 {
	values := make([]int64, states)
	for i := range values {
		values[i] = int64(i)
	}
	return values
}

// walk reads an index in the list's order, one stream after the other. Each is
// cut off where those before it have found enough.
func (f *finder) walk(ctx context.Context, j conjunction, w way, streams [][]int64) error {
	rest := j.without(w.covers...)
	found := finder{s: f.s, limit: f.left(), counting: f.counting, deadline: f.deadline}
	for _, stream := range streams {
		b := &builder{dialect: f.s.dialect}
		var equal []string
		for i, v := range stream {
			equal = append(equal, "e."+w.columns[i]+" = "+b.arg(v))
		}
		limit := found.limit
		if f.counting {
			if limit = found.left(); limit <= 0 {
				break
			}
		}
		text := fmt.Sprintf("SELECT e.id FROM distro_executions e%s WHERE %s%s%s AND %s ORDER BY %s DESC LIMIT %d",
			f.s.dialect.indexedBy(w.index), strings.Join(equal, " AND "), w.extra, j.bounds(b, f.s.dialect.ordered),
			rest.rest(b), f.s.dialect.ordered, limit)
		if err := found.run(ctx, text, b.args); err != nil {
			return err
		}
		if found.ids = newest(found.ids, found.limit); !f.counting && len(found.ids) == found.limit {
			j.lo = max(j.lo, found.ids[found.limit-1])
		}
	}
	f.ids, f.count = append(f.ids, found.ids...), f.count+found.count
	return nil
}

// newest are the highest n of ids, each once.
func newest(ids []int64, n int) []int64 {
	slices.SortFunc(ids, func(a, b int64) int {
		switch {
		case a > b:
			return -1
		case a < b:
			return 1
		}
		return 0
	})
	ids = slices.Compact(ids)
	return ids[:min(n, len(ids))]
}

// scan walks the list itself.
func (f *finder) scan(ctx context.Context, j conjunction) error {
	b := &builder{dialect: f.s.dialect, window: &span{from: j.lo, to: j.hi}}
	text := fmt.Sprintf("SELECT e.id FROM distro_executions e%s WHERE %s%s ORDER BY e.id DESC LIMIT %d",
		f.s.dialect.byPlace(), j.where.rest(b), j.bounds(b, "e.id"), f.left())
	return f.run(ctx, text, b.args)
}

// windows runs a search from one part of the list to the next older one, which
// first grow, until enough is found or the time is up.
func (f *finder) windows(ctx context.Context, j conjunction, search func(context.Context, conjunction) error) (stopped int64, err error) {
	if len(j.where) == 0 {
		return 0, search(ctx, j)
	}
	lo, hi, width, err := f.extent(ctx)
	if err != nil {
		return 0, err
	}
	widest := 16 * width
	for top := min(j.hi, hi); top > j.lo; width = min(4*width, widest) {
		part := conjunction{lo: max(top-width, j.lo), hi: top, where: j.where}
		if part.lo <= lo {
			part.lo = j.lo // before it nothing has a time
		}
		if err := search(ctx, part); err != nil {
			return 0, err
		}
		if top = part.lo; f.left() <= 0 {
			break
		}
		if top > j.lo && time.Now().After(f.deadline) {
			return top, nil
		}
	}
	return 0, nil
}

// extent is where executions that have a time begin and end, and the width of
// the first window.
func (f *finder) extent(ctx context.Context) (lo, hi, width int64, err error) {
	if err := f.s.db.Row(ctx, "SELECT COALESCE(min(id), 0) FROM distro_executions WHERE id >= $1", []any{ordinals << ordinalBits}, &lo); err != nil {
		return 0, 0, 0, err
	}
	if err := f.s.db.Row(ctx, "SELECT COALESCE(max(id), -1) FROM distro_executions", nil, &hi); err != nil {
		return 0, 0, 0, err
	}
	var n int64
	if err := f.s.db.Row(ctx, "SELECT executions FROM distro_totals", nil, &n); err != nil {
		return 0, 0, 0, err
	}
	share := float64(f.s.effort.window) / float64(max(n, 1))
	return lo, hi + 1, int64(min(float64(max(hi-lo, 0))*share+1, math.MaxInt64/64)), nil
}
