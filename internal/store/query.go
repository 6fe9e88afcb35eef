package store

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/distro-orchestrator/distro"
)

// MaxLimit is the most executions that a page has.
const MaxLimit = 500

// Query asks for one page of executions.
type Query struct {
	Filter Filter // nil: all
	Limit  int    // clamped to 1…MaxLimit
	After  string // Page.Next of the page before; empty: the first page
}

// Page is a part of the list.
type Page struct {
	Executions []Entry
	Next       string // asks for the next page; empty: there is none

	// Partial: time was up before the page was full. Next goes on with the
	// search where it stopped.
	Partial bool
}

// Entry is an execution as it is listed: without traceback, and with no more
// than the beginning of its result, whose Truncated is then set.
type Entry struct {
	distro.Execution

	Abridged bool // Attempts has more of it
}

// Executions lists executions, the newest first: by their anchor, which is the
// start, or the end where nobody wrote the start, or else when they were
// enqueued; those of the same microsecond in an order of their own that never
// changes. Pages that follow each other hold every execution exactly once that
// is there all the time and keeps its anchor, whatever is recorded meanwhile.
//
// A filter or cursor that cannot be right is ErrInvalid.
func (s *Store) Executions(ctx context.Context, q Query) (Page, error) {
	limit := min(max(q.Limit, 1), MaxLimit)
	before, err := readCursor(q.After)
	if err != nil {
		return Page{}, err
	}
	ids, reached, err := s.search(ctx, q.Filter, before, limit+1)
	if err != nil {
		return Page{}, wrap(err, "list executions")
	}
	var page Page
	switch {
	case len(ids) > limit:
		ids = ids[:limit]
		page.Next = writeCursor(ids[limit-1])
	case reached > 0:
		page.Partial, page.Next = true, writeCursor(reached)
	}
	rows, err := s.load(ctx, s.db, "id", ids, false)
	if err != nil {
		return Page{}, wrap(err, "read executions")
	}
	slices.SortFunc(rows, func(a, b *scanned) int { return cmp.Compare(b.id, a.id) })
	for _, r := range rows {
		page.Executions = append(page.Executions, Entry{Execution: r.e, Abridged: r.row.more})
	}
	return page, nil
}

// search finds the newest ids before an id. Where time was up it lacks nothing
// from the id reached on; else reached is 0.
func (s *Store) search(ctx context.Context, filter Filter, before int64, limit int) (ids []int64, reached int64, err error) {
	conditions, err := s.conditions(ctx, filter)
	if err != nil {
		return nil, 0, err
	}
	lo := int64(0)
	deadline := time.Now().Add(s.patience)
	for _, c := range conditions {
		f := &finder{s: s, limit: limit, deadline: deadline}
		stopped, err := f.find(ctx, newConjunction(c, lo, before))
		if err != nil {
			return nil, 0, err
		}
		reached = max(reached, stopped)
		if ids = newest(append(ids, f.ids...), limit); len(ids) == limit {
			lo = ids[limit-1]
		}
	}
	if i := slices.IndexFunc(ids, func(id int64) bool { return id < reached }); i >= 0 {
		ids = ids[:i]
	}
	return ids, reached, nil
}

// conditions are what a filter asks for, in conjunctions.
func (s *Store) conditions(ctx context.Context, filter Filter) ([]all, error) {
	if !measure(filter) {
		return nil, fmt.Errorf("filter of more than %d parts or %d values: %w", maxLeaves, maxValues, ErrInvalid)
	}
	c, err := s.compile(ctx, filter, false)
	if err != nil {
		return nil, err
	}
	return conjunctions(c), nil
}

// MaxCount is where Count stops.
const MaxCount = 100_000

