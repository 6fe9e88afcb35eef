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

// Bounds of a survey, whatever the Redis holds: what goes beyond them is
// counted, and said to be a sample.
const (
	surveyEntries = 20_000   // entries of lists and registries that are looked at
	surveyOfList  = 1000     // of them from each end of one list
	surveyCalls   = 4000     // jobs whose call is read
	surveyCall    = 1 << 20  // bytes of a call; longer ones are only counted
	surveyBytes   = 64 << 20 // bytes of all calls together
	surveyBatch   = 4 << 20  // bytes of the calls that are asked for at a time
	surveyQueues  = 2000     // queues that are described
	surveyWorkers = 2000
	surveyNames   = 5000 // functions that are told apart
	surveyKeys    = 20   // steps of SCAN that look for jobs in no list
	surveyIDs     = 10   // examples of each kind of trouble
)

// ErrNoQueues: the database of a survey holds neither queues nor workers of RQ.
var ErrNoQueues = errors.New("RQ was never used in this database")

// SurveyOptions say which Redis is looked at.
type SurveyOptions struct {
	URL   string // as Options.URL
	Clock broker.Clock
	// Schedule names queues whose scheduler is of interest though they were
	// never used.
	Schedule []string
	Timeout  time.Duration // of one step; default 30 s
}

// Survey is what a Redis of RQ's holds. The counts are exact at the moment they
// were read; what is told of single jobs is of those that were looked at.
type Survey struct {
	Info      Info             `json:"-"`
	Where     string           `json:"address"`
	Version   string           `json:"version,omitempty"` // of the server
	Warnings  []string         `json:"warnings,omitempty"`
	Keys      int64            `json:"keys"`
	At        time.Time        `json:"at"` // by the clock of Redis
	Suspended bool             `json:"suspended"`
	Distro    bool             `json:"distro"` // keys of Distro are there
	Queues    []SurveyedQueue  `json:"queues"`
	Workers   []SurveyedWorker `json:"workers"`
	Crons     []string         `json:"cron_schedulers,omitempty"` // names, of RQ 2.6 and later
	Clues     []SurveyedClue   `json:"clues,omitempty"`
	Jobs      SurveyedJobs     `json:"jobs"`

	// Schedulers are those who hold RQ's lock of a queue, used or only listened to.
	Schedulers []SurveyedScheduler `json:"schedulers"`
}

// SurveyedQueue is a queue by its counts.
type SurveyedQueue struct {
	Name         string     `json:"name"`
	Queued       int64      `json:"queued"`
	Intermediate int64      `json:"intermediate"` // popped by a stock worker and not begun
	Held         int64      `json:"held"`         // claimed by a Distro worker and not begun
	Started      int64      `json:"started"`
	Scheduled    int64      `json:"scheduled"`
	Deferred     int64      `json:"deferred"`
	Failed       int64      `json:"failed"` // stopped ones too
	Finished     int64      `json:"finished"`
	Canceled     int64      `json:"canceled"`
	Due          int64      `json:"due"`       // scheduled ones whose time has come
	Abandoned    int64      `json:"abandoned"` // started ones that no worker has kept up
	Expired      int64      `json:"expired"`   // finished and failed ones whose time is over
	OldestAt     *time.Time `json:"oldest_at,omitempty"`
	Cleaning     bool       `json:"cleaning"` // the lock of RQ's maintenance is held
	Looked       int        `json:"looked"`   // entries that were looked at
	Sampled      bool       `json:"sampled"`  // they are not all
	Gone         int        `json:"gone"`     // of these, whose job is not there
	GoneIDs      []string   `json:"gone_ids,omitempty"`
}

// SurveyedScheduler moves the scheduled jobs of a queue when they are due.
type SurveyedScheduler struct {
	Queue string `json:"queue"`
	Who   string `json:"who"`
}

