package redisbroker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/distro-orchestrator/distro/internal/broker"
)

const (
	sweepStep  = 100 // jobs that one call moves or deletes
	rescueStep = 32  // claims that one call ends
	queueStep  = 64  // queues that one Sweep looks through for what has expired

	// lockLife is how long a scheduler that is not heard of keeps its queues,
	// as in RQ.
	lockLife = 61 * time.Second
)

// Sweep implements broker.Broker.
func (b *Broker) Sweep(ctx context.Context, limit int) (broker.Swept, error) {
	var s broker.Swept
	b.signals.sweeping()
	beats, err := b.sweepDue(ctx, min(limit, sweepStep), &s)
	if err != nil {
		return s, err
	}
	more := s.Due >= min(limit, sweepStep)
	for name, beat := range b.lost.read(b.opts.Clock.Monotonic(), beats) {
		done, err := b.rescue(ctx, name, beat, &s)
		if err != nil {
			return s, err
		}
		more = more || !done
		if done {
			b.lost.forget(name)
		}
	}
	b.signals.hasSwept(s.NextDue)
	room := min(max(limit-s.Due-s.Rescued, 0), sweepStep)
	if s.Expired, err = b.expire(ctx, room); err != nil {
		return s, err
	}
	s.More = more || s.Expired >= room && room > 0
	return s, b.maintain(ctx)
}

// sweepDue queues what is due and returns the beats of all worker processes.
func (b *Broker) sweepDue(ctx context.Context, limit int, s *broker.Swept) (map[string]string, error) {
	a := b.begin(b.now(), len(b.opts.Schedule)+4)
	a.text(b.lock)
	a.number(seconds(lockLife))
	a.number(limit)
	a.many(b.opts.Schedule)
	reply, err := b.run(ctx, "due", a)
	if err != nil {
		b.lost.fail()
		return nil, fmt.Errorf("sweep: %w", err)
	}
	parts, err := reply.ToArray()
	if err != nil || len(parts) != 3 {
		return nil, malformed("due", err)
	}
	moved, err := parts[0].AsInt64()
	next, errNext := parts[1].ToString()
	pairs, errPairs := texts(&parts[2])
	if err := errors.Join(err, errNext, errPairs); err != nil {
		return nil, malformed("due", err)
	}
	s.Due = int(moved)
	if second, err := strconv.ParseInt(next, 10, 64); err == nil {
		s.NextDue = time.Unix(second, 0).UTC()
	}
	beats := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		beats[pairs[i]] = pairs[i+1]
	}
	return beats, nil
}

// rescue ends some of the claims of a lost process.
func (b *Broker) rescue(ctx context.Context, process, beat string, s *broker.Swept) (done bool, err error) {
	a := b.begin(b.now(), 7)
	a.text(process, beat)
	a.number(rescueStep)
	a.text(b.lostEnds(process)...)
	reply, err := b.run(ctx, "rescue", a)
	if err != nil {
		return false, fmt.Errorf("rescue the claims of worker %q: %w", process, err)
	}
	counts, err := reply.AsIntSlice()
	if err != nil || len(counts) != 3 {
		return false, malformed("rescue", err)
	}
	s.Rescued += int(counts[0])
	if due := time.Unix(counts[2], 0).UTC(); counts[2] > 0 && (s.NextDue.IsZero() || due.Before(s.NextDue)) {
		s.NextDue = due
	}
	return counts[1] == 1, nil
}

// expire deletes jobs that are over.
func (b *Broker) expire(ctx context.Context, limit int) (int, error) {
	queues, err := b.lookedAfter(ctx)
	if err != nil {
		return 0, err
	}
	b.mu.Lock()
	if b.queues >= len(queues) || len(queues) <= queueStep {
		b.queues = 0
	}
	part := queues[b.queues:min(b.queues+queueStep, len(queues))]
	b.queues += len(part)
	b.mu.Unlock()
	a := b.begin(b.now(), len(part)+2)
	a.number(limit)
	a.many(part)
	reply, err := b.run(ctx, "expire", a)
	if err != nil {
		return 0, fmt.Errorf("delete expired jobs: %w", err)
	}
	counts, err := reply.AsIntSlice()
	if err != nil || len(counts) != 1 {
		return 0, malformed("expire", err)
	}
	walked, err := b.endWalks(ctx, limit)
	if err != nil {
		return 0, err
	}
	return int(counts[0]) + walked, nil
}

// lookedAfter are the queues that this process looks after.
func (b *Broker) lookedAfter(ctx context.Context) ([]string, error) {
	if b.opts.Queues != nil {
		return b.opts.Queues, nil
	}
	return b.queueNames(ctx)
}

// queueNames are the queues that were ever used, in order. A member of the set
// that is no queue's key is not one.
func (b *Broker) queueNames(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, b.opts.Timeout)
	defer cancel()
	keys, err := b.client.Do(ctx, b.client.B().Smembers().Key(keyQueues).Build()).AsStrSlice()
	if err != nil && !rueidis.IsRedisNil(err) {
		return nil, fmt.Errorf("list queues: %w", unavailable(err))
	}
	var names []string
	for _, key := range keys {
		if name, ok := strings.CutPrefix(key, keyQueue); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// unlock gives the scheduler's locks back that are this process's.
func (b *Broker) unlock(ctx context.Context) {
	if len(b.opts.Schedule) > 0 { // else it would be taken for one that was killed
		c := b.client.B()
		b.client.DoMulti(ctx, c.Del().Key(ownLock+b.lock).Build(), c.Srem().Key(ownLocks).Member(b.lock).Build())
	}
	for _, queue := range b.opts.Schedule {
		key := keyLock + queue
		c := b.client.B().Eval().Script(`if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end`).Numkeys(1).Key(key).Arg(b.lock).Build()
		if b.client.Do(ctx, c).Error() != nil && ctx.Err() != nil {
			return // they end by themselves
		}
	}
}

// readings are the beats of worker processes as this broker read them. A
// process is lost when its beat was the same in all readings over LostAfter.
type readings struct {
	mu   sync.Mutex
	last time.Duration // monotonic
	seen map[string]reading
}

type reading struct {
	beat  string
	since time.Duration
}

// read takes new readings and returns the lost processes with the beat that
// stood still.
func (r *readings) read(now time.Duration, beats map[string]string) map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	late := now-r.last > broker.LostAfter/2
	r.last = now
	seen, lost := map[string]reading{}, map[string]string{}
	for name, beat := range beats {
		was, known := r.seen[name]
		if !known || late || was.beat != beat {
			was = reading{beat, now}
		}
		seen[name] = was
		if now-was.since >= broker.LostAfter {
			lost[name] = beat
		}
	}
	r.seen = seen
	return lost
}

// fail records a reading that failed: the time starts anew.
func (r *readings) fail() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = nil
}

func (r *readings) forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.seen, name)
}
