package redisbroker

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/distro-orchestrator/distro/internal/broker"
)

// signals hears what Wait waits for: the hints of Distro's own processes and
// RQ's commands by channel, and lists that are not empty by a blocking look at
// them. Channels lose messages, so nothing rests on the hints alone: stops stand
// in Redis, and whoever waits for due jobs or a resumed queue looks again by
// itself.
type signals struct {
	b     *Broker
	polls atomic.Bool // Redis has no command to block on that changes nothing

	mu       sync.Mutex
	conn     rueidis.DedicatedClient // nil while there is none
	channels map[string]bool         // of commands
	due      time.Time               // earliest due time heard of since the last Sweep; zero: none
	known    time.Time               // what that Sweep said
	changed  chan struct{}           // closed when something is new
	peeks    map[string]*peeking     // by queue
}

func newSignals(b *Broker) *signals {
	return &signals{b: b, channels: map[string]bool{}, changed: make(chan struct{}), peeks: map[string]*peeking{}}
}

const (
	resubscribeFirst = 50 * time.Millisecond
	resubscribeLast  = 2 * time.Second
)

// start subscribes and keeps the subscription up until the broker closes.
func (s *signals) start(ctx context.Context) error {
	ended, err := s.subscribe(ctx)
	if err != nil {
		return err
	}
	s.b.wg.Go(func() {
		pause := resubscribeFirst
		for {
			select {
			case <-s.b.life.Done():
				s.hangUp()
				return
			case <-ended:
			}
			s.hangUp()
			s.wakeAll()
			select {
			case <-s.b.life.Done():
				return
			case <-time.After(pause):
			}
			next, err := s.subscribe(s.b.life)
			if err != nil {
				pause = min(2*pause, resubscribeLast)
				continue
			}
			ended, pause = next, resubscribeFirst
			if s.b.opts.Feed {
				s.b.announceReader(s.b.life, true) // it may have lost everything
			}
			s.wakeAll() // messages were missed
		}
	})
	return nil
}

// subscribe opens the connection that hears all channels.
func (s *signals) subscribe(ctx context.Context) (<-chan error, error) {
	ctx, cancel := context.WithTimeout(ctx, s.b.opts.Timeout)
	defer cancel()
	conn, release := s.b.client.Dedicate()
	ended := conn.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: s.hear})
	s.mu.Lock()
	channels := slices.Collect(maps.Keys(s.channels))
	s.mu.Unlock()
	channels = append(channels, s.b.wakeChannel())
	if err := conn.Do(ctx, conn.B().Subscribe().Channel(channels...).Build()).Error(); err != nil {
		conn.Close()
		release()
		return nil, unavailable(err)
	}
	s.mu.Lock()
	s.conn = conn
	s.mu.Unlock()
	return ended, nil
}

func (s *signals) hangUp() {
	s.mu.Lock()
	conn := s.conn
	s.conn = nil
	s.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
}

// listen subscribes to the commands for RQ workers. When it cannot now, the
// next connection does.
func (s *signals) listen(ctx context.Context, workers []string) {
	names := make([]string, len(workers))
	s.mu.Lock()
	for i, w := range workers {
		names[i] = keyCommands + w
		s.channels[names[i]] = true
	}
	conn := s.conn
	s.mu.Unlock()
	if conn != nil {
		ctx, cancel := context.WithTimeout(ctx, s.b.opts.Timeout)
		defer cancel()
		_ = conn.Do(ctx, conn.B().Subscribe().Channel(names...).Build()).Error()
	}
}

// mute ends that.
func (s *signals) mute(workers []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]string, len(workers))
	for i, w := range workers {
		names[i] = keyCommands + w
		delete(s.channels, names[i])
	}
	if conn := s.conn; conn != nil {
		s.b.wg.Go(func() {
			ctx, cancel := context.WithTimeout(s.b.life, s.b.opts.Timeout)
			defer cancel()
			_ = conn.Do(ctx, conn.B().Unsubscribe().Channel(names...).Build()).Error()
		})
	}
}

// hear takes a message. It comes from anybody who reaches Redis: what is not
// understood is ignored.
func (s *signals) hear(m rueidis.PubSubMessage) {
	if worker, ok := strings.CutPrefix(m.Channel, keyCommands); ok {
		s.command(worker, m.Message)
		return
	}
	kind, rest, _ := strings.Cut(m.Message, " ")
	switch kind {
	case "worker":
		s.b.mu.Lock()
		if reg := s.b.workers[rest]; reg != nil {
			reg.news = true
		}
		s.b.mu.Unlock()
	case "due":
		micros, err := strconv.ParseInt(rest, 10, 64)
		if err != nil {
			return
		}
		s.mu.Lock()
		if at := time.UnixMicro(micros).UTC(); s.due.IsZero() || at.Before(s.due) {
			s.due = at
		}
		s.mu.Unlock()
	}
	s.wake()
}

