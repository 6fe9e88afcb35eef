package recorder_test

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
	"github.com/distro-orchestrator/distro/internal/recorder"
	"github.com/distro-orchestrator/distro/internal/redistest"
)

// era is a range of versions of RQ that write alike.
type era int

const (
	era1  era = iota // 1.x
	era20            // 2.0 to 2.7: executions, but not in results
	era28            // 2.8 and later
)

// truth is an attempt as it was.
type truth struct {
	exec    string
	started time.Time
	ended   time.Time
	state   distro.ExecutionState
	seen    bool // history must know it
}

// model writes on Redis what RQ writes while workers of its own make attempts
// of one job.
type model struct {
	*rapid.T
	conn    *redistest.Conn
	era     era
	now     time.Time
	retries int
	once    bool // the job is never tried again by RQ
	quick   bool // no other recorder goes on, and killed attempts may follow at once
	history *memory
	broker  *redisbroker.Broker
	stock   *redisbroker.Stock

	attempts []*truth
	killed   bool   // the last one was
	since    []bool // for each end since the last look, whether it spent a retry
	ended    string // ended_at in the hash
	worker   string // worker_name in the hash, as RQ's parent has read it
	status   string
}

func (m *model) do(args ...string) {
	if err, failed := m.conn.Do(args...).(redistest.Error); failed {
		m.Fatalf("%q: %v", args, err)
	}
}

// pass lets time pass, at least ms.
func (m *model) pass(ms int) {
	m.now = m.now.Add(time.Duration(ms)*time.Millisecond + time.Duration(rapid.IntRange(0, 3_000_000).Draw(m.T, "µs"))*time.Microsecond)
}

func rqText(t time.Time) string { return t.Format("2006-01-02T15:04:05.000000Z") }

func (m *model) last() *truth { return m.attempts[len(m.attempts)-1] }

func (m *model) running() bool { return m.status == "started" }

func (m *model) set(fields ...string) { m.do(append([]string{"HSET", "rq:job:job"}, fields...)...) }

// begin begins an attempt.
func (m *model) begin() {
	m.pass(10)
	if m.killed && !m.quick { // what recorders knew of retries is lost: see docs/rq-wire.md
		m.pass(2000)
	}
	t := &truth{started: m.now, state: distro.ExecutionStarted, exec: fmt.Sprintf("%032x", len(m.attempts)+1)}
	m.attempts = append(m.attempts, t)
	member := "job"
	if m.era > era1 {
		member += ":" + t.exec
		m.do("ZADD", "rq:executions:job", "2064312000", t.exec)
	}
	m.do("ZADD", "rq:wip:default", strconv.FormatInt(m.now.Unix()+90, 10), member)
	m.do("ZREM", "rq:scheduled:default", "job")
	m.do("LREM", "rq:queue:default", "0", "job")
	m.status = "started"
	m.set("status", m.status, "started_at", rqText(m.now), "worker_name", "w")
}

// end ends the attempt: by itself, or killed by RQ's parent process, which
// writes the hash as it had read it, with its own time of the start.
//
// There is a look between an attempt that is tried again and one that leaves an
// entry: of two attempts between looks, those do not tell which one was which.
func (m *model) end(kind string) {
	spends := m.retries > 0 && (kind == "fail" || kind == "kill")
	if len(m.since) > 0 && m.since[0] != spends {
		m.look()
	}
	m.since = append(m.since, spends)
	m.pass(5)
	t := m.last()
	t.ended = m.now
	later := time.Duration(rapid.SampledFrom([]int{0, 400, 2500}).Draw(m.T, "later")) * time.Microsecond
	fields := []string{"started_at", rqText(t.started.Add(later)), "worker_name", "w"}
	if m.killed = kind == "kill" || kind == "stop"; m.killed {
		shift := rapid.SampledFrom([]int{-3000, -17, 42, 3500}).Draw(m.T, "shift")
		fields = []string{"started_at", rqText(t.started.Add(time.Duration(shift) * time.Microsecond)), "worker_name", m.worker}
	} else {
		m.worker = "w"
	}
	if m.ended == "" || kind != "kill" && kind != "stop" {
		m.ended = rqText(m.now)
	}
	if kind != "stop" {
		fields = append(fields, "ended_at", m.ended)
	}
	m.do("ZREM", "rq:wip:default", "job", "job:"+t.exec)
	m.do("ZREM", "rq:executions:job", t.exec)
	switch {
	case kind == "finish", kind == "repeat":
		m.finish(t, kind == "repeat", fields)
	case m.retries > 0 && kind != "stop":
		m.retries--
		t.state = distro.ExecutionRetried
		m.again(append(fields, "retries_left", strconv.Itoa(m.retries)))
	default:
		m.fail(t, kind, fields)
	}
}

