package redisbroker

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// Enqueue implements broker.Broker.
func (b *Broker) Enqueue(ctx context.Context, jobs []distro.Job) ([]broker.EnqueueResult, error) {
	if err := broker.CheckJobs(jobs); err != nil || len(jobs) == 0 {
		return nil, err
	}
	now := b.now()
	a := b.begin(now, 60*len(jobs))
	a.number(len(jobs))
	var fields []string
	for i := range jobs {
		j := &jobs[i]
		status, due, ttl := distro.StatusQueued, "", ""
		if j.DueAt.After(now) {
			status, due = distro.StatusScheduled, strconv.FormatInt(j.DueAt.Add(time.Microsecond-1).UnixMicro(), 10)
		}
		if j.TTL > 0 {
			ttl = strconv.Itoa(seconds(j.TTL))
		}
		fields = b.codec.jobFields(fields[:0], j, now, status)
		a.text(j.ID, j.Queue, j.Fingerprint, due, ttl)
		a.many(fields)
	}
	reply, err := b.run(ctx, "enqueue", a)
	if err != nil {
		return nil, fmt.Errorf("enqueue %d jobs: %w", len(jobs), err)
	}
	codes, err := reply.AsIntSlice()
	if err != nil || len(codes) != len(jobs) {
		return nil, malformed("enqueue", err)
	}
	results := make([]broker.EnqueueResult, len(codes))
	for i, code := range codes {
		results[i] = broker.EnqueueResult(code) // enqueue.lua counts as the constants do
	}
	return results, nil
}

// malformed is the error for an answer of a script that is none.
func malformed(name string, err error) error {
	if err == nil {
		return fmt.Errorf("script %q answered something else than it should", name)
	}
	return fmt.Errorf("read the answer of script %q: %w", name, err)
}

// texts reads a list of texts within an answer.
func texts(m *rueidis.RedisMessage) ([]string, error) {
	list, err := m.ToArray()
	if err != nil {
		return nil, err
	}
	out := make([]string, len(list))
	for i := range list {
		if out[i], err = list[i].ToString(); err != nil {
			return nil, err
		}
	}
	return out, nil
}
