package service

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// follower wakes those who wait for a job to change, and tells listeners of all
// changes. However many there are, the change feed is read once; while there is
// nobody it is not read at all.
type follower struct {
	feed broker.Broker

	mu        sync.Mutex
	waiting   map[string]map[chan error]struct{} // by job ID
	listeners map[*listener]struct{}
	cursor    string             // where the last reading ended
	stop      context.CancelFunc // of the reading that runs; nil: none does
	stopped   chan struct{}      // closed when that reading has ended
}

func newFollower(feed broker.Broker) *follower {
	return &follower{feed: feed, waiting: map[string]map[chan error]struct{}{}, listeners: map[*listener]struct{}{}}
}

// watch returns a channel that gets nil when the job may have changed since,
// and an error when changes cannot be seen any more. Whoever looks at the job
// after watch returned and then waits for the channel misses nothing. leave
// must be called once; after the last one it waits until the feed is not read
// any more.
func (f *follower) watch(ctx context.Context, id string) (changed <-chan error, leave func(), err error) {
	if err := f.join(ctx); err != nil {
		return nil, nil, err
	}
	defer f.mu.Unlock()
	ch := make(chan error, 1)
	if f.waiting[id] == nil {
		f.waiting[id] = map[chan error]struct{}{}
	}
	f.waiting[id][ch] = struct{}{}
	return ch, func() {
		f.leave(func() {
			delete(f.waiting[id], ch)
			if len(f.waiting[id]) == 0 {
				delete(f.waiting, id)
			}
		})
	}, nil
}

// listen lets l hear of everything that changes from now on, that is behind
// position. leave is as that of watch.
func (f *follower) listen(ctx context.Context, l *listener) (position string, leave func(), err error) {
	if err := f.join(ctx); err != nil {
		return "", nil, err
	}
	defer f.mu.Unlock()
	f.listeners[l] = struct{}{}
	return f.cursor, func() { f.leave(func() { delete(f.listeners, l) }) }, nil
}

// join returns holding f.mu, unless it fails, when the feed is read from a
// place on that is not behind the time of the call.
func (f *follower) join(ctx context.Context) error {
	f.mu.Lock()
	if f.stop != nil {
		return nil
	}
	f.mu.Unlock()
	end, err := f.feed.FeedEnd(ctx)
	if err != nil {
		return fmt.Errorf("begin to read the change feed: %w", err)
	}
	f.mu.Lock()
	if f.stop == nil {
		// The reading outlives the request that began it, when others joined.
		var reading context.Context
		reading, f.stop = context.WithCancel(context.WithoutCancel(ctx))
		f.stopped, f.cursor = make(chan struct{}), end
		go f.read(reading, end, f.stopped)
	}
	return nil
}

// position is where the last reading stood: what happens from now on stands
// behind it.
func (f *follower) position() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cursor
}

// Position is a place in the change feed: what happens from now on stands behind
// it, and little of what happened before.
func (s *Service) Position(ctx context.Context) (string, error) {
	f := s.follower
	f.mu.Lock()
	reading, position := f.stop != nil, f.cursor
	f.mu.Unlock()
	if reading {
		return position, nil
	}
	position, err := f.feed.FeedEnd(ctx)
	if err != nil {
		return "", fault(fmt.Errorf("find the end of the change feed: %w", err))
	}
	return position, nil
}

// leave ends the reading with the last who needs it.
func (f *follower) leave(remove func()) {
	f.mu.Lock()
	remove()
	if len(f.waiting)+len(f.listeners) > 0 || f.stop == nil {
		f.mu.Unlock()
		return
	}
	stop, stopped := f.stop, f.stopped
	f.stop = nil
	f.mu.Unlock()
	stop()
	<-stopped
}

// behindPages is after how many full pages of the feed, that is how far behind
// its end, everybody is woken to look for themselves.
const behindPages = 10

// read reads the feed from cursor on until ctx ends or the feed fails. Entries
// from before a watch wake it for nothing, which does no harm.
func (f *follower) read(ctx context.Context, cursor string, stopped chan struct{}) {
	defer close(stopped)
	for full := 0; ; {
		changes, err := f.feed.Changes(ctx, cursor, broker.MaxPage)
		if errors.Is(err, broker.ErrCursorLost) && cursor != "" {
			cursor = ""
			f.missed()
			continue
		}
		if len(changes) > 0 {
			cursor = changes[len(changes)-1].Cursor
			f.wake(cursor, changes)
			if full++; len(changes) < broker.MaxPage {
				full = 0
			} else if full%behindPages == 0 {
				f.wakeAll(nil)
			}
		} else if err == nil {
			err = f.feed.Wait(ctx, broker.Interest{Feed: true, Cursor: cursor})
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			f.fail(err, stopped)
			return
		}
	}
}

func (f *follower) wake(cursor string, changes []distro.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cursor = cursor
	for _, c := range changes {
		for ch := range f.waiting[c.JobID] {
			signal(ch, nil)
		}
	}
	for l := range f.listeners {
		l.hear(changes)
	}
}

// missed tells everybody that changes may have gone by unseen.
func (f *follower) missed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.signalAll(nil)
	for l := range f.listeners {
		l.miss()
	}
}

func (f *follower) wakeAll(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.signalAll(err)
}

// fail tells all who wait and makes room for a new reading.
func (f *follower) fail(err error, stopped chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped == stopped {
		f.stop()
		f.stop = nil
	}
	f.signalAll(err)
}

func (f *follower) signalAll(err error) {
	for _, channels := range f.waiting {
		for ch := range channels {
			signal(ch, err)
		}
	}
	for l := range f.listeners {
		if err != nil {
			signal(l.changed, err)
		}
	}
}

// signal never blocks: a channel that is full says "changed" already. An error
// takes the place of that.
func signal(ch chan error, err error) {
	select {
	case ch <- err:
		return
	default:
	}
	if err == nil {
		return
	}
	select {
	case <-ch:
	default:
	}
	ch <- err
}
