package service

import (
	"context"
	"errors"
	"sync"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// follower wakes those who wait for a job to change. However many wait, the
// change feed is read once; while nobody waits it is not read at all.
type follower struct {
	feed broker.Broker

	mu      sync.Mutex
	waiting map[string]map[chan error]struct{} // by job ID
	cursor  string                             // where the last reading ended
	stop    context.CancelFunc                 // of the reading that runs; nil: none does
	stopped chan struct{}                      // closed when that reading has ended
}

func newFollower(feed broker.Broker) *follower {
	return &follower{feed: feed, waiting: map[string]map[chan error]struct{}{}}
}

// watch returns a channel that gets nil when the job may have changed since,
// and an error when changes cannot be seen any more. Whoever looks at the job
// after watch returned and then waits for the channel misses nothing. leave
// must be called once; after the last one it waits until the feed is not read
// any more.
func (f *follower) watch(ctx context.Context, id string) (changed <-chan error, leave func()) {
	ch := make(chan error, 1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.waiting[id] == nil {
		f.waiting[id] = map[chan error]struct{}{}
	}
	f.waiting[id][ch] = struct{}{}
	if f.stop == nil {
		// The reading outlives the request that began it, when others joined.
		var reading context.Context
		reading, f.stop = context.WithCancel(context.WithoutCancel(ctx))
		f.stopped = make(chan struct{})
		go f.read(reading, f.cursor, f.stopped)
	}
	return ch, func() { f.leave(id, ch) }
}

// position is where the last reading stood: what happens from now on stands
// behind it.
func (f *follower) position() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cursor
}

func (f *follower) leave(id string, ch chan error) {
	f.mu.Lock()
	delete(f.waiting[id], ch)
	if len(f.waiting[id]) == 0 {
		delete(f.waiting, id)
	}
	if len(f.waiting) > 0 || f.stop == nil {
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
			f.wakeAll(nil)
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
