package sqlitebroker

import (
	"context"
	"maps"
	"sync"

	"github.com/distro-orchestrator/distro/internal/broker"
)

// signals is what waiters watch: the writer updates it after each commit and
// wakes those whose interest has come about. A waiter looks before it sleeps,
// under the same lock, so none is missed.
type signals struct {
	mu        sync.Mutex
	closed    bool
	listeners map[*listener]struct{}

	waiting  map[string]bool // queues with jobs that wait
	paused   map[string]bool
	stops    map[string]bool // workers with a stop that no reply has told
	dueKnown int64           // earliest due time the last Sweep answered
	dueNews  bool            // something is due before it
	feedLast int64
}

type listener struct {
	interest broker.Interest
	cursor   int64
	woken    chan struct{}
}

func newSignals() *signals {
	return &signals{
		listeners: map[*listener]struct{}{},
		waiting:   map[string]bool{}, paused: map[string]bool{}, stops: map[string]bool{},
	}
}

// Wait implements broker.Broker.
func (b *Broker) Wait(ctx context.Context, in broker.Interest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	cursor, err := parseCursor(feedCursor, in.Cursor)
	if err != nil {
		return err
	}
	w := &listener{interest: in, cursor: cursor, woken: make(chan struct{})}
	if !b.signals.enlist(w) {
		return b.signals.closedErr()
	}
	select {
	case <-w.woken:
		return b.signals.closedErr()
	case <-ctx.Done():
		b.signals.discharge(w)
		return ctx.Err()
	}
}

// enlist has w woken when its interest comes about; false if it already has.
func (s *signals) enlist(w *listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.matches(w) {
		return false
	}
	s.listeners[w] = struct{}{}
	return true
}

func (s *signals) discharge(w *listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, w)
}

func (s *signals) closedErr() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return broker.ErrClosed
	}
	return nil
}

// matches reports whether what w waits for is there. The lock is held.
func (s *signals) matches(w *listener) bool {
	in := w.interest
	if !s.paused[""] {
		for _, q := range in.Queues {
			if s.waiting[q] && !s.paused[q] {
				return true
			}
		}
	}
	return in.Worker != "" && s.stops[in.Worker] ||
		in.Due && s.dueNews ||
		in.Feed && s.feedLast != w.cursor
}

// wake wakes whoever has what he waits for. The lock is held.
func (s *signals) wake() {
	for w := range s.listeners {
		if s.closed || s.matches(w) {
			delete(s.listeners, w)
			close(w.woken)
		}
	}
}

func (s *signals) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.wake()
}

// publish makes known what t committed.
func (t *txn) publish() {
	w, s := t.w, t.w.signals
	for _, end := range t.settled {
		end.count()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.fresh {
		clear(s.waiting)
		clear(s.stops)
		for id := range w.waiting {
			t.touchQueue(id)
		}
		for name := range w.claims.byHolder {
			t.touchHolder(name)
		}
		w.fresh = false
	}
	for id := range t.queues {
		s.waiting[w.names.name(id)] = w.waiting[id] > 0
	}
	for name := range t.holders {
		if w.claims.untold(name) {
			s.stops[name] = true
		} else {
			delete(s.stops, name)
		}
	}
	if !maps.Equal(s.paused, w.paused) {
		s.paused = maps.Clone(w.paused)
	}
	if t.swept {
		s.dueKnown, s.dueNews = t.sweptNext, false
	}
	if t.due != 0 && (s.dueKnown == 0 || t.due < s.dueKnown) {
		s.dueNews = true
	}
	s.feedLast = w.feedLast
	s.wake()
}

func (t *txn) touchQueue(id int64) {
	if t.queues == nil {
		t.queues = map[int64]bool{}
	}
	t.queues[id] = true
}

func (t *txn) touchHolder(name string) {
	if t.holders == nil {
		t.holders = map[string]bool{}
	}
	t.holders[name] = true
}