func (m *model) finish(t *truth, repeat bool, fields []string) {
	t.state, t.seen, m.status = distro.ExecutionFinished, true, "finished"
	m.do("ZADD", "rq:finished:default", strconv.FormatInt(m.now.Unix()+500, 10), "job")
	m.entry(t, "1", "")
	if repeat {
		m.again(fields)
		return
	}
	m.set(append(fields, "status", m.status)...)
}

func (m *model) fail(t *truth, kind string, fields []string) {
	text := map[string]string{
		"kill": "Work-horse terminated unexpectedly; waitpid returned 9 (signal 9); ", "stop": "Job stopped by user, work-horse terminated.",
		"fail": "Traceback x\n  y\nValueError: no\n",
	}[kind]
	t.state, t.seen, m.status = distro.ExecutionFailed, true, "failed"
	if kind == "stop" {
		t.state, m.status = distro.ExecutionStopped, "stopped"
	}
	m.set(append(fields, "status", m.status)...)
	m.do("ZADD", "rq:failed:default", strconv.FormatInt(m.now.Unix()+31536000, 10), "job")
	m.entry(t, "2", text)
}

// again puts the job where it waits for its next attempt.
func (m *model) again(fields []string) {
	m.status = rapid.SampledFrom([]string{"queued", "scheduled"}).Draw(m.T, "waits")
	m.set(append(fields, "status", m.status)...)
	if m.status == "queued" {
		m.do("RPUSH", "rq:queue:default", "job")
	} else {
		m.do("ZADD", "rq:scheduled:default", strconv.FormatInt(m.now.Unix()+60, 10), "job")
	}
}

func (m *model) entry(t *truth, kind, text string) {
	args := []string{"XADD", "rq:results:job", strconv.FormatInt(m.now.UnixMilli()+1, 10) + "-0", "type", kind}
	if text != "" {
		args = append(args, "exc_string", base64.StdEncoding.EncodeToString(deflated(text)))
	}
	if m.era == era28 {
		unix := func(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMicro())/1e6, 'f', 6, 64) }
		args = append(args, "execution_id", t.exec, "execution_started_at", unix(t.started.Add(-6*time.Millisecond)))
		if t.state != distro.ExecutionStopped {
			args = append(args, "execution_ended_at", unix(t.ended))
		}
	}
	m.do(args...)
}

// deflated is text as RQ compresses it.
func deflated(text string) []byte {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.Bytes()
}

// requeue is what a client does with a job that failed.
func (m *model) requeue() {
	m.pass(5)
	m.do("ZREM", "rq:failed:default", "job")
	m.status, m.ended = "queued", ""
	m.set("status", m.status, "started_at", "", "ended_at", "")
	m.do("RPUSH", "rq:queue:default", "job")
}

// look records what is seen now. An attempt that runs, or that ended last and
// left no result, must be seen by that.
func (m *model) look() {
	m.since = nil
	if n := len(m.attempts); n > 0 && (m.running() || m.last().state == distro.ExecutionRetried) {
		m.last().seen = true
	}
	r := recorder.New(recorder.Options{History: m.history, Stock: m.stock})
	if err := r.RecordStock(m.Context()); err != nil {
		m.Fatal(err)
	}
	m.check()
}

