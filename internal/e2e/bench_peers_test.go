package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro/internal/proctest"
	"github.com/distro-orchestrator/distro/internal/redistest"
)

// peer is a way to run jobs that wait in Redis.
type peer struct {
	name     string
	commands [][]string // of its processes, with atURL and atDir in place of those
	layout   func(c *contest) layout
	near     int // jobs of a drain that takes some seconds
	far      int // the same where a round trip takes 2 ms longer
}

const (
	atURL = "URL"
	atDir = "DIR"
)

// peers are the contestants; the first is what the others are compared with.
func peers(stock *redistest.Stock) []peer {
	python := stock.Python()
	rq := func(more ...string) []string {
		return append([]string{python, "-m", "rq.cli", "worker", "--url", atURL}, more...)
	}
	two := [][]string{rq(), rq()}
	if exec.Command(python, "-m", "rq.cli", "worker-pool", "--help").Run() == nil { // since RQ 1.14
		two = [][]string{{python, "-m", "rq.cli", "worker-pool", "--url", atURL, "--num-workers", "2"}}
	}
	distro := func(isolation string, slots int) [][]string {
		return [][]string{{"distro", "worker", "--url", atURL, "--modules", atDir, "--python", python,
			"--isolation", isolation, "--concurrency", strconv.Itoa(slots)}}
	}
	celery := [][]string{{python, "-m", "celery", "-A", "celery_noop", "-b", atURL, "--result-backend", atURL, "worker",
		"--pool", "prefork", "--concurrency", "2", "--prefetch-multiplier", "128", "-O", "fair",
		"--without-gossip", "--without-mingle", "--without-heartbeat"}}
	name := "rq worker, two processes"
	if len(two) == 1 {
		name = "rq worker-pool, 2 workers"
	}
	return []peer{
		{"rq worker", [][]string{rq()}, newRQLayout, 300, 80},
		{"rq worker, SimpleWorker", [][]string{rq("--worker-class", "rq.SimpleWorker")}, newRQLayout, 800, 80},
		{name, two, newRQLayout, 500, 150},
		{"celery, prefork, 2 processes", celery, newCeleryLayout, 3_500, 1_500},
		{"distro worker, fork, 1 slot", distro("fork", 1), newRQLayout, 1_200, 1_000},
		{"distro worker, fork, 2 slots", distro("fork", 2), newRQLayout, 2_400, 2_000},
		{"distro worker, pool, 1 slot", distro("pool", 1), newRQLayout, 30_000, 20_000},
		{"distro worker, pool, 2 slots", distro("pool", 2), newRQLayout, 50_000, 30_000},
	}
}

// modules are what the peers import. Celery's manual advises a multiplier of 50
// to 150 for many short tasks, which is on its command line; the rest is as
// it comes, results kept.
func benchModules() map[string]string {
	return map[string]string{
		"noop.py":        noop,
		"celery_noop.py": "import celery\n\napp = celery.Celery('noop')\n\n\n@app.task(name='noop.run')\ndef run():\n    pass\n",
	}
}

// launch starts the processes of the peer, in a folder they import from.
func (p *peer) launch(c *contest, url string) []*proctest.Process {
	c.b.Helper()
	var running []*proctest.Process
	for _, command := range p.commands {
		args := slices.Clone(command)
		for i := range args {
			args[i] = strings.NewReplacer(atURL, url, atDir, c.dir).Replace(args[i])
		}
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = c.dir
		cmd.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool {
			return strings.HasPrefix(entry, "DISTRO_") || strings.HasPrefix(entry, "RQ_") ||
				strings.HasPrefix(entry, "CELERY_") || strings.HasPrefix(entry, "PYTHON")
		})
		cmd.Env = append(cmd.Env, "LC_ALL=C.UTF-8", "PYTHONPATH="+c.dir)
		// A file costs its writer less than a pipe that we would have to empty.
		log, err := os.OpenFile(c.logName(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			c.b.Fatal(err)
		}
		cmd.Stdout, cmd.Stderr = log, log
		running = append(running, proctest.Start(c.b, cmd))
		log.Close() // the process has its own
	}
	return running
}

