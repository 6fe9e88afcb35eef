package sqlitebroker

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// worker is a worker as its last beat told.
type worker struct {
	distro.Worker
	beat uint64
}

// settled is an attempt that a worker ended. It counts when it is committed: a
// transaction that fails is tried again.
type settled struct {
	by      *worker
	outcome distro.Outcome
}

// count counts it for its worker.
func (s settled) count() {
	s.by.Finished++
	if s.outcome != distro.OutcomeFinished {
		s.by.Failed++
	}
}

// beat registers the worker of req or keeps it up. The attempts it ended are
// counted here; what it reports of them counts when it registers.
func (t *txn) beat(req *broker.ExchangeRequest) *worker {
	wk := t.w.workers[req.Worker.Name]
	if wk == nil {
		wk = &worker{Worker: distro.Worker{Finished: req.Worker.Finished, Failed: req.Worker.Failed}}
		t.w.workers[req.Worker.Name] = wk
	}
	ended, failed := wk.Finished, wk.Failed
	wk.Worker, wk.beat = req.Worker, req.Beat
	wk.Finished, wk.Failed = ended, failed
	wk.Queues = slices.Clone(req.Worker.Queues)
	wk.Running = nil
	wk.SeenAt = moment(t.now)
	return wk
}

// Workers implements broker.Broker.
func (b *Broker) Workers(ctx context.Context) ([]distro.Worker, error) {
	var list []distro.Worker
	err := b.writer.do(ctx, func(_ context.Context, t *txn) error {
		list = make([]distro.Worker, 0, len(t.w.workers))
		for name, wk := range t.w.workers {
			info := wk.Worker
			info.Queues = slices.Clone(info.Queues)
			for _, cl := range t.w.claims.of(name) {
				if cl.begun {
					info.Running = append(info.Running, cl.id)
				}
			}
			list = append(list, info)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b distro.Worker) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// watch remembers how long the beat of each worker has stood still in the
// readings of Sweep.
type watch struct {
	read  time.Duration // of the last reading
	beats map[string]reading
}

type reading struct {
	beat  uint64
	since time.Duration
}

// lost takes a reading at now and returns the workers that are lost by it. A
// reading that comes late, since this process itself was stopped, starts anew:
// it may find the beats of healthy workers unmoved only because they could not
// beat either.
func (wa *watch) lost(now time.Duration, beats map[string]uint64) []string {
	if now-wa.read > broker.LostAfter/2 {
		wa.beats = nil
	}
	wa.read = now
	next := make(map[string]reading, len(beats))
	var lost []string
	for name, beat := range beats {
		r, ok := wa.beats[name]
		if !ok || r.beat != beat {
			r = reading{beat: beat, since: now}
		}
		next[name] = r
		if now-r.since >= broker.LostAfter {
			lost = append(lost, name)
		}
	}
	wa.beats = next
	slices.Sort(lost)
	return lost
}
