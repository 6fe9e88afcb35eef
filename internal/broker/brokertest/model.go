package brokertest

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

var _ broker.Broker = (*Model)(nil)

// Model is the contract as a program: a broker in memory that is as plain as it
// can be and not fast. The suite holds for it, and the state machine compares
// every other broker with it.
type Model struct {
	clock    broker.Clock
	feedKeep int

	mu        sync.Mutex
	changed   chan struct{}          // closed at the next change
	created   []*modelJob            // by creation
	lists     map[string][]*modelJob // waiting lists
	paused    map[string]bool
	workers   map[string]*modelWorker
	lastRead  time.Duration
	feed      []distro.Change
	feedStart int // entries that were trimmed
	made      int // jobs ever created
	joined    int // jobs that ever joined a waiting list
	dueKnown  time.Time
}

type modelJob struct {
	distro.Job
	seq       int
	joined    int // when it joined its waiting list
	pos       int // orders the waiting list; kept while claimed: the old order of claims given back
	expiresAt time.Time
	claim     *modelClaim
	settled   broker.Claim
	outcome   distro.Outcome
}

type modelClaim struct {
	token, worker string
	stop, told    bool
}

type modelWorker struct {
	distro.Worker
	beat, read uint64
	since      time.Duration
	known      bool // read is a reading
}

// NewModel returns an empty Model whose feed keeps feedKeep entries when it is
// swept.
func NewModel(clock broker.Clock, feedKeep int) *Model {
	return &Model{
		clock: clock, feedKeep: feedKeep, changed: make(chan struct{}),
		lists: map[string][]*modelJob{}, paused: map[string]bool{}, workers: map[string]*modelWorker{},
	}
}

func (m *Model) now() time.Time { return m.clock.Now().UTC().Truncate(time.Microsecond) }

// lock begins a change; the returned function ends it and wakes all waiters.
func (m *Model) lock() func() {
	m.mu.Lock()
	return func() {
		close(m.changed)
		m.changed = make(chan struct{})
		m.mu.Unlock()
	}
}

func (m *Model) find(id string) *modelJob {
	i := slices.IndexFunc(m.created, func(j *modelJob) bool { return j.ID == id })
	if i < 0 {
		return nil
	}
	return m.created[i]
}

// note adds to the feed that j took its status.
func (m *Model) note(j *modelJob, c distro.Change) {
	c.JobID, c.Queue, c.Status, c.Attempt, c.At = j.ID, j.Queue, j.Status, j.Attempt, m.now()
	c.Cursor = strconv.Itoa(m.feedStart + len(m.feed) + 1)
	m.feed = append(m.feed, c)
}

func (m *Model) delete(j *modelJob) {
	m.unlist(j)
	m.created = slices.DeleteFunc(m.created, func(o *modelJob) bool { return o == j })
	j.Status = ""
	m.note(j, distro.Change{})
}

func (m *Model) unlist(j *modelJob) {
	m.lists[j.Queue] = slices.DeleteFunc(m.lists[j.Queue], func(o *modelJob) bool { return o == j })
}

// push puts j into its waiting list, as a job that joins it now.
func (m *Model) push(j *modelJob, front bool) {
	m.joined++
	j.joined, j.Status, j.DueAt = m.joined, distro.StatusQueued, time.Time{}
	j.pos = m.joined
	if front {
		m.toFront(j)
	} else {
		m.lists[j.Queue] = append(m.lists[j.Queue], j)
	}
}

func (m *Model) toFront(j *modelJob) {
	m.joined++
	j.pos = -m.joined
	m.lists[j.Queue] = slices.Insert(m.lists[j.Queue], 0, j)
}

// queue puts j into its waiting list anew, where it may wait for its TTL.
func (m *Model) queue(j *modelJob, front bool) {
	m.push(j, front)
	j.EnqueuedAt, j.expiresAt = m.now(), time.Time{}
	if j.TTL > 0 {
		j.expiresAt = m.now().Add(j.TTL)
	}
}

