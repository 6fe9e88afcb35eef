package scheduler

import (
	"context"
	"slices"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// Alerts is told what people want to know at once: webhook.Sender. Its methods
// return at once.
type Alerts interface {
	QueueLate(q distro.QueueInfo, oldest, limit time.Duration)
	WorkerLost(w distro.Worker)
}

const (
	watchWorkersEvery = broker.BeatEvery
	watchQueuesEvery  = 10 * time.Second

	// A worker that is in the list no more has left, unless it had given no
	// sign for so long: then another process has rescued its jobs.
	silentFor = 3 * broker.BeatEvery
)

// watchWorkers tells of workers that are lost. It looks for them by itself, as
// any process of the queue may be the one that rescues their jobs.
func (s *Scheduler) watchWorkers(ctx context.Context) {
	w := watch{alerts: s.opts.Alerts}
	s.every(ctx, watchWorkersEvery, func() {
		list, err := s.opts.Broker.Workers(ctx)
		if err != nil {
			w.forget()
			return
		}
		w.look(s.opts.Clock.Monotonic(), list)
	})
}

// every calls a duty until ctx ends.
func (s *Scheduler) every(ctx context.Context, pause time.Duration, duty func()) {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		duty()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// watch remembers when each worker gave its last sign, by the clock of this
// process: those of workers may be wrong.
type watch struct {
	alerts Alerts
	read   time.Duration // of the last reading
	known  map[string]*sign
}

// sign is the last that a worker gave.
type sign struct {
	worker distro.Worker // as it was then
	since  time.Duration
	told   bool // that it is lost
}

// look takes a reading. One that comes late starts anew, as this process may
// have been stopped, and the workers with it. RQ's own workers give no sign
// while they are idle, so nothing is told of them.
func (w *watch) look(now time.Duration, list []distro.Worker) {
	if now-w.read > broker.LostAfter/2 {
		w.forget()
	}
	w.read = now
	next := make(map[string]*sign, len(list))
	for _, worker := range list {
		if worker.Stock {
			continue
		}
		last := w.known[worker.Name]
		if last == nil || !last.worker.SeenAt.Equal(worker.SeenAt) {
			last = &sign{since: now}
		}
		last.worker = worker
		next[worker.Name] = last
		if now-last.since >= broker.LostAfter {
			w.tell(last)
		}
	}
	for name, last := range w.known {
		if next[name] == nil && now-last.since >= silentFor {
			w.tell(last)
		}
	}
	w.known = next
}

func (w *watch) tell(last *sign) {
	if !last.told {
		last.told = true
		w.alerts.WorkerLost(last.worker)
	}
}

// forget starts anew: without a reading nobody knows who gave a sign.
func (w *watch) forget() {
	for _, last := range w.known {
		if !last.told {
			delete(w.known, last.worker.Name)
		}
	}
}

// watchQueues tells once of each queue that is late, and again only after it
// was not: when its oldest job waits no longer than half of the limit, so that
// a queue which is emptied job by job is told once.
func (s *Scheduler) watchQueues(ctx context.Context) {
	late := map[string]bool{}
	s.every(ctx, watchQueuesEvery, func() {
		counts, err := s.opts.Broker.Counts(ctx)
		if err != nil {
			return
		}
		now, limit := s.opts.Clock.Now(), s.opts.QueueAge
		waiting := map[string]bool{}
		for _, q := range counts.Queues {
			if q.OldestAt.IsZero() || !slices.Contains(s.opts.Queues, q.Name) {
				continue
			}
			oldest := now.Sub(q.OldestAt)
			waiting[q.Name] = oldest > limit/2
			if oldest > limit && !late[q.Name] {
				late[q.Name] = true
				s.opts.Alerts.QueueLate(q, oldest, limit)
			}
		}
		for name := range late {
			if !waiting[name] {
				delete(late, name)
			}
		}
	})
}
