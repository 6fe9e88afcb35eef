package worker

import (
	"crypto/rand"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

const (
	prefetchFor = 20 * time.Millisecond // how long a claim may wait here to be begun
	prefetchMax = 64
)

// ask fills the request with the claims to begin and to make.
//
// A claim for a free slot begins in the same step. Claims ahead of free slots
// are made only of jobs that are known to be short, and stay queued for all
// the others to see. They begin in time to be there when a slot is free: as
// many as are expected to end while an exchange is under way. That many cost
// an attempt if this worker is killed, though they did not run; docs/adr/0002
// says why.
func (l *loop) ask(r *reply, now time.Time) {
	waiting, ahead := 0, 0
	for _, t := range l.queue {
		switch t.state {
		case begun:
			waiting++
		case prefetched:
			ahead++
		}
	}
	free := l.Worker.Slots - l.running - waiting
	depth, soon := l.depth()
	begin := free + soon
	for _, t := range l.queue {
		if begin <= 0 || len(r.req.Begin) == broker.MaxExchange {
			break
		}
		if t.state == prefetched {
			r.req.Begin = append(r.req.Begin, t.claim)
			r.begun = append(r.begun, t)
			begin--
			ahead--
		}
	}
	begin = max(begin, 0)
	want := min(begin+max(depth-ahead, 0), broker.MaxExchange)
	if want <= 0 || !l.claiming && now.Before(l.tryAt) {
		return
	}
	r.req.Want = broker.Want{Queues: l.Worker.Queues, Tokens: make([]string, want), Begun: min(begin, want)}
	for i := range r.req.Want.Tokens {
		r.req.Want.Tokens[i] = rand.Text()
	}
}

// giveBack adds the claims that got no slot in time, and once the worker
// drains all that have not begun.
func (l *loop) giveBack(r *reply, now time.Time) {
	for _, t := range l.queue {
		late := now.Sub(t.claimed) >= prefetchFor || l.killing || l.draining && t.state == prefetched
		if late && len(r.req.Return) < broker.MaxExchange {
			r.req.Return = append(r.req.Return, t.claim)
			t.state = returning
		}
	}
}

// depth is how many claims to hold ahead of free slots, and how many of them
// to begin ahead.
func (l *loop) depth() (hold, begin int) {
	mean := l.means[l.last]
	if !l.Prefetch || mean == 0 || mean > prefetchFor || !l.moving() {
		return 0, 0
	}
	hold = min(int(prefetchFor/mean), prefetchMax)
	begin = min((int(2*l.exchangeT/mean)+1)*l.Worker.Slots, hold)
	return hold, begin
}

// moving reports whether a slot is free or may be soon: not when every one has
// a job that runs for longer than a claim may wait.
func (l *loop) moving() bool {
	if l.running < l.Worker.Slots {
		return true
	}
	for _, t := range l.tasks {
		if t.state == running && time.Since(t.began) < prefetchFor {
			return true
		}
	}
	return false
}

// learn updates the mean run time of the job's queue, over about the last 16.
func (l *loop) learn(t *task) {
	if t.result.Outcome != distro.OutcomeFinished {
		return
	}
	took, queue := max(t.result.EndedAt.Sub(t.result.StartedAt), time.Microsecond), t.job.Queue
	if mean := l.means[queue]; mean == 0 {
		l.means[queue] = took
	} else {
		l.means[queue] = (15*mean + took) / 16
	}
}
