package worker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/python"
)

// slots is where begun tasks wait for one of the goroutines that run them, and
// run. It stands between these and the loop; everything in it is guarded by mu.
type slots struct {
	mu      sync.Mutex
	more    sync.Cond // waiting has grown, or closed is set
	waiting []*task   // in the order of claiming
	running map[string]*task
	busy    *atomic.Int64 // how many are running, for others to read
	closed  bool
}

func newSlots(busy *atomic.Int64) *slots {
	s := &slots{running: map[string]*task{}, busy: busy}
	s.more.L = &s.mu
	return s
}

// put adds tasks that have begun.
func (s *slots) put(t *task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, t)
	s.more.Signal()
}

// next waits for a task and makes it a running one. It returns nil when the
// slots are closed.
func (s *slots) next(attempt func(*task) *python.Attempt) *task {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.waiting) == 0 {
		if s.closed {
			return nil
		}
		s.more.Wait()
	}
	t := s.waiting[0]
	s.waiting = s.waiting[1:]
	t.began, t.attempt = time.Now(), attempt(t)
	s.running[t.claim.Token] = t
	s.busy.Store(int64(len(s.running)))
	return t
}

// done takes a task off that has run.
func (s *slots) done(t *task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, t.claim.Token)
	s.busy.Store(int64(len(s.running)))
}

// close lets the goroutines end that find nothing to do.
func (s *slots) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.more.Broadcast()
}

// takeBack removes and returns the tasks that were claimed before a moment and
// still wait.
func (s *slots) takeBack(before time.Time) []*task {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for n < len(s.waiting) && s.waiting[n].claimed.Before(before) {
		n++
	}
	late := s.waiting[:n:n]
	s.waiting = s.waiting[n:]
	return late
}

// remove takes a task off that waits. It reports false for one that does not.
func (s *slots) remove(t *task) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, other := range s.waiting {
		if other == t {
			s.waiting = append(s.waiting[:i:i], s.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// stop ends the attempt of a running task. What is called after a stop is
// ended with the worker only: the stop is told until the task is settled.
func (s *slots) stop(token string, kind distro.FailureKind, grace time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.running[token]; t != nil && (!t.stopped || kind == distro.FailureLost) {
		t.attempt.Stop(kind, grace)
	}
}

// afterStop makes a the attempt that stop ends, in place of one that was
// stopped. If ctx has ended, stop may have been called before.
func (s *slots) afterStop(ctx context.Context, t *task, a *python.Attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.attempt, t.stopped = a, true
	s.running[t.claim.Token] = t
	s.busy.Store(int64(len(s.running)))
	if ctx.Err() != nil {
		a.Stop(distro.FailureLost, 0)
	}
}

// use is what the slots hold at a moment.
type use struct {
	waiting, running int
	oldest           time.Time // claim of the task that waits longest; zero: none
	youngest         time.Time // begin of the running task that began last; zero: none
}

func (s *slots) use() use {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := use{waiting: len(s.waiting), running: len(s.running)}
	if u.waiting > 0 {
		u.oldest = s.waiting[0].claimed
	}
	for _, t := range s.running {
		if t.began.After(u.youngest) {
			u.youngest = t.began
		}
	}
	return u
}

// tokens lists the running tasks.
func (s *slots) tokens() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]string, 0, len(s.running))
	for token := range s.running {
		list = append(list, token)
	}
	return list
}
