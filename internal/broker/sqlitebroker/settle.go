package sqlitebroker

import (
	"context"
	"slices"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// settle records one settlement of a worker.
func (t *txn) settle(ctx context.Context, worker string, s *broker.Settlement) (broker.SettleStatus, error) {
	cl := t.w.claims.find(worker, s.JobID, s.Token)
	if cl == nil {
		return t.settledBefore(ctx, s)
	}
	if !cl.begun { // no attempt to end
		return broker.SettleLost, nil
	}
	return broker.SettleDone, t.endAttempt(ctx, cl, s.Result)
}

// settledBefore says why a settlement has no claim.
func (t *txn) settledBefore(ctx context.Context, s *broker.Settlement) (broker.SettleStatus, error) {
	if err := t.catchUp(ctx); err != nil { // it may have ended in this very call
		return 0, err
	}
	status := broker.SettleGone
	var token, outcome string
	err := t.w.query(ctx, "SELECT settled, settled_outcome FROM jobs WHERE id = ?", []any{s.JobID},
		[]any{&token, &outcome}, func() error {
			status = broker.SettleLost
			if token == s.Token && outcome == string(s.Result.Outcome) {
				status = broker.SettleAlready
			}
			return nil
		})
	return status, err
}

// endAttempt ends the attempt of a begun claim: the job is retried, kept, or
// deleted where it is not to be kept at all.
func (t *txn) endAttempt(ctx context.Context, cl *claim, res distro.Result) error {
	t.endClaim(cl)
	ended := change{outcome: res.Outcome, attempt: cl.attempt, token: cl.token}
	again := res.Again
	if again != nil {
		cl.asked++
	} else if res.Outcome.Retries() && cl.retriesLeft > 0 {
		policy := distro.Job{RetriesLeft: cl.retriesLeft, RetryIntervals: parseIntervals(cl.retryIntervals)}
		again = &distro.Again{Delay: policy.RetryDelay()}
		cl.retriesLeft--
	}
	if again != nil {
		if err := t.again(ctx, cl, again, ended); err != nil {
			return err
		}
		return t.storeResult(ctx, cl, res)
	}
	status, keep := statusNumber(res.Outcome.Status()), cl.failureTTL
	if res.Outcome == distro.OutcomeFinished {
		keep = cl.resultTTL
	}
	t.move(cl.jobRef, started, status)
	t.changed(cl.jobRef, status, ended)
	if keep == 0 {
		return t.delete(ctx, cl.jobRef, status, cl.attempt)
	}
	end := attemptEnd{claim: cl, status: status, outcome: res.Outcome, endedAt: t.now}
	if keep > 0 {
		end.expiresAt = after(t.now, keep)
	}
	t.ends = append(t.ends, end)
	return t.storeResult(ctx, cl, res)
}

// again queues or schedules the next attempt of cl's job.
func (t *txn) again(ctx context.Context, cl *claim, again *distro.Again, ended change) error {
	status, pos, expiresAt, dueAt := queued, int64(0), waitsUntil(t.now, cl.ttl), int64(0)
	if again.Delay > 0 {
		status, expiresAt, dueAt = scheduled, 0, after(t.now, again.Delay)
	} else {
		var err error
		if pos, err = t.nextPlace(ctx); err != nil {
			return err
		}
		if again.Front {
			pos = -pos
		}
	}
	if _, err := t.exec(ctx, `UPDATE jobs SET status = ?, settled = ?, settled_outcome = ?, attempt = ?, worker = ?,
			started_at = ?, ended_at = ?, expires_at = ?, retries_left = ?, asked = ?, pos = ?, due_at = ?,
			enqueued_at = iif(? = 3, ?, enqueued_at)
		WHERE seq = ?`, status, cl.token, string(ended.outcome), cl.attempt, cl.holder,
		cl.startedAt, t.now, expiresAt, cl.retriesLeft, cl.asked, pos, dueAt, status, t.now, cl.seq); err != nil {
		return err
	}
	t.move(cl.jobRef, started, noStatus)
	t.arrived(cl.jobRef, status, pos, dueAt)
	t.changed(cl.jobRef, status, ended)
	return nil
}

// attemptEnd is the end of an attempt that no other follows.
type attemptEnd struct {
	*claim
	status    int
	outcome   distro.Outcome
	endedAt   int64
	expiresAt int64
}

// row is the end as catchUp writes it.
func (e attemptEnd) row() []any {
	return []any{e.seq, e.status, e.token, string(e.outcome), e.attempt, e.holder, e.startedAt, e.endedAt, e.expiresAt}
}

// attemptResult is a result to be stored.
type attemptResult struct {
	seq int64
	distro.Result
}

// maxHeld bounds the bytes of results that wait to be written together.
const maxHeld = 1 << 20

// storeResult keeps what an attempt left behind, and puts aside what the attempt
// before left. What the broker knows itself it does not take from the worker.
func (t *txn) storeResult(ctx context.Context, cl *claim, res distro.Result) error {
	if cl.attempt > 1 {
		if err := t.putAside(ctx, cl); err != nil {
			return err
		}
	}
	res.Attempt, res.Run, res.Worker = cl.attempt, cl.token, cl.holder
	if res.StartedAt.IsZero() {
		res.StartedAt = moment(cl.startedAt)
	}
	if res.EndedAt.IsZero() {
		res.EndedAt = moment(t.now)
	}
	t.results = append(t.results, attemptResult{cl.seq, res})
	if len(res.Pickle)+len(res.View.Text) > maxHeld/atOnce {
		return t.catchUp(ctx)
	}
	return nil
}

// putAside makes the result of a job an earlier one.
func (t *txn) putAside(ctx context.Context, cl *claim) error {
	if slices.ContainsFunc(t.results, func(r attemptResult) bool { return r.seq == cl.seq }) { // it waits to be written
		if err := t.catchUp(ctx); err != nil {
			return err
		}
	}
	if _, err := t.exec(ctx, "INSERT OR REPLACE INTO earlier ("+earlierColumns+", seq) SELECT "+earlierColumns+", seq FROM results WHERE seq = ?",
		cl.seq); err != nil {
		return err
	}
	_, err := t.exec(ctx, "DELETE FROM earlier WHERE seq = ? AND attempt < ?", cl.seq, cl.attempt-broker.MaxEarlier)
	return err
}

// earlierColumns are what results and earlier have in common.
const earlierColumns = `attempt, run, outcome, worker, started_at, ended_at, peak_memory, cpu_time, view, view_flags,
	kind, type, message, traceback, exit_code, signal`

// Flags of a stored view.
const (
	viewJSON = 1 << iota
	viewTruncated
)

// row is the result as a row of results.
func (r attemptResult) row() []any {
	flags := 0
	if r.View.JSON {
		flags |= viewJSON
	}
	if r.View.Truncated {
		flags |= viewTruncated
	}
	f := r.Failure
	if f == nil {
		f = &distro.Failure{}
	}
	return []any{
		r.seq, r.Run, string(r.Outcome), r.Attempt, r.Worker, micros(r.StartedAt), micros(r.EndedAt), r.PeakMemory,
		int64(r.CPUTime), r.Pickle, r.View.Text, flags,
		string(f.Kind), f.Type, f.Message, f.Traceback, f.ExitCode, f.Signal,
	}
}

// delete deletes a job of this status with all that belongs to it.
func (t *txn) delete(ctx context.Context, ref jobRef, status, attempt int) error {
	if _, err := t.exec(ctx, "DELETE FROM jobs WHERE seq = ?", ref.seq); err != nil {
		return err
	}
	t.move(ref, status, noStatus)
	t.changed(ref, noStatus, change{attempt: attempt})
	return nil
}
