package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
)

// MoveInOptions say what a MoveIn looks at.
type MoveInOptions struct {
	URL     string // of the Redis
	Setting string // where it comes from, for errors
	// Modules is a folder of automations to compare the jobs with, absolute;
	// empty: none.
	Modules    string
	Python     string // interpreter that parses them, as the setting python
	VirtualEnv string
	Logger     *slog.Logger
}

// MoveIn is what Distro finds on a Redis of RQ's, and what it would do there.
// It is what `distro import rq --json` prints.
type MoveIn struct {
	*redisbroker.Survey
	RQ        map[string]int `json:"rq_of_workers"` // live workers of RQ, by its version
	Modules   string         `json:"modules,omitempty"`
	Functions []Called       `json:"functions"`
	// IgnorePause are the live workers that go on when Distro pauses a queue.
	IgnorePause []string     `json:"ignore_pause"`
	Stranded    []Stranded   `json:"stranded"`
	First       []FirstStep  `json:"up_would_first"`
	Notes       []string     `json:"notes"`
	Settings    []Suggestion `json:"settings"`
	Commands    []Command    `json:"commands"`
}

// Stranded are jobs, or places of jobs, that are stuck.
type Stranded struct {
	Queue  string   `json:"queue,omitempty"`
	What   string   `json:"what"`
	Jobs   int64    `json:"jobs"`
	IDs    []string `json:"ids,omitempty"` // some of them
	Distro string   `json:"distro"`        // what Distro does about them
}

// FirstStep is something that `distro up` does soon after its start.
type FirstStep struct {
	Queue string `json:"queue,omitempty"`
	Jobs  int64  `json:"jobs"`
	Text  string `json:"text"`
}

// Suggestion is a setting.
type Suggestion struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Why   string `json:"why"`
}

// Command is a line for a shell.
type Command struct {
	Line string `json:"command"`
	Does string `json:"does"`
}

// LookAtRQ makes a MoveIn. It changes nothing in that Redis, and runs nothing of
// the modules.
func LookAtRQ(ctx context.Context, opts MoveInOptions) (*MoveIn, error) {
	survey, err := redisbroker.SurveyRedis(ctx, redisbroker.SurveyOptions{
		URL: opts.URL, Clock: broker.SystemClock(), Schedule: defaultQueues(),
	})
	if errors.Is(err, broker.ErrUnavailable) {
		return nil, fmt.Errorf("%w: start it, or name another Redis with %s", err, opts.Setting)
	}
	if err != nil {
		return nil, err
	}
	m := &MoveIn{Survey: survey, RQ: map[string]int{}, Modules: opts.Modules, IgnorePause: []string{}, Stranded: []Stranded{}, Notes: []string{}}
	for _, w := range survey.Workers {
		if w.Alive && !w.Distro {
			m.RQ[cmp.Or(w.Version, "unknown")]++
			m.IgnorePause = append(m.IgnorePause, w.Name)
		}
	}
	if m.Functions, err = compareModules(ctx, survey.Jobs.Functions, opts); err != nil {
		return nil, err
	}
	queues := m.suggestQueues()
	m.strand()
	m.foresee(queues)
	m.note()
	m.suggest(opts.URL, queues)
	m.command(opts, queues)
	return m, nil
}

// defaultQueues are those that Distro serves where no setting names others.
func defaultQueues() []string { return []string{"high", "default", "low"} }

