package sqlitebroker

import (
	"context"
	"database/sql"
	"errors"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// Get implements broker.Broker.
func (b *Broker) Get(ctx context.Context, ids []string) ([]distro.Job, error) {
	var jobs []distro.Job
	err := b.read(ctx, "get jobs", func(tx *sql.Tx) error {
		var r row
		var s stored
		dest := append(r.dest(), s.dest()...)
		stmt, err := tx.PrepareContext(ctx, "SELECT "+rowColumns+", "+storedColumns+" FROM "+sourceOfRows+`
			LEFT JOIN payloads ON payloads.seq = jobs.seq LEFT JOIN results ON results.seq = jobs.seq WHERE id = ?`)
		if err != nil {
			return err
		}
		defer func() { _ = stmt.Close() }() // ends with the transaction anyway
		for _, id := range ids {
			err := stmt.QueryRowContext(ctx, id).Scan(dest...)
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return err
			}
			job := r.job(b.names)
			job.Payload.Data, job.Result = s.payload(), s.result()
			if job.Result != nil && job.Result.Attempt > 1 {
				if job.Earlier, err = earlierResults(ctx, tx, id); err != nil {
					return err
				}
			}
			jobs = append(jobs, job)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return jobs, nil
}

// earlierResults are those of the attempts before that of the job's result.
func earlierResults(ctx context.Context, tx *sql.Tx, id string) ([]distro.Result, error) {
	var list []distro.Result
	var s stored
	err := each(ctx, tx, "SELECT "+earlierColumns+" FROM earlier WHERE seq = (SELECT seq FROM jobs WHERE id = ?) ORDER BY attempt", []any{id},
		[]any{
			&s.res.Attempt, &s.res.Run, &s.outcome, &s.res.Worker, &s.startedAt, &s.endedAt, &s.res.PeakMemory, &s.res.CPUTime,
			&s.res.View.Text, &s.flags, &s.kind, &s.failure.Type, &s.failure.Message, &s.failure.Traceback, &s.failure.ExitCode, &s.failure.Signal,
		}, func() error {
			list = append(list, *s.result())
			return nil
		})
	return list, err
}

// storedColumns are the columns of stored, in the order of dest.
const storedColumns = `payload, data, ifnull(outcome, ''), ifnull(run, ''), ifnull(results.attempt, 0), ifnull(results.worker, ''),
	ifnull(results.started_at, 0), ifnull(results.ended_at, 0), ifnull(peak_memory, 0), ifnull(cpu_time, 0), pickle,
	ifnull(view, ''), ifnull(view_flags, 0), ifnull(kind, ''), ifnull(type, ''), ifnull(message, ''),
	ifnull(traceback, ''), ifnull(exit_code, 0), ifnull(signal, 0)`

// stored is what a job may have that may be large.
type stored struct {
	inline, large      []byte
	res                distro.Result
	outcome, kind      string
	startedAt, endedAt int64
	flags              int
	failure            distro.Failure
}

func (s *stored) dest() []any {
	return []any{
		&s.inline, &s.large, &s.outcome, &s.res.Run, &s.res.Attempt, &s.res.Worker,
		&s.startedAt, &s.endedAt, &s.res.PeakMemory, &s.res.CPUTime, &s.res.Pickle,
		&s.res.View.Text, &s.flags, &s.kind, &s.failure.Type, &s.failure.Message,
		&s.failure.Traceback, &s.failure.ExitCode, &s.failure.Signal,
	}
}

func (s *stored) payload() []byte {
	if s.large != nil {
		return s.large
	}
	return s.inline
}

// result is the result of the last attempt that was settled, nil if none was.
func (s *stored) result() *distro.Result {
	if s.outcome == "" {
		return nil
	}
	res := s.res
	res.Outcome = distro.Outcome(s.outcome)
	res.StartedAt, res.EndedAt = moment(s.startedAt), moment(s.endedAt)
	res.View.JSON, res.View.Truncated = s.flags&viewJSON != 0, s.flags&viewTruncated != 0
	if s.kind != "" {
		failure := s.failure
		failure.Kind = distro.FailureKind(s.kind)
		res.Failure = &failure
	}
	return &res
}

// Counts implements broker.Broker.
func (b *Broker) Counts(ctx context.Context) (broker.Counts, error) {
	var c broker.Counts
	err := b.read(ctx, "count jobs", func(tx *sql.Tx) error {
		var err error
		c, err = b.count(ctx, tx)
		return err
	})
	return c, err
}

func (b *Broker) count(ctx context.Context, tx *sql.Tx) (broker.Counts, error) {
	var c broker.Counts
	byName := map[string]*distro.QueueInfo{}
	info := func(name string) *distro.QueueInfo {
		if byName[name] == nil {
			byName[name] = &distro.QueueInfo{Name: name, Jobs: map[distro.Status]int{}}
		}
		return byName[name]
	}
	oldest := map[string]int64{}
	var queue int64
	var status, jobs int
	err := each(ctx, tx, "SELECT queue, status, sum(jobs) FROM counts GROUP BY queue, status HAVING sum(jobs) > 0", nil,
		[]any{&queue, &status, &jobs}, func() error {
			name := b.names.name(queue)
			if status == waiting {
				oldest[name] = queue
			} else {
				info(name).Jobs[statusWord(status)] = jobs
			}
			return nil
		})
	if err != nil {
		return c, err
	}
	for name, id := range oldest {
		if err := oldestAt(ctx, tx, id, info(name)); err != nil {
			return c, err
		}
	}
	var name string
	err = each(ctx, tx, "SELECT queue FROM paused", nil, []any{&name}, func() error {
		if name == "" {
			c.Suspended = true
		} else {
			info(name).Paused = true
		}
		return nil
	})
	if err != nil {
		return c, err
	}
	for _, q := range byName {
		c.Queues = append(c.Queues, *q)
	}
	sortQueues(c.Queues)
	return c, nil
}

// oldestAt finds the job that waits longest: the first of those that joined at
// the back, or one of those that were put to the front.
func oldestAt(ctx context.Context, tx *sql.Tx, queue int64, info *distro.QueueInfo) error {
	var at int64
	err := tx.QueryRowContext(ctx, `SELECT ifnull(min(at), 0) FROM (
			SELECT * FROM (SELECT enqueued_at AS at FROM waiting WHERE queue = ? AND pos > 0 ORDER BY pos LIMIT 1)
			UNION ALL SELECT min(enqueued_at) FROM waiting WHERE queue = ? AND pos < 0)`, queue, queue).Scan(&at)
	info.OldestAt = moment(at)
	return err
}

// each calls fn for every row of a query, with the row in dest.
func each(ctx context.Context, tx *sql.Tx, text string, args, dest []any, fn func() error) error {
	rows, err := tx.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	return scanAll(rows, dest, fn)
}
