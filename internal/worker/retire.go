package worker

import (
	"errors"
	"fmt"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// quietFor is how long nothing may be claimable before a burst is over: the
// broker wakes the worker sooner where a claim found nothing though jobs wait,
// as behind many that are gone.
const quietFor = 100 * time.Millisecond

// nameTakenFor is how long a worker waits for its name: a predecessor that was
// killed is rescued meanwhile.
const nameTakenFor = broker.LostAfter + 5*time.Second

// retire lets the worker drain when it has done what it was to do.
func (l *loop) retire(now time.Time) {
	if len(l.tasks) > 0 {
		l.idleAt = now
	}
	if l.draining || l.inFlight || len(l.tasks) > 0 {
		return
	}
	why := ""
	switch {
	case l.jobsLeft == 0:
		why = "it has run as many jobs as it was to run"
	case !l.emptyAt.IsZero() && !now.Before(l.emptyAt.Add(quietFor)):
		why = "the queues are empty"
	case l.MaxIdle > 0 && !now.Before(l.idleAt.Add(l.MaxIdle)):
		why = "it was idle for " + l.MaxIdle.String()
	default:
		return
	}
	l.Logger.Info("worker ends", "reason", why)
	l.draining = true
}

// retireAt is when retire may have to decide by the time that passed; zero:
// at no time.
func (l *loop) retireAt() time.Time {
	switch {
	case len(l.tasks) > 0 || l.draining:
		return time.Time{}
	case !l.emptyAt.IsZero():
		return l.emptyAt.Add(quietFor)
	case l.MaxIdle > 0:
		return l.idleAt.Add(l.MaxIdle)
	}
	return time.Time{}
}

// nameTaken waits for the name to become free, and gives up in the end.
func (l *loop) nameTaken(now time.Time) {
	if l.takenAt.IsZero() {
		l.takenAt = now
		l.Logger.Warn("another worker of this name is alive, or was a moment ago; waiting for it to end", "at_most", nameTakenFor)
	}
	l.pauseTill = now.Add(claimEvery)
	if now.Before(l.takenAt.Add(nameTakenFor)) {
		l.left = l.draining && len(l.tasks) == 0 // there is nothing to leave
		return
	}
	l.err = &distro.Error{
		Code:    distro.CodeConflict,
		Message: fmt.Sprintf("there is a worker named %q already: stop it, or choose another --name", l.Worker.Name),
		Err:     broker.ErrNameTaken,
	}
	l.draining, l.killing = true, true
	for _, token := range l.slots.tokens() {
		l.slots.stop(token, distro.FailureLost, 0)
	}
	l.left = len(l.tasks) == 0
}

// failed handles an exchange without an answer.
func (l *loop) failed(err error, now time.Time) {
	l.failures++
	if l.failures > 1 { // once may be chance
		l.pauseTill = now.Add(min(retryFirst<<min(l.failures, 10), retryLast))
	}
	switch {
	case errors.Is(err, broker.ErrNameTaken):
		l.nameTaken(now)
	case l.failures == 1:
		l.Logger.Error("the queue does not answer; running jobs go on", "reason", err)
	}
	if l.failures == 1 {
		l.failedAt = now
	}
	l.giveUp(now)
}

// giveUp ends a worker whose time is over and whose queue does not answer.
func (l *loop) giveUp(now time.Time) {
	if !l.draining || l.left || l.failures < giveUpAfter {
		return
	}
	unsettled := len(l.settle)
	if !l.killing && len(l.tasks) > 0 && (unsettled < len(l.tasks) || now.Before(l.failedAt.Add(keepTrying))) {
		return
	}
	l.left = true
	if unsettled > 0 {
		l.err = errors.Join(l.err, distro.Errorf(distro.CodeUnavailable,
			"the ends of %d jobs could not be recorded, as the queue does not answer: they count as lost, and are retried or failed when it is back", unsettled))
	}
}