// restart lets another recorder go on. Where retries are left nothing happens
// meanwhile: it would not be known what an attempt that ran has become.
func (m *model) restart() {
	if !m.once {
		m.look()
		defer m.look()
	}
	m.stock = m.broker.Stock()
	open, err := m.history.Running(m.Context(), 1000)
	if err != nil {
		m.Fatal(err)
	}
	m.stock.Follow(open)
}

// check compares history with what happened.
func (m *model) check() {
	rows, err := m.history.Attempts(m.Context(), "job")
	if err != nil {
		m.Fatal(err)
	}
	used := map[int]bool{}
	for _, e := range rows {
		i := m.find(e, used)
		if i < 0 {
			m.Fatalf("history has an attempt that was not made, or twice: %+v\n%s", e, m)
		}
		used[i] = true
	}
	for i, t := range m.attempts {
		if t.seen && !used[i] {
			m.Fatalf("history lacks attempt %d\n%s\n%+v", i, m, rows)
		}
	}
}

// find returns the attempt that an execution in history is.
func (m *model) find(e distro.Execution, used map[int]bool) int {
	for i, t := range m.attempts {
		at, is := t.started, e.StartedAt
		if is.IsZero() {
			at, is = t.ended, e.EndedAt
		}
		if !used[i] && e.State == t.state && at.Sub(is).Abs() < 8*time.Millisecond {
			return i
		}
	}
	return -1
}

func (m *model) String() string {
	var b strings.Builder
	for i, t := range m.attempts {
		fmt.Fprintf(&b, "%d: %s %s - %s %s seen %v\n", i, t.state, rqText(t.started), rqText(t.ended), t.exec, t.seen)
	}
	return b.String()
}

func TestStockAttemptsAreInHistoryOnceWhateverRQWroteOfThem(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	b, err := redisbroker.Open(t.Context(), redisbroker.Options{URL: server.URL(), Clock: broker.SystemClock(), Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	conn := server.Conn(t, server.URL())
	rapid.Check(t, func(rt *rapid.T) {
		conn.Do("FLUSHDB")
		m := &model{T: rt, conn: conn, broker: b, stock: b.Stock(), history: newMemory()}
		m.era = era(rapid.IntRange(0, 2).Draw(rt, "era"))
		m.retries = rapid.IntRange(0, 3).Draw(rt, "retries")
		m.once = m.retries == 0
		m.quick = rapid.Bool().Draw(rt, "quick")
		m.now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
		m.do("SADD", "rq:queues", "rq:queue:default")
		m.do("SADD", "rq:workers", "rq:worker:w")
		m.status = "queued"
		m.set("data", "x", "origin", "default", "status", m.status, "retries_left", strconv.Itoa(m.retries),
			"worker_name", "", "started_at", "", "ended_at", "")
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			m.step(rapid.IntRange(0, 9).Draw(rt, "step"))
		}
		m.look()
	})
}

// step does one of the things that may happen now.
func (m *model) step(n int) {
	m.do("HSET", "rq:worker:w", "birth", rqText(m.now), "queues", "default", "failed_job_count", strconv.Itoa(int(m.now.UnixMicro()%1e9)))
	switch {
	case n <= 3:
		m.look()
	case n == 4 && m.quick:
	case n == 4:
		m.restart()
	case m.running():
		kinds := []string{"finish", "fail", "fail", "kill", "stop"}
		if m.era > era1 {
			kinds = append(kinds, "repeat", "repeat")
		}
		m.end(rapid.SampledFrom(kinds).Draw(m.T, "end"))
	case m.status == "failed", m.status == "stopped":
		m.requeue()
	case m.status != "finished":
		m.begin()
	}
}
