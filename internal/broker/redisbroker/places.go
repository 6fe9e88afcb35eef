package redisbroker

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/redis/rueidis"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// Places implements broker.Broker: by place in RQ's list, or by rank in its
// registry.
func (b *Broker) Places(ctx context.Context, q broker.PlaceQuery) (broker.Places, error) {
	if err := q.Check(); err != nil {
		return broker.Places{}, err
	}
	limit, err := broker.PageLimit(q.Limit)
	if err != nil {
		return broker.Places{}, err
	}
	q.Limit = limit
	ctx, cancel := context.WithTimeout(ctx, b.opts.Timeout)
	defer cancel()
	places, err := b.places(ctx, q)
	if err != nil {
		return broker.Places{}, fmt.Errorf("list places %d to %d of queue %q, %s: %w", q.Offset, q.Offset+limit, q.Queue, q.Status, err)
	}
	return places, nil
}

func (b *Broker) places(ctx context.Context, q broker.PlaceQuery) (broker.Places, error) {
	s := sourcesOf(q.Queue, q.Status, nil)[0] // the first one is RQ's
	from, to := int64(q.Offset), int64(q.Offset+q.Limit-1)
	c := b.client.B()
	var answers []rueidis.RedisResult
	first, last := strconv.FormatInt(from, 10), strconv.FormatInt(to, 10)
	switch {
	case s.list && q.Backward:
		answers = b.client.DoMulti(ctx, c.Llen().Key(s.key).Build(), c.Lrange().Key(s.key).Start(-to-1).Stop(-from-1).Build())
	case s.list:
		answers = b.client.DoMulti(ctx, c.Llen().Key(s.key).Build(), c.Lrange().Key(s.key).Start(from).Stop(to).Build())
	case q.Backward:
		answers = b.client.DoMulti(ctx, c.Zcard().Key(s.key).Build(), c.Zrevrange().Key(s.key).Start(from).Stop(to).Build())
	default:
		answers = b.client.DoMulti(ctx, c.Zcard().Key(s.key).Build(), c.Zrange().Key(s.key).Min(first).Max(last).Build())
	}
	total, err := readable(answers[0].AsInt64())
	if err != nil {
		return broker.Places{}, err
	}
	members, err := readable(answers[1].AsStrSlice())
	if err != nil {
		return broker.Places{}, err
	}
	if s.list && q.Backward {
		slices.Reverse(members)
	}
	for i := range members {
		members[i] = s.jobID(members[i])
	}
	places, err := b.describe(ctx, q.Queue, members)
	return broker.Places{Places: places, Total: int(total)}, err
}

// describe shows jobs that stand in a list of a queue.
func (b *Broker) describe(ctx context.Context, queue string, ids []string) ([]broker.Place, error) {
	rows, err := b.rows(ctx, ids)
	if err != nil {
		return nil, err
	}
	jobs := make([]distro.Job, len(rows))
	for i, r := range rows {
		if r != nil {
			jobs[i] = r.Job
		}
	}
	if err := b.setDue(ctx, jobs); err != nil {
		return nil, err
	}
	if err := b.setFailures(ctx, jobs); err != nil {
		return nil, err
	}
	places := make([]broker.Place, len(ids))
	for i := range places {
		if places[i] = (broker.Place{Job: jobs[i]}); rows[i] == nil {
			places[i] = broker.Place{Job: distro.Job{ID: ids[i], Queue: queue}, Gone: true}
		}
	}
	return places, nil
}

// setFailures sets how the last attempts ended, but for jobs that finished:
// what these returned may be long, and is not shown. Jobs without an ID are
// left out.
func (b *Broker) setFailures(ctx context.Context, jobs []distro.Job) error {
	var ended []*distro.Job
	var commands rueidis.Commands
	for i := range jobs {
		if j := &jobs[i]; j.ID != "" && j.Status != distro.StatusFinished {
			ended = append(ended, j)
			commands = append(commands, b.client.B().Xrevrange().Key(keyResults+j.ID).End("+").Start("-").Count(1).Build())
		}
	}
	for i, answer := range b.doMulti(ctx, commands) {
		entries, err := readable(answer.AsXRange())
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			continue
		}
		s := stored{newest: entries[0].FieldValues, at: entryTime(entries[0].ID)}
		delete(s.newest, "return_value")
		if r := b.codec.stock(ended[i], s); r != nil {
			ended[i].Result = &distro.Result{Outcome: r.Outcome, Failure: r.Failure}
			if r.Failure != nil {
				r.Failure.Traceback = broker.CutTraceback(r.Failure.Traceback)
			}
		}
	}
	return nil
}

const (
	// compactStep bounds one step: others wait for no more than that.
	compactStep = 50
	// compactReach is how far from the nearer end of a list entries are taken
	// out: Redis walks that far for it.
	compactReach = 30_000
)

// Compact implements broker.Broker. Its cursor is how many entries lie between
// the end of the list and the place. Jobs leave a list at the front and join it
// at the end, so what is counted from the end is passed over by nobody.
func (b *Broker) Compact(ctx context.Context, queue string, status distro.Status, cursor string, limit int) (int, string, error) {
	if err := broker.CheckCompact(queue, status); err != nil {
		return 0, "", err
	}
	seen := int64(0)
	if cursor != "" {
		var err error
		if seen, err = strconv.ParseInt(cursor, 10, 64); err != nil || seen < 0 || strconv.FormatInt(seen, 10) != cursor {
			return 0, "", distro.Invalid("cursor", "not a cursor")
		}
	}
	a := b.begin(b.now(), 5)
	s := sourcesOf(queue, status, nil)[0]
	a.text(s.key)
	a.flag(s.list)
	a.text(strconv.FormatInt(seen, 10))
	a.number(min(limit, compactStep))
	a.number(compactReach)
	reply, err := b.run(ctx, "compact", a)
	if err != nil {
		return 0, "", fmt.Errorf("compact queue %q: %w", queue, err)
	}
	counts, err := reply.AsIntSlice()
	if err != nil || len(counts) != 2 {
		return 0, "", malformed("compact", err)
	}
	if counts[1] < 0 {
		return int(counts[0]), "", nil
	}
	return int(counts[0]), strconv.FormatInt(counts[1], 10), nil
}
