// Package brokertest checks brokers against the contract of package broker: a
// suite with one subtest per sentence, and a state machine that compares a
// broker with the Model, step by step.
package brokertest

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// Harness makes the brokers to be checked.
type Harness struct {
	// Open returns an empty broker, which it closes when the test ends.
	Open func(t TB, clock broker.Clock) broker.Broker
	// FeedKeep is the number of feed entries the brokers keep when swept.
	FeedKeep int
	// Grain is the unit of the due times and expiries that the brokers keep,
	// rounded up; 0: they are exact.
	Grain time.Duration
}

// TB is a test, or one case of a property test.
type TB interface {
	Helper()
	Context() context.Context
	Cleanup(fn func())
	Fatalf(format string, args ...any)
}

// Run runs the suite, each subtest on a broker of its own.
func (h Harness) Run(t *testing.T) {
	for _, group := range []struct {
		name  string
		tests []subtest
	}{
		{"Enqueue", enqueueTests()},
		{"Claim", claimTests()},
		{"Settle", settleTests()},
		{"Retries", retryTests()},
		{"Attempts asked for", againTests()},
		{"Records of ended jobs", keepTests()},
		{"Answers to Settle", answerTests()},
		{"Begin and Return", beginTests()},
		{"Reconcile", reconcileTests()},
		{"Act", actTests()},
		{"RunFirst and Stop", runFirstAndStopTests()},
		{"Allowed actions", allowedTests()},
		{"Get and List", listTests()},
		{"Pages", pageTests()},
		{"Places", placeTests()},
		{"Compact", compactTests()},
		{"Counts and SetPaused", countTests()},
		{"Empty", emptyTests()},
		{"Sweep", sweepTests()},
		{"Rescue", rescueTests()},
		{"Workers", workerTests()},
		{"Changes", feedTests()},
		{"Wait", waitTests()},
		{"Races", raceTests()},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for _, test := range group.tests {
				t.Run(test.sentence, func(t *testing.T) {
					t.Parallel()
					clock := NewClock()
					test.run(&suite{
						T: t, ctx: t.Context(), clock: clock, broker: h.Open(t, clock),
						keep: h.FeedKeep, tick: cmp.Or(h.Grain, time.Microsecond),
					})
				})
			}
		})
	}
}

type subtest struct {
	sentence string
	run      func(*suite)
}

// suite is one subtest with its broker.
type suite struct {
	*testing.T
	ctx    context.Context //nolint:containedctx // of the test that it is
	clock  *Clock
	broker broker.Broker
	keep   int
	tick   time.Duration // smallest difference of times that the broker tells apart
	tokens int

	workersMade uint64
}

