package redisbroker

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redis/rueidis"

	"github.com/distro-orchestrator/distro/internal/broker"
)

// lookAgain is how often a wait looks for what nobody tells of: stock tools
// resume workers without a word. Tests change Broker.lookAgain.
const lookAgain = time.Second

// Wait implements broker.Broker.
func (b *Broker) Wait(ctx context.Context, in broker.Interest) error {
	if err := checkFeedCursor(in.Cursor); err != nil {
		return err
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	found := make(chan error, 1)
	if in.Feed {
		news := make(chan error, 1)
		go func() {
			news <- b.waitFeed(inner, in.Cursor)
			close(news)
		}()
		defer func() {
			cancel()
			for range news { // until it has ended
			}
		}()
		return b.wait(ctx, in, found, news)
	}
	return b.wait(ctx, in, found, nil)
}

func (b *Broker) wait(ctx context.Context, in broker.Interest, found, news chan error) error {
	again := time.NewTimer(b.lookAgain)
	defer again.Stop()
	joined := joined{}
	defer joined.leave()
	for look := true; ; {
		b.signals.mu.Lock()
		changed, due := b.signals.changed, b.signals.dueEarlier()
		b.signals.mu.Unlock()
		if ctx.Err() != nil || in.Due && due || b.newsFor(in.Worker) {
			return ctx.Err()
		}
		if look {
			if err := b.join(ctx, in, joined, found); err != nil {
				return errors.Join(ctx.Err(), err)
			}
		}
		look = len(joined) < len(in.Queues)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-b.life.Done():
			return broker.ErrClosed
		case err := <-found:
			return err
		case err := <-news:
			return err
		case <-changed:
			look = true
		case <-again.C:
			again.Reset(b.lookAgain)
		}
	}
}

// joined holds, by queue, what ends a wait for its jobs.
type joined map[string]func()

func (j joined) leave() {
	for _, leave := range j {
		leave()
	}
}

// join waits for jobs of the queues that are open, and of no others any more.
func (b *Broker) join(ctx context.Context, in broker.Interest, joined joined, found chan error) error {
	if len(in.Queues) == 0 {
		return nil
	}
	g := b.takeGate(in.Worker)
	if g == nil {
		var err error
		if g, err = b.askGate(ctx); err != nil {
			return err
		}
	}
	for _, queue := range in.Queues {
		leave := joined[queue]
		switch open := g.open(queue); {
		case open && leave == nil:
			joined[queue] = b.signals.join(queue, found)
		case !open && leave != nil:
			leave()
			delete(joined, queue)
		}
	}
	return nil
}

// newsFor reports whether a worker has something to ask for.
func (b *Broker) newsFor(worker string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	reg := b.workers[worker]
	return reg != nil && reg.news
}

// gate says which queues jobs may be claimed from.
type gate struct {
	suspended bool // all workers
	paused    []string
	changed   <-chan struct{} // closed when something was heard since before it was looked at
}

func (g *gate) open(queue string) bool { return !g.suspended && !slices.Contains(g.paused, queue) }

// takeGate is what the last exchange of a worker saw, once, so that a Wait
// behind it need not ask; nil where it did not look, or something was heard
// since. What others do to queues without a word is found by the next look.
func (b *Broker) takeGate(worker string) *gate {
	b.mu.Lock()
	defer b.mu.Unlock()
	reg := b.workers[worker]
	if reg == nil || reg.gate == nil {
		return nil
	}
	g := reg.gate
	reg.gate = nil
	select {
	case <-g.changed:
		return nil
	default:
		return g
	}
}

// askGate looks.
func (b *Broker) askGate(ctx context.Context) (*gate, error) {
	ctx, cancel := context.WithTimeout(ctx, b.opts.Timeout)
	defer cancel()
	c := b.client.B()
	answers := b.client.DoMulti(ctx, c.Exists().Key(keySuspended).Build(), c.Smembers().Key(ownPaused).Build())
	suspended, err := answers[0].AsInt64()
	if err != nil {
		return nil, unavailable(err)
	}
	paused, err := answers[1].AsStrSlice()
	if err != nil {
		return nil, unavailable(err)
	}
	return &gate{suspended: suspended == 1, paused: paused}, nil
}

// parseGate reads the gate of exchange.lua.
func parseGate(m *rueidis.RedisMessage) (*gate, error) {
	parts, err := m.ToArray()
	if err != nil || len(parts) == 0 {
		return nil, err
	}
	suspended, err := parts[0].AsInt64()
	if err != nil {
		return nil, err
	}
	g := &gate{suspended: suspended == 1}
	for i := range parts[1:] {
		queue, err := parts[1+i].ToString()
		if err != nil {
			return nil, err
		}
		g.paused = append(g.paused, queue)
	}
	return g, nil
}

// waitFeed returns when there is an entry behind cursor, or the cursor is lost.
func (b *Broker) waitFeed(ctx context.Context, cursor string) error {
	if cursor == "" {
		cursor = "0"
	} else {
		short, cancel := context.WithTimeout(ctx, b.opts.Timeout)
		own, err := b.client.Do(short, b.client.B().Xrange().Key(ownFeed).Start(cursor).End(cursor).Build()).AsXRange()
		cancel()
		if err != nil || len(own) == 0 {
			return unavailable(err)
		}
	}
	for {
		b.announceReader(ctx, false)
		c := b.client.B().Xread().Count(1).Block(peekFor.Milliseconds()).Streams().Key(ownFeed).Id(cursor).Build()
		err := b.block(ctx, c).Error()
		if !rueidis.IsRedisNil(err) {
			return unavailable(err)
		}
	}
}