// SurveyedWorker is a worker, of RQ or a process of Distro's.
type SurveyedWorker struct {
	Name    string     `json:"name"`
	Alive   bool       `json:"alive"`
	Distro  bool       `json:"distro"`
	Queues  []string   `json:"queues"`
	Version string     `json:"version,omitempty"` // of RQ or Distro
	Python  string     `json:"python,omitempty"`
	Host    string     `json:"host,omitempty"`
	PID     int        `json:"pid,omitempty"`
	State   string     `json:"state,omitempty"`
	Running []string   `json:"running,omitempty"`
	SeenAt  *time.Time `json:"seen_at,omitempty"`
}

// SurveyedClue says which RQ left something, by what only it leaves.
type SurveyedClue struct {
	RQ  string `json:"rq"`
	Why string `json:"why"`
}

// SurveyRedis looks at a Redis and changes nothing there: it sends only
// commands that read, and none that run a script. A database that RQ never used
// is ErrNoQueues.
func SurveyRedis(ctx context.Context, opts SurveyOptions) (*Survey, error) {
	if opts.Timeout == 0 {
		opts.Timeout = 30 * time.Second
	}
	of := Options{URL: opts.URL, Clock: opts.Clock, Timeout: opts.Timeout}.withDefaults()
	client, where, err := connect(ctx, of)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	l := &surveyor{b: &Broker{opts: of, client: client, target: where}, survey: &Survey{
		Where: where.String(), Queues: []SurveyedQueue{}, Workers: []SurveyedWorker{}, Schedulers: []SurveyedScheduler{},
	}}
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"the server", l.server}, {"the queues", l.queues}, {"the workers", l.workers},
		{"the schedulers", func(ctx context.Context) error { return l.schedulers(ctx, opts.Schedule) }},
		{"the lists", l.entries}, {"the jobs", l.jobs}, {"jobs in no list", l.lost},
	} {
		short, cancel := context.WithTimeout(ctx, opts.Timeout)
		err := step.do(short)
		cancel()
		if errors.Is(err, ErrNoQueues) {
			return nil, l.explainNone(ctx)
		}
		if err != nil {
			return nil, fmt.Errorf("look at %s of Redis %s: %w", step.name, where, where.redact(err))
		}
	}
	l.survey.Jobs.finish()
	return l.survey, nil
}

// surveyor makes a Survey.
type surveyor struct {
	b       *Broker // has a client, and nothing that writes
	survey  *Survey
	parts   []*surveyPart
	ids     []string        // of the jobs that were found, in the order of finding
	found   map[string]bool // of ids, and whether the job waits or runs
	emptied map[string]bool // queues whose jobs stand in a list of Empty too
	walked  map[string]bool // queues all of whose waiting jobs were looked at
}

func (l *surveyor) server(ctx context.Context) error {
	info, err := l.b.Info(ctx)
	if err != nil {
		return err
	}
	s, c := l.survey, l.b.client.B()
	s.Info, s.Version, s.Warnings = info, info.Version, info.Warnings()
	s.At = l.b.now().Add(info.ClockSkew)
	answers := l.b.client.DoMulti(ctx, c.Dbsize().Build(), c.Exists().Key(keySuspended).Build(),
		c.Exists().Key(ownWorkers, ownSeq, ownFeed, ownReader).Build(), c.Exists().Key(keyQueues, keyWorkers).Build())
	var counts [4]int64
	for i, answer := range answers {
		if counts[i], err = answer.AsInt64(); err != nil {
			return unavailable(err)
		}
	}
	s.Keys, s.Suspended, s.Distro = counts[0], counts[1] > 0, counts[2] > 0
	if counts[3] == 0 {
		return ErrNoQueues
	}
	return nil
}

