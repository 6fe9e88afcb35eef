package worker

import (
	"crypto/rand"
	"slices"
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
	u := l.slots.use()
	hold, soon := l.depth(u)
	begin := l.Worker.Slots - u.running - u.waiting + soon
	n := max(min(begin, len(l.ahead), broker.MaxExchange), 0)
	for _, t := range l.ahead[:n] {
		r.req.Begin = append(r.req.Begin, t.claim)
		r.begun = append(r.begun, t)
	}
	begin = max(begin-n, 0)
	want := min(begin+max(hold-(len(l.ahead)-n), 0), broker.MaxExchange)
	if l.jobsLeft >= 0 {
		want = min(want, l.jobsLeft)
	}
	if want <= 0 || !l.claiming && now.Before(l.tryAt) {
		return
	}
	r.req.Want = broker.Want{Queues: l.Strategy.order(l.Worker.Queues, l.last), Tokens: make([]string, want), Begun: min(begin, want)}
	for i := range r.req.Want.Tokens {
		r.req.Want.Tokens[i] = rand.Text()
	}
}

// giveBack adds the claims that got no slot in time, and once the worker
// drains all that have not begun.
func (l *loop) giveBack(r *reply, now time.Time) {
	late := now.Add(-prefetchFor)
	if l.draining {
		late = now
	}
	n := 0
	for n < len(l.ahead) && n < broker.MaxExchange && !l.ahead[n].claimed.After(late) {
		n++
	}
	back := slices.Clone(l.ahead[:n])
	l.ahead = slices.Delete(l.ahead, 0, n)
	if !l.killing {
		late = now.Add(-prefetchFor)
	}
	for _, t := range append(back, l.slots.takeBack(late)...) {
		r.req.Return = append(r.req.Return, t.claim)
	}
}

// depth is how many claims to hold ahead of free slots, and how many of them
// to begin ahead. It is none when no slot is free or may be soon: when each has
// a job that has run for longer than a claim may wait.
func (l *loop) depth(u use) (hold, begin int) {
	mean := l.means[l.last]
	if !l.Prefetch || mean == 0 || mean > prefetchFor || l.draining {
		return 0, 0
	}
	if u.running >= l.Worker.Slots && time.Since(u.youngest) > prefetchFor {
		return 0, 0
	}
	hold = min(int(prefetchFor/mean), prefetchMax)
	begin = min(int((2*l.exchangeT+settleWithin)/mean)*l.Worker.Slots+l.Worker.Slots, hold)
	return hold, begin
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
