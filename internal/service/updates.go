package service

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// Update is what became different since the update before.
type Update struct {
	// Position is behind all changes that were told; empty in an Update that
	// tells of none.
	Position string
	// Resync says that changes were missed: what is shown has to be read anew.
	Resync bool
	// Changes hold the newest of each job. More counts those that are left out
	// for their number.
	Changes []distro.Change
	More    int

	Current    *Current    // nil: as before
	Operations []Operation // those that are not as before
}

func (u *Update) empty() bool {
	return u.Position == "" && !u.Resync && u.Current == nil && len(u.Operations) == 0
}

// Current is what waits and runs.
type Current struct {
	Queues    []distro.QueueInfo
	Suspended bool // no worker starts a job
	Workers   int
	Stock     int // of these, those of RQ's own
	Slots     int // of Distro's workers
	Running   int // jobs
}

const (
	updateEvery  = 500 * time.Millisecond // at most, to one client
	lookEvery    = time.Second            // for what no change tells of
	maxChanges   = 500                    // of one Update
	replayPages  = 20                     // of broker.MaxPage changes, then a client has to resync
	maxTopics    = 100
	shownUpdates = 20 // operations that updates tell of
)

// Topics of updates: everything that happens to jobs, to those of one queue, to
// one job; Current; operations.
const (
	TopicJobs       = "jobs"
	TopicQueue      = "queue:" // and its name
	TopicJob        = "job:"   // and its ID
	TopicOverview   = "overview"
	TopicOperations = "operations"
)

// topics are checked.
type topics struct {
	all, overview, operations bool
	queues, jobs              map[string]bool
}

func parseTopics(names []string) (topics, error) {
	t := topics{queues: map[string]bool{}, jobs: map[string]bool{}}
	if len(names) > maxTopics {
		return t, distro.Invalid("topics", "must be at most %d", maxTopics)
	}
	for _, name := range names {
		queue, isQueue := strings.CutPrefix(name, TopicQueue)
		job, isJob := strings.CutPrefix(name, TopicJob)
		switch {
		case name == TopicJobs:
			t.all = true
		case name == TopicOverview:
			t.overview = true
		case name == TopicOperations:
			t.operations = true
		case isQueue && queue != "" && len(queue) <= maxForeignID:
			t.queues[queue] = true
		case isJob && job != "" && len(job) <= maxForeignID:
			t.jobs[job] = true
		default:
			return t, distro.Invalid("topics", "%.60q is none; there are jobs, queue:NAME, job:ID, overview and operations", name)
		}
	}
	return t, nil
}

func (t *topics) want(c *distro.Change) bool { return t.all || t.queues[c.Queue] || t.jobs[c.JobID] }

// listener gathers changes for a client: however many come and however slow it
// is, it holds the newest of maxChanges jobs.
type listener struct {
	changed chan error // as those of follower.watch

	mu       sync.Mutex
	topics   topics
	order    []distro.Change
	index    map[string]int // of order, by job ID
	more     int
	position string // of the last change heard, wanted or not
	missed   bool
}

func (l *listener) hear(changes []distro.Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	told := l.topics.overview
	for i := range changes {
		told = l.add(&changes[i]) || told
	}
	l.position = changes[len(changes)-1].Cursor
	if told {
		signal(l.changed, nil)
	}
}

// add reports whether a change is one that the client wants.
func (l *listener) add(c *distro.Change) bool {
	if !l.topics.want(c) {
		return false
	}
	if at, ok := l.index[c.JobID]; ok {
		l.order[at] = *c
		return true
	}
	if len(l.order) == maxChanges {
		l.more++
		return true
	}
	l.index[c.JobID] = len(l.order)
	l.order = append(l.order, *c)
	return true
}

func (l *listener) miss() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.missed = true
	signal(l.changed, nil)
}

// before puts changes in front of those that were heard already.
func (l *listener) before(changes []distro.Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	heard := l.order
	l.order, l.index = nil, map[string]int{}
	for i := range changes {
		l.add(&changes[i])
	}
	for i := range heard {
		l.add(&heard[i])
	}
}

// take returns what was gathered and begins anew.
func (l *listener) take() Update {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := Update{Resync: l.missed, Changes: l.order, More: l.more}
	if u.Resync || len(u.Changes) > 0 {
		u.Position = l.position
	}
	l.order, l.index, l.more, l.missed = nil, map[string]int{}, 0, false
	return u
}

// Subscription says what one client is told. Its topics may change while it is
// told.
type Subscription struct{ listener listener }

// Subscribe returns a Subscription to topics, for one Follow.
func Subscribe(names []string) (*Subscription, error) {
	t, err := parseTopics(names)
	if err != nil {
		return nil, err
	}
	return &Subscription{listener{changed: make(chan error, 1), topics: t, index: map[string]int{}}}, nil
}

// SetTopics takes other topics in place of those before.
func (s *Subscription) SetTopics(names []string) error {
	t, err := parseTopics(names)
	if err != nil {
		return err
	}
	s.listener.mu.Lock()
	defer s.listener.mu.Unlock()
	s.listener.topics = t
	signal(s.listener.changed, nil)
	return nil
}