// queueName is what a queue of the setting queues may be called.
var queueName = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,100}$`)

// suggestQueues are the queues of the Redis by priority: as workers list them,
// but high before default before low, which RQ's users name by what they are.
func (m *MoveIn) suggestQueues() []string {
	var names []string
	add := func(list ...string) {
		for _, name := range list {
			if !slices.Contains(names, name) && queueName.MatchString(name) {
				names = append(names, name)
			}
		}
	}
	workers := slices.Clone(m.Workers)
	slices.SortStableFunc(workers, func(a, b redisbroker.SurveyedWorker) int { return cmp.Compare(len(b.Queues), len(a.Queues)) })
	for _, w := range workers {
		add(w.Queues...)
	}
	for _, q := range m.Queues {
		if q.Queued+q.Intermediate+q.Started+q.Scheduled+q.Deferred > 0 || slices.Contains(defaultQueues(), q.Name) {
			add(q.Name)
		}
	}
	var known []string
	for _, name := range defaultQueues() {
		if slices.Contains(names, name) {
			known = append(known, name)
		}
	}
	for i, name := range names {
		if slices.Contains(defaultQueues(), name) {
			names[i], known = known[0], known[1:]
		}
	}
	if !slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(defaultQueues(), name) }) {
		return defaultQueues()
	}
	return names
}

// strand lists what is stuck.
func (m *MoveIn) strand() {
	add := func(n int64, s Stranded) {
		if s.Jobs = n; n > 0 {
			m.Stranded = append(m.Stranded, s)
		}
	}
	for _, q := range m.Queues {
		add(int64(q.Gone), Stranded{
			Queue: q.Name, What: "entries whose job is gone", IDs: q.GoneIDs,
			Distro: "passes over them; compacting the queue on the dashboard takes them out",
		})
		add(q.Intermediate, Stranded{
			Queue: q.Name, What: "jobs that a worker took and has not begun (" + q.Name + ":intermediate)",
			Distro: "puts those back to the front that stand there for more than 60 s",
		})
		add(q.Abandoned, Stranded{
			Queue: q.Name, What: "jobs that are said to run and that no worker keeps up",
			Distro: "ends them as lost; the retries that they have left decide what follows",
		})
	}
	add(int64(len(m.Jobs.Lost)), Stranded{
		What: "jobs that are said to be queued and stand in no list", IDs: m.Jobs.Lost[:min(len(m.Jobs.Lost), 10)],
		Distro: "does not find them by itself; `distro cancel ID`, then `distro requeue ID` puts one back",
	})
}

// foresee lists what `distro up` would do first with these queues.
func (m *MoveIn) foresee(queues []string) {
	add := func(queue string, n int64, format string, args ...any) {
		m.First = append(m.First, FirstStep{Queue: queue, Jobs: n, Text: fmt.Sprintf(format, args...)})
	}
	add("", 0, "write keys of its own, which all begin with distro:, such as its change feed; RQ ignores them")
	if m.Suspended {
		add("", 0, "let no worker begin a job until `distro resume`, as all are suspended (rq suspend)")
	}
	var others []string
	for _, q := range m.Queues {
		if !slices.Contains(queues, q.Name) {
			others = append(others, q.Name)
			continue
		}
		if n := q.Expired; n > 0 {
			add(q.Name, n, "delete %s of %s that finished or failed and whose time is over, as RQ's workers do too", jobs(n), q.Name)
		}
	}
	for _, name := range queues {
		q := m.queue(name)
		if i := slices.IndexFunc(m.Schedulers, func(s redisbroker.SurveyedScheduler) bool { return s.Queue == name }); i >= 0 {
			add(name, q.Scheduled, "leave the scheduled jobs of %s (%d) to %s, as long as that one is there", name, q.Scheduled, m.Schedulers[i].Who)
			continue
		}
		text := fmt.Sprintf("take the scheduler's lock of %s, which nobody holds", name)
		if q.Due > 0 {
			text += fmt.Sprintf(", and queue %s whose time has come", jobs(q.Due))
		}
		add(name, q.Due, "%s", text)
	}
	for _, name := range queues {
		if q := m.queue(name); q.Queued > 0 {
			add(name, q.Queued, "with workers = 0 run none of the %s that wait in %s; else begin with them, in the order in which they wait", jobs(q.Queued), name)
		}
	}
	if len(others) > 0 {
		add("", 0, "leave these queues alone, as it is not told of them: %s", strings.Join(others, ", "))
	}
}

// queue is what the Redis has of a queue.
func (m *MoveIn) queue(name string) redisbroker.SurveyedQueue {
	for _, q := range m.Queues {
		if q.Name == name {
			return q
		}
	}
	return redisbroker.SurveyedQueue{Name: name}
}

func jobs(n int64) string {
	if n == 1 {
		return "1 job"
	}
	return strconv.FormatInt(n, 10) + " jobs"
}

// note tells what may not go as expected.
func (m *MoveIn) note() {
	add := func(is bool, format string, args ...any) {
		if is {
			m.Notes = append(m.Notes, fmt.Sprintf(format, args...))
		}
	}
	for _, warning := range m.Warnings {
		add(true, "%s", warning)
	}
	add(m.Distro, "Distro was here already: there are keys of its own")
	add(len(m.IgnorePause) > 0, "workers of RQ's know nothing of a pause of a queue and go on; `rq suspend` and `distro suspend` hold all")
	add(m.Jobs.Serializers["json"] > 0, "there are jobs of RQ's JSON serializer: Distro's workers read them as they are, "+
		"but what Distro's API enqueues is pickled, which a worker of RQ's with -S json cannot read")
	add(m.Jobs.Serializers["unknown"] > 0, "there are jobs of another serializer: name it to `distro worker` with --serializer, as a dotted path")
	missing := 0
	for _, f := range m.Functions {
		if f.Found == FoundNot && f.Waiting > 0 {
			missing++
		}
	}
	add(missing > 0, "waiting jobs call functions that are not in %s (%d of them): where Python does not find these by itself, such jobs fail", m.Modules, missing)
	add(len(m.Crons) > 0, "rq cron goes on by itself: Distro has no recurring schedules, and runs what it enqueues")
	for _, q := range m.Queues {
		add(!queueName.MatchString(q.Name), "queue %q has a name that distro up does not take; distro worker serves it", q.Name)
	}
}

// mostFrequent is the value that most jobs have.
func mostFrequent(counts map[int]int) (value int, ok bool) {
	best := 0
	for _, n := range slices.Sorted(maps.Keys(counts)) {
		if counts[n] > best {
			value, best = n, counts[n]
		}
	}
	return value, best > 0
}

// suggest proposes settings that go on as it is.
func (m *MoveIn) suggest(url string, queues []string) {
	add := func(name, value, why string) {
		m.Settings = append(m.Settings, Suggestion{Name: name, Value: value, Why: why})
	}
	why := "the Redis and the database that RQ's workers have"
	if hasSecret(url) {
		why += "; write user name, password and options into it as they are in theirs"
	}
	add("redis_url", masked(url), why)
	if m.Modules != "" {
		add("modules_path", m.Modules, "the folder that the jobs were compared with")
	} else {
		add("modules_path", "FOLDER", "the folder that the workers are started in")
	}
	if !slices.Equal(queues, defaultQueues()) {
		add("queues", strings.Join(queues, ", "), "those that workers listen to or that hold jobs, by priority: check the order")
	}
	if len(m.IgnorePause) > 0 {
		add("workers", "0", "RQ's workers go on running the jobs; take the line out when they are gone")
	}
	if n, ok := mostFrequent(m.Jobs.Timeouts); ok && n > 0 && time.Duration(n)*time.Second != 30*time.Minute {
		add("job_timeout", seconds(n), "what most jobs here were made with; Distro's own is 30m")
	}
	if n, ok := mostFrequent(m.Jobs.ResultTTLs); ok && n > 0 && n != 500 {
		add("result_ttl", seconds(n), "what most jobs here were made with; Distro's own is 500s")
	}
	if n, ok := mostFrequent(m.Jobs.Retries); ok && n > 0 && n <= 100 {
		add("task_retries", strconv.Itoa(n), "what most waiting jobs have left")
	}
}

func seconds(n int) string { return strconv.Itoa(n) + "s" }

// shellQuoted is a word for a shell.
func shellQuoted(word string) string {
	if word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:,=@%") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// command lists what to do next. A URL that may hold a password is not told.
func (m *MoveIn) command(opts MoveInOptions, queues []string) {
	redis, modules := shellQuoted(opts.URL), cmp.Or(m.Modules, "FOLDER")
	if hasSecret(opts.URL) {
		redis = `"$REDIS_URL"`
	}
	add := func(does string, words ...string) {
		m.Commands = append(m.Commands, Command{Line: strings.Join(words, " "), Does: does})
	}
	folder := shellQuoted(modules)
	add("look at it: a dashboard that runs nothing", "distro dashboard --redis-url", redis)
	add("check settings, Python and Redis", "distro doctor --redis-url", redis, "--modules", folder)
	up := []string{"distro up --redis-url", redis, "--modules", folder, "--workers 0"}
	if !slices.Equal(queues, defaultQueues()) {
		up = slices.Insert(up, 0, "DISTRO_QUEUES="+shellQuoted(strings.Join(queues, ",")))
	}
	add("serve API, dashboard and scheduler beside RQ's workers", up...)
	var seen []string
	for _, w := range m.Workers {
		listed := strings.Join(w.Queues, " ")
		if w.Distro || !w.Alive || len(w.Queues) == 0 || slices.Contains(seen, listed) {
			continue
		}
		seen = append(seen, listed)
		words := []string{"distro worker --with-scheduler --url", redis, "--modules", folder}
		for _, queue := range w.Queues {
			words = append(words, shellQuoted(queue))
		}
		add("in place of the worker "+w.Name, words...)
	}
	if len(seen) == 0 {
		add("run the jobs", "distro worker --with-scheduler --url", redis, "--modules", folder, strings.Join(queues, " "))
	}
}

// hasSecret reports whether a URL may hold a password.
func hasSecret(raw string) bool {
	return strings.ContainsAny(raw, "@") || strings.Contains(raw, "password")
}
