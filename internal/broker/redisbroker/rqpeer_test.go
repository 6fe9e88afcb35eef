package redisbroker_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/brokertest"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
	"github.com/distro-orchestrator/distro/internal/pickle"
	"github.com/distro-orchestrator/distro/internal/proctest"
	"github.com/distro-orchestrator/distro/internal/redistest"
)

// site is a database of its own with a broker on it, and a connection that
// sees what RQ sees.
type site struct {
	*testing.T
	url    string
	broker *redisbroker.Broker
	conn   *redistest.Conn
}

// newSite uses the clock of the machine unless opts names another one: stock
// processes have no other.
func newSite(t *testing.T, opts redisbroker.Options) *site {
	t.Helper()
	if opts.URL == "" {
		opts.URL = server.DB(t)
	}
	return &site{T: t, url: opts.URL, broker: openAs(t, opts), conn: server.Conn(t, opts.URL)}
}

// openAs opens a broker exactly as opts say, but for what has no default in a
// test.
func openAs(t *testing.T, opts redisbroker.Options) *redisbroker.Broker {
	t.Helper()
	if opts.Clock == nil {
		opts.Clock = broker.SystemClock()
	}
	if opts.Timeout == 0 {
		opts.Timeout = 20 * time.Second // many tests share one server
	}
	b, err := redisbroker.Open(t.Context(), opts)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

// do runs a command that must not fail.
func (s *site) do(args ...string) any {
	s.Helper()
	answer := s.conn.Do(args...)
	if err, failed := answer.(redistest.Error); failed {
		s.Fatalf("%q: %v", args, err)
	}
	return answer
}

func (s *site) number(args ...string) int {
	s.Helper()
	n, ok := s.do(args...).(int64)
	if !ok {
		s.Fatalf("%q answers no number", args)
	}
	return int(n)
}

func (s *site) texts(args ...string) []string {
	s.Helper()
	var list []string
	for _, item := range s.do(args...).([]any) {
		text, _ := item.(string)
		list = append(list, text)
	}
	return list
}

func (s *site) pairs(args ...string) map[string]string {
	s.Helper()
	list := s.texts(args...)
	fields := map[string]string{}
	for i := 0; i+1 < len(list); i += 2 {
		fields[list[i]] = list[i+1]
	}
	return fields
}

func (s *site) hash(key string) map[string]string { s.Helper(); return s.pairs("HGETALL", key) }
func (s *site) list(key string) []string          { s.Helper(); return s.texts("LRANGE", key, "0", "-1") }
func (s *site) scores(key string) map[string]string {
	s.Helper()
	return s.pairs("ZRANGE", key, "0", "-1", "WITHSCORES")
}

func (s *site) members(key string) []string {
	s.Helper()
	return slices.Sorted(slices.Values(s.texts("SMEMBERS", key)))
}

// entries are those of a stream, the oldest first.
func (s *site) entries(key string) []map[string]string {
	s.Helper()
	var list []map[string]string
	for _, item := range s.do("XRANGE", key, "-", "+").([]any) {
		fields := map[string]string{}
		parts := item.([]any)[1].([]any)
		for i := 0; i+1 < len(parts); i += 2 {
			fields[parts[i].(string)] = parts[i+1].(string)
		}
		list = append(list, fields)
	}
	return list
}

// keys are all keys of the database but those that are always there.
func (s *site) keys() []string {
	s.Helper()
	always := []string{"distro:seq", "distro:reader", "distro:feed"}
	list := slices.DeleteFunc(s.texts("KEYS", "*"), func(key string) bool { return slices.Contains(always, key) })
	return slices.Sorted(slices.Values(list))
}

func (s *site) ttl(key string) time.Duration {
	s.Helper()
	return time.Duration(s.number("PTTL", key)) * time.Millisecond
}

// equal compares; empty, missing and nil are the same.
func (s *site) equal(what string, got, want any) {
	s.Helper()
	if v := reflect.ValueOf(got); want == nil && v.Len() == 0 {
		return
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateErrors()); diff != "" {
		s.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// within checks a duration against what it was set to a moment ago.
func (s *site) within(what string, got, want time.Duration) {
	s.Helper()
	if got > want+time.Second || got < want-20*time.Second {
		s.Errorf("%s is %v, want about %v", what, got, want)
	}
}

// ahead checks that a score is a whole second about so far ahead of now.
func (s *site) ahead(what, score string, want time.Duration) {
	s.Helper()
	second, err := strconv.ParseInt(score, 10, 64)
	if err != nil {
		s.Errorf("%s has the score %q, want a whole number", what, score)
		return
	}
	s.within("score of "+what, time.Until(time.Unix(second, 0)), want)
}

// call is a job of queue "default" that calls a function with positional
// arguments, as a producer writes it.
func pickled(id, function, args string, edits ...func(*distro.Job)) distro.Job {
	data, err := pickle.AppendCall(nil, function, []byte(args), nil)
	if err != nil {
		panic(err)
	}
	j := distro.Job{
		ID: id, Queue: "default", Function: function, Payload: distro.Payload{Serializer: distro.SerializerPickle, Data: data},
		Timeout: time.Minute, ResultTTL: 500 * time.Second, FailureTTL: 24 * time.Hour,
	}
	for _, edit := range edits {
		edit(&j)
	}
	return j
}

func (s *site) enqueue(jobs ...distro.Job) {
	s.Helper()
	results, err := s.broker.Enqueue(s.Context(), jobs)
	if err != nil {
		s.Fatal(err)
	}
	for i, result := range results {
		if result != broker.Enqueued {
			s.Fatalf("job %q was not stored: %v", jobs[i].ID, result)
		}
	}
}

func (s *site) add(ids ...string) {
	s.Helper()
	for _, id := range ids {
		s.enqueue(pickled(id, "peerjobs.add", "[1, 2]"))
	}
}

// foreign writes a job as a stock producer does, with more fields or others.
func (s *site) foreign(id string, fields ...string) {
	s.Helper()
	data, err := pickle.AppendCall(nil, "peerjobs.add", []byte("[1, 2]"), nil)
	if err != nil {
		s.Fatal(err)
	}
	all := map[string]string{
		"created_at": "2026-11-23T12:37:01.651102Z", "data": string(data), "origin": "default", "description": "peerjobs.add(1, 2)",
		"enqueued_at": "2026-11-23T12:37:01.657663Z", "timeout": "180", "status": "queued", "started_at": "", "ended_at": "",
		"last_heartbeat": "", "worker_name": "", "success_callback_name": "", "failure_callback_name": "",
	}
	for i := 0; i+1 < len(fields); i += 2 {
		all[fields[i]] = fields[i+1]
	}
	args := []string{"HSET", "rq:job:" + id}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		args = append(args, name, all[name])
	}
	s.do("SADD", "rq:queues", "rq:queue:"+all["origin"])
	s.do(args...)
}

// foreignQueued puts such a job into its queue.
func (s *site) foreignQueued(id string, fields ...string) {
	s.Helper()
	s.foreign(id, fields...)
	s.do("RPUSH", "rq:queue:"+s.hash("rq:job:" + id)["origin"], id)
}

// deferred writes a job that waits for others, as a stock producer does.
func (s *site) deferred(id string, parents []string, fields ...string) {
	s.Helper()
	text, err := json.Marshal(parents)
	if err != nil {
		s.Fatal(err)
	}
	s.foreign(id, append([]string{
		"status", "deferred", "enqueued_at", "", "dependency_id", parents[0], "dependency_ids", string(text),
	}, fields...)...)
	s.do("ZADD", "rq:deferred:"+s.hash("rq:job:" + id)["origin"], "1795437512", id)
	for _, parent := range parents {
		s.do("SADD", "rq:job:"+parent+":dependents", id)
		s.do("SADD", "rq:job::"+id+":dependencies", parent)
	}
}

func (s *site) status(id string) string {
	s.Helper()
	return s.hash("rq:job:" + id)["status"]
}

// sweep sweeps until nothing is left to do.
func (s *site) sweep(b *redisbroker.Broker) (sum broker.Swept) {
	s.Helper()
	for more := true; more; {
		swept, err := b.Sweep(s.Context(), 100)
		if err != nil {
			s.Fatal(err)
		}
		sum.Due, sum.Rescued, sum.Expired = sum.Due+swept.Due, sum.Rescued+swept.Rescued, sum.Expired+swept.Expired
		sum.NextDue, more = swept.NextDue, swept.More
	}
	return sum
}

// hand is a worker that says what its test lets it say.
type hand struct {
	*site
	broker *redisbroker.Broker
	worker distro.Worker
	beat   uint64
	tokens int
}

// hand returns a worker; pub/sub knows no databases, so its name should be
// one that no other test uses where commands matter.
func (s *site) hand(name string, edits ...func(*distro.Worker)) *hand {
	w := distro.Worker{
		Name: name, Host: "host", PID: 4711, Queues: []string{"default"}, Slots: 1, Isolation: "fork",
		Python: "3.11.2", Version: "0.3.0", StartedAt: time.Now().UTC().Truncate(time.Microsecond),
	}
	for _, edit := range edits {
		edit(&w)
	}
	return &hand{site: s, broker: s.broker, worker: w}
}

func (h *hand) try(req broker.ExchangeRequest) (broker.ExchangeReply, error) {
	h.beat++
	req.Worker, req.Beat = h.worker, h.beat
	return h.broker.Exchange(h.Context(), req)
}

func (h *hand) say(req broker.ExchangeRequest) broker.ExchangeReply {
	h.Helper()
	reply, err := h.try(req)
	if err != nil {
		h.Fatal(err)
	}
	return reply
}

func (h *hand) want(n, begun int) broker.Want {
	want := broker.Want{Queues: h.worker.Queues, Begun: begun}
	for range n {
		h.tokens++
		want.Tokens = append(want.Tokens, fmt.Sprintf("%s-%d", h.worker.Name, h.tokens))
	}
	return want
}

// take claims at most n jobs, of which the first ones begin.
func (h *hand) take(n, begun int) []broker.Claim {
	h.Helper()
	return claimsOf(h.say(broker.ExchangeRequest{Want: h.want(n, begun)}).Claims)
}

// run begins the job at the front, which has this ID.
func (h *hand) run(id string) broker.Claim {
	h.Helper()
	claims := h.take(1, 1)
	if len(claims) != 1 || claims[0].JobID != id {
		h.Fatalf("claimed %v, want %q", claims, id)
	}
	return claims[0]
}

func (h *hand) settle(result distro.Result, claims ...broker.Claim) []broker.SettleStatus {
	h.Helper()
	var req broker.ExchangeRequest
	for _, c := range claims {
		req.Settle = append(req.Settle, broker.Settlement{Claim: c, Result: result})
	}
	return h.say(req).Settled
}

// done settles where nothing may go wrong.
func (h *hand) done(result distro.Result, claims ...broker.Claim) {
	h.Helper()
	for i, status := range h.settle(result, claims...) {
		if status != broker.SettleDone {
			h.Fatalf("settling %v: %v, want it to be done", claims[i], status)
		}
	}
}

func claimsOf(list []broker.Claimed) []broker.Claim {
	var claims []broker.Claim
	for _, c := range list {
		claims = append(claims, broker.Claim{JobID: c.Job.ID, Token: c.Token})
	}
	return claims
}

func jobsOf(claims []broker.Claim) []string {
	var list []string
	for _, c := range claims {
		list = append(list, c.JobID)
	}
	return list
}

// three is Python's 3 in a pickle.
func three() []byte { return []byte("\x80\x05K\x03.") }

func finished() distro.Result {
	end := time.Now().UTC()
	return distro.Result{Outcome: distro.OutcomeFinished, StartedAt: end.Add(-1500 * time.Millisecond), EndedAt: end, Pickle: three()}
}

func failed(traceback string) distro.Result {
	end := time.Now().UTC()
	return distro.Result{
		Outcome: distro.OutcomeFailed, StartedAt: end.Add(-time.Second / 2), EndedAt: end,
		Failure: &distro.Failure{Kind: distro.FailureException, Type: "ValueError", Message: "no", Traceback: traceback},
	}
}

func stopped() distro.Result {
	return distro.Result{
		Outcome: distro.OutcomeStopped, EndedAt: time.Now().UTC(),
		Failure: &distro.Failure{Kind: distro.FailureStopped, Message: "stopped"},
	}
}

const traceback = "Traceback (most recent call last):\n  File \"peerjobs.py\", line 1, in add\nValueError: no\n"

// peer is a stock RQ whose workers know the module peerjobs.
type peer struct {
	*redistest.Stock
	dir string
}

func newPeer(t *testing.T) peer {
	t.Helper()
	const source = `
import os, redis

def add(a, b):
    return a + b

def hold(key):
    "Says that it runs, and ends when it is told to."
    connection = redis.from_url(os.environ["REDIS_URL"])
    connection.rpush(key + ":runs", os.getpid())
    return connection.blpop(key + ":ends", 60) is not None
`
	p := peer{redistest.FindStock(t), t.TempDir()}
	if err := os.WriteFile(filepath.Join(p.dir, "peerjobs.py"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	p.Stock = p.WithPath(p.dir)
	return p
}

// script runs Python where the names of RQ and a connection c are known.
func (p peer) script(s *site, source string) string {
	s.Helper()
	const head = `
import json, os, redis, rq, sys
from rq import Queue, Worker, command
from rq.job import Job
from rq.registry import *
c = redis.from_url(os.environ["REDIS_URL"])
`
	return strings.TrimSpace(p.Run(s.T, s.url, head+source))
}

func (p peer) worker(s *site, name string, args ...string) *proctest.Process {
	s.Helper()
	return p.Worker(s.T, redistest.WorkerOptions{URL: s.url, Queues: []string{"default"}, Dir: p.dir, Args: append([]string{"--name", name}, args...)})
}

// rqTimePattern is the only form of a time that every RQ reads.
var rqTimePattern = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`)

func (s *site) isTime(what, text string) {
	s.Helper()
	if !rqTimePattern.MatchString(text) {
		s.Errorf("%s is %q, want a time of RQ", what, text)
	}
}

// unavailable checks the error of a call to a Redis that does not answer.
func (s *site) unavailable(what string, err error) {
	s.Helper()
	if !errors.Is(err, broker.ErrUnavailable) {
		s.Errorf("%s: %v, want ErrUnavailable", what, err)
	}
}

// newStill returns a clock that moves when a test says so. Redis itself does
// not follow it.
func newStill() *brokertest.Clock { return brokertest.NewClock() }

// plus adds seconds to a score.
func plus(t *testing.T, score string, seconds int64) string {
	t.Helper()
	n, err := strconv.ParseInt(score, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return strconv.FormatInt(n+seconds, 10)
}
