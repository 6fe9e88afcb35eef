package worker

import (
	"context"
	"slices"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// giveUpAfter is how many exchanges in a row may fail when the worker's time
// is over until it ends without settling: its claims are rescued later. Where it
// was not told to kill its jobs, it tries for keepTrying to settle them.
const (
	giveUpAfter = 5
	keepTrying  = 30 * time.Second
)

// callTimeout bounds one exchange, which may carry much over a slow line. The
// jobs run on meanwhile, and the broker beats.
const callTimeout = 2 * time.Minute

// reply is what came of an exchange.
type reply struct {
	req     broker.ExchangeRequest
	settled []*task // in the order of req.Settle
	begun   []*task
	broker.ExchangeReply
	err  error
	took time.Duration
}

// exchange begins a conversation with the broker when there is something to
// say, to ask, or to prove.
func (l *loop) exchange(ctx context.Context) {
	now := time.Now()
	if l.inFlight || now.Before(l.pauseTill) {
		return
	}
	if l.patient(now) {
		return
	}
	r := l.compose(now)
	if !l.worth(&r, now) {
		return
	}
	l.beat++
	r.req.Beat = l.beat
	l.beatAt, l.inFlight, l.told = now, true, false
	l.others.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		start := time.Now()
		r.ExchangeReply, r.err = l.Broker.Exchange(ctx, r.req)
		r.took = time.Since(start)
		l.replies <- r
	})
}

// settleWithin is how long the end of a job may wait for others to be settled
// with, while every slot has its next job already.
const settleWithin = 5 * time.Millisecond

// patient reports whether more may be gathered for the next call: every slot
// is busy and stays so, and nobody has waited for long. A call costs a sync to
// disk, or a round trip, whatever it carries.
func (l *loop) patient(now time.Time) bool {
	u := l.slots.use()
	if u.running < l.Worker.Slots || len(l.settle) == 0 || len(l.settle) >= broker.MaxExchange || l.draining {
		return false
	}
	_, soon := l.depth(u)
	return u.waiting > soon/2 && now.Before(l.settle[0].result.EndedAt.Add(settleWithin)) && now.Before(l.beatAt.Add(broker.BeatEvery))
}

// worth reports whether a request is worth a call now.
func (l *loop) worth(r *reply, now time.Time) bool {
	q := &r.req
	return len(q.Settle)+len(q.Begin)+len(q.Return)+len(q.Want.Tokens) > 0 ||
		q.Leave || q.Reconcile || l.told || !now.Before(l.beatAt.Add(broker.BeatEvery))
}

// compose gathers all that is to be said.
func (l *loop) compose(now time.Time) reply {
	r := reply{req: broker.ExchangeRequest{Worker: l.Worker}}
	r.req.Worker.Draining = l.draining
	for _, token := range l.slots.tokens() {
		r.req.Worker.Running = append(r.req.Worker.Running, l.tasks[token].job.ID)
	}
	n := min(len(l.settle), broker.MaxExchange)
	r.settled = slices.Clone(l.settle[:n])
	for _, t := range r.settled {
		r.req.Settle = append(r.req.Settle, broker.Settlement{Claim: t.claim, Result: t.result})
	}
	l.giveBack(&r, now)
	if !l.draining {
		l.ask(&r, now)
	}
	if l.failures > 0 || !now.Before(l.compareAt) {
		r.req.Reconcile = true
		for _, t := range l.tasks {
			r.req.Held = append(r.req.Held, t.claim)
		}
	}
	r.req.Leave = l.draining && len(l.tasks) == n+len(r.req.Return) && n == len(l.settle)
	return r
}

// take handles the reply of an exchange.
func (l *loop) take(ctx context.Context, r reply) {
	l.inFlight = false
	for _, c := range r.req.Return { // given back, or found to be unknown here by the comparison after a failure
		delete(l.tasks, c.Token)
	}
	if l.jobsLeft >= 0 {
		l.jobsLeft += len(r.req.Return)
	}
	if r.err != nil {
		l.failed(r.err, time.Now())
		return
	}
	if l.failures > 0 {
		l.Logger.Info("the queue answers again", "attempts", l.failures)
		l.failures, l.takenAt = 0, time.Time{}
	}
	l.exchangeT = (3*l.exchangeT + r.took) / 4
	if r.req.Reconcile {
		l.compareAt = time.Now().Add(reconcileEvery)
	}
	l.settled(&r)
	l.answered(&r)
	l.accept(&r)
	l.obey(ctx, &r)
	l.left = r.req.Leave
}

// settled forgets the tasks whose end is known to the broker.
func (l *loop) settled(r *reply) {
	for i, t := range r.settled {
		switch r.Settled[i] {
		case broker.SettleLost:
			l.Logger.Warn("the outcome of a job was refused: it is no longer this worker's", "job_id", t.job.ID, "attempt", t.job.Attempt)
		case broker.SettleGone: // somebody deleted it, or it keeps no result and an earlier call arrived
			l.Logger.Info("a job ended whose record is gone", "job_id", t.job.ID, "attempt", t.job.Attempt)
		}
		delete(l.tasks, t.claim.Token)
	}
	l.settle = slices.Delete(l.settle, 0, len(r.settled))
}

// answered applies what was said to Begin and Return.
func (l *loop) answered(r *reply) {
	for i, t := range r.begun {
		l.ahead = slices.DeleteFunc(l.ahead, func(other *task) bool { return other == t })
		if r.Begun[i] == 0 {
			delete(l.tasks, t.claim.Token)
			continue
		}
		t.job.Attempt, t.job.Status = r.Begun[i], distro.StatusStarted
		l.slots.put(t)
	}
}

// accept takes new claims over.
func (l *loop) accept(r *reply) {
	now := time.Now()
	for _, c := range r.Claims {
		t := &task{claim: broker.Claim{JobID: c.Job.ID, Token: c.Token}, job: c.Job, claimed: now}
		l.tasks[c.Token] = t
		l.last = c.Job.Queue
		if c.Begun && !l.draining {
			l.slots.put(t)
		} else {
			l.ahead = append(l.ahead, t)
		}
	}
	if l.jobsLeft >= 0 {
		l.jobsLeft -= len(r.Claims)
	}
	if len(r.Claims) > 0 {
		l.emptyAt = time.Time{}
	}
	if asked := len(r.req.Want.Tokens); asked > 0 && len(r.Claims) < asked {
		l.claiming = false
		l.tryAt = now.Add(claimEvery)
		if l.Burst && len(l.tasks) == 0 {
			l.emptyAt = now
		}
	}
}
