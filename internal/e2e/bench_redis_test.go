package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro/internal/proctest"
	"github.com/distro-orchestrator/distro/internal/redistest"
)

const (
	farAway = 2 * time.Millisecond  // what is added to every round trip
	pause   = 20 * time.Millisecond // after a single job, until its worker waits again
	look    = 25 * time.Millisecond // between two looks whether a queue is drained
	weigh   = 200 * time.Millisecond
)

// BenchmarkRedis lets stock RQ, Celery and Distro run no-op jobs through one
// Redis, in rounds of one after the other, and prints medians as Markdown.
// docs/benchmarks.md says what is measured and how.
func BenchmarkRedis(b *testing.B) {
	c := newContest(b)
	peers := peers(c.stock)
	nearRounds, farRounds := 3, 2
	if short() {
		nearRounds, farRounds = 1, 1
	}
	all := make([]figures, len(peers))
	for range nearRounds {
		for i, p := range peers {
			c.near(p, &all[i])
		}
	}
	c.proxy.SetLatency(farAway)
	for range farRounds {
		for i, p := range peers {
			c.far(p, &all[i])
		}
	}
	posted, sync := c.post(nearRounds)
	c.print(os.Stdout, peers, all, posted, sync)
	b.ReportMetric(0, "ns/op")
}

// contest is what the peers share.
type contest struct {
	b     *testing.B
	stock *redistest.Stock
	redis *redistest.Server
	proxy *redistest.Proxy // to the same Redis
	conn  *redistest.Conn
	asked int    // commands that we sent ourselves, each a round trip
	dir   string // what the peers are started in and import from

	rqJob     []string // fields and values of the hash of RQ's job
	celeryJob celeryMessage
}

func newContest(b *testing.B) *contest {
	b.Helper()
	c := &contest{b: b, stock: redistest.FindStock(b), redis: redistest.Start(b, redistest.Options{}), dir: b.TempDir()}
	c.proxy = redistest.StartProxy(b, c.redis.Addr())
	c.conn = c.redis.Conn(b, c.redis.URL())
	for name, source := range benchModules() {
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(source), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	c.rqJob, c.celeryJob = writeRQJob(c), writeCeleryMessage(c)
	return c
}

func (c *contest) do(args ...string) any { return c.ask(c.conn, args...) }

func (c *contest) ask(conn *redistest.Conn, args ...string) any {
	c.b.Helper()
	c.asked++
	answer := conn.Do(args...)
	if err, is := answer.(redistest.Error); is {
		c.b.Fatalf("%s: %v", args[0], err)
	}
	return answer
}

// figures are what was measured of a peer, one value for each round.
type figures struct {
	rate, farRate []float64 // jobs/s
	latency       []time.Duration
	sent          []float64 // commands per job
	scripted      []float64 // commands per job that its scripts ran
	trips, idle   []float64 // round trips per job, of a full queue and of single jobs
	redis         []float64 // processor time of Redis per job, in microseconds
	memory        []float64 // in MB
}

// near measures a peer that is beside its Redis.
func (c *contest) near(p peer, f *figures) {
	c.b.Helper()
	const singles = 50
	n := scaled(p.near)
	jobs, running := c.start(p, c.redis.URL(), n)
	before := c.counters()
	for range singles {
		f.latency = append(f.latency, jobs.one())
		<-time.After(pause)
	}
	f.idle = append(f.idle, float64(c.counters().reads-before.reads)/singles)

	weight := watchMemory(c.b, running)
	before = c.counters()
	c.drain(jobs)
	after := c.counters()
	f.memory = append(f.memory, weight())
	f.rate = append(f.rate, rate(jobs.ends(n)))
	f.trips = append(f.trips, float64(after.reads-before.reads)/float64(n))
	f.redis = append(f.redis, (after.cpu-before.cpu)*1e6/float64(n))
	commands, scripts := float64(after.commands-before.commands)/float64(n), c.scripted(jobs, max(n/8, 20))
	f.sent = append(f.sent, commands*(1-scripts))
	f.scripted = append(f.scripted, commands*scripts)
	c.stop(running)
}

// far measures a peer that is far away from its Redis.
func (c *contest) far(p peer, f *figures) {
	c.b.Helper()
	n := scaled(p.far)
	jobs, running := c.start(p, c.proxy.URL(0), n)
	c.drain(jobs)
	f.farRate = append(f.farRate, rate(jobs.ends(n)))
	c.stop(running)
}

// start stages n jobs on an empty Redis, starts a peer, and returns when it has
// run one.
func (c *contest) start(p peer, url string, n int) (layout, []*proctest.Process) {
	c.b.Helper()
	c.do("FLUSHALL")
	jobs := p.layout(c)
	jobs.stage(n)
	running := p.launch(c, url)
	jobs.one()
	<-time.After(pause)
	return jobs, running
}

func (c *contest) stop(running []*proctest.Process) {
	c.b.Helper()
	for _, process := range running {
		process.Stop(c.b)
	}
}

// drain releases the staged jobs and waits until all have ended.
func (c *contest) drain(jobs layout) {
	c.b.Helper()
	limit := time.NewTimer(2 * time.Minute)
	defer limit.Stop()
	tick := time.NewTicker(look)
	defer tick.Stop()
	jobs.release()
	for !jobs.ended() {
		select {
		case <-tick.C:
		case <-limit.C:
			log, _ := os.ReadFile(c.logName()) // what there is of it
			c.b.Fatalf("the queue is not drained; end of the log:\n%s", log[max(0, len(log)-4000):])
		}
	}
}

// rate is how many jobs ended in a second, between the first end and the last.
func rate(ends []time.Time) float64 {
	first, last := slices.MinFunc(ends, time.Time.Compare), slices.MaxFunc(ends, time.Time.Compare)
	return float64(len(ends)-1) / last.Sub(first).Seconds()
}

// counters are those of Redis, less what we asked it ourselves.
type counters struct {
	commands int // scripts and what they ran
	reads    int // from connections that had something to read
	cpu      float64
}

func (c *contest) counters() counters {
	c.b.Helper()
	info := c.do("INFO", "all").(string)
	now := counters{commands: -c.asked, reads: -c.asked}
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch {
		case strings.HasPrefix(name, "cmdstat_"):
			calls, _, _ := strings.Cut(strings.TrimPrefix(value, "calls="), ",")
			now.commands += int(number(c.b, calls))
		case name == "total_reads_processed":
			now.reads += int(number(c.b, value))
		case name == "used_cpu_sys_main_thread", name == "used_cpu_user_main_thread":
			now.cpu += number(c.b, value)
		}
	}
	return now
}