func (c *contest) logName() string { return filepath.Join(c.dir, "peer.log") }

// layout is how a family of peers finds jobs in Redis and records their ends.
// Jobs are copies, under IDs of their own, of one that the family's client
// wrote: all peers of a family are given the same, and no client's speed shows.
type layout interface {
	// stage puts n more jobs where no worker looks.
	stage(n int)
	// release queues the staged jobs at once.
	release()
	// ended reports whether every job has.
	ended() bool
	// ends are the times that the workers recorded for the last n staged
	// jobs, all of which must have succeeded.
	ends(n int) []time.Time
	// one queues one job and returns after how long Redis announced its
	// result: that is what a client that waits for it sees.
	one() time.Duration
}

// rqLayout is RQ's, which Distro shares.
type rqLayout struct {
	c    *contest
	jobs int // made so far; their ordinals end their IDs
}

const (
	staged   = "bench:staged"
	template = "bench:template"
	idFormat = "00000000-0000-4000-8000-%012d"

	copyJobs = `for i = ARGV[1], ARGV[2] do
		local id = string.format('` + idFormat + `', i)
		redis.call('COPY', KEYS[1], 'rq:job:' .. id)
		redis.call('RPUSH', KEYS[2], id)
	end`
	readJobs = `local found = {}
	for i = ARGV[1], ARGV[2] do
		local job = redis.call('HMGET', string.format('rq:job:` + idFormat + `', i), 'status', 'ended_at')
		found[#found + 1] = job[1]
		found[#found + 1] = job[2]
	end
	return found`
)

func newRQLayout(c *contest) layout {
	// Distro writes its change feed where somebody reads it, as an orchestrator
	// does: it is not to win by leaving it out.
	c.do("SET", "distro:reader", "1")
	c.do("SADD", "rq:queues", "rq:queue:default")
	c.do(append([]string{"HSET", template}, c.rqJob...)...)
	return &rqLayout{c: c}
}

// writeRQJob lets RQ's client queue a job, and returns its hash.
func writeRQJob(c *contest) []string {
	c.stock.Run(c.b, c.redis.URL(), "import os, redis, rq\n"+
		"rq.Queue(connection=redis.from_url(os.environ['REDIS_URL'])).enqueue('noop.run', job_id='template')")
	var hash []string
	for _, text := range c.do("HGETALL", "rq:job:template").([]any) {
		hash = append(hash, text.(string))
	}
	return hash
}

func (l *rqLayout) copy(n int, queue string) {
	const chunk = 1000 // a script should not block for long
	for ; n > 0; n -= chunk {
		first := l.jobs + 1
		l.jobs += min(n, chunk)
		l.c.do("EVAL", copyJobs, "2", template, queue, strconv.Itoa(first), strconv.Itoa(l.jobs))
	}
}

func (l *rqLayout) stage(n int) { l.copy(n, staged) }

func (l *rqLayout) release() { l.c.do("RENAME", staged, "rq:queue:default") }

func (l *rqLayout) ended() bool {
	return l.c.do("ZCARD", "rq:finished:default") == int64(l.jobs)
}

func (l *rqLayout) ends(n int) []time.Time {
	l.c.b.Helper()
	const chunk = 1000
	var ends []time.Time
	for first := l.jobs - n + 1; first <= l.jobs; first += chunk {
		last := min(first+chunk-1, l.jobs)
		fields := l.c.do("EVAL", readJobs, "0", strconv.Itoa(first), strconv.Itoa(last)).([]any)
		for i := 0; i < len(fields); i += 2 {
			if fields[i] != "finished" {
				l.c.b.Fatalf("job %d is %v", first+i/2, fields[i])
			}
			end, err := time.Parse(time.RFC3339, fields[i+1].(string))
			if err != nil {
				l.c.b.Fatal(err)
			}
			ends = append(ends, end)
		}
	}
	return ends
}

