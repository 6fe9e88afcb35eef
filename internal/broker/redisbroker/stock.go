package redisbroker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// Bounds of one look at what RQ's own workers did. No command takes Redis
// longer than a millisecond or two; many are sent at once.
const (
	lookJobs     = 2000      // jobs that are read
	lookForgot   = 500       // of these, jobs of registries that are too large to be remembered
	lookMembers  = 20_000    // members of registries that are read again, of all together
	lookAtLeast  = 500       // and of each
	lookAtMost   = 5000      // and of each
	lookPage     = 500       // members that one command reads
	lookPages    = 40        // pages of what is new in one registry
	lookQueues   = 64        // queues, in turn
	lookTail     = 256       // waiting jobs at the back of a queue
	lookFront    = 64        // waiting jobs at its front
	lookScript   = 16        // jobs that one script reads
	lookCut      = 256 << 10 // bytes of a value
	lookRoom     = 512 << 10 // bytes of the entries of one job
	lookFollowed = 10_000    // jobs that are followed
	lookNames    = 5000      // workers whose host is remembered

	// lookOnce is how long a job that was found is looked at again: what
	// happens to it within a second need not change its place in a registry.
	lookOnce = 3 * time.Second
)

// Stock finds what workers of RQ's own do: it reads registries, hashes of jobs
// and of workers, and results, and writes nothing. It is for one goroutine.
//
// What a Look returns it returns once. A Stock remembers what it has seen only
// as far as that is bounded, so it may return an attempt once more, as a new
// Stock does, with the same Run wherever RQ tells it.
type Stock struct {
	b       *Broker
	seen    *memory
	places  map[string]*place
	follow  map[string]*followed
	workers map[string]distro.Worker // by name: those that were looked for
	present map[string]distro.Worker // by name: those that were there at the last look
	turn    int                      // where the next look at the queues begins
	begun   bool
}

// Stock returns what finds the attempts on workers of RQ's own.
func (b *Broker) Stock() *Stock {
	return &Stock{
		b: b, seen: newMemory(), places: map[string]*place{}, follow: map[string]*followed{}, workers: map[string]distro.Worker{},
	}
}

// Follow takes over attempts that were seen running by an earlier Stock, so
// that their end is told.
func (s *Stock) Follow(list []distro.Execution) {
	for i := range list {
		e := &list[i]
		if len(s.follow) < lookFollowed && s.follow[e.JobID] == nil {
			s.follow[e.JobID] = &followed{
				queue: e.Queue, run: e.Run, started: rqTime(e.StartedAt), at: e.StartedAt, worker: e.Worker, retries: -1,
			}
		}
	}
}

// candidate is a job that is to be read.
type candidate struct {
	id    string
	mark  uint64 // of memory; 0: it is not remembered
	value uint64
	still bool // it is remembered only when it runs or has ended
}

// look is one Look.
type look struct {
	*Stock
	found   []candidate
	listed  map[string]bool
	running map[string]bool // jobs that workers name
	room    int             // jobs that may still be found
	more    bool
	busy    bool
	commit  []func()
}

// Look looks once. It does a bounded part of what there is to do: of registries
// of up to some thousands of members it finds everything that is new; of larger
// ones what lies above what it has seen, and the rest by and by. After an error
// nothing counts as seen.
func (s *Stock) Look(ctx context.Context) (broker.StockLook, error) {
	l := &look{Stock: s, listed: map[string]bool{}, running: map[string]bool{}, room: lookJobs}
	queues, err := s.b.lookedAfter(ctx)
	if err != nil {
		return broker.StockLook{}, err
	}
	changed, err := l.lookAtWorkers(ctx)
	if err != nil {
		return broker.StockLook{}, fmt.Errorf("list RQ's workers: %w", err)
	}
	for id := range s.follow {
		l.add(candidate{id: id})
	}
	for id := range l.running {
		l.add(candidate{id: id})
	}
	if err := l.lookAtQueues(ctx, queues, changed); err != nil {
		return broker.StockLook{}, fmt.Errorf("look at RQ's registries: %w", err)
	}
	runs, err := l.jobs(ctx)
	if err != nil {
		return broker.StockLook{}, fmt.Errorf("read %d jobs: %w", len(l.found), err)
	}
	for _, do := range l.commit {
		do()
	}
	s.begun = true
	s.seen.turn()
	for _, f := range s.follow {
		l.busy = l.busy || f.run != ""
	}
	return broker.StockLook{Runs: runs, More: l.more, Busy: l.busy}, nil
}

