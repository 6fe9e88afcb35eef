package shipping

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/output"
)

const (
	holdEvery  = 3 * time.Second // a store's turn is asked for
	otherEvery = time.Second     // the same while another has it
	lookEvery  = 2 * time.Second // after runs that are not heard of
	silentFor  = 5 * time.Second // until a run is one of those
	lookCount  = 500             // jobs at a time
	leaveFor   = time.Second     // to let another store have its turn
)

// MoverOptions configure a Mover.
type MoverOptions struct {
	Inbox  Inbox
	Jobs   Jobs
	Store  *output.Store
	Name   string // of the store, the same at each start
	Logger *slog.Logger
}

// Mover stores what workers send. Of several with one queue one has its turn,
// and the others wait until it ends.
type Mover struct {
	opts MoverOptions

	runs   map[runKey]*incoming
	stuck  map[runKey]bool // what follows of them must wait until what was passed over is stored
	heldAt time.Time       // when the turn was last confirmed; zero: it is another's
	lookAt time.Time       // when to look after silent runs next
	failed bool            // the last call did
}

// runKey names a run. Two jobs never share one, unless somebody means harm.
type runKey struct{ jobID, run string }

// incoming is a run that has not ended.
type incoming struct {
	*output.Receiver
	attempt int
	heardAt time.Time
}

// NewMover returns a Mover that is ready to Run.
func NewMover(opts MoverOptions) *Mover {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &Mover{opts: opts, runs: map[runKey]*incoming{}, stuck: map[runKey]bool{}}
}

// Run stores output until ctx ends.
func (m *Mover) Run(ctx context.Context) error {
	defer m.leave(ctx)
	after := ""
	for ctx.Err() == nil {
		if after == "" {
			clear(m.stuck)
		}
		if !m.hold(ctx) {
			after = ""
			continue
		}
		arrived, err := m.opts.Inbox.ReceiveOutput(ctx, after)
		if m.trouble(ctx, err) {
			continue
		}
		after = m.take(ctx, arrived)
		m.look(ctx, len(arrived) == 0)
	}
	return nil
}

// hold asks for the store's turn where that is due, and reports whether it has
// it.
func (m *Mover) hold(ctx context.Context) bool {
	if !m.heldAt.IsZero() && time.Since(m.heldAt) < holdEvery {
		return true
	}
	held, err := m.opts.Inbox.HoldOutput(ctx, m.opts.Name)
	if m.trouble(ctx, err) {
		return false
	}
	if held {
		m.heldAt = time.Now()
		return true
	}
	if !m.heldAt.IsZero() {
		m.opts.Logger.WarnContext(ctx, "output of jobs goes to another orchestrator now")
	}
	m.heldAt = time.Time{}
	m.suspend()
	pause(ctx, otherEvery)
	return false
}

// take stores chunks and forgets those that are. It returns the ID behind which
// to go on: what cannot be stored now is passed over until nothing else is left.
func (m *Mover) take(ctx context.Context, arrived []output.Arrival) string {
	var stored []output.Arrival
	for i := range arrived {
		a := &arrived[i]
		key := runKey{a.JobID, a.Run}
		if !m.stuck[key] && m.store(ctx, a) {
			stored = append(stored, *a)
		} else {
			m.stuck[key] = true
		}
	}
	if len(stored) > 0 && m.trouble(ctx, m.opts.Inbox.StoredOutput(ctx, stored)) {
		return "" // they come again, and each line is stored once
	}
	if len(arrived) == 0 || len(m.stuck) == 0 {
		return ""
	}
	return arrived[len(arrived)-1].ID
}

// store appends a chunk. It reports false when that must be tried again.
func (m *Mover) store(ctx context.Context, a *output.Arrival) bool {
	log := m.opts.Logger.With("job_id", a.JobID, "attempt", a.Attempt)
	key := runKey{a.JobID, a.Run}
	r := m.runs[key]
	if r == nil {
		receiver, err := m.opts.Store.Receiver(a.JobID, a.Run, a.Attempt)
		if err != nil {
			log.WarnContext(ctx, "output that a worker sent is none", "reason", err)
			return true
		}
		r = &incoming{Receiver: receiver, attempt: a.Attempt}
		m.runs[key] = r
	}
	r.heardAt = time.Now()
	err := r.Append(a.Text)
	switch {
	case errors.Is(err, output.ErrFragment):
		log.WarnContext(ctx, "output that a worker sent is none", "reason", err)
	case err != nil:
		log.DebugContext(ctx, "output cannot be stored now", "reason", err) // the store has said so once
		return false
	}
	if a.End {
		r.Close()
		delete(m.runs, key)
	}
	return true
}

// look closes runs of which nothing is to be expected: their attempt is over,
// and nothing came for a while, as when a worker was killed. If something comes
// all the same, it is stored.
func (m *Mover) look(ctx context.Context, idle bool) {
	now := time.Now()
	if !idle && now.Before(m.lookAt) || len(m.runs) == 0 {
		return
	}
	m.lookAt = now.Add(lookEvery)
	ids, silent := m.silent(now)
	if len(ids) == 0 {
		return
	}
	jobs, err := m.opts.Jobs.Get(ctx, ids)
	if m.trouble(ctx, err) {
		return
	}
	for i := range jobs {
		job := &jobs[i]
		for _, key := range silent[job.ID] {
			if job.Status == distro.StatusStarted && job.Attempt == m.runs[key].attempt {
				m.runs[key].heardAt = now
				continue
			}
			m.close(key)
		}
		delete(silent, job.ID)
	}
	for _, keys := range silent { // of jobs that are gone
		for _, key := range keys {
			m.close(key)
		}
	}
}

// silent returns some of the runs that were not heard of for a while, by job.
func (m *Mover) silent(now time.Time) (ids []string, runs map[string][]runKey) {
	runs = map[string][]runKey{}
	for key, r := range m.runs {
		if now.Sub(r.heardAt) < silentFor || len(ids) == lookCount {
			continue
		}
		if runs[key.jobID] == nil {
			ids = append(ids, key.jobID)
		}
		runs[key.jobID] = append(runs[key.jobID], key)
	}
	return ids, runs
}

func (m *Mover) close(key runKey) {
	m.runs[key].Close()
	delete(m.runs, key)
}

// suspend lets go of runs that go on elsewhere, or in the next process.
func (m *Mover) suspend() {
	for _, r := range m.runs {
		r.Suspend()
	}
	clear(m.runs)
}

// leave ends the turn.
func (m *Mover) leave(ctx context.Context) {
	m.suspend()
	if m.heldAt.IsZero() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveFor)
	defer cancel()
	if err := m.opts.Inbox.ReleaseOutput(ctx, m.opts.Name); err != nil {
		m.opts.Logger.DebugContext(ctx, "another orchestrator has to wait for the output of jobs", "reason", err)
	}
}

// trouble reports whether a call failed, and lets some time pass then.
func (m *Mover) trouble(ctx context.Context, err error) bool {
	if err == nil {
		if m.failed {
			m.opts.Logger.InfoContext(ctx, "output of workers elsewhere is received again")
		}
		m.failed = false
		return false
	}
	if ctx.Err() != nil {
		return true
	}
	if !m.failed {
		m.opts.Logger.WarnContext(ctx, "output of workers elsewhere cannot be received now", "reason", err)
	}
	m.failed = true
	pause(ctx, otherEvery)
	return true
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
