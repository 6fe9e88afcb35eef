package redisbroker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

const (
	// oldestOf is among how many jobs at the front of a queue the one is
	// looked for that waits longest: some were put there later.
	oldestOf = 16
	// maxStopped is the length of a failed registry up to which the stopped
	// jobs in it are told from the failed ones. In a longer one all count as
	// failed.
	maxStopped = 1000
)

// Counts implements broker.Broker.
func (b *Broker) Counts(ctx context.Context) (broker.Counts, error) {
	ctx, cancel := context.WithTimeout(ctx, b.opts.Timeout)
	defer cancel()
	counts, err := b.count(ctx)
	if err != nil {
		return broker.Counts{}, fmt.Errorf("count jobs: %w", err)
	}
	return counts, nil
}

func (b *Broker) count(ctx context.Context) (broker.Counts, error) {
	var c broker.Counts
	suspended, err := b.client.Do(ctx, b.client.B().Exists().Key(keySuspended).Build()).AsInt64()
	if err != nil {
		return c, unavailable(err)
	}
	c.Suspended = suspended > 0
	paused, err := b.members(ctx, ownPaused)
	if err != nil {
		return c, err
	}
	queues, walks, err := b.known(ctx)
	if err != nil {
		return c, err
	}
	tallies := make([]*tally, 0, len(queues))
	for _, q := range queues {
		tallies = append(tallies, &tally{sources: sourcesOf(q, "", walks), info: distro.QueueInfo{Name: q, Paused: slices.Contains(paused, q)}})
	}
	if err := b.tally(ctx, tallies); err != nil {
		return c, err
	}
	for _, t := range tallies {
		if len(t.info.Jobs) > 0 || t.info.Paused {
			c.Queues = append(c.Queues, t.info)
		} else {
			c.Idle = append(c.Idle, t.info.Name)
		}
	}
	for _, q := range paused {
		if !slices.Contains(queues, q) {
			c.Queues = append(c.Queues, distro.QueueInfo{Name: q, Paused: true})
		}
	}
	slices.SortFunc(c.Queues, func(a, b distro.QueueInfo) int { return strings.Compare(a.Name, b.Name) })
	return c, nil
}

// tally is the count of one queue.
type tally struct {
	sources []source
	info    distro.QueueInfo
	front   []string // jobs at the front of the list
	failed  []string // what stands in the registry of failed jobs, where it is short
}

func (b *Broker) tally(ctx context.Context, tallies []*tally) error {
	var sources []source
	for _, t := range tallies {
		sources = append(sources, t.sources...)
	}
	lengths, err := b.lengths(ctx, sources)
	if err != nil {
		return err
	}
	var fronts, failed rueidis.Commands
	var ofFront, ofFailed []*tally
	for _, t := range tallies {
		t.info.Jobs = map[distro.Status]int{}
		for _, s := range t.sources {
			n := lengths[s.key]
			if n == 0 {
				continue
			}
			t.info.Jobs[s.status] += int(n)
			switch {
			case s.status == distro.StatusFailed && n <= maxStopped:
				failed = append(failed, b.client.B().Zrange().Key(s.key).Min("0").Max("-1").Build())
				ofFailed = append(ofFailed, t)
			case s.key == keyQueue+t.info.Name:
				fronts = append(fronts, b.client.B().Lrange().Key(s.key).Start(0).Stop(oldestOf-1).Build())
				ofFront = append(ofFront, t)
			}
		}
	}
	for i, answer := range b.doMulti(ctx, fronts) {
		if ofFront[i].front, err = readable(answer.AsStrSlice()); err != nil {
			return err
		}
	}
	for i, answer := range b.doMulti(ctx, failed) {
		if ofFailed[i].failed, err = readable(answer.AsStrSlice()); err != nil {
			return err
		}
	}
	if err := b.tellOldest(ctx, ofFront); err != nil {
		return err
	}
	return b.tellStopped(ctx, ofFailed)
}

func (b *Broker) tellOldest(ctx context.Context, tallies []*tally) error {
	var ids []string
	for _, t := range tallies {
		ids = append(ids, t.front...)
	}
	jobs, err := b.hashes(ctx, ids, "enqueued_at")
	if err != nil {
		return err
	}
	for _, t := range tallies {
		var oldest time.Time
		for _, fields := range jobs[:len(t.front)] {
			if at := parseRQTime(fields["enqueued_at"]); !at.IsZero() && (oldest.IsZero() || at.Before(oldest)) {
				oldest = at
			}
		}
		t.info.OldestAt, jobs = oldest, jobs[len(t.front):]
	}
	return nil
}

func (b *Broker) tellStopped(ctx context.Context, tallies []*tally) error {
	var ids []string
	for _, t := range tallies {
		ids = append(ids, t.failed...)
	}
	jobs, err := b.hashes(ctx, ids, "status")
	if err != nil {
		return err
	}
	for _, t := range tallies {
		counts := t.info.Jobs
		delete(counts, distro.StatusFailed)
		for _, fields := range jobs[:len(t.failed)] {
			switch status, ok := fields["status"]; {
			case status == string(distro.StatusStopped):
				counts[distro.StatusStopped]++
			case ok:
				counts[distro.StatusFailed]++
			}
		}
		jobs = jobs[len(t.failed):]
	}
	return nil
}

// lengths counts what stands in sources, by key.
func (b *Broker) lengths(ctx context.Context, sources []source) (map[string]int64, error) {
	commands := make(rueidis.Commands, len(sources))
	for i, s := range sources {
		if s.list {
			commands[i] = b.client.B().Llen().Key(s.key).Build()
		} else {
			commands[i] = b.client.B().Zcard().Key(s.key).Build()
		}
	}
	lengths := make(map[string]int64, len(sources))
	for i, answer := range b.doMulti(ctx, commands) {
		n, err := readable(answer.AsInt64())
		if err != nil {
			return nil, err
		}
		lengths[sources[i].key] = n
	}
	return lengths, nil
}

// doMulti sends any number of commands.
func (b *Broker) doMulti(ctx context.Context, commands rueidis.Commands) []rueidis.RedisResult {
	answers := make([]rueidis.RedisResult, 0, len(commands))
	for part := range slices.Chunk(commands, pipelineStep) {
		answers = append(answers, b.client.DoMulti(ctx, part...)...)
	}
	return answers
}
