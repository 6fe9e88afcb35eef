package sqlitebroker

import (
	"context"
	"fmt"
	"slices"

	"github.com/distro-orchestrator/distro/internal/broker"
)

const (
	// maxClaimBytes ends a claim of many jobs early, so that a reply of large
	// ones fits into memory. The first job is always handed out.
	maxClaimBytes = 32 << 20
	// maxStale bounds the jobs that one claim finds to have waited too long.
	maxStale = 256
)

// Exchange implements broker.Broker.
func (b *Broker) Exchange(ctx context.Context, req broker.ExchangeRequest) (broker.ExchangeReply, error) {
	if err := req.Check(); err != nil {
		return broker.ExchangeReply{}, err
	}
	var reply broker.ExchangeReply
	err := b.writer.do(ctx, func(ctx context.Context, t *txn) error {
		reply = broker.ExchangeReply{}
		return t.exchange(ctx, &req, &reply)
	})
	if err != nil {
		return broker.ExchangeReply{}, err
	}
	return reply, nil
}

func (t *txn) exchange(ctx context.Context, req *broker.ExchangeRequest, reply *broker.ExchangeReply) error {
	name := req.Worker.Name
	wk := t.beat(req)
	for _, c := range req.Begin {
		attempt, err := t.beginClaim(ctx, name, c)
		if err != nil {
			return fmt.Errorf("begin job %q: %w", c.JobID, err)
		}
		reply.Begun = append(reply.Begun, attempt)
	}
	for i := range req.Settle {
		s := &req.Settle[i]
		status, err := t.settle(ctx, name, s)
		if err != nil {
			return fmt.Errorf("settle job %q: %w", s.JobID, err)
		}
		if status == broker.SettleDone {
			t.settled = append(t.settled, settled{wk, s.Result.Outcome})
		}
		reply.Settled = append(reply.Settled, status)
	}
	if err := t.giveBack(ctx, t.returned(name, req.Return)); err != nil {
		return fmt.Errorf("give claims back: %w", err)
	}
	if req.Reconcile {
		if err := t.reconcile(ctx, name, req.Held, reply); err != nil {
			return fmt.Errorf("reconcile claims: %w", err)
		}
	}
	if req.Leave {
		if err := t.rescue(ctx, t.w.claims.of(name), "it left"); err != nil {
			return fmt.Errorf("rescue claims: %w", err)
		}
		delete(t.w.workers, name)
		return nil
	}
	if err := t.claimWanted(ctx, name, req.Want, reply); err != nil {
		return fmt.Errorf("claim jobs from %q: %w", req.Want.Queues, err)
	}
	t.tellStops(name, reply)
	return nil
}

// beginClaim lets a claim begin and answers its attempt; again if it has begun.
func (t *txn) beginClaim(ctx context.Context, worker string, c broker.Claim) (int, error) {
	cl := t.w.claims.find(worker, c.JobID, c.Token)
	if cl == nil {
		return 0, nil
	}
	if cl.begun {
		return cl.attempt, nil
	}
	if _, err := t.exec(ctx, "UPDATE claims SET begun = 1, attempt = attempt + 1, begun_at = ? WHERE seq = ?",
		t.now, cl.seq); err != nil {
		return 0, err
	}
	cl.begun, cl.attempt, cl.startedAt = true, cl.attempt+1, t.now
	t.move(cl.jobRef, queued, started)
	t.changed(cl.jobRef, started, change{attempt: cl.attempt, token: cl.token})
	return cl.attempt, nil
}

// returned are the claims of list that the worker has.
func (t *txn) returned(worker string, list []broker.Claim) []*claim {
	var found []*claim
	for _, c := range list {
		if cl := t.w.claims.find(worker, c.JobID, c.Token); cl != nil && !slices.Contains(found, cl) {
			found = append(found, cl)
		}
	}
	return found
}

// reconcile compares the claims of a worker with those it knows of.
func (t *txn) reconcile(ctx context.Context, worker string, held []broker.Claim, reply *broker.ExchangeReply) error {
	known := make(map[*claim]bool, len(held))
	for _, c := range held {
		if cl := t.w.claims.find(worker, c.JobID, c.Token); cl != nil {
			known[cl] = true
		} else {
			reply.Lost = append(reply.Lost, c)
		}
	}
	unknown := slices.DeleteFunc(t.w.claims.of(worker), func(cl *claim) bool { return known[cl] })
	return t.giveBack(ctx, unknown)
}