// command is one of RQ's to one of its workers.
func (s *signals) command(slot, message string) {
	var c struct {
		Command string `json:"command"`
		JobID   string `json:"job_id"`
	}
	if json.Unmarshal([]byte(message), &c) != nil {
		return
	}
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	for _, reg := range s.b.workers {
		if !slices.Contains(reg.slots, slot) {
			continue
		}
		if c.Command == "shutdown" {
			reg.drain, reg.news = true, true
		}
		for token, run := range reg.claims {
			stop := c.Command == "stop-job" && run.jobID == c.JobID
			if run.slot == slot && (stop || c.Command == "kill-horse") {
				reg.kill = append(reg.kill, broker.Kill{Claim: broker.Claim{JobID: run.jobID, Token: token}, Stopped: stop})
				reg.news = true
			}
		}
	}
	s.wake()
}

// wake lets all waiters look again.
func (s *signals) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

// next is closed at the next wake.
func (s *signals) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// wakeAll does so when anything may have happened.
func (s *signals) wakeAll() {
	s.b.mu.Lock()
	for _, reg := range s.b.workers {
		reg.news = true
	}
	s.b.mu.Unlock()
	s.wake()
}

// sweeping forgets the due times that were heard of: Sweep is going to see
// them. hasSwept keeps what it saw.
func (s *signals) sweeping() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.due = time.Time{}
}

func (s *signals) hasSwept(next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = next
}

// dueEarlier reports whether something is due before the Sweep to come.
func (s *signals) dueEarlier() bool {
	return !s.due.IsZero() && (s.known.IsZero() || s.due.Before(s.known))
}

// peekFor is how long one blocking look lasts: Redis ends it then, and the
// connection proves to be alive.
const peekFor = 5 * time.Second

// peeking is the blocking look at one list. It outlives the Wait that began it:
// another Wait joins it, and no connection is given up when a worker turns from
// waiting to working.
type peeking struct {
	waiters map[chan<- error]bool
	running bool
}

// join lets found have a value when the list of queue may hold something, and
// returns what ends that.
func (s *signals) join(queue string, found chan<- error) (leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.peeks[queue]
	if p == nil {
		p = &peeking{waiters: map[chan<- error]bool{}}
		s.peeks[queue] = p
	}
	p.waiters[found] = true
	if !p.running {
		p.running = true
		s.b.wg.Go(func() { s.peek(queue, p) })
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(p.waiters, found)
	}
}

// peek looks while anybody waits.
func (s *signals) peek(queue string, p *peeking) {
	for {
		err := s.look(queue)
		s.mu.Lock()
		if !errors.Is(err, errEmpty) {
			for found := range p.waiters {
				select {
				case found <- err:
				default:
				}
			}
			clear(p.waiters)
		}
		if len(p.waiters) == 0 || s.b.life.Err() != nil {
			p.running = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
	}
}

// errEmpty: nothing came while it was waited for.
var errEmpty = errors.New("the queue is empty")

// look blocks until the list holds something, and leaves it as it is: it moves
// the first job to where it stands. So nothing is lost with a lost reply.
func (s *signals) look(queue string) error {
	if s.polls.Load() {
		return s.poll(queue)
	}
	key := keyQueue + queue
	c := s.b.client.B().Blmove().Source(key).Destination(key).Left().Left().Timeout(peekFor.Seconds()).Build()
	err := s.b.block(s.b.life, c).Error()
	switch server, is := rueidis.IsRedisErr(err); {
	case rueidis.IsRedisNil(err):
		return errEmpty
	case is && (strings.HasPrefix(server.Error(), "unknown command") || hasCode(server.Error(), "NOPERM")):
		s.polls.Store(true)
		s.b.opts.Logger.Info("this Redis has no BLMOVE, which comes with 6.2: its queues are looked at by and by", "every", pollEvery)
		return errEmpty
	}
	return unavailable(err)
}

// pollEvery is how often queues are looked at where Redis cannot tell. What
// older servers have to block on takes the job off the list with the answer,
// and an answer may be lost: docs/adr/0004.
const pollEvery = 50 * time.Millisecond

// poll does as look does on a Redis without BLMOVE.
func (s *signals) poll(queue string) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for range peekFor / pollEvery {
		ctx, cancel := context.WithTimeout(s.b.life, s.b.opts.Timeout)
		n, err := s.b.client.Do(ctx, s.b.client.B().Llen().Key(keyQueue+queue).Build()).AsInt64()
		cancel()
		if err != nil || n > 0 {
			return unavailable(err)
		}
		select {
		case <-tick.C:
		case <-s.b.life.Done():
			return broker.ErrClosed
		}
	}
	return errEmpty
}

// block makes a call that Redis answers after peekFor at the latest. It ends
// with ctx: the client does not look at a context that has a deadline until
// that is over, so this one has none.
func (b *Broker) block(ctx context.Context, c rueidis.Completed) rueidis.RedisResult {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	late := time.AfterFunc(peekFor+b.opts.Timeout, cancel)
	defer late.Stop()
	return b.client.Do(ctx, c)
}
