package brokertest

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// Exchange implements broker.Broker.
func (m *Model) Exchange(_ context.Context, req broker.ExchangeRequest) (broker.ExchangeReply, error) {
	if err := req.Check(); err != nil {
		return broker.ExchangeReply{}, err
	}
	defer m.lock()()
	w := m.workers[req.Worker.Name]
	if w == nil {
		w = &modelWorker{Worker: req.Worker}
		m.workers[req.Worker.Name] = w
	}
	finished, failed := w.Finished, w.Failed
	w.Worker, w.beat = req.Worker, req.Beat
	w.Finished, w.Failed, w.SeenAt = finished, failed, m.now()

	var reply broker.ExchangeReply
	for _, c := range req.Begin {
		attempt := 0
		if j := m.claimed(w.Name, c); j != nil {
			attempt = m.begin(j)
		}
		reply.Begun = append(reply.Begun, attempt)
	}
	for _, s := range req.Settle {
		reply.Settled = append(reply.Settled, m.settle(w, s))
	}
	var back []*modelJob
	for _, c := range req.Return {
		if j := m.claimed(w.Name, c); j != nil && !slices.Contains(back, j) {
			back = append(back, j)
		}
	}
	m.giveBack(back)
	if req.Reconcile {
		m.reconcile(w.Name, req.Held, &reply)
	}
	if req.Leave {
		m.rescue(w.Name)
		delete(m.workers, w.Name)
		return reply, nil
	}
	m.want(w.Name, req.Want, &reply)
	for _, j := range m.created {
		if j.claim != nil && j.claim.worker == w.Name && j.claim.stop {
			j.claim.told = true
			reply.Stop = append(reply.Stop, broker.Claim{JobID: j.ID, Token: j.claim.token})
		}
	}
	return reply, nil
}

// claimed is the job that worker holds by c, nil if it does not.
func (m *Model) claimed(worker string, c broker.Claim) *modelJob {
	j := m.find(c.JobID)
	if j == nil || j.claim == nil || j.claim.worker != worker || j.claim.token != c.Token {
		return nil
	}
	return j
}

func (m *Model) begin(j *modelJob) int {
	if j.Status == distro.StatusQueued {
		j.Attempt++
		j.Status, j.StartedAt, j.Worker = distro.StatusStarted, m.now(), j.claim.worker
		m.note(j, distro.Change{Token: j.claim.token})
	}
	return j.Attempt
}

func (m *Model) settle(w *modelWorker, s broker.Settlement) broker.SettleStatus {
	if j := m.claimed(w.Name, s.Claim); j != nil && j.Status == distro.StatusStarted {
		w.Finished++
		if s.Result.Outcome != distro.OutcomeFinished {
			w.Failed++
		}
		m.end(j, s.Result)
		return broker.SettleDone
	}
	switch j := m.find(s.JobID); {
	case j == nil:
		return broker.SettleGone
	case j.claim == nil && j.settled == s.Claim && j.outcome == s.Result.Outcome,
		j.claim != nil && j.claim.token != s.Token && j.settled == s.Claim && j.outcome == s.Result.Outcome:
		return broker.SettleAlready
	default:
		return broker.SettleLost
	}
}

// end ends the attempt of j.
func (m *Model) end(j *modelJob, res distro.Result) {
	token := j.claim.token
	res.Attempt, res.Run, res.Worker = j.Attempt, token, j.claim.worker
	if res.StartedAt.IsZero() {
		res.StartedAt = j.StartedAt
	}
	if res.EndedAt.IsZero() {
		res.EndedAt = m.now()
	}
	j.settled, j.outcome, j.claim = broker.Claim{JobID: j.ID, Token: token}, res.Outcome, nil
	if j.Result != nil {
		last := *j.Result
		last.Pickle = nil
		j.Earlier = append(slices.Clone(j.Earlier), last)
		j.Earlier = j.Earlier[max(len(j.Earlier)-broker.MaxEarlier, 0):]
	}
	j.Result, j.EndedAt, j.expiresAt = &res, m.now(), time.Time{}
	change := distro.Change{Outcome: res.Outcome, Token: token}
	again := res.Again
	if res.Again = nil; again != nil {
		j.Asked++
	} else if res.Outcome.Retries() && j.RetriesLeft > 0 {
		again = &distro.Again{Delay: j.RetryDelay()}
		j.RetriesLeft--
	}
	if again != nil {
		if again.Delay > 0 {
			j.Status, j.DueAt = distro.StatusScheduled, m.now().Add(again.Delay)
		} else {
			m.queue(j, again.Front)
		}
		m.note(j, change)
		return
	}
	j.Status = res.Outcome.Status()
	m.note(j, change)
	ttl := j.FailureTTL
	if j.Status == distro.StatusFinished {
		ttl = j.ResultTTL
	}
	if ttl == 0 {
		m.delete(j)
	} else if ttl > 0 {
		j.expiresAt = m.now().Add(ttl)
	}
}

