package redisbroker

import (
	"context"
	"hash/maphash"
	"math"
	"strconv"

	"github.com/redis/rueidis"

	"github.com/distro-orchestrator/distro"
)

// remembered is how many members of registries a memory holds at least before
// it forgets the oldest; at most twice as many.
const remembered = 128 << 10

// memory knows with which score members of registries were seen. It holds
// hashes: that two of some hundred thousand are equal does not happen.
type memory struct {
	seed       maphash.Seed
	young, old map[uint64]uint64
}

func newMemory() *memory {
	return &memory{seed: maphash.MakeSeed(), young: map[uint64]uint64{}, old: map[uint64]uint64{}}
}

// mark is the name of a member of a registry here.
func (m *memory) mark(key, member string) uint64 {
	return max(maphash.Comparable(m.seed, [2]string{key, member}), 1)
}

// has reports whether a member was seen with this value, and is to be
// remembered on.
func (m *memory) has(mark, value uint64) bool {
	if v, ok := m.young[mark]; ok {
		return v == value
	}
	if v, ok := m.old[mark]; ok && v == value {
		m.young[mark] = v
		return true
	}
	return false
}

func (m *memory) put(mark, value uint64) { m.young[mark] = value }

// turn forgets the oldest half where there is too much.
func (m *memory) turn() {
	if len(m.young) >= remembered {
		m.old, m.young = m.young, map[uint64]uint64{}
	}
}

// place is how far a registry was looked through.
type place struct {
	source
	kind string // the key without the queue
	size int64

	high   float64 // the score up to which everything was seen
	above  int64   // how many members of that score, and above, were seen
	rank   int64   // where the next part of the rest begins
	toured bool    // the rest was looked through once
}

func newPlace(kind, queue string) *place {
	p := &place{kind: kind, high: math.Inf(-1)}
	p.source = source{status: distro.StatusFinished, queue: queue, key: kind + queue}
	if kind == keyStarted {
		p.status = distro.StatusStarted
	}
	return p
}

// lookAt looks for members that were not seen yet: at all of a registry that is
// not large; else at those above the highest score that was seen, as jobs with
// the same TTL come in that order, and at a part of the rest, in turn.
func (l *look) lookAt(ctx context.Context, p *place, share int64) error {
	next := *p
	ranks := &part{from: p.rank, to: p.rank + share, room: &l.room, page: func(from int64) rueidis.Completed {
		c := l.b.client.B()
		return c.Zrange().Key(p.key).Min(strconv.FormatInt(from, 10)).Max(strconv.FormatInt(from+lookPage-1, 10)).Withscores().Build()
	}}
	if p.size <= share {
		ranks.from, ranks.to = 0, p.size
		_, room, err := l.read(ctx, p, ranks)
		l.more = l.more || !room
		next.high, next.above, next.rank, next.toured = math.Inf(-1), 0, 0, room
		l.moveTo(p, next)
		return err
	}
	if p.kind == keyFinished || p.kind == keyFailed {
		if err := l.lookAbove(ctx, p, &next); err != nil {
			return err
		}
	}
	forgot := min(l.room, lookForgot)
	if p.toured { // what is found now was forgotten, or has come with another TTL
		ranks.room = &forgot
	}
	got, _, err := l.read(ctx, p, ranks)
	if err != nil {
		return err
	}
	if next.rank = p.rank + got; next.rank >= p.size {
		next.rank, next.toured = 0, true
	}
	l.more = l.more || !next.toured
	l.moveTo(p, next)
	return nil
}

// lookAbove looks at what is above the highest score that was seen. Jobs that
// are kept for ever have scores without an order: they are left to the rest.
func (l *look) lookAbove(ctx context.Context, p, next *place) error {
	low := "0"
	if !math.IsInf(p.high, -1) {
		low = strconv.FormatFloat(p.high, 'f', -1, 64)
	}
	scores := &part{from: p.above, to: p.above + lookPages*lookPage, room: &l.room, last: p.high, page: func(from int64) rueidis.Completed {
		return l.b.client.B().Zrangebyscore().Key(p.key).Min(low).Max("(+inf").Withscores().Limit(from, lookPage).Build()
	}}
	got, room, err := l.read(ctx, p, scores)
	if err != nil {
		return err
	}
	if !room || got == lookPages*lookPage {
		l.more, next.above = true, p.above+got
		return nil
	}
	// Begin with all of the highest score next time: others may join them.
	next.high, next.above = max(scores.last, p.high), 0
	return nil
}

func (l *look) moveTo(p *place, next place) {
	l.commit = append(l.commit, func() { *p = next })
}

// part is a part of a registry that is read page by page.
type part struct {
	from, to int64
	page     func(from int64) rueidis.Completed
	room     *int    // for jobs that are found
	last     float64 // the score that was read last
}

// read reads a part until it or the registry ends. It returns how many members
// it has looked at, and whether there was room for all that it found.
func (l *look) read(ctx context.Context, p *place, r *part) (got int64, room bool, err error) {
	for r.from+got < r.to {
		short, cancel := l.b.bound(ctx)
		members, err := readable(l.b.client.Do(short, r.page(r.from+got)).AsZScores())
		cancel()
		if err != nil {
			return got, false, err
		}
		for _, m := range members {
			mark, value := l.seen.mark(p.key, m.Member), math.Float64bits(m.Score)
			if !l.seen.has(mark, value) {
				if *r.room == 0 || l.room == 0 {
					return got, false, nil
				}
				if *r.room--; r.room != &l.room {
					l.room--
				}
				l.add(candidate{id: p.jobID(m.Member), mark: mark, value: value, still: p.kind == keyStarted})
			}
			got, r.last = got+1, m.Score
		}
		if len(members) < lookPage {
			break
		}
	}
	return got, true, nil
}