// add lets a job be read, once.
func (l *look) add(c candidate) {
	if c.mark != 0 && l.listed[c.id] {
		l.found = append(l.found, c) // only to be remembered
		return
	}
	if !l.listed[c.id] {
		l.listed[c.id] = true
		l.found = append(l.found, c)
	}
}

// lookAtWorkers learns which jobs the stock workers run. It returns the queues
// where one has failed at an attempt, or has come or gone: there a job may wait
// that is tried again.
func (l *look) lookAtWorkers(ctx context.Context) (map[string]bool, error) {
	short, cancel := l.b.bound(ctx)
	defer cancel()
	list, err := l.b.stockWorkers(short)
	if err != nil {
		return nil, err
	}
	present, changed := map[string]distro.Worker{}, map[string]bool{}
	change := func(w distro.Worker) {
		for _, queue := range w.Queues {
			changed[queue] = true
		}
	}
	for _, w := range list {
		for _, id := range w.Running {
			l.running[id] = true
		}
		present[w.Name] = w
		if was, known := l.present[w.Name]; !known || was.Failed != w.Failed {
			change(w)
		}
	}
	for name, w := range l.present {
		if _, stays := present[name]; !stays {
			change(w)
		}
	}
	l.busy = len(list) > 0
	l.commit = append(l.commit, func() {
		l.present = present
		if len(l.Stock.workers)+len(list) > lookNames {
			clear(l.Stock.workers)
		}
		for _, w := range list {
			l.Stock.workers[w.Name] = w
		}
	})
	return changed, nil
}

// lookAtQueues finds jobs in the registries of some queues.
func (l *look) lookAtQueues(ctx context.Context, queues []string, changed map[string]bool) error {
	if l.turn >= len(queues) {
		l.turn = 0
	}
	part := queues[l.turn:min(l.turn+lookQueues, len(queues))]
	l.turn += len(part)
	var places []*place
	for _, queue := range part {
		for _, key := range []string{keyStarted, keyFinished, keyFailed, keyScheduled} {
			if l.places[key+queue] == nil {
				l.places[key+queue] = newPlace(key, queue)
			}
			places = append(places, l.places[key+queue])
		}
	}
	if err := l.measure(ctx, places); err != nil {
		return err
	}
	share := min(max(lookMembers/max(len(places), 1), lookAtLeast), lookAtMost)
	for _, p := range places {
		if err := l.lookAt(ctx, p, int64(share)); err != nil {
			return err
		}
	}
	for _, queue := range part {
		if !l.begun || changed[queue] {
			if err := l.lookAtWaiting(ctx, queue); err != nil {
				return err
			}
		}
	}
	return nil
}

// measure asks how many members registries have.
func (l *look) measure(ctx context.Context, places []*place) error {
	short, cancel := l.b.bound(ctx)
	defer cancel()
	commands := make(rueidis.Commands, len(places))
	for i, p := range places {
		commands[i] = l.b.client.B().Zcard().Key(p.key).Build()
	}
	for i, answer := range l.b.client.DoMulti(short, commands...) {
		size, err := readable(answer.AsInt64())
		if err != nil {
			return err
		}
		places[i].size = size
	}
	return nil
}

// lookAtWaiting looks for jobs that failed and wait for their next attempt: at
// the back of a queue, and at its front.
func (l *look) lookAtWaiting(ctx context.Context, queue string) error {
	short, cancel := l.b.bound(ctx)
	defer cancel()
	c := l.b.client.B()
	for _, answer := range l.b.client.DoMulti(short,
		c.Lrange().Key(keyQueue+queue).Start(-lookTail).Stop(-1).Build(), c.Lrange().Key(keyQueue+queue).Start(0).Stop(lookFront-1).Build(),
	) {
		ids, err := readable(answer.AsStrSlice())
		if err != nil {
			return err
		}
		for _, id := range ids {
			l.add(candidate{id: id})
		}
	}
	return nil
}