// tellStops tells the worker which of its running jobs are to be stopped.
func (t *txn) tellStops(worker string, reply *broker.ExchangeReply) {
	if len(t.w.claims.byHolder[worker]) == 0 {
		return
	}
	for _, cl := range t.w.claims.of(worker) {
		if cl.stop {
			cl.told = true
			t.touchHolder(worker)
			reply.Stop = append(reply.Stop, broker.Claim{JobID: cl.id, Token: cl.token})
		}
	}
}

// claimWanted hands out waiting jobs.
func (t *txn) claimWanted(ctx context.Context, worker string, want broker.Want, reply *broker.ExchangeReply) error {
	if t.w.paused[""] {
		return nil
	}
	h := handout{worker: worker, want: want, reply: reply}
	for _, name := range want.Queues {
		queue, ok := t.w.names.id(name)
		if !ok || t.w.paused[name] {
			continue
		}
		for !h.full() && t.w.waiting[queue] > 0 && h.stale < maxStale {
			if err := t.claimSome(ctx, &h, queue); err != nil {
				return err
			}
		}
	}
	return nil
}

// handout is what one call claims.
type handout struct {
	worker string
	want   broker.Want
	reply  *broker.ExchangeReply
	claims []*claim // not yet written
	bytes  int64
	stale  int // jobs passed over that had waited too long
}

func (h *handout) full() bool {
	return len(h.reply.Claims) >= len(h.want.Tokens) || h.bytes > maxClaimBytes
}

// claimSome claims from the front of queue as many jobs as are wanted, and
// deletes those among them that have waited too long: nothing else would take
// them out of the way of a worker that waits for jobs.
func (t *txn) claimSome(ctx context.Context, h *handout, queue int64) error {
	if err := t.catchUp(ctx); err != nil {
		return err
	}
	list, err := t.first(ctx, queue, len(h.want.Tokens)-len(h.reply.Claims))
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return fmt.Errorf("%d jobs counted as waiting in %q, and none found", t.w.waiting[queue], t.w.names.name(queue))
	}
	var last int64
	for i := range list {
		c := &list[i]
		if h.full() {
			break
		}
		last = c.pos
		t.count(queue, c.function, waiting, -1)
		if c.expiresAt != 0 && c.expiresAt <= t.now {
			h.stale++
			err = t.delete(ctx, c.jobRef, queued, c.attempt)
		} else {
			err = t.claim(ctx, h, c)
		}
		if err != nil {
			return err
		}
	}
	if _, err := t.exec(ctx, "DELETE FROM waiting WHERE queue = ? AND pos <= ?", queue, last); err != nil {
		return err
	}
	claims := h.claims
	h.claims = nil
	return execMany(ctx, t, claims, "INSERT OR ROLLBACK INTO claims (seq, token, holder, begun, stop, attempt, begun_at) VALUES ",
		"(?, ?, ?, ?, 0, ?, ?)", "", func(cl *claim) []any {
			return []any{cl.seq, cl.token, cl.holder, cl.begun, cl.attempt, cl.startedAt}
		})
}

// candidate is a job that may be claimed.
type candidate struct {
	row
	payload []byte // where it stands in the row
}

// first returns the first jobs of a waiting list.
func (t *txn) first(ctx context.Context, queue int64, limit int) ([]candidate, error) {
	var list []candidate
	var c candidate
	err := t.w.query(ctx, "SELECT "+rowColumns+", payload FROM "+fromWaiting+`
		WHERE waiting.queue = ? ORDER BY waiting.pos LIMIT ?`, []any{queue, limit}, append(c.dest(), &c.payload),
		func() error { list = append(list, c); return nil })
	return list, err
}

// claim hands out a job.
func (t *txn) claim(ctx context.Context, h *handout, c *candidate) error {
	n := len(h.reply.Claims)
	c.token, c.holder = h.want.Tokens[n], h.worker
	begun := n < h.want.Begun
	if begun {
		c.status, c.attempt, c.startedAt, c.worker = started, c.attempt+1, t.now, h.worker
		t.move(c.jobRef, queued, started)
		t.changed(c.jobRef, started, change{attempt: c.attempt, token: c.token})
	}
	if c.payloadSize > inlinePayload {
		if err := t.w.query(ctx, "SELECT data FROM payloads WHERE seq = ?", []any{c.seq}, []any{&c.payload},
			func() error { return nil }); err != nil {
			return err
		}
	}
	cl := c.row.claim()
	t.w.claims.add(cl)
	h.claims = append(h.claims, cl)
	h.bytes += c.payloadSize
	job := c.job(t.w.names)
	job.Payload.Data = c.payload
	h.reply.Claims = append(h.reply.Claims, broker.Claimed{Job: job, Token: c.token, Begun: begun})
	return nil
}