// Enqueue implements broker.Broker.
func (m *Model) Enqueue(_ context.Context, jobs []distro.Job) ([]broker.EnqueueResult, error) {
	if err := broker.CheckJobs(jobs); err != nil {
		return nil, err
	}
	defer m.lock()()
	var results []broker.EnqueueResult
	for _, job := range jobs {
		if old := m.find(job.ID); old != nil {
			result := broker.EnqueueConflict
			if old.Fingerprint != "" && old.Fingerprint == job.Fingerprint {
				result = broker.EnqueueRepeated
			}
			results = append(results, result)
			continue
		}
		m.made++
		j := &modelJob{Job: job, seq: m.made}
		j.Status, j.Asked, j.Attempt, j.Worker, j.Result, j.CreatedAt = "", 0, 0, "", nil, m.now()
		j.EnqueuedAt, j.StartedAt, j.EndedAt = time.Time{}, time.Time{}, time.Time{}
		m.created = append(m.created, j)
		if j.DueAt.After(m.now()) {
			j.Status = distro.StatusScheduled
		} else {
			m.queue(j, false)
		}
		m.note(j, distro.Change{})
		results = append(results, broker.Enqueued)
	}
	return results, nil
}

// Act implements broker.Broker.
func (m *Model) Act(_ context.Context, action broker.Action, ids []string) ([]error, error) {
	if err := action.Check(); err != nil {
		return nil, err
	}
	defer m.lock()()
	errs := make([]error, len(ids))
	for i, id := range ids {
		errs[i] = broker.ErrNotFound
		if j := m.find(id); j != nil {
			errs[i] = m.act(action, j)
		}
	}
	return errs, nil
}

func (m *Model) act(action broker.Action, j *modelJob) error {
	allowed := map[broker.Action][]distro.Status{
		broker.ActionCancel:   {distro.StatusQueued, distro.StatusScheduled, distro.StatusDeferred},
		broker.ActionRequeue:  {distro.StatusFailed, distro.StatusStopped, distro.StatusCanceled},
		broker.ActionRunFirst: {distro.StatusQueued, distro.StatusScheduled},
		broker.ActionStop:     {distro.StatusStarted},
		broker.ActionDelete: slices.DeleteFunc(distro.Statuses(), func(s distro.Status) bool {
			return s == distro.StatusStarted
		}),
	}
	if !slices.Contains(allowed[action], j.Status) {
		return broker.ErrConflict
	}
	switch action {
	case broker.ActionCancel:
		m.unlist(j)
		j.claim, j.Status, j.DueAt, j.expiresAt = nil, distro.StatusCanceled, time.Time{}, time.Time{}
		m.note(j, distro.Change{})
	case broker.ActionRequeue:
		m.queue(j, false)
		m.note(j, distro.Change{})
	case broker.ActionDelete:
		m.delete(j)
	case broker.ActionRunFirst:
		m.runFirst(j)
	case broker.ActionStop:
		j.claim.stop = true
	}
	return nil
}

// runFirst leaves claimed jobs alone: they are ahead of all that wait.
func (m *Model) runFirst(j *modelJob) {
	switch {
	case j.Status == distro.StatusScheduled:
		m.queue(j, true)
		m.note(j, distro.Change{})
	case j.claim == nil:
		m.unlist(j)
		m.toFront(j)
	}
}

// Get implements broker.Broker.
func (m *Model) Get(_ context.Context, ids []string) ([]distro.Job, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var jobs []distro.Job
	for _, id := range ids {
		if j := m.find(id); j != nil {
			jobs = append(jobs, j.Job)
		}
	}
	return jobs, nil
}