// giveBack puts claimed jobs to the front in their old order.
func (m *Model) giveBack(list []*modelJob) {
	slices.SortFunc(list, func(a, b *modelJob) int { return cmp.Compare(b.pos, a.pos) })
	for _, j := range list {
		token := j.claim.token
		j.claim = nil
		begun := j.Status == distro.StatusStarted
		m.push(j, true)
		if !begun {
			continue
		}
		j.Attempt--
		j.StartedAt, j.Worker = time.Time{}, ""
		if j.Result != nil {
			j.StartedAt, j.Worker = j.Result.StartedAt, j.Result.Worker
		}
		m.note(j, distro.Change{Token: token})
	}
}

func (m *Model) heldBy(worker string) []*modelJob {
	var list []*modelJob
	for _, j := range m.created {
		if j.claim != nil && j.claim.worker == worker {
			list = append(list, j)
		}
	}
	return list
}

func (m *Model) reconcile(worker string, held []broker.Claim, reply *broker.ExchangeReply) {
	known := map[*modelJob]bool{}
	for _, c := range held {
		if j := m.claimed(worker, c); j != nil {
			known[j] = true
		} else {
			reply.Lost = append(reply.Lost, c)
		}
	}
	m.giveBack(slices.DeleteFunc(m.heldBy(worker), func(j *modelJob) bool { return known[j] }))
}

// rescue ends all claims of a worker that is gone.
func (m *Model) rescue(worker string) int {
	held := m.heldBy(worker)
	var back []*modelJob
	for _, j := range held {
		if j.Status == distro.StatusStarted {
			res := distro.Result{
				Outcome: distro.OutcomeLost,
				Failure: &distro.Failure{Kind: distro.FailureLost, Message: "worker " + worker + " was lost"},
			}
			if j.claim.stop {
				res.Outcome, res.Failure.Kind = distro.OutcomeStopped, distro.FailureStopped
			}
			m.end(j, res)
		} else {
			back = append(back, j)
		}
	}
	m.giveBack(back)
	return len(held)
}

func (m *Model) want(worker string, want broker.Want, reply *broker.ExchangeReply) {
	for _, q := range want.Queues {
		if m.paused[q] || m.paused[""] {
			continue
		}
		for _, j := range slices.Clone(m.lists[q]) {
			n := len(reply.Claims)
			if n == len(want.Tokens) {
				return
			}
			if !j.expiresAt.IsZero() && !j.expiresAt.After(m.now()) {
				m.delete(j)
				continue
			}
			m.unlist(j)
			j.claim = &modelClaim{token: want.Tokens[n], worker: worker}
			if n < want.Begun {
				m.begin(j)
			}
			job := j.Job
			job.Result, job.Earlier = nil, nil
			reply.Claims = append(reply.Claims, broker.Claimed{Job: job, Token: want.Tokens[n], Begun: n < want.Begun})
		}
	}
}

// Sweep implements broker.Broker.
func (m *Model) Sweep(_ context.Context, limit int) (broker.Swept, error) {
	defer m.lock()()
	var s broker.Swept
	now := m.now()
	due := slices.DeleteFunc(slices.Clone(m.created), func(j *modelJob) bool {
		return j.Status != distro.StatusScheduled || j.DueAt.After(now)
	})
	slices.SortStableFunc(due, func(a, b *modelJob) int { return a.DueAt.Compare(b.DueAt) })
	for _, j := range due[:min(len(due), limit)] {
		m.queue(j, false)
		m.note(j, distro.Change{})
		s.Due++
	}
	for _, name := range m.lost() {
		s.Rescued += m.rescue(name)
		delete(m.workers, name)
	}
	expired := slices.DeleteFunc(slices.Clone(m.created), func(j *modelJob) bool {
		return j.claim != nil || j.expiresAt.IsZero() || j.expiresAt.After(now)
	})
	for _, j := range expired[:min(len(expired), max(limit-s.Due-s.Rescued, 0))] {
		m.delete(j)
		s.Expired++
	}
	if n := len(m.feed) - m.feedKeep; n > 0 {
		m.feed, m.feedStart = slices.Clone(m.feed[n:]), m.feedStart+n
	}
	s.More = s.Due+s.Rescued+s.Expired >= limit
	s.NextDue = m.nextDue()
	m.dueKnown = s.NextDue
	return s, nil
}

// lost reads all beats and returns the workers that are lost by it.
func (m *Model) lost() []string {
	now := m.clock.Monotonic()
	late := now-m.lastRead > broker.LostAfter/2
	m.lastRead = now
	var lost []string
	for name, w := range m.workers {
		if !w.known || late || w.read != w.beat {
			w.known, w.read, w.since = true, w.beat, now
		}
		if now-w.since >= broker.LostAfter {
			lost = append(lost, name)
		}
	}
	slices.Sort(lost)
	return lost
}

// Workers implements broker.Broker.
func (m *Model) Workers(context.Context) ([]distro.Worker, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []distro.Worker
	for name, w := range m.workers {
		info := w.Worker
		info.Running = nil
		for _, j := range m.heldBy(name) {
			if j.Status == distro.StatusStarted {
				info.Running = append(info.Running, j.ID)
			}
		}
		list = append(list, info)
	}
	slices.SortFunc(list, func(a, b distro.Worker) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}