func (l *rqLayout) one() time.Duration {
	l.c.b.Helper()
	begin := time.Now()
	l.copy(1, "rq:queue:default")
	// The worker appends the result to this stream as it settles the job.
	stream := fmt.Sprintf("rq:results:"+idFormat, l.jobs)
	if l.c.do("XREAD", "BLOCK", "60000", "STREAMS", stream, "0") == nil {
		l.c.b.Fatalf("job %d has no result", l.jobs)
	}
	return time.Since(begin)
}

// celeryLayout is that of Kombu and of Celery's result backend on Redis.
type celeryLayout struct {
	c       *contest
	jobs    int
	checked int // jobs that are known to have ended
	news    *redistest.Conn
}

func newCeleryLayout(c *contest) layout {
	return &celeryLayout{c: c, news: c.redis.Conn(c.b, c.redis.URL())}
}

// celeryMessage is a message in a queue, and what differs between two.
type celeryMessage struct{ text, id, tag string }

// writeCeleryMessage lets Celery's client queue a job.
func writeCeleryMessage(c *contest) celeryMessage {
	c.stock.WithPath(c.dir).Run(c.b, c.redis.URL(), "import os, celery_noop\n"+
		"celery_noop.app.conf.broker_url = celery_noop.app.conf.result_backend = os.environ['REDIS_URL']\n"+
		"celery_noop.run.delay()")
	text := c.do("LINDEX", "celery", "0").(string)
	var message struct {
		Headers    struct{ ID string }
		Properties struct {
			Tag string `json:"delivery_tag"`
		}
	}
	if err := json.Unmarshal([]byte(text), &message); err != nil || message.Headers.ID == "" || message.Properties.Tag == "" {
		c.b.Fatalf("message of Celery: %v in %s", err, text)
	}
	return celeryMessage{text, message.Headers.ID, message.Properties.Tag}
}

func celeryResult(n int) string { return fmt.Sprintf("celery-task-meta-"+idFormat, n) }

func (l *celeryLayout) push(n int, queue string) {
	const chunk = 500
	for ; n > 0; n -= chunk {
		args := []string{"LPUSH", queue}
		for range min(n, chunk) {
			l.jobs++
			id := fmt.Sprintf(idFormat, l.jobs)
			args = append(args, strings.NewReplacer(l.c.celeryJob.id, id, l.c.celeryJob.tag, "ffffffff"+id[8:]).Replace(l.c.celeryJob.text))
		}
		l.c.do(args...)
	}
}

func (l *celeryLayout) stage(n int) { l.push(n, staged) }

func (l *celeryLayout) release() { l.c.do("RENAME", staged, "celery") }

func (l *celeryLayout) ended() bool {
	const chunk = 500
	for l.checked < l.jobs {
		args := []string{"EXISTS"}
		for n := l.checked + 1; n <= min(l.jobs, l.checked+chunk); n++ {
			args = append(args, celeryResult(n))
		}
		if l.c.do(args...) != int64(len(args)-1) {
			return false
		}
		l.checked += len(args) - 1
	}
	return true
}

func (l *celeryLayout) ends(n int) []time.Time {
	l.c.b.Helper()
	var ends []time.Time
	for n := l.jobs - n + 1; n <= l.jobs; n++ {
		text, _ := l.c.do("GET", celeryResult(n)).(string)
		var result struct {
			Status string
			Done   string `json:"date_done"`
		}
		if err := json.Unmarshal([]byte(text), &result); err != nil || result.Status != "SUCCESS" {
			l.c.b.Fatalf("job %d: %v in %q", n, err, text)
		}
		end, err := time.Parse("2006-01-02T15:04:05.999999", result.Done)
		if err != nil {
			l.c.b.Fatal(err)
		}
		ends = append(ends, end)
	}
	return ends
}

func (l *celeryLayout) one() time.Duration {
	l.c.b.Helper()
	channel := celeryResult(l.jobs + 1)
	l.c.ask(l.news, "SUBSCRIBE", channel)
	begin := time.Now()
	l.push(1, "celery")
	l.news.Next()
	took := time.Since(begin)
	l.c.ask(l.news, "UNSUBSCRIBE", channel)
	return took
}

var (
	_ layout = (*rqLayout)(nil)
	_ layout = (*celeryLayout)(nil)
)