// List implements broker.Broker.
func (m *Model) List(_ context.Context, q broker.ListQuery) (broker.Page, error) {
	if err := q.Check(); err != nil {
		return broker.Page{}, err
	}
	before, err := m.cursor(q.Cursor)
	if err != nil {
		return broker.Page{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var page broker.Page
	for _, j := range slices.Backward(m.created) {
		if q.Cursor != "" && j.seq >= before || !selects(q, &j.Job) {
			continue
		}
		if len(page.Jobs) == cmp.Or(q.Limit, 50) {
			page.Next = strconv.Itoa(m.find(page.Jobs[len(page.Jobs)-1].ID).seq)
			break
		}
		job := j.Job
		job.Payload.Data, job.Result, job.Earlier = nil, nil, nil
		page.Jobs = append(page.Jobs, job)
	}
	return page, nil
}

// selects reports whether the filters of q select j.
func selects(q broker.ListQuery, j *distro.Job) bool {
	return (q.Queue == "" || q.Queue == j.Queue) && (q.Status == "" || q.Status == j.Status) &&
		(q.Function == "" || q.Function == j.Function)
}

func (m *Model) cursor(s string) (int, error) {
	n, err := strconv.Atoi(cmp.Or(s, "0"))
	if err != nil || n < 0 {
		return 0, distro.Invalid("cursor", "not a cursor")
	}
	return n, nil
}

// Counts implements broker.Broker.
func (m *Model) Counts(context.Context) (broker.Counts, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	infos := map[string]distro.QueueInfo{}
	info := func(name string) distro.QueueInfo {
		if i, ok := infos[name]; ok {
			return i
		}
		return distro.QueueInfo{Name: name, Paused: m.paused[name], Jobs: map[distro.Status]int{}}
	}
	for _, j := range m.created {
		i := info(j.Queue)
		i.Jobs[j.Status]++
		infos[j.Queue] = i
	}
	for name := range m.paused {
		if name != "" {
			infos[name] = info(name)
		}
	}
	c := broker.Counts{Suspended: m.paused[""]}
	for name, i := range infos {
		for _, j := range m.lists[name] {
			if i.OldestAt.IsZero() || j.EnqueuedAt.Before(i.OldestAt) {
				i.OldestAt = j.EnqueuedAt
			}
		}
		c.Queues = append(c.Queues, i)
	}
	slices.SortFunc(c.Queues, func(a, b distro.QueueInfo) int { return strings.Compare(a.Name, b.Name) })
	return c, nil
}

// SetPaused implements broker.Broker.
func (m *Model) SetPaused(_ context.Context, queue string, paused bool) error {
	defer m.lock()()
	if paused {
		m.paused[queue] = true
	} else {
		delete(m.paused, queue)
	}
	return nil
}

// Empty implements broker.Broker.
func (m *Model) Empty(_ context.Context, queue, cursor string, limit int) (int, string, error) {
	mark, err := m.cursor(cursor)
	if err != nil {
		return 0, "", err
	}
	defer m.lock()()
	if cursor == "" {
		mark = m.joined
	}
	deleted := 0
	for _, j := range slices.Clone(m.lists[queue]) {
		if deleted == limit {
			return deleted, strconv.Itoa(mark), nil
		}
		if j.joined <= mark {
			m.delete(j)
			deleted++
		}
	}
	return deleted, "", nil
}

// Changes implements broker.Broker.
func (m *Model) Changes(_ context.Context, cursor string, limit int) ([]distro.Change, error) {
	behind, err := m.cursor(cursor)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if cursor == "" {
		behind = m.feedStart
	}
	if behind < m.feedStart || behind > m.feedStart+len(m.feed) {
		return nil, broker.ErrCursorLost
	}
	if limit, err = broker.PageLimit(limit); err != nil {
		return nil, err
	}
	rest := m.feed[behind-m.feedStart:]
	return slices.Clone(rest[:min(len(rest), limit)]), nil
}

// FeedEnd implements broker.Broker.
func (m *Model) FeedEnd(context.Context) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.feed) == 0 {
		return "", nil
	}
	return m.feed[len(m.feed)-1].Cursor, nil
}

// Wait implements broker.Broker.
func (m *Model) Wait(ctx context.Context, in broker.Interest) error {
	cursor, err := m.cursor(in.Cursor)
	if err != nil {
		return err
	}
	for {
		m.mu.Lock()
		there, changed := m.there(in, cursor), m.changed
		m.mu.Unlock()
		if ctx.Err() != nil || there {
			return ctx.Err()
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

func (m *Model) there(in broker.Interest, cursor int) bool {
	return m.claimable(in.Queues) || in.Worker != "" && m.stopFor(in.Worker) ||
		in.Due && m.dueEarlier() || in.Feed && cursor != m.feedStart+len(m.feed)
}

func (m *Model) claimable(queues []string) bool {
	for _, q := range queues {
		if len(m.lists[q]) > 0 && !m.paused[q] && !m.paused[""] {
			return true
		}
	}
	return false
}

func (m *Model) stopFor(worker string) bool {
	for _, j := range m.created {
		if j.claim != nil && j.claim.worker == worker && j.claim.stop && !j.claim.told {
			return true
		}
	}
	return false
}

func (m *Model) dueEarlier() bool {
	due := m.nextDue()
	return !due.IsZero() && (m.dueKnown.IsZero() || due.Before(m.dueKnown))
}

func (m *Model) nextDue() time.Time {
	var next time.Time
	for _, j := range m.created {
		if j.Status == distro.StatusScheduled && (next.IsZero() || j.DueAt.Before(next)) {
			next = j.DueAt
		}
	}
	return next
}
