package shipping_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/output"
	"github.com/distro-orchestrator/distro/internal/shipping"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	_ shipping.Outbox = (*queue)(nil)
	_ shipping.Inbox  = (*queue)(nil)
	_ shipping.Jobs   = (*queue)(nil)
)

var errLost = errors.New("the reply was lost")

// queue is a queue in memory, with a bad line to it.
type queue struct {
	mu      sync.Mutex
	changed chan struct{} // closed at every change
	waiting []output.Arrival
	next    int
	room    int // chunks that may wait; 0: any number
	unread  bool
	down    bool
	losses  *rand.Rand // nil: nothing is lost
	asked   int
	shipped int
	ends    int // last chunks that were stored
	jobs    map[string]distro.Job
	holder  string
}

func newQueue() *queue {
	return &queue{changed: make(chan struct{}), jobs: map[string]distro.Job{}}
}

func (q *queue) change() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// set changes the queue.
func (q *queue) set(change func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	change()
	q.change()
}

// await waits until something holds of the queue.
func (q *queue) await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for {
		q.mu.Lock()
		done, changed := holds(), q.changed
		q.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-limit.C:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// lost reports, before a call (true) or behind it, whether it fails there.
func (q *queue) lost(before bool) bool {
	if q.down {
		return true
	}
	return q.losses != nil && q.losses.IntN(6) == 0 && (q.losses.IntN(2) == 0) == before
}

func (q *queue) OutputWanted(context.Context) (bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.asked++
	q.change()
	if q.lost(true) {
		return false, errLost
	}
	return !q.unread, nil
}

func (q *queue) ShipOutput(_ context.Context, chunks []output.Chunk) ([]output.Shipped, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer q.change()
	q.shipped++
	if q.lost(true) {
		return nil, errLost
	}
	var answers []output.Shipped
	full := map[string]bool{}
	for _, c := range chunks {
		switch {
		case q.unread:
			answers = append(answers, output.ShippedUnwanted)
		case full[c.Run] || q.room > 0 && len(q.waiting) >= q.room:
			full[c.Run] = true
			answers = append(answers, output.ShippedFull)
		default:
			q.next++
			q.waiting = append(q.waiting, output.Arrival{Chunk: c, ID: strconv.Itoa(q.next)})
			answers = append(answers, output.ShippedTaken)
		}
	}
	if q.lost(false) {
		return nil, errLost
	}
	return answers, nil
}

func (q *queue) HoldOutput(_ context.Context, store string) (bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.lost(true) {
		return false, errLost
	}
	if q.holder == "" || q.holder == store {
		q.holder = store
	}
	return q.holder == store, nil
}

func (q *queue) ReleaseOutput(context.Context, string) error {
	q.set(func() { q.holder = "" })
	return nil
}

func (q *queue) ReceiveOutput(ctx context.Context, after string) ([]output.Arrival, error) {
	behind, _ := strconv.Atoi(after)
	idle := time.NewTimer(20 * time.Millisecond)
	defer idle.Stop()
	for {
		q.mu.Lock()
		changed, failed := q.changed, q.lost(true)
		var found []output.Arrival
		for _, a := range q.waiting {
			if id, _ := strconv.Atoi(a.ID); id > behind && len(found) < 3 {
				found = append(found, a)
			}
		}
		q.mu.Unlock()
		switch {
		case failed:
			return nil, errLost
		case len(found) > 0:
			return found, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		case <-idle.C:
			return nil, nil
		}
	}
}

func (q *queue) StoredOutput(_ context.Context, arrived []output.Arrival) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer q.change()
	if q.lost(true) {
		return errLost
	}
	for _, a := range arrived {
		q.waiting = slices.DeleteFunc(q.waiting, func(w output.Arrival) bool {
			same := w.ID == a.ID
			if same && w.End {
				q.ends++
			}
			return same
		})
	}
	if q.lost(false) {
		return errLost
	}
	return nil
}

func (q *queue) Get(_ context.Context, ids []string) ([]distro.Job, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var found []distro.Job
	for _, id := range ids {
		if job, ok := q.jobs[id]; ok {
			found = append(found, job)
		}
	}
	return found, nil
}

// part runs a Shipper or Mover until stop is called.
func part(t *testing.T, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func shipper(t *testing.T, q *queue, change ...func(*shipping.ShipperOptions)) (s *shipping.Shipper, dir string, stop func()) {
	t.Helper()
	opts := shipping.ShipperOptions{Outbox: q, Dir: t.TempDir()}
	for _, f := range change {
		f(&opts)
	}
	s, err := shipping.NewShipper(opts)
	if err != nil {
		t.Fatal(err)
	}
	return s, opts.Dir, part(t, s.Run)
}

// mover starts one over the store in dir.
func mover(t *testing.T, q *queue, dir string) (*output.Store, func()) {
	t.Helper()
	store, err := output.Open(dir, output.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return store, part(t, shipping.NewMover(shipping.MoverOptions{Inbox: q, Jobs: q, Store: store, Name: "here"}).Run)
}

func write(t *testing.T, a *shipping.Attempt, text string) {
	t.Helper()
	if err := a.Write(output.Stdout, time.UnixMicro(1_763_928_000_123_456), []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// texts are the lines of a job, open ones with a ">" at the end.
func texts(t *testing.T, s *output.Store, id string) (lines []string, writing bool) {
	t.Helper()
	page, err := s.Read(t.Context(), id, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range page.Lines {
		text := fmt.Sprintf("%d %s %s", l.Attempt, l.Stream, l.Text)
		if l.Open {
			text += ">"
		}
		lines = append(lines, text)
	}
	return lines, page.Writing
}

// awaitText waits until the output of a job is as wanted.
func awaitText(t *testing.T, s *output.Store, id string, holds func(lines []string, writing bool) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		page, err := s.Read(ctx, id, 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		lines, writing := texts(t, s, id)
		if holds(lines, writing) {
			return
		}
		if err := s.Wait(ctx, id, page.Version); err != nil {
			t.Fatalf("waited in vain: %q, writing %t", lines, writing)
		}
	}
}
