package redisbroker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/redis/rueidis"

	"github.com/distro-orchestrator/distro"
)

// getStep is how many jobs one round trip of Get reads.
const getStep = 100

// Get implements broker.Broker.
func (b *Broker) Get(ctx context.Context, ids []string) ([]distro.Job, error) {
	jobs := make([]distro.Job, 0, len(ids))
	for part := range slices.Chunk(ids, getStep) {
		found, err := b.get(ctx, part)
		if err != nil {
			return nil, fmt.Errorf("get %d jobs: %w", len(ids), err)
		}
		jobs = append(jobs, found...)
	}
	return jobs, nil
}

func (b *Broker) get(ctx context.Context, ids []string) ([]distro.Job, error) {
	ctx, cancel := b.bound(ctx)
	defer cancel()
	c := b.client.B()
	commands := make(rueidis.Commands, 0, 2*len(ids))
	for _, id := range ids {
		commands = append(commands,
			c.Hgetall().Key(keyJob+id).Build(), c.Xrevrange().Key(keyResults+id).End("+").Start("-").Count(1).Build())
	}
	answers := b.client.DoMulti(ctx, commands...)
	jobs := make([]distro.Job, 0, len(ids))
	for i, id := range ids {
		fields, err := readable(answers[2*i].AsStrMap())
		if err != nil {
			return nil, err
		}
		entries, err := readable(answers[2*i+1].AsXRange())
		if err != nil {
			return nil, err
		}
		if _, ok := fields["data"]; !ok {
			continue // there is none, or what a late write left of one
		}
		s := stored{fields: fields}
		if len(entries) > 0 {
			s.newest, s.at = entries[0].FieldValues, entryTime(entries[0].ID)
		}
		jobs = append(jobs, b.codec.job(id, s))
	}
	return jobs, b.setDue(ctx, jobs)
}

// readable passes what was read. That a key holds something else than it should
// is as if there were none: nothing that stands in Redis may keep the rest from
// being read.
func readable[T any](value T, err error) (T, error) {
	var none T
	if err == nil {
		return value, nil
	}
	var server *rueidis.RedisError
	if rueidis.IsRedisNil(err) || rueidis.IsParseErr(err) || errors.As(err, &server) && hasCode(server.Error(), "WRONGTYPE") {
		return none, nil
	}
	return none, unavailable(err)
}

// setDue sets when scheduled jobs are due. The registry decides, which knows
// whole seconds; the hash knows what was rounded up, unless a stock process has
// scheduled the job anew.
func (b *Broker) setDue(ctx context.Context, jobs []distro.Job) error {
	var scheduled []*distro.Job
	var commands rueidis.Commands
	for i := range jobs {
		if j := &jobs[i]; j.Status == distro.StatusScheduled {
			scheduled = append(scheduled, j)
			commands = append(commands, b.client.B().Zscore().Key(keyScheduled+j.Queue).Member(j.ID).Build())
		}
	}
	if len(commands) == 0 {
		return nil
	}
	for i, answer := range b.client.DoMulti(ctx, commands...) {
		score, err := answer.AsFloat64()
		if missing := rueidis.IsRedisNil(err); missing {
			continue // it was moved meanwhile, or a stock client is about to write it
		}
		if score, err = readable(score, err); err != nil {
			return err
		}
		scheduled[i].DueAt = dueAt(scheduled[i].DueAt, score)
	}
	return nil
}

// dueAt is the exact due time if score is it rounded up, else score.
func dueAt(exact time.Time, score float64) time.Time {
	if !(score > 0 && score < 1e11) || !exact.IsZero() && score == math.Ceil(float64(exact.UnixMicro())/1e6) {
		return exact
	}
	return time.UnixMicro(int64(score * 1e6)).UTC()
}

// entryTime is when the entry of a stream was written.
func entryTime(id string) time.Time {
	var ms, n int64
	if _, err := fmt.Sscanf(id, "%d-%d", &ms, &n); err != nil || ms <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