// equal compares what a broker answered with what it should have; empty and
// missing are the same.
func (s *suite) equal(what string, got, want any) {
	s.Helper()
	if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateErrors(), unordered()); diff != "" {
		s.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

// unordered compares lists in any order that the contract gives none, and
// leaves out what is each broker's own to say.
func unordered() gocmp.Option {
	field := func(name string, option gocmp.Option) gocmp.Option {
		return gocmp.FilterPath(func(p gocmp.Path) bool { return p.Last().String() == name }, option)
	}
	return gocmp.Options{
		field(".Running", cmpopts.SortSlices(strings.Compare)),
		field(".Stop", cmpopts.SortSlices(compareClaims)),
		field(".Description", gocmp.Ignore()),
		field(".Idle", gocmp.Ignore()),
	}
}

func (s *suite) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// job is a job of queue "default" whose record is kept for ever.
func job(id string, edits ...func(*distro.Job)) distro.Job {
	j := distro.Job{
		ID: id, Queue: "default", Function: "report.build", Fingerprint: "print-" + id,
		Payload: callOf("report.build"), Timeout: 30 * time.Minute,
		ResultTTL: distro.Forever, FailureTTL: distro.Forever,
	}
	for _, edit := range edits {
		edit(&j)
	}
	return j
}

// callOf is a call without arguments. It names its function, as every payload
// does that Distro makes: some brokers know the function by it.
func callOf(function string) distro.Payload {
	return distro.Payload{Serializer: distro.SerializerJSON, Data: fmt.Appendf(nil, `[%q, null, [], {}]`, function)}
}

func calling(function string) func(*distro.Job) {
	return func(j *distro.Job) { j.Function, j.Payload = function, callOf(function) }
}

func onQueue(name string) func(*distro.Job)       { return func(j *distro.Job) { j.Queue = name } }
func dueAt(at time.Time) func(*distro.Job)        { return func(j *distro.Job) { j.DueAt = at } }
func waiting(ttl time.Duration) func(*distro.Job) { return func(j *distro.Job) { j.TTL = ttl } }

func retries(n int, intervals ...time.Duration) func(*distro.Job) {
	return func(j *distro.Job) { j.RetriesLeft, j.RetryIntervals = n, intervals }
}

func (s *suite) enqueue(jobs ...distro.Job) []broker.EnqueueResult {
	s.Helper()
	results, err := s.broker.Enqueue(s.ctx, jobs)
	s.ok(err)
	return results
}

// add enqueues a plain job for each ID.
func (s *suite) add(ids ...string) {
	s.Helper()
	for _, id := range ids {
		s.enqueue(job(id))
	}
}

func (s *suite) get(id string) distro.Job {
	s.Helper()
	jobs, err := s.broker.Get(s.ctx, []string{id})
	s.ok(err)
	if len(jobs) != 1 {
		s.Fatalf("got %d jobs of ID %q, want 1", len(jobs), id)
	}
	return jobs[0]
}

// statuses are the statuses of jobs, "-" for those that do not exist.
func (s *suite) statuses(ids ...string) string {
	s.Helper()
	words := make([]string, len(ids))
	for i, id := range ids {
		jobs, err := s.broker.Get(s.ctx, []string{id})
		s.ok(err)
		words[i] = "-"
		if len(jobs) == 1 {
			words[i] = string(jobs[0].Status)
		}
	}
	return strings.Join(words, " ")
}

func (s *suite) act(action broker.Action, ids ...string) []error {
	s.Helper()
	errs, err := s.broker.Act(s.ctx, action, ids)
	s.ok(err)
	return errs
}

// done acts where nothing may go wrong.
func (s *suite) done(action broker.Action, ids ...string) {
	s.Helper()
	for i, err := range s.act(action, ids...) {
		if err != nil {
			s.Fatalf("%s %q: %v", action, ids[i], err)
		}
	}
}

func (s *suite) sweep() broker.Swept {
	s.Helper()
	swept, err := s.broker.Sweep(s.ctx, 100)
	s.ok(err)
	return swept
}

// sweepAll sweeps until nothing is left to do.
func (s *suite) sweepAll() {
	s.Helper()
	for more := true; more; {
		more = s.sweep().More
	}
}

// pass lets time pass, with a sweep as often as workers beat.
func (s *suite) pass(d time.Duration) (sum broker.Swept) {
	s.Helper()
	for end := s.clock.Monotonic() + d; ; {
		swept := s.sweep()
		sum.Due, sum.Rescued, sum.Expired = sum.Due+swept.Due, sum.Rescued+swept.Rescued, sum.Expired+swept.Expired
		left := end - s.clock.Monotonic()
		if left <= 0 {
			return sum
		}
		s.clock.Advance(min(left, broker.BeatEvery))
	}
}

func (s *suite) feedEnd() string {
	s.Helper()
	end, err := s.broker.FeedEnd(s.ctx)
	s.ok(err)
	return end
}

// changes reads the whole feed.
func (s *suite) changes() []distro.Change {
	s.Helper()
	var all []distro.Change
	for cursor := ""; ; cursor = all[len(all)-1].Cursor {
		part, err := s.broker.Changes(s.ctx, cursor, broker.MaxPage)
		s.ok(err)
		if len(part) == 0 {
			return all
		}
		all = append(all, part...)
	}
}

// history is what the feed says of a job: statuses, with the outcome of the
// attempt that led to it and the attempt's ordinal.
func (s *suite) history(id string) string {
	s.Helper()
	var words []string
	for _, c := range s.changes() {
		if c.JobID != id {
			continue
		}
		word := string(c.Status)
		if word == "" {
			word = "deleted"
		}
		if c.Outcome != "" {
			word = string(c.Outcome) + ">" + word
		}
		words = append(words, fmt.Sprintf("%s.%d", word, c.Attempt))
	}
	return strings.Join(words, " ")
}

// worker is a worker that talks to the broker of a suite.
type worker struct {
	*suite
	name string
	beat uint64
}

// worker returns a worker whose beats lie above those of all workers before.
func (s *suite) worker(name string) *worker {
	s.workersMade++
	return &worker{suite: s, name: name, beat: s.workersMade << 20}
}

func (w *worker) call(req broker.ExchangeRequest) broker.ExchangeReply {
	w.Helper()
	reply, err := w.try(req)
	w.ok(err)
	return reply
}

func (w *worker) try(req broker.ExchangeRequest) (broker.ExchangeReply, error) {
	w.beat++
	req.Worker.Name, req.Beat = w.name, w.beat
	return w.broker.Exchange(w.ctx, req)
}

// take claims at most n jobs, of which the first ones begin.
func (w *worker) take(n, begun int, queues ...string) []broker.Claimed {
	w.Helper()
	return w.call(broker.ExchangeRequest{Want: w.want(n, begun, queues...)}).Claims
}

func (w *worker) want(n, begun int, queues ...string) broker.Want {
	if len(queues) == 0 {
		queues = []string{"default"}
	}
	want := broker.Want{Queues: queues, Begun: begun}
	for range n {
		w.tokens++
		want.Tokens = append(want.Tokens, fmt.Sprintf("%s-token-%d", w.name, w.tokens))
	}
	return want
}

// run claims at most n jobs and begins them.
func (w *worker) run(n int, queues ...string) []broker.Claim {
	w.Helper()
	return refs(w.take(n, n, queues...))
}

// prefetch claims at most n jobs and begins none.
func (w *worker) prefetch(n int, queues ...string) []broker.Claim {
	w.Helper()
	return refs(w.take(n, 0, queues...))
}

func (w *worker) settle(outcome distro.Outcome, claims ...broker.Claim) []broker.SettleStatus {
	w.Helper()
	return w.call(broker.ExchangeRequest{Settle: settlements(outcome, claims...)}).Settled
}

func settlements(outcome distro.Outcome, claims ...broker.Claim) []broker.Settlement {
	var list []broker.Settlement
	for _, c := range claims {
		list = append(list, broker.Settlement{Claim: c, Result: distro.Result{Outcome: outcome}})
	}
	return list
}

func refs(list []broker.Claimed) []broker.Claim {
	var claims []broker.Claim
	for _, c := range list {
		claims = append(claims, broker.Claim{JobID: c.Job.ID, Token: c.Token})
	}
	return claims
}

// ids joins the jobs of claims.
func ids(claims []broker.Claim) string {
	var list []string
	for _, c := range claims {
		list = append(list, c.JobID)
	}
	return strings.Join(list, " ")
}

// order empties the waiting list of a queue by claiming and returns its order.
func (s *suite) order(queue string) string {
	s.Helper()
	return ids(s.worker("order").prefetch(broker.MaxExchange, queue))
}