// Count counts the executions that a filter asks for. It is exact up to
// MaxCount and as long as it is quick, and for all executions; else n is how
// many there are at least.
func (s *Store) Count(ctx context.Context, filter Filter) (n int, exact bool, err error) {
	conditions, err := s.conditions(ctx, filter)
	if err != nil {
		return 0, false, wrap(err, "count executions")
	}
	if len(conditions) == 1 && len(conditions[0]) == 0 {
		n, _, err = s.Totals(ctx)
		return n, true, err
	}
	limited, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	n, exact, err = s.count(limited, conditions)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		_, _, err = s.Totals(ctx) // a database that does not answer at all is no slow count
		return n, false, err
	}
	return n, exact, wrap(err, "count executions")
}

func (s *Store) count(ctx context.Context, conditions []all) (n int, exact bool, err error) {
	f := &finder{s: s, limit: MaxCount + 1, counting: len(conditions) == 1, deadline: time.Now().Add(s.patience / 2)}
	exact = true
	for _, c := range conditions {
		stopped, err := f.find(ctx, newConjunction(c, 0, math.MaxInt64))
		exact = exact && stopped == 0
		f.ids = newest(f.ids, f.limit)
		n = f.count + len(f.ids)
		if err != nil {
			return n, false, err
		}
	}
	if n > MaxCount {
		return MaxCount, false, nil
	}
	return n, exact, nil
}

// Totals are how many executions there are and about how many bytes they take
// on disk.
func (s *Store) Totals(ctx context.Context) (executions int, bytes int64, err error) {
	err = s.db.Row(ctx, "SELECT executions, bytes FROM distro_totals", nil, &executions, &bytes)
	return executions, bytes, wrap(err, "read totals")
}

// maxAttempts bounds what Attempts answers.
const maxAttempts = 1000

// Attempts are the executions of a job with all that is known of them, in the
// order in which they started: the last thousand at most, none of an unknown
// job.
func (s *Store) Attempts(ctx context.Context, jobID string) ([]distro.Execution, error) {
	f := &finder{s: s, limit: maxAttempts}
	_, err := f.find(ctx, newConjunction(all{jobs{ids: []string{clean(jobID, maxID)}}}, 0, math.MaxInt64))
	if err != nil {
		return nil, wrap(err, "find attempts of job %q", jobID)
	}
	attempts, err := s.whole(ctx, f.ids)
	return attempts, wrap(err, "read attempts of job %q", jobID)
}

// Running are executions whose end is not recorded, the oldest first: at most
// limit of them, which is clamped to 1…MaxLimit.
func (s *Store) Running(ctx context.Context, limit int) ([]distro.Execution, error) {
	var ids []int64
	var id int64
	err := s.db.Query(ctx, `SELECT e.id FROM distro_executions e WHERE e.state = $1 AND e.state <> 5
		ORDER BY `+s.dialect.ordered+` LIMIT $2`, []any{stateStarted, min(max(limit, 1), MaxLimit)}, []any{&id}, func() error {
		ids = append(ids, id)
		return nil
	})
	if err != nil {
		return nil, wrap(err, "find running executions")
	}
	running, err := s.whole(ctx, ids)
	return running, wrap(err, "read running executions")
}

// whole reads executions with all that is known of them, in the order of ids.
func (s *Store) whole(ctx context.Context, ids []int64) ([]distro.Execution, error) {
	rows, err := s.load(ctx, s.db, "id", ids, true)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b *scanned) int { return cmp.Compare(a.id, b.id) })
	executions := make([]distro.Execution, len(rows))
	for i, r := range rows {
		executions[i] = r.e
	}
	return executions, nil
}

// writeCursor is a cursor that asks for what is older than an execution.
func writeCursor(id int64) string {
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(id)))
}

func readCursor(cursor string) (int64, error) {
	if cursor == "" {
		return math.MaxInt64, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil && len(b) != 8 {
		err = errors.New("wrong length")
	}
	if err != nil {
		return 0, fmt.Errorf("cursor %q: %w: %w", cursor, ErrInvalid, err)
	}
	return int64(binary.BigEndian.Uint64(b)), nil
}
