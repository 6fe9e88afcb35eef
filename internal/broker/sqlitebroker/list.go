package sqlitebroker

import (
	"cmp"
	"context"
	"database/sql"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// List implements broker.Broker. Its cursor is the seq of the last job shown.
func (b *Broker) List(ctx context.Context, q broker.ListQuery) (broker.Page, error) {
	if err := q.Check(); err != nil {
		return broker.Page{}, err
	}
	limit, err := broker.PageLimit(q.Limit)
	if err != nil {
		return broker.Page{}, err
	}
	before, err := parseCursor(listCursor, q.Cursor)
	if err != nil {
		return broker.Page{}, err
	}
	if q.Cursor == "" {
		before = math.MaxInt64
	}
	var page broker.Page
	err = b.read(ctx, "list jobs", func(tx *sql.Tx) error {
		// One more than asked for tells whether there is a next page.
		seqs, err := b.match(ctx, tx, q, before, limit+1)
		if err != nil {
			return err
		}
		if len(seqs) > limit {
			seqs = seqs[:limit]
			page.Next = formatCursor(listCursor, seqs[limit-1])
		}
		page.Jobs, err = b.show(ctx, tx, seqs)
		return err
	})
	if err != nil {
		return broker.Page{}, err
	}
	return page, nil
}

// Jobs of one queue, function and status, newest first. Those that run stand
// among the queued ones in the index, and are few.
const (
	inStatus = `SELECT seq FROM jobs INDEXED BY jobs_list
		WHERE queue = ? AND function = ? AND status = ? AND seq < ? AND seq > ?
		AND NOT EXISTS (SELECT * FROM claims WHERE claims.seq = jobs.seq AND begun) ORDER BY seq DESC LIMIT ?`
	inClaims = `SELECT claims.seq FROM claims CROSS JOIN jobs ON jobs.seq = claims.seq
		WHERE queue = ? AND function = ? AND iif(begun, 4, 3) = ? AND claims.seq < ? AND claims.seq > ?
		ORDER BY claims.seq DESC LIMIT ?`
)

// match returns the newest seqs before a seq that match q, newest first.
//
// There is no index for each combination of filters: every one more would slow
// each change of a job down. Instead the index by queue, function and status
// is read in as many ranges as match, which the counts tell, and merged.
func (b *Broker) match(ctx context.Context, tx *sql.Tx, q broker.ListQuery, before int64, limit int) ([]int64, error) {
	var seq int64
	var seqs []int64
	collect := func() error { seqs = append(seqs, seq); return nil }
	if q.Queue == "" && q.Status == "" && q.Function == "" {
		err := each(ctx, tx, "SELECT seq FROM jobs WHERE seq < ? ORDER BY seq DESC LIMIT ?", []any{before, limit},
			[]any{&seq}, collect)
		return seqs, err
	}
	keys, err := b.ranges(ctx, tx, q)
	if err != nil {
		return nil, err
	}
	after := int64(math.MinInt64)
	for _, k := range keys {
		text := inStatus
		if k.status == started {
			text = inClaims
		}
		found := len(seqs)
		err := each(ctx, tx, text, []any{k.queue, k.function, k.status, before, after, limit}, []any{&seq}, collect)
		if err != nil {
			return nil, err
		}
		if len(seqs) == found {
			continue
		}
		slices.SortFunc(seqs, func(a, b int64) int { return cmp.Compare(b, a) })
		if len(seqs) >= limit { // what is older than all of these is not on the page
			seqs = seqs[:limit]
			after = seqs[limit-1]
		}
	}
	return seqs, nil
}

// ranges are the ranges of jobs_list that hold jobs that match q.
func (b *Broker) ranges(ctx context.Context, tx *sql.Tx, q broker.ListQuery) ([]countKey, error) {
	text, args := "SELECT queue, function, status FROM counts WHERE jobs > 0 AND status > 0", []any(nil)
	for column, name := range map[string]string{"queue": q.Queue, "function": q.Function} {
		if name == "" {
			continue
		}
		id, ok := b.names.id(name)
		if !ok {
			return nil, nil
		}
		text, args = text+" AND "+column+" = ?", append(args, id)
	}
	if q.Status != "" {
		text, args = text+" AND status = ?", append(args, statusNumber(q.Status))
	}
	var keys []countKey
	var k countKey
	err := each(ctx, tx, text, args, []any{&k.queue, &k.function, &k.status}, func() error {
		keys = append(keys, k)
		return nil
	})
	return keys, err
}

// show returns the jobs of seqs without what may be large.
func (b *Broker) show(ctx context.Context, tx *sql.Tx, seqs []int64) ([]distro.Job, error) {
	if len(seqs) == 0 {
		return nil, nil
	}
	stmt, err := tx.PrepareContext(ctx, "SELECT "+rowColumns+" FROM "+sourceOfRows+" WHERE jobs.seq = ?")
	if err != nil {
		return nil, err
	}
	defer func() { _ = stmt.Close() }() // ends with the transaction anyway
	jobs := make([]distro.Job, 0, len(seqs))
	var r row
	dest := r.dest()
	for _, seq := range seqs {
		if err := stmt.QueryRowContext(ctx, seq).Scan(dest...); err != nil {
			return nil, err
		}
		jobs = append(jobs, r.job(b.names))
	}
	return jobs, nil
}

// Cursors begin with a letter for what they point into.
const (
	listCursor  = "j"
	feedCursor  = "c"
	emptyCursor = "e"
)

func formatCursor(kind string, n int64) string { return kind + strconv.FormatInt(n, 10) }

// parseCursor returns the number of a cursor, 0 for an empty one.
func parseCursor(kind, cursor string) (int64, error) {
	if cursor == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(strings.TrimPrefix(cursor, kind), 10, 64)
	if err != nil || formatCursor(kind, n) != cursor || n < 0 {
		return 0, distro.Invalid("cursor", "not a cursor of this list")
	}
	return n, nil
}

func sortQueues(list []distro.QueueInfo) {
	slices.SortFunc(list, func(a, b distro.QueueInfo) int { return strings.Compare(a.Name, b.Name) })
}