// summary is what tells whether there may be an attempt on a stock worker.
type summary struct {
	fields  map[string]string
	entries int64 // of the results
}

// state changes with every attempt that RQ leaves a trace of.
func (y summary) state() string {
	return strings.Join([]string{
		y.fields["status"], y.fields["started_at"], y.fields["ended_at"], y.fields["worker_name"], strconv.FormatInt(y.entries, 10),
	}, " ")
}

// jobs reads the jobs that were found, and returns what is new.
func (l *look) jobs(ctx context.Context) ([]broker.StockRun, error) {
	known := map[string]summary{}
	var ids, wanted []string
	for _, c := range l.found {
		if _, twice := known[c.id]; !twice {
			known[c.id] = summary{}
			ids = append(ids, c.id)
		}
	}
	for part := range slices.Chunk(ids, pipelineStep/2) {
		if err := l.summarize(ctx, part, known); err != nil {
			return nil, err
		}
	}
	for _, id := range ids {
		if l.isNews(id, known[id]) {
			wanted = append(wanted, id)
		}
	}
	for _, c := range l.found {
		// RQ 2 registers an attempt before it begins: that is looked at again.
		status := distro.Status(known[c.id].fields["status"])
		if c.mark != 0 && !(c.still && status == distro.StatusQueued) {
			l.commit = append(l.commit, func() { l.seen.put(c.mark, c.value) })
		}
	}
	var runs []broker.StockRun
	for part := range slices.Chunk(wanted, lookScript) {
		jobs, err := l.readJobs(ctx, part)
		if err != nil {
			return nil, err
		}
		for _, j := range jobs {
			runs = append(runs, l.runsOf(j, known[j.id].state())...)
		}
	}
	return runs, l.nameHosts(ctx, runs)
}

func (l *look) summarize(ctx context.Context, ids []string, into map[string]summary) error {
	ctx, cancel := l.b.bound(ctx)
	defer cancel()
	names := []string{"status", "started_at", "ended_at", "worker_name", fieldClaim, fieldSettled, fieldResult}
	commands := make(rueidis.Commands, 0, 2*len(ids))
	for _, id := range ids {
		c := l.b.client.B()
		commands = append(commands, c.Hmget().Key(keyJob+id).Field(names...).Build(), c.Xlen().Key(keyResults+id).Build())
	}
	answers := l.b.client.DoMulti(ctx, commands...)
	for i, id := range ids {
		fields, err := readable(columns(answers[2*i], names...))
		if err != nil {
			return err
		}
		entries, err := readable(answers[2*i+1].AsInt64())
		if err != nil {
			return err
		}
		into[id] = summary{fields, entries}
	}
	return nil
}

// isNews reports whether a job may tell of an attempt that was not told yet.
func (l *look) isNews(id string, y summary) bool {
	was, status := l.follow[id], distro.Status(y.fields["status"])
	if was != nil && was.run != "" {
		// Where a client canceled or deleted it, the worker tells when it ends.
		return was.state != y.state() || status != distro.StatusStarted && !l.running[id]
	}
	if was != nil && was.state == y.state() {
		if l.b.opts.Clock.Monotonic() > was.settled {
			l.commit = append(l.commit, func() { delete(l.follow, id) })
		}
		return false
	}
	return !l.seen.has(l.seen.mark(id, y.state()), 1) && y.mayTell(id)
}

// mayTell reports whether there may be an attempt on a stock worker.
func (y summary) mayTell(id string) bool {
	job := decodeRecord(id, y.fields)
	status := job.Status
	_, token, own := ownResult(&job, y.fields)
	switch {
	case status == distro.StatusStarted && isClaimed(y.fields):
		return y.entries > 0
	case own && token != "" && status.Ended():
		return y.entries > 1 // the newest is of that attempt
	case own && token != "":
		return y.entries > 0
	}
	return y.entries > 0 || !job.StartedAt.IsZero()
}

