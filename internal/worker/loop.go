package worker

import (
	"context"
	"sync"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/python"
)

const (
	claimEvery     = time.Second      // a claim is tried so often though nothing woke the worker
	reconcileEvery = 30 * time.Second // and the claims are compared
	retryFirst     = 50 * time.Millisecond
	retryLast      = 2 * time.Second
)

// task is a claim the worker holds, from the reply that brought it until its
// settlement was answered.
type task struct {
	claim   broker.Claim
	job     distro.Job
	claimed time.Time

	began   time.Time       // of the run; guarded by slots.mu
	attempt *python.Attempt // guarded by slots.mu until it runs
	stopped bool            // attempt is what follows a stop; guarded by slots.mu
	result  distro.Result   // written before the task is sent to loop.ended
}

// loop is the state of a running worker. Only its own goroutine touches it,
// but for slots; the channels are where the others report.
type loop struct {
	Options

	slots   *slots
	ended   chan *task    // tasks that have run
	replies chan reply    // of the exchange under way
	woken   chan struct{} // by the broker: there may be work, or a stop
	others  sync.WaitGroup

	tasks     map[string]*task // all that is held, by token
	ahead     []*task          // prefetched: not begun, still queued for all others to see
	settle    []*task          // run, and not in an exchange
	beat      uint64
	beatAt    time.Time
	compareAt time.Time // next reconciliation
	tryAt     time.Time // next claim without a wake
	claiming  bool      // there may be work
	told      bool      // the broker has news: an exchange hears of stops also when it asks for nothing
	draining  bool
	killing   bool
	left      bool  // the broker has taken the leave
	err       error // why the worker cannot work

	jobsLeft int       // to be claimed; negative: no limit
	idleAt   time.Time // when the last task was held
	emptyAt  time.Time // of a burst: nothing was claimable then, nor since; zero: something may be
	takenAt  time.Time // the name was found taken; zero: it was not

	inFlight  bool
	exchangeT time.Duration // how long exchanges take lately
	failures  int           // exchanges that failed in a row
	failedAt  time.Time     // the first of them
	pauseTill time.Time     // no exchange before, after a failure

	waitCancel context.CancelFunc
	waitFor    broker.Interest

	means map[string]time.Duration // run time of jobs lately, by queue
	last  string                   // queue of the newest claim
}

// run ends when the worker has left.
func (l *loop) run(intake, work context.Context) {
	calls := context.WithoutCancel(work) // settling goes on when the jobs were killed
	for range l.Worker.Slots {
		l.others.Go(func() { l.serve(work) })
	}
	defer l.others.Wait()
	defer l.slots.close()
	defer l.stopWaiting()
	timer := time.NewTimer(0)
	defer timer.Stop()
	l.compareAt = time.Now().Add(reconcileEvery)
	intakeDone, workDone := intake.Done(), work.Done()
	for !l.left {
		l.retire(time.Now())
		l.exchange(calls)
		l.wait(calls)
		timer.Reset(l.pause())
		select {
		case t := <-l.ended:
			l.end(t)
			l.gather()
		case r := <-l.replies:
			l.take(work, r)
		case <-l.woken:
			l.stopWaiting()
			l.claiming, l.told, l.emptyAt = true, true, time.Time{}
		case <-timer.C:
		case <-intakeDone:
			intakeDone = nil
			l.draining = true
		case <-workDone:
			workDone = nil
			l.draining, l.killing = true, true
			for _, token := range l.slots.tokens() {
				l.slots.stop(token, distro.FailureLost, 0)
			}
		}
	}
}

// gather takes everything that has ended by now, for one settlement together.
func (l *loop) gather() {
	for {
		select {
		case t := <-l.ended:
			l.end(t)
		default:
			return
		}
	}
}

// end records that a task has run.
func (l *loop) end(t *task) {
	l.settle = append(l.settle, t)
	l.claiming = l.claiming || l.Burst // it need not wait to see that nothing is left
	l.learn(t)
	l.Worker.Finished++
	if t.result.Outcome != distro.OutcomeFinished {
		l.Worker.Failed++
	}
}

// pause is how long the loop may sleep when nothing is reported to it.
func (l *loop) pause() time.Duration {
	if l.inFlight {
		return broker.BeatEvery
	}
	next := l.beatAt.Add(broker.BeatEvery)
	sooner := func(t time.Time) {
		if t.Before(next) {
			next = t
		}
	}
	u := l.slots.use()
	if l.wants(u) {
		sooner(l.tryAt)
	}
	if at := l.retireAt(); !at.IsZero() {
		sooner(at)
	}
	if u.waiting > 0 {
		sooner(u.oldest.Add(prefetchFor))
	}
	if len(l.ahead) > 0 {
		sooner(l.ahead[0].claimed.Add(prefetchFor))
	}
	if len(l.settle) > 0 {
		sooner(l.settle[0].result.EndedAt.Add(settleWithin))
	}
	if l.pauseTill.After(next) {
		next = l.pauseTill
	}
	return max(time.Until(next), time.Millisecond)
}

// wants reports whether the worker would take a job.
func (l *loop) wants(u use) bool { return !l.draining && l.jobsLeft != 0 && u.running < l.Worker.Slots }

// wait keeps one Wait of the broker under way: for work when a slot is free
// and the last claim found none, for stops always.
func (l *loop) wait(ctx context.Context) {
	in := broker.Interest{Worker: l.Worker.Name}
	if !l.claiming && l.wants(l.slots.use()) {
		in.Queues = l.Worker.Queues
	}
	if l.waitCancel != nil {
		if len(l.waitFor.Queues) == len(in.Queues) {
			return
		}
		l.stopWaiting()
	}
	ctx, cancel := context.WithCancel(ctx)
	l.waitCancel, l.waitFor = cancel, in
	l.others.Go(func() {
		if l.Broker.Wait(ctx, in) != nil {
			select { // the exchanges tell of an error; this only must not spin
			case <-ctx.Done():
				return
			case <-time.After(claimEvery):
			}
		}
		select {
		case l.woken <- struct{}{}:
		default:
		}
	})
}

func (l *loop) stopWaiting() {
	if l.waitCancel != nil {
		l.waitCancel()
		l.waitCancel = nil
	}
}