// explainNone says where queues are, if other databases of the server have
// some: the number of the database is what is written wrongly most often.
func (l *surveyor) explainNone(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.b.opts.Timeout)
	defer cancel()
	var others []string
	text, err := l.b.client.Do(ctx, l.b.client.B().Info().Section("keyspace").Build()).ToString()
	for name := range infoFields(text) {
		number, isDB := strings.CutPrefix(name, "db")
		db, errNumber := strconv.Atoi(number)
		if err != nil || !isDB || errNumber != nil || db == l.b.target.db || len(others) >= surveyIDs {
			continue
		}
		t := *l.b.target
		t.db = db
		client, err := rueidis.NewClient(t.clientOption())
		if err != nil {
			continue // it is only a hint
		}
		if n, err := client.Do(ctx, client.B().Exists().Key(keyQueues, keyWorkers).Build()).AsInt64(); err == nil && n > 0 {
			others = append(others, number)
		}
		client.Close()
	}
	slices.Sort(others)
	hint := "name the Redis and the database that the workers' --url names"
	if len(others) > 0 {
		hint = "it was in database " + strings.Join(others, ", ") + " of the same server: write that number behind the last / of the URL"
	}
	return fmt.Errorf("Redis %s holds %d keys: %w; %s", l.b.target, l.survey.Keys, ErrNoQueues, hint)
}

func (l *surveyor) queues(ctx context.Context) error {
	names, walks, err := l.b.known(ctx)
	if err != nil {
		return err
	}
	if len(names) > surveyQueues {
		l.survey.Jobs.Sampled = true
		names = names[:surveyQueues]
	}
	now := strconv.FormatInt(l.survey.At.Unix(), 10)
	c := l.b.client.B()
	var sources []source
	var timed rueidis.Commands
	for _, name := range names {
		sources = append(sources, sourcesOf(name, "", walks)...)
		timed = append(timed,
			c.Zcount().Key(keyScheduled+name).Min("-inf").Max(now).Build(), c.Zcount().Key(keyStarted+name).Min("0").Max(now).Build(),
			c.Zcount().Key(keyFinished+name).Min("0").Max(now).Build(), c.Zcount().Key(keyFailed+name).Min("0").Max(now).Build())
	}
	lengths, err := l.b.lengths(ctx, sources)
	if err != nil {
		return err
	}
	late := make([]int64, len(timed))
	for i, answer := range l.b.doMulti(ctx, timed) {
		if late[i], err = readable(answer.AsInt64()); err != nil {
			return err
		}
	}
	l.emptied = map[string]bool{}
	for i, name := range names {
		l.emptied[name] = len(walks[name]) > 0
		q := SurveyedQueue{
			Name: name, Queued: lengths[keyQueue+name], Intermediate: lengths[keyQueue+name+keyMoving], Held: lengths[ownHeld+name],
			Started: lengths[keyStarted+name], Scheduled: lengths[keyScheduled+name], Deferred: lengths[keyDeferred+name],
			Failed: lengths[keyFailed+name], Finished: lengths[keyFinished+name], Canceled: lengths[keyCanceled+name],
			Due: late[4*i], Abandoned: late[4*i+1], Expired: late[4*i+2] + late[4*i+3],
		}
		l.survey.Queues = append(l.survey.Queues, q)
	}
	return nil
}

func (l *surveyor) workers(ctx context.Context) error {
	processes, err := l.b.processes(ctx)
	if err != nil {
		return err
	}
	for _, w := range processes {
		l.addWorker(w, true, true)
	}
	keys, err := l.b.members(ctx, keyWorkers)
	if err != nil {
		return err
	}
	keys = keys[:min(len(keys), surveyWorkers)]
	names := []string{
		"birth", "last_heartbeat", "queues", "pid", "hostname", "version", "python_version", "current_job", "shutdown_requested_date", "death",
		"distro_worker", "state",
	}
	commands := make(rueidis.Commands, len(keys))
	for i, key := range keys {
		commands[i] = l.b.client.B().Hmget().Key(key).Field(names...).Build()
	}
	for i, answer := range l.b.doMulti(ctx, commands) {
		fields, err := readable(columns(answer, names...))
		if err != nil {
			return err
		}
		name, ok := strings.CutPrefix(keys[i], keyWorker)
		if !ok || fields["distro_worker"] != "" {
			continue
		}
		w := stockWorker(name, fields)
		l.addWorker(w, false, l.isAlive(w, fields["death"]))
	}
	return nil
}

// silentFor is how long a worker of RQ may say nothing: it does something at
// least every 405 s, and its record goes after 480 s.
const silentFor = 10 * time.Minute

