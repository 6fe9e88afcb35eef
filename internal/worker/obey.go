package worker

import (
	"context"
	"slices"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// obey does what the reply tells: it stops what somebody wants stopped, and
// what is not this worker's any more.
func (l *loop) obey(ctx context.Context, r *reply) {
	for _, c := range r.Stop {
		l.stop(ctx, c, l.KillGrace)
	}
	for _, k := range r.Kill {
		if k.Stopped {
			l.stop(ctx, k.Claim, 0)
		} else {
			l.slots.stop(k.Token, distro.FailureSignal, 0)
		}
	}
	for _, c := range r.Lost {
		l.drop(c)
	}
	if r.Drain && !l.draining {
		l.Logger.Info("worker ends", "reason", "somebody asked it to")
		l.draining = true
	}
}

// stop ends a begun claim as stopped, whether it runs yet or not.
func (l *loop) stop(ctx context.Context, c broker.Claim, grace time.Duration) {
	t := l.tasks[c.Token]
	if t == nil || !l.slots.remove(t) {
		l.slots.stop(c.Token, distro.FailureStopped, grace)
		return
	}
	now := time.Now().UTC()
	t.result = distro.Result{
		Outcome: distro.OutcomeStopped, Attempt: t.job.Attempt, Worker: l.Worker.Name, StartedAt: now, EndedAt: now,
		Failure: &distro.Failure{Kind: distro.FailureStopped, Message: "stopped before it ran"},
	}
	if t.job.OnStopped.Name == "" {
		l.settle = append(l.settle, t)
		return
	}
	l.others.Go(func() {
		w := l.Output(t.job.ID, t.job.Attempt)
		l.afterStop(ctx, t, w)
		w.Close()
		l.slots.done(t)
		l.ended <- t
	})
}

// drop ends a claim that belongs to somebody else by now.
func (l *loop) drop(c broker.Claim) {
	t := l.tasks[c.Token]
	if t == nil || slices.Contains(l.settle, t) {
		return // its settlement is answered
	}
	if l.slots.remove(t) || slices.Contains(l.ahead, t) {
		l.ahead = slices.DeleteFunc(l.ahead, func(other *task) bool { return other == t })
		delete(l.tasks, c.Token)
		return
	}
	l.Logger.Warn("a job is no longer this worker's; its process is killed", "job_id", t.job.ID, "attempt", t.job.Attempt)
	l.slots.stop(c.Token, distro.FailureLost, 0)
}