func number(b *testing.B, text string) float64 {
	b.Helper()
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// scripted is the share of commands that scripts run while n more jobs are
// drained: counters of Redis do not tell them from those that were sent.
func (c *contest) scripted(jobs layout, n int) float64 {
	c.b.Helper()
	jobs.stage(n)
	monitor := c.redis.Conn(c.b, c.redis.URL())
	defer monitor.Close()
	monitor.Do("MONITOR")
	asked := c.asked
	c.drain(jobs)
	const end = "no more"
	c.do("ECHO", end)
	sent, scripted := asked-c.asked, 0
	for {
		line, _ := monitor.Next().(string)
		// After the time, the database and who sends stand in brackets.
		if _, from, _ := strings.Cut(line, " ["); strings.HasPrefix(from, "0 lua]") {
			scripted++
		} else {
			sent++
		}
		if strings.Contains(line, end) {
			return float64(scripted) / float64(sent+scripted)
		}
	}
}

// watchMemory weighs processes and what they start until its result is called,
// which returns the most that all had together, in MB.
func watchMemory(b *testing.B, roots []*proctest.Process) (most func() float64) {
	b.Helper()
	stop, peak := make(chan struct{}), make(chan float64)
	go func() {
		tick := time.NewTicker(weigh)
		defer tick.Stop()
		heaviest := 0.0
		for {
			total := 0.0
			for _, pid := range proctest.Family(roots...) {
				total += weight(pid)
			}
			heaviest = max(heaviest, total)
			select {
			case <-tick.C:
			case <-stop:
				peak <- heaviest
				return
			}
		}
	}()
	return func() float64 {
		close(stop)
		return <-peak
	}
}

// weight is the proportional set size of a process in MB, 0 if it has ended.
func weight(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	kB, _ := procField(text, "Pss") // none while it ends
	return kB / 1024
}