// isAlive tells a worker that may take jobs from the name, or the remains, of
// one that is gone.
func (l *surveyor) isAlive(w distro.Worker, death string) bool {
	return death == "" && !w.StartedAt.IsZero() && (w.SeenAt.IsZero() || l.survey.At.Sub(w.SeenAt) < silentFor)
}

func (l *surveyor) addWorker(w distro.Worker, ours, alive bool) {
	found := SurveyedWorker{
		Name: strings.ToValidUTF8(w.Name, "\uFFFD"), Alive: alive, Distro: ours, Queues: w.Queues, Version: w.Version, Python: w.Python, Host: w.Host, PID: w.PID,
		State: w.State, Running: w.Running,
	}
	if !w.SeenAt.IsZero() {
		found.SeenAt = &w.SeenAt
	}
	l.survey.Workers = append(l.survey.Workers, found)
}

// schedulers finds who schedules which queue, and the clues that whole keys
// give.
func (l *surveyor) schedulers(ctx context.Context, more []string) error {
	s, c := l.survey, l.b.client.B()
	names := slices.Clone(more)
	for _, w := range s.Workers {
		names = append(names, w.Queues...)
	}
	for _, q := range s.Queues {
		names = append(names, q.Name)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	var commands rueidis.Commands
	for _, name := range names {
		commands = append(commands, c.Get().Key(keyLock+name).Build(), c.Exists().Key(keyCleaning+name).Build())
	}
	ours, err := l.b.members(ctx, ownLocks)
	if err != nil {
		return err
	}
	answers := l.b.doMulti(ctx, commands)
	for i, name := range names {
		value, err := readable(answers[2*i].ToString())
		if err != nil {
			return err
		}
		cleaning, err := readable(answers[2*i+1].AsInt64())
		if err != nil {
			return err
		}
		if j := slices.IndexFunc(s.Queues, func(q SurveyedQueue) bool { return q.Name == name }); j >= 0 {
			s.Queues[j].Cleaning = cleaning > 0
		}
		if value == "" {
			continue
		}
		who, err := l.scheduler(ctx, value, slices.Contains(ours, value))
		if err != nil {
			return err
		}
		s.Schedulers = append(s.Schedulers, SurveyedScheduler{Queue: name, Who: who})
	}
	if s.Crons, err = readable(l.b.client.Do(ctx, c.Zrange().Key("rq:cron_schedulers").Min("0").Max("99").Build()).AsStrSlice()); err != nil {
		return err
	}
	if len(s.Crons) > 0 {
		s.clue("2.6 or later", "rq:cron_schedulers names cron schedulers")
	}
	groups, err := readable(l.b.client.Do(ctx, c.Exists().Key("rq:groups").Build()).AsInt64())
	if groups > 0 {
		s.clue("2.0 or later", "rq:groups names groups of jobs")
	}
	return err
}

// scheduler says who is behind the value of a scheduler's lock.
func (l *surveyor) scheduler(ctx context.Context, value string, ours bool) (string, error) {
	if ours {
		return "a scheduler of Distro's", nil
	}
	if _, err := strconv.ParseInt(value, 10, 64); err == nil {
		return "RQ, process " + value, nil
	}
	names := []string{"name", "hostname", "pid"}
	fields, err := readable(columns(l.b.client.Do(ctx, l.b.client.B().Hmget().Key("rq:scheduler:"+value).Field(names...).Build()), names...))
	if err != nil {
		return "", err
	}
	l.survey.clue("2.10 or later", "the lock of a scheduler holds its ID")
	if fields["hostname"] == "" {
		return fmt.Sprintf("RQ, scheduler %.64q", value), nil
	}
	return strings.ToValidUTF8(fmt.Sprintf("RQ, process %.20s on %.200s", fields["pid"], fields["hostname"]), "\uFFFD"), nil
}

// clue notes what only some RQ leaves, once.
func (s *Survey) clue(rq, why string) {
	if c := (SurveyedClue{RQ: rq, Why: why}); !slices.Contains(s.Clues, c) {
		s.Clues = append(s.Clues, c)
	}
}