// readJobs reads jobs, each as it is at one moment.
func (l *look) readJobs(ctx context.Context, ids []string) ([]stockJob, error) {
	ctx, cancel := l.b.bound(ctx)
	defer cancel()
	args := append([]string{strconv.Itoa(lookCut), strconv.Itoa(lookRoom), keyJob, keyResults, keyExecutions}, ids...)
	answer, err := l.b.inspect(ctx, "stock", nil, args)
	if err != nil {
		return nil, err
	}
	list, err := answer.ToArray()
	if err != nil || len(list) != len(ids) {
		return nil, malformed("stock", err)
	}
	jobs := make([]stockJob, len(ids))
	for i := range list {
		if jobs[i], err = parseStockJob(ids[i], &list[i]); err != nil {
			return nil, malformed("stock", err)
		}
	}
	return jobs, nil
}

var errShape = errors.New("not of the expected form")

func parseStockJob(id string, m *rueidis.RedisMessage) (stockJob, error) {
	parts, err := m.ToArray()
	if err != nil || len(parts) != 3 {
		return stockJob{}, errors.Join(errShape, err)
	}
	fields, err := texts(&parts[0])
	execs, errExecs := texts(&parts[1])
	entries, errEntries := parts[2].ToArray()
	if err := errors.Join(err, errExecs, errEntries); err != nil {
		return stockJob{}, err
	}
	j := stockJob{id: id, fields: fieldMap(fields), execs: execs}
	for i := range entries {
		entry, err := entries[i].ToArray()
		if err != nil || len(entry) != 2 {
			return stockJob{}, errors.Join(errShape, err)
		}
		name, err := entry[0].ToString()
		values, errValues := texts(&entry[1])
		if err := errors.Join(err, errValues); err != nil {
			return stockJob{}, err
		}
		j.entries = append(j.entries, rueidis.XRangeEntry{ID: name, FieldValues: fieldMap(values)})
	}
	return j, nil
}

// runsOf is what a job tells, and notes what is to be followed. Its state is the
// one before it was read, so that what changed since is read once more.
func (l *look) runsOf(j stockJob, state string) []broker.StockRun {
	runs, now := l.b.codec.stockRuns(j, l.follow[j.id], l.running[j.id])
	next := followed{queue: j.fields["origin"], settled: l.b.opts.Clock.Monotonic() + lookOnce}
	if now != nil {
		next = *now
	}
	next.state, next.read, next.entry = state, true, ""
	if len(j.entries) > 0 {
		next.entry = j.entries[0].ID
	}
	l.commit = append(l.commit, func() {
		l.seen.put(l.seen.mark(j.id, next.state), 1)
		if l.follow[j.id] != nil || len(l.follow) < lookFollowed {
			l.follow[j.id] = &next
		}
	})
	return runs
}

func fieldMap(list []string) map[string]string {
	fields := make(map[string]string, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		fields[list[i]] = list[i+1]
	}
	return fields
}

// nameHosts completes runs by what is known of their workers.
func (l *look) nameHosts(ctx context.Context, runs []broker.StockRun) error {
	var names []string
	for i := range runs {
		name := runs[i].Execution.Worker
		if _, known := l.Stock.workers[name]; !known && name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for part := range slices.Chunk(names, pipelineStep) {
		short, cancel := l.b.bound(ctx)
		commands := make(rueidis.Commands, len(part))
		for i, name := range part {
			commands[i] = l.b.client.B().Hmget().Key(keyWorker+name).Field("hostname", "python_version").Build()
		}
		answers := l.b.client.DoMulti(short, commands...)
		cancel()
		for i, answer := range answers {
			fields, err := readable(columns(answer, "hostname", "python_version"))
			if err != nil {
				return err
			}
			l.Stock.workers[part[i]] = stockWorker(part[i], fields)
		}
	}
	for i := range runs {
		e := &runs[i].Execution
		w := l.Stock.workers[e.Worker]
		e.Host, e.Python = w.Host, w.Python
	}
	return nil
}
