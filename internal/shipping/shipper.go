package shipping

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/distro-orchestrator/distro/internal/output"
)

const (
	gatherFor = 10 * time.Millisecond  // what is printed together goes together
	shipEvery = 100 * time.Millisecond // of one attempt, while it runs
	openEvery = time.Second            // the same while a long line is open, which goes again and again
	longOpen  = 4 << 10                // bytes of such a line

	chunkSize = 64<<10 - 256 // bytes of a chunk's text, but for a single longer line
	callSize  = 4            // chunks of one call: more would hold up the queue for others

	askEvery   = 2 * time.Second // while nobody reads, whether somebody does now
	closeWait  = 2 * time.Second // at the end of an attempt, until its output is sent
	fullFirst  = 10 * time.Millisecond
	fullLast   = time.Second
	fullEach   = 20 * time.Millisecond // between the questions of two attempts that found no room
	retryFirst = 100 * time.Millisecond
	retryLast  = 2 * time.Second
	forever    = time.Hour // nothing is to be done until something wakes the loop

	maxEnded = 10_000 // attempts that ended and are not sent
)

// ShipperOptions configure a Shipper.
type ShipperOptions struct {
	Outbox Outbox
	Dir    string // folder of the spool, which nobody else uses

	MaxPerAttempt int64         // bytes; of longer output the middle is cut; default 100 MiB
	MaxEnded      int64         // bytes that wait of attempts that have ended; then the oldest is given up; default 1 GiB
	Flush         time.Duration // how long the end of Run waits until all is sent; default 5 s
	Logger        *slog.Logger
}

