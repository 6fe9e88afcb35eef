package sqlitebroker

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/distro-orchestrator/distro"
)

// claim is a job that a worker holds, with what ending its attempt needs, so
// that settling reads nothing.
type claim struct {
	jobRef
	token, holder string
	begun         bool
	stop          bool // somebody wants it stopped
	told          bool // and a reply said so
	pos           int64
	attempt       int
	startedAt     int64
	enqueuedAt    int64

	retriesLeft, asked         int
	retryIntervals             string
	ttl, resultTTL, failureTTL time.Duration
}

// jobRef names a job in rows, counts and feed.
type jobRef struct {
	seq             int64
	id              string
	queue, function int64
}

// claims are all claims there are, as the rows of their jobs say too.
type claims struct {
	byJob    map[string]*claim
	byHolder map[string]map[string]*claim
}

func newClaims() claims {
	return claims{byJob: map[string]*claim{}, byHolder: map[string]map[string]*claim{}}
}

func (c claims) add(cl *claim) {
	c.byJob[cl.id] = cl
	of := c.byHolder[cl.holder]
	if of == nil {
		of = map[string]*claim{}
		c.byHolder[cl.holder] = of
	}
	of[cl.id] = cl
}

func (c claims) remove(cl *claim) {
	delete(c.byJob, cl.id)
	of := c.byHolder[cl.holder]
	delete(of, cl.id)
	if len(of) == 0 {
		delete(c.byHolder, cl.holder)
	}
}

// of returns the claims of a worker in the order of their jobs' creation.
func (c claims) of(holder string) []*claim {
	return bySeq(c.byHolder[holder])
}

func (c claims) all() []*claim { return bySeq(c.byJob) }

func bySeq(m map[string]*claim) []*claim {
	list := make([]*claim, 0, len(m))
	for _, cl := range m {
		list = append(list, cl)
	}
	slices.SortFunc(list, func(a, b *claim) int { return cmp.Compare(a.seq, b.seq) })
	return list
}

// untold reports whether the worker has to be told of a stop.
func (c claims) untold(holder string) bool {
	for _, cl := range c.byHolder[holder] {
		if cl.stop && !cl.told {
			return true
		}
	}
	return false
}

// find returns the claim that holder proves by token, nil if it has none.
func (c claims) find(holder, id, token string) *claim {
	if cl := c.byJob[id]; cl != nil && cl.holder == holder && cl.token == token {
		return cl
	}
	return nil
}

func (w *writer) loadClaims(ctx context.Context) error {
	var r row
	return w.query(ctx, "SELECT "+rowColumns+" FROM claims JOIN jobs ON jobs.seq = claims.seq", nil, r.dest(),
		func() error {
			w.claims.add(r.claim())
			return nil
		})
}

// giveBack puts jobs whose claims never came to run to the front of their
// queues, in the order they stood there. A claim that was begun all the same
// costs no attempt: the job looks as it did before.
func (t *txn) giveBack(ctx context.Context, list []*claim) error {
	slices.SortFunc(list, func(a, b *claim) int { return cmp.Compare(b.pos, a.pos) })
	for _, cl := range list {
		place, err := t.nextPlace(ctx)
		if err != nil {
			return err
		}
		t.endClaim(cl)
		if _, err := t.exec(ctx, "UPDATE jobs SET pos = ? WHERE seq = ?", -place, cl.seq); err != nil {
			return err
		}
		t.join(cl.jobRef, waiter{pos: -place, no: place, enqueuedAt: cl.enqueuedAt})
		if !cl.begun {
			continue
		}
		t.move(cl.jobRef, started, queued)
		t.changed(cl.jobRef, queued, change{attempt: cl.attempt - 1, token: cl.token})
	}
	return nil
}

// endClaim takes the job of a claim from its worker.
func (t *txn) endClaim(cl *claim) {
	t.w.claims.remove(cl)
	if cl.stop {
		t.touchHolder(cl.holder)
	}
	t.freed = append(t.freed, cl.seq)
}

// rescue ends claims whose worker is gone: a begun one ends its attempt as
// lost, or as stopped where somebody wanted that, in the order of the jobs'
// creation; the others go back to the front.
func (t *txn) rescue(ctx context.Context, list []*claim, why string) error {
	var unbegun []*claim
	slices.SortFunc(list, func(a, b *claim) int { return cmp.Compare(a.seq, b.seq) })
	for _, cl := range list {
		if !cl.begun {
			unbegun = append(unbegun, cl)
			continue
		}
		res := distro.Result{
			Outcome: distro.OutcomeLost,
			Failure: &distro.Failure{Kind: distro.FailureLost, Message: "worker " + cl.holder + " was lost: " + why},
		}
		if cl.stop {
			res.Outcome, res.Failure.Kind = distro.OutcomeStopped, distro.FailureStopped
		}
		if err := t.endAttempt(ctx, cl, res); err != nil {
			return err
		}
	}
	return t.giveBack(ctx, unbegun)
}

// move notes that a job went from one status to another in the counts.
func (t *txn) move(j jobRef, from, to int) {
	if from != noStatus {
		t.count(j.queue, j.function, from, -1)
	}
	if to != noStatus {
		t.count(j.queue, j.function, to, 1)
	}
}

// changed adds to the feed that a job took a status.
func (t *txn) changed(j jobRef, status int, c change) {
	c.job, c.queue, c.status, c.at = j.id, j.queue, status, t.now
	t.feed = append(t.feed, c)
}
