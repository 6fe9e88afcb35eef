package sqlitebroker

import (
	"context"
	"database/sql"
	"math"
	"slices"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/pickle"
)

// Places implements broker.Broker. Jobs that neither wait nor are scheduled
// stand in the order of their creation.
func (b *Broker) Places(ctx context.Context, q broker.PlaceQuery) (broker.Places, error) {
	if err := q.Check(); err != nil {
		return broker.Places{}, err
	}
	limit, err := broker.PageLimit(q.Limit)
	if err != nil {
		return broker.Places{}, err
	}
	q.Limit = limit
	var page broker.Places
	queue, known := b.names.id(q.Queue)
	if !known {
		return page, nil
	}
	err = b.read(ctx, "list places", func(tx *sql.Tx) error {
		keys, total, err := listed(ctx, tx, queue, q.Status)
		if err != nil {
			return err
		}
		page.Total = total
		seqs, err := standing(ctx, tx, span(q, total), queue, q.Status, keys)
		if err != nil {
			return err
		}
		if q.Backward {
			slices.Reverse(seqs)
		}
		page.Places, err = b.describe(ctx, tx, seqs)
		return err
	})
	if err != nil {
		return broker.Places{}, err
	}
	return page, nil
}

// stretch is a part of a list, seen from its nearer end.
type stretch struct {
	down       bool // from the end on
	skip, take int
}

// span is the stretch that q asks for of a list of total entries.
func span(q broker.PlaceQuery, total int) stretch {
	from := min(q.Offset, total)
	to := min(from+q.Limit, total)
	if q.Backward {
		from, to = total-to, total-from
	}
	if from <= total-to {
		return stretch{skip: from, take: to - from}
	}
	return stretch{down: true, skip: total - to, take: to - from}
}

// listed counts a list, and returns the ranges of jobs_list that it has its
// jobs in.
func listed(ctx context.Context, tx *sql.Tx, queue int64, status distro.Status) (keys []countKey, total int, err error) {
	first, second := statusNumber(status), statusNumber(status)
	switch status {
	case distro.StatusQueued:
		first, second = waiting, waiting
	case distro.StatusFailed:
		second = stopped
	}
	k, n := countKey{queue: queue}, 0
	err = each(ctx, tx, "SELECT function, status, jobs FROM counts WHERE queue = ? AND status IN (?, ?) AND jobs > 0",
		[]any{queue, first, second}, []any{&k.function, &k.status, &n}, func() error {
			keys, total = append(keys, k), total+n
			return nil
		})
	return keys, total, err
}

// standing returns the seqs of a stretch, in the order of the list.
func standing(ctx context.Context, tx *sql.Tx, s stretch, queue int64, status distro.Status, keys []countKey) ([]int64, error) {
	if s.take == 0 {
		return nil, nil
	}
	var seqs []int64
	var err error
	switch status {
	case distro.StatusQueued:
		seqs, err = s.read(ctx, tx, upWaiting, downWaiting, queue)
	case distro.StatusScheduled:
		seqs, err = s.read(ctx, tx, upDue, downDue, queue)
	default:
		seqs, err = s.merge(ctx, tx, keys)
	}
	if s.down {
		slices.Reverse(seqs)
	}
	return seqs, err
}

// A waiting list from its front and from its end, and scheduled jobs by due time
// and against it.
const (
	upWaiting   = "SELECT seq FROM waiting WHERE queue = ? ORDER BY pos LIMIT ? OFFSET ?"
	downWaiting = "SELECT seq FROM waiting WHERE queue = ? ORDER BY pos DESC LIMIT ? OFFSET ?"
	upDue       = `SELECT seq FROM jobs INDEXED BY jobs_due WHERE status = 1 AND queue = ?
		ORDER BY due_at, seq LIMIT ? OFFSET ?`
	downDue = `SELECT seq FROM jobs INDEXED BY jobs_due WHERE status = 1 AND queue = ?
		ORDER BY due_at DESC, seq DESC LIMIT ? OFFSET ?`
)

// read returns what one of two statements finds in the stretch, which differ in
// their direction.
func (s stretch) read(ctx context.Context, tx *sql.Tx, up, down string, queue int64) ([]int64, error) {
	text := up
	if s.down {
		text = down
	}
	seqs, seq := make([]int64, 0, s.take), int64(0)
	err := each(ctx, tx, text, []any{queue, s.take, s.skip}, []any{&seq}, func() error {
		seqs = append(seqs, seq)
		return nil
	})
	return seqs, err
}