func (o ShipperOptions) withDefaults() ShipperOptions {
	o.MaxPerAttempt = cmp.Or(o.MaxPerAttempt, 100<<20)
	o.MaxEnded = cmp.Or(o.MaxEnded, 1<<30)
	o.Flush = cmp.Or(o.Flush, 5*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Shipper sends what the attempts of a worker print. No attempt waits for it:
// what cannot be sent now stays in the spool.
type Shipper struct {
	opts  ShipperOptions
	spool *output.Store
	wake  chan struct{} // has a value when a run may have become due
	done  chan struct{} // closed when Run has ended

	mu     sync.Mutex
	runs   map[string]*run // by name: those that may have something to send
	ended  []*run          // of those that have ended, the oldest first; some are gone
	left   int             // how many are not
	bytes  int64           // that these have
	refuse bool            // nobody reads output
	askAt  time.Time       // when to ask next; zero: it was never asked

	// Of the goroutine of Run.
	resumeAt time.Time // after a failure
	pause    time.Duration
	crowd    int // runs that found no room
}

// NewShipper returns a Shipper that is ready to Run.
func NewShipper(opts ShipperOptions) (*Shipper, error) {
	opts = opts.withDefaults()
	spool, err := output.Open(opts.Dir, output.Options{MaxPerJob: opts.MaxPerAttempt, Logger: opts.Logger})
	if err != nil {
		return nil, err
	}
	return &Shipper{
		opts: opts, spool: spool, wake: make(chan struct{}, 1), done: make(chan struct{}), runs: map[string]*run{},
	}, nil
}

// Attempt returns what takes the output of one attempt. It makes nothing
// before something is written.
func (s *Shipper) Attempt(jobID string, attempt int) *Attempt {
	return &Attempt{shipper: s, jobID: jobID, number: attempt}
}

func (s *Shipper) begin(jobID string, attempt int) *run {
	name := make([]byte, 8)
	_, _ = rand.Read(name) // never fails: see crypto/rand
	r := &run{
		name: hex.EncodeToString(name), jobID: jobID, attempt: attempt,
		draft: output.NewDraft(attempt), next: 1, settled: make(chan struct{}),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs[r.name] = r
	return r
}

// wrote notes that there is something to send.
func (s *Shipper) wrote(r *run, n int) {
	s.mu.Lock()
	r.size = min(r.size+int64(n), s.opts.MaxPerAttempt)
	fresh := r.dirtyAt.IsZero()
	if fresh {
		r.dirtyAt = time.Now()
	}
	s.mu.Unlock()
	if fresh {
		s.stir()
	}
}

func (s *Shipper) stir() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// end notes that a run is complete. It reports whether it is to be sent.
func (s *Shipper) end(r *run) bool {
	s.mu.Lock()
	r.closed = true
	s.ended = append(s.ended, r)
	s.left++
	s.bytes += r.size
	var lost []*run
	if s.refuse {
		lost = append(lost, s.give(r))
	}
	for s.bytes > s.opts.MaxEnded || s.left > maxEnded {
		if oldest := s.give(s.ended[0]); oldest != nil {
			lost = append(lost, oldest)
			s.opts.Logger.Warn("output of a job is given up: too much waits to be sent", "job_id", oldest.jobID, "attempt", oldest.attempt)
		}
	}
	if r.dirtyAt.IsZero() {
		r.dirtyAt = time.Now()
	}
	r.notBefore = time.Time{}
	sends := !r.gone
	s.mu.Unlock()
	s.remove(lost)
	s.stir()
	return sends
}

// give takes a run off, sent or not. It returns the run unless it was gone
// before. The lock is held; remove is called behind it.
func (s *Shipper) give(r *run) *run {
	if r.gone {
		return nil
	}
	r.gone = true
	delete(s.runs, r.name)
	r.settle()
	if !r.closed {
		return r
	}
	s.left--
	s.bytes -= r.size
	for len(s.ended) > 0 && s.ended[0].gone {
		s.ended = s.ended[1:]
	}
	if len(s.ended) > 2*s.left+100 { // the first cannot be sent, and others were
		s.ended = slices.DeleteFunc(s.ended, func(r *run) bool { return r.gone })
	}
	return r
}

// remove deletes what the spool has of runs.
func (s *Shipper) remove(runs []*run) {
	for _, r := range runs {
		if r == nil {
			continue
		}
		if err := r.delete(s.spool); err != nil {
			s.opts.Logger.Warn("output that was sent cannot be deleted", "job_id", r.jobID, "reason", err)
		}
	}
}

// Run sends until ctx ends, and then what is left of attempts that have ended
// for as long as Options.Flush says.
func (s *Shipper) Run(ctx context.Context) error {
	defer close(s.done)
	timer := time.NewTimer(forever)
	defer timer.Stop()
	for {
		timer.Reset(s.round(ctx))
		select {
		case <-ctx.Done():
			s.flush(context.WithoutCancel(ctx))
			return nil
		case <-s.wake:
		case <-timer.C:
		}
	}
}

// flush sends what is left.
func (s *Shipper) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Flush)
	defer cancel()
	for {
		s.mu.Lock()
		left := s.left
		s.mu.Unlock()
		if left == 0 {
			return
		}
		timer := time.NewTimer(s.round(ctx))
		select {
		case <-ctx.Done():
			timer.Stop()
			s.opts.Logger.Warn("output of jobs was not sent before the end of the worker", "attempts", left)
			return
		case <-timer.C:
		}
	}
}

// piece is a chunk with what must be known when it was taken.
type piece struct {
	run      *run
	fragment output.Fragment
	end      bool
}

// round makes one call, if there is anything to send, and returns when the
// next one is due.
func (s *Shipper) round(ctx context.Context) time.Duration {
	now := time.Now()
	if wait := s.resumeAt.Sub(now); wait > 0 {
		return wait
	}
	if wait := s.ask(ctx, now); wait > 0 {
		return wait
	}
	due, wait := s.due(now)
	if len(due) == 0 {
		return wait
	}
	pieces, chunks := s.pick(ctx, due)
	if len(chunks) == 0 {
		return 0
	}
	shipped, err := s.opts.Outbox.ShipOutput(ctx, chunks)
	if err != nil {
		s.dirty(due)
		return s.failed(ctx, err)
	}
	s.recovered(ctx)
	s.settle(pieces, shipped)
	return 0
}

// ask finds out whether somebody reads, where that is not known, or was not so
// when it was last asked. While nobody does, it returns when to ask again.
func (s *Shipper) ask(ctx context.Context, now time.Time) time.Duration {
	s.mu.Lock()
	known, idle := !s.askAt.IsZero() && !s.refuse, len(s.runs) == 0
	wait := s.askAt.Sub(now)
	s.mu.Unlock()
	switch {
	case idle:
		return forever
	case known:
		return 0
	case wait > 0:
		return wait
	}
	wanted, err := s.opts.Outbox.OutputWanted(ctx)
	if err != nil {
		return s.failed(ctx, err)
	}
	s.recovered(ctx)
	if !wanted {
		s.unwanted(now)
		return askEvery
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse, s.askAt = false, now
	return 0
}

// unwanted notes that nobody reads, and gives up what has ended.
func (s *Shipper) unwanted(now time.Time) {
	s.mu.Lock()
	s.refuse, s.askAt = true, now.Add(askEvery)
	var lost []*run
	for s.left > 0 {
		lost = append(lost, s.give(s.ended[0]))
	}
	s.mu.Unlock()
	s.remove(lost)
}

// due returns the runs to send from, the one that has waited longest first,
// and else when there will be one. Attempts of one job go one after another.
func (s *Shipper) due(now time.Time) ([]*run, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := map[string]*run{}
	for _, r := range s.ended {
		if !r.gone && first[r.jobID] == nil {
			first[r.jobID] = r
		}
	}
	var list []*run
	wait := forever
	s.crowd = 0
	for _, r := range s.runs {
		if r.pause > 0 {
			s.crowd++
		}
		if before := first[r.jobID]; before != nil && before != r {
			if r.closed && before.pause > 0 {
				r.settle() // its turn comes when there is room
			}
			continue
		}
		if r.dirtyAt.IsZero() {
			continue
		}
		at := r.notBefore
		if soon := r.dirtyAt.Add(gatherFor); !r.closed && soon.After(at) {
			at = soon
		}
		if left := at.Sub(now); left > 0 {
			wait = min(wait, left)
			continue
		}
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b *run) int { return a.dirtyAt.Compare(b.dirtyAt) })
	return list[:min(len(list), callSize)], wait
}

// pick takes a fragment of each run, and more of them while there is room.
func (s *Shipper) pick(ctx context.Context, due []*run) (pieces []piece, chunks []output.Chunk) {
	next := make([]int64, len(due))
	s.mu.Lock()
	for i, r := range due {
		next[i], r.dirtyAt = r.next, time.Time{} // what is written from now on is noted anew
	}
	s.mu.Unlock()
	for more := true; more && len(chunks) < callSize; {
		more = false
		for i, r := range due {
			if next[i] == 0 || len(chunks) == callSize {
				continue
			}
			f, end, err := r.fragment(ctx, s.spool, next[i])
			if err != nil {
				s.unreadable(ctx, r, err)
				next[i] = 0
				continue
			}
			pieces = append(pieces, piece{r, f, end})
			chunks = append(chunks, output.Chunk{JobID: r.jobID, Run: r.name, Attempt: r.attempt, Text: f.Text, End: end})
			if next[i] = f.Next; !f.More {
				next[i] = 0
			}
			more = more || f.More
		}
	}
	return pieces, chunks
}

// unreadable gives up a run that the spool cannot read, unless the reason is
// that the caller ends.
func (s *Shipper) unreadable(ctx context.Context, r *run, err error) {
	if ctx.Err() != nil {
		s.dirty([]*run{r})
		return
	}
	s.opts.Logger.Error("output of a job cannot be read from the spool", "job_id", r.jobID, "reason", err)
	s.mu.Lock()
	lost := s.give(r)
	s.mu.Unlock()
	s.remove([]*run{lost})
}

// dirty notes that runs have something to send still.
func (s *Shipper) dirty(runs []*run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range runs {
		if r.dirtyAt.IsZero() {
			r.dirtyAt = time.Now()
		}
	}
}

// settle notes what became of the pieces of a call.
func (s *Shipper) settle(pieces []piece, shipped []output.Shipped) {
	now := time.Now()
	var sent, kept []*run
	unwanted, room := false, false
	s.mu.Lock()
	for i, p := range pieces {
		r := p.run
		switch shipped[i] {
		case output.ShippedTaken:
			room = room || r.pause > 0
			r.next, r.pause = p.fragment.Next, 0
			r.notBefore = now.Add(shipEvery)
			if p.fragment.Open > longOpen {
				r.notBefore = now.Add(openEvery)
			}
			if p.end {
				sent = append(sent, s.give(r))
			} else if p.fragment.More || r.closed {
				r.dirtyAt, r.notBefore = now, time.Time{}
			}
		case output.ShippedFull:
			r.pause = min(max(2*r.pause, fullFirst), fullLast)
			// However many wait, they do not ask all the time.
			r.dirtyAt, r.notBefore = now, now.Add(max(r.pause, time.Duration(s.crowd)*fullEach))
			kept = append(kept, r)
			if r.closed {
				r.settle() // whoever reads is told that there is more
			}
		default:
			r.dirtyAt, unwanted = now, true
		}
	}
	if room {
		s.invite()
	}
	s.mu.Unlock()
	s.remove(sent)
	s.keep(kept)
	if unwanted {
		s.unwanted(now)
	}
}

// invite lets those that found no room ask again soon. The lock is held.
func (s *Shipper) invite() {
	soon := time.Now().Add(fullFirst)
	for _, r := range s.runs {
		if r.pause > 0 && r.notBefore.After(soon) {
			r.notBefore = soon
		}
	}
}

// keep moves drafts into the spool: many may have to wait, and not in memory.
func (s *Shipper) keep(runs []*run) {
	for _, r := range runs {
		r.mu.Lock()
		err := r.store(s.spool)
		r.mu.Unlock()
		if err != nil {
			s.opts.Logger.Error("output of a job cannot be kept in the spool", "job_id", r.jobID, "reason", err)
		}
	}
}

// failed lets some time pass after a call that failed.
func (s *Shipper) failed(ctx context.Context, err error) time.Duration {
	if s.pause == 0 && ctx.Err() == nil {
		s.opts.Logger.WarnContext(ctx, "output of jobs cannot be sent now; it stays in the spool", "reason", err)
	}
	s.pause = min(max(2*s.pause, retryFirst), retryLast)
	s.resumeAt = time.Now().Add(s.pause)
	return s.pause
}

func (s *Shipper) recovered(ctx context.Context) {
	if s.pause > 0 {
		s.opts.Logger.InfoContext(ctx, "output of jobs is sent again")
	}
	s.pause, s.resumeAt = 0, time.Time{}
}