func (s *Subscription) wants() (overview, operations bool) {
	s.listener.mu.Lock()
	defer s.listener.mu.Unlock()
	return s.listener.topics.overview, s.listener.topics.operations
}

// Follow hands to send what becomes different, until ctx or the queue ends it:
// the first Update at once, later ones at most every half second, and an empty
// one when there was nothing for the time of beat. With after, the Position of
// an Update of an earlier Follow, also of another process, it goes on behind it;
// where that is too long ago the first Update says Resync.
func (s *Service) Follow(ctx context.Context, sub *Subscription, after string, beat time.Duration, send func(Update) error) error {
	l := &sub.listener
	position, leave, err := s.follower.listen(ctx, l)
	if err != nil {
		return fault(err)
	}
	defer leave()
	gap, err := s.replay(ctx, l, after, position)
	if err != nil {
		return err
	}
	var told told
	u, err := s.update(ctx, sub, &told)
	if err != nil {
		return err
	}
	if u.Resync = u.Resync || gap; u.Position == "" {
		u.Position = position
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		if err := send(u); err != nil {
			return err
		}
		sent := time.Now()
		for u = (Update{}); u.empty() && time.Since(sent) < beat; {
			if err := l.pause(ctx, look.C, sent.Add(updateEvery)); err != nil {
				return fault(fmt.Errorf("follow changes: %w", err))
			}
			if u, err = s.update(ctx, sub, &told); err != nil {
				return err
			}
		}
	}
}

// pause waits until something changed or look ticks, and at least until a time.
func (l *listener) pause(ctx context.Context, look <-chan time.Time, until time.Time) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-l.changed:
		if err != nil {
			return err
		}
	case <-look:
	}
	return sleep(ctx, time.Until(until))
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// replay lets l hear of what happened between after and position, where it hears
// by itself. It reports whether some of it is not known any more.
func (s *Service) replay(ctx context.Context, l *listener, after, position string) (gap bool, err error) {
	var old []distro.Change
	for range replayPages {
		if after == "" || after == position {
			l.before(old)
			return false, nil
		}
		page, err := s.opts.Broker.Changes(ctx, after, broker.MaxPage)
		switch {
		case errors.Is(err, broker.ErrCursorLost), distro.ErrorCode(err) == distro.CodeInvalid:
			return true, nil
		case err != nil:
			return false, fault(fmt.Errorf("go on behind %.60q: %w", after, err))
		case len(page) == 0:
			l.before(old)
			return false, nil
		}
		after = page[len(page)-1].Cursor
		if at := slices.IndexFunc(page, func(c distro.Change) bool { return c.Cursor == position }); at >= 0 {
			page, after = page[:at+1], position
		}
		old = append(old, page...)
	}
	return true, nil
}

// told is what a client knows.
type told struct {
	current    Current
	knows      bool
	operations map[string]Operation
}

// update is what is new to a client.
func (s *Service) update(ctx context.Context, sub *Subscription, told *told) (Update, error) {
	u := sub.listener.take()
	overview, operations := sub.wants()
	if told.knows = told.knows && overview; overview {
		now, err := s.glance.get(ctx, s.Current)
		if err != nil {
			return Update{}, err
		}
		if !told.knows || !reflect.DeepEqual(now, told.current) {
			told.current, told.knows, u.Current = now, true, &now
		}
	}
	if operations {
		list, err := s.work.get(ctx, func(ctx context.Context) ([]Operation, error) { return s.Operations(ctx, shownUpdates) })
		if err == nil { // history being away is told elsewhere, and ends nothing
			u.Operations = told.news(list)
		}
	}
	return u, nil
}

// news are the operations of list that are not as they were told.
func (t *told) news(list []Operation) []Operation {
	known := t.operations
	t.operations = make(map[string]Operation, len(list))
	var news []Operation
	for _, o := range list {
		t.operations[o.ID] = o
		if old, ok := known[o.ID]; !ok || !reflect.DeepEqual(old, o) {
			news = append(news, o)
		}
	}
	return news
}

// Current counts what waits and runs.
func (s *Service) Current(ctx context.Context) (Current, error) {
	counts, err := s.Queues(ctx)
	if err != nil {
		return Current{}, err
	}
	workers, err := s.Workers(ctx)
	if err != nil {
		return Current{}, err
	}
	now := Current{Queues: counts.Queues, Suspended: counts.Suspended, Workers: len(workers)}
	for _, w := range workers {
		now.Running += len(w.Running)
		if w.Stock {
			now.Stock++
		} else {
			now.Slots += w.Slots
		}
	}
	return now, nil
}

// shared is a value that many ask for at about the same time: it is found once.
type shared[T any] struct {
	mu    sync.Mutex
	at    time.Time
	value T
}

// get returns a value that is younger than the time between two updates.
func (v *shared[T]) get(ctx context.Context, find func(context.Context) (T, error)) (T, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if time.Since(v.at) < updateEvery/2 {
		return v.value, nil
	}
	value, err := find(ctx)
	if err == nil {
		v.value, v.at = value, time.Now()
	}
	return value, err
}