// Jobs of a range of jobs_list in the order of their creation, or against it.
// Those that run stand among the queued ones in the index, and are few.
const (
	upStatus = `SELECT seq FROM jobs INDEXED BY jobs_list WHERE queue = ? AND function = ? AND status = ? AND seq < ?
		ORDER BY seq LIMIT ?`
	downStatus = `SELECT seq FROM jobs INDEXED BY jobs_list WHERE queue = ? AND function = ? AND status = ? AND seq > ?
		ORDER BY seq DESC LIMIT ?`
	upClaims = `SELECT claims.seq FROM claims CROSS JOIN jobs ON jobs.seq = claims.seq
		WHERE queue = ? AND function = ? AND iif(begun, 4, 3) = ? AND claims.seq < ? ORDER BY claims.seq LIMIT ?`
	downClaims = `SELECT claims.seq FROM claims CROSS JOIN jobs ON jobs.seq = claims.seq
		WHERE queue = ? AND function = ? AND iif(begun, 4, 3) = ? AND claims.seq > ? ORDER BY claims.seq DESC LIMIT ?`
)

// merge returns the stretch of several ranges, which are ordered each.
func (s stretch) merge(ctx context.Context, tx *sql.Tx, keys []countKey) ([]int64, error) {
	most := s.skip + s.take
	var nearest []int64 // of what was read
	edge := int64(math.MaxInt64)
	if s.down {
		edge = math.MinInt64
	}
	for _, k := range keys {
		text := map[[2]bool]string{
			{false, false}: upStatus, {true, false}: downStatus, {false, true}: upClaims, {true, true}: downClaims,
		}[[2]bool{s.down, k.status == started}]
		var some []int64
		var seq int64
		err := each(ctx, tx, text, []any{k.queue, k.function, k.status, edge, most}, []any{&seq}, func() error {
			some = append(some, seq)
			return nil
		})
		if err != nil {
			return nil, err
		}
		nearest = s.join(nearest, some, most)
		if len(nearest) == most { // what is farther is not in the stretch
			edge = nearest[most-1]
		}
	}
	return nearest[min(s.skip, len(nearest)):], nil
}

// join merges two ordered lists, and keeps the first most.
func (s stretch) join(a, b []int64, most int) []int64 {
	if len(a) == 0 {
		return b
	}
	joined := make([]int64, 0, min(len(a)+len(b), most))
	for len(joined) < most && len(a)+len(b) > 0 {
		if len(b) == 0 || len(a) > 0 && (a[0] < b[0]) != s.down {
			joined, a = append(joined, a[0]), a[1:]
		} else {
			joined, b = append(joined, b[0]), b[1:]
		}
	}
	return joined
}

// maxDescribed is how long a payload may be whose call is described in full.
const maxDescribed = 64 << 10

// describe shows jobs of a list.
func (b *Broker) describe(ctx context.Context, tx *sql.Tx, seqs []int64) ([]broker.Place, error) {
	if len(seqs) == 0 {
		return nil, nil
	}
	stmt, err := tx.PrepareContext(ctx, "SELECT "+rowColumns+`, ifnull(payload, iif(payload_size <= ?, data, NULL)), ifnull(outcome, ''),
		ifnull(kind, ''), ifnull(type, ''), ifnull(message, ''), ifnull(traceback, ''), ifnull(exit_code, 0), ifnull(signal, 0)
		FROM `+sourceOfRows+" LEFT JOIN payloads ON payloads.seq = jobs.seq LEFT JOIN results ON results.seq = jobs.seq WHERE jobs.seq = ?")
	if err != nil {
		return nil, err
	}
	defer func() { _ = stmt.Close() }() // ends with the transaction anyway
	places := make([]broker.Place, 0, len(seqs))
	var r row
	var call []byte
	var outcome string
	var f distro.Failure
	dest := append(r.dest(), &call, &outcome, &f.Kind, &f.Type, &f.Message, &f.Traceback, &f.ExitCode, &f.Signal)
	for _, seq := range seqs {
		if err := stmt.QueryRowContext(ctx, maxDescribed, seq).Scan(dest...); err != nil {
			return nil, err
		}
		job := r.job(b.names)
		job.Description = job.Function + "(...)"
		if call != nil {
			job.Description = pickle.Description(job.Function, call)
		}
		if outcome != "" {
			job.Result = &distro.Result{Outcome: distro.Outcome(outcome)}
		}
		if f.Kind != "" {
			failure := f
			failure.Traceback = broker.CutTraceback(f.Traceback)
			job.Result.Failure = &failure
		}
		places = append(places, broker.Place{Job: job})
	}
	return places, nil
}

// Compact implements broker.Broker: no entry is without its record here.
func (b *Broker) Compact(_ context.Context, queue string, status distro.Status, cursor string, _ int) (int, string, error) {
	if err := broker.CheckCompact(queue, status); err != nil {
		return 0, "", err
	}
	if cursor != "" {
		return 0, "", distro.Invalid("cursor", "not a cursor")
	}
	return 0, "", nil
}
