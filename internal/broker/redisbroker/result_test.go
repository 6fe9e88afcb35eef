package redisbroker_test

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
)

func encoded(p string) string { return base64.StdEncoding.EncodeToString([]byte(p)) }

// deflated is a text as RQ stores it.
func deflated(text string) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

const (
	startedText = "2027-01-15T07:59:58.000000Z"
	endedText   = "2027-01-15T08:00:00.000001Z" // about when Decode's entries are written
)

// ended is the hash of a job that a stock worker ended.
func ended(status string, more ...string) map[string]string {
	fields := map[string]string{
		"data": "x", "status": status, "worker_name": "stock", "started_at": startedText, "ended_at": endedText,
	}
	for i := 0; i < len(more); i += 2 {
		fields[more[i]] = more[i+1]
	}
	return fields
}

const rqTraceback = "Traceback (most recent call last):\n  File \"app.py\", line 3, in f\n    raise ValueError(\"kaput\")\n"

func TestResultsOfStockWorkersAreRead(t *testing.T) {
	t.Parallel()
	finished := func(pickle, view string, isJSON bool) *distro.Result {
		r := &distro.Result{Outcome: distro.OutcomeFinished, View: distro.View{Text: view, JSON: isJSON}}
		if pickle != "" {
			r.Pickle = []byte(pickle)
		}
		return r
	}
	failed := func(outcome distro.Outcome, f distro.Failure) *distro.Result {
		return &distro.Result{Outcome: outcome, Failure: &f}
	}
	for name, test := range map[string]struct {
		fields, newest map[string]string
		want           *distro.Result
	}{
		"a value":       {ended("finished"), map[string]string{"type": "1", "return_value": encoded("\x80\x05K*.")}, finished("\x80\x05K*.", "42", true)},
		"a tuple":       {ended("finished"), map[string]string{"type": "1", "return_value": encoded("\x80\x05K\x01K\x02\x86.")}, finished("\x80\x05K\x01K\x02\x86.", "(1, 2)", false)},
		"None":          {ended("finished"), map[string]string{"type": "1"}, finished("", "null", true)},
		"JSON":          {ended("finished"), map[string]string{"type": "1", "return_value": encoded(`{"a": [1]}`)}, finished(`{"a": [1]}`, `{"a": [1]}`, true)},
		"undecodable":   {ended("finished"), map[string]string{"type": "1", "return_value": encoded("\x80\xff")}, finished("\x80\xff", "<undecodable value>", false)},
		"of old Redis":  {ended("finished", "result", "\x80\x04K\x07."), nil, finished("\x80\x04K\x07.", "7", true)},
		"an exception":  {ended("failed"), map[string]string{"type": "2", "exc_string": encoded(deflated(rqTraceback + "ValueError: kaput: 1\n"))}, failed(distro.OutcomeFailed, distro.Failure{Kind: distro.FailureException, Type: "ValueError", Message: "kaput: 1", Traceback: rqTraceback + "ValueError: kaput: 1\n"})},
		"one of lines":  {ended("failed"), map[string]string{"type": "2", "exc_string": encoded(deflated(rqTraceback + "app.Bad: first\nsecond\n"))}, failed(distro.OutcomeFailed, distro.Failure{Kind: distro.FailureException, Type: "app.Bad", Message: "first", Traceback: rqTraceback + "app.Bad: first\nsecond\n"})},
		"a timeout":     {ended("failed"), map[string]string{"type": "2", "exc_string": encoded(deflated(rqTraceback + "rq.timeouts.JobTimeoutException: Task\n"))}, failed(distro.OutcomeFailed, distro.Failure{Kind: distro.FailureTimeout, Type: "rq.timeouts.JobTimeoutException", Message: "Task", Traceback: rqTraceback + "rq.timeouts.JobTimeoutException: Task\n"})},
		"a signal":      {ended("failed"), map[string]string{"type": "2", "exc_string": encoded(deflated("Work-horse terminated unexpectedly; waitpid returned 9 (signal 9); "))}, failed(distro.OutcomeFailed, distro.Failure{Kind: distro.FailureSignal, Signal: 9, Message: "Work-horse terminated unexpectedly; waitpid returned 9 (signal 9); "})},
		"an exit":       {ended("failed"), map[string]string{"type": "2", "exc_string": encoded(deflated("Work-horse terminated unexpectedly; waitpid returned 768; "))}, failed(distro.OutcomeFailed, distro.Failure{Kind: distro.FailureExit, ExitCode: 3, Message: "Work-horse terminated unexpectedly; waitpid returned 768; "})},
		"a stop":        {ended("stopped"), map[string]string{"type": "2", "exc_string": encoded(deflated("Job stopped by user, work-horse terminated."))}, failed(distro.OutcomeStopped, distro.Failure{Kind: distro.FailureStopped, Message: "Job stopped by user, work-horse terminated."})},
		"abandoned":     {ended("failed"), map[string]string{"type": "2", "exc_string": encoded(deflated("Moved to FailedJobRegistry, due to AbandonedJobError, at now"))}, failed(distro.OutcomeLost, distro.Failure{Kind: distro.FailureLost, Message: "Moved to FailedJobRegistry, due to AbandonedJobError, at now"})},
		"by an old RQ":  {ended("failed", "exc_info", deflated("Moved to FailedJobRegistry at now")), map[string]string{"type": "1"}, failed(distro.OutcomeLost, distro.Failure{Kind: distro.FailureLost, Message: "Moved to FailedJobRegistry at now"})},
		"a retry":       {ended("scheduled"), map[string]string{"type": "4", "return_value": encoded("x")}, failed(distro.OutcomeFailed, distro.Failure{Kind: distro.FailureRetry, Message: "the function returned rq.Retry"})},
		"no retry left": {ended("failed"), map[string]string{"type": "5", "exc_string": encoded(deflated("Max retries\n"))}, failed(distro.OutcomeFailed, distro.Failure{Kind: distro.FailureRetry, Message: "Max retries"})},
		"requeued":      {ended("queued", "exc_info", deflated("")), nil, nil},
		"unknown":       {ended("finished"), map[string]string{"type": "77"}, nil},
		"none":          {ended("failed"), nil, nil},
	} {
		got, _ := redisbroker.Decode("id", test.fields, test.newest)
		if test.want != nil {
			test.want.Attempt, test.want.Worker, test.want.Stock, test.want.Run = 1, "stock", true, redisbroker.RQTime(got.StartedAt)
			test.want.StartedAt, test.want.EndedAt = got.StartedAt, got.EndedAt
		}
		if diff := cmp.Diff(test.want, got.Result); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestAResultHasTheTimesOfItsOwnAttempt(t *testing.T) {
	t.Parallel()
	fields := ended("finished")
	newest := map[string]string{
		"type": "1", "worker_name": "other", "execution_started_at": "1799999990.5", "execution_ended_at": "1799999991.250001",
	}
	got, _ := redisbroker.Decode("id", fields, newest)
	if r := got.Result; r.Worker != "other" || redisbroker.RQTime(r.StartedAt) != "2027-01-15T07:59:50.500000Z" ||
		redisbroker.RQTime(r.EndedAt) != "2027-01-15T07:59:51.250001Z" {
		t.Errorf("where the entry tells: %+v", r)
	}
	// The entry is that of an earlier attempt than the one that the hash tells of.
	fields["started_at"], fields["ended_at"] = "2027-02-01T00:00:00.000000Z", "2027-02-01T00:00:01.000000Z"
	got, _ = redisbroker.Decode("id", fields, map[string]string{"type": "1"})
	if r := got.Result; !r.StartedAt.IsZero() || r.EndedAt.Unix() != 1_800_000_000 {
		t.Errorf("where the hash tells of another attempt: %+v", r)
	}
}

// run lets a worker of Distro's run the first job of queue q.
func (b *bundle) run(result distro.Result) {
	b.Helper()
	exchange := func(req broker.ExchangeRequest) broker.ExchangeReply {
		b.Helper()
		b.clock.Advance(time.Second)
		req.Worker, req.Beat = distro.Worker{Name: "w", Queues: []string{"q"}, Slots: 1}, uint64(b.clock.Monotonic())
		reply, err := b.broker.Exchange(b.Context(), req)
		if err != nil {
			b.Fatal(err)
		}
		return reply
	}
	token := "token" + distro.NewID()
	claims := exchange(broker.ExchangeRequest{Want: broker.Want{Queues: []string{"q"}, Tokens: []string{token}, Begun: 1}}).Claims
	if len(claims) != 1 {
		b.Fatalf("claimed %d jobs", len(claims))
	}
	claim := broker.Claim{JobID: claims[0].Job.ID, Token: token}
	exchange(broker.ExchangeRequest{Settle: []broker.Settlement{{Claim: claim, Result: result}}})
}

func (b *bundle) get(id string) distro.Job {
	b.Helper()
	jobs, err := b.broker.Get(b.Context(), []string{id})
	if err != nil || len(jobs) != 1 {
		b.Fatalf("got %d jobs of ID %q: %v", len(jobs), id, err)
	}
	return jobs[0]
}

func TestTheResultOfAStockWorkerReplacesThatOfOurs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	retried := call("a", "q")
	retried.RetriesLeft = 1
	if _, err := b.broker.Enqueue(t.Context(), []distro.Job{retried}); err != nil {
		t.Fatal(err)
	}
	long := rqTraceback + string(bytes.Repeat([]byte("ä "), 500)) + "\n"
	b.run(distro.Result{Outcome: distro.OutcomeFailed, PeakMemory: 7, Failure: &distro.Failure{Kind: distro.FailureException, Traceback: long}})
	ours := b.get("a").Result
	if ours == nil || ours.PeakMemory != 7 || ours.Failure.Traceback != long {
		t.Fatalf("our result: %+v", ours)
	}
	if n := len(b.hash("rq:job:a")["distro_result"]); n > 600 {
		t.Errorf("our result takes %d bytes, with a traceback of %d", n, len(long))
	}
	b.do("HSET", "rq:job:a", "status", "started", "started_at", endedText, "worker_name", "stock")
	if got := b.get("a"); got.Result == nil || got.Result.PeakMemory != 7 || len(got.Earlier) > 0 {
		t.Errorf("while a stock worker runs the next attempt: %+v", got)
	}
	// Stock workers do not change ended_at when they stop a job, and the
	// cleaners of RQ 1 not when its worker is gone.
	b.do("HSET", "rq:job:a", "status", "stopped")
	b.do("XADD", "rq:results:a", "*", "type", "2", "exc_string", encoded(deflated("Job stopped by user, work-horse terminated.")))
	if got := b.get("a").Result; got == nil || got.Outcome != distro.OutcomeStopped {
		t.Errorf("after it was stopped: %+v", got)
	}
	if diff := cmp.Diff([]distro.Result{*ours}, b.get("a").Earlier); diff != "" {
		t.Errorf("the results before (-want +got):\n%s", diff)
	}
	b.do("HSET", "rq:job:a", "status", "failed", "exc_info", deflated("Moved to FailedJobRegistry at now"))
	b.do("DEL", "rq:results:a")
	if got := b.get("a").Result; got == nil || got.Outcome != distro.OutcomeLost {
		t.Errorf("after its worker was gone: %+v", got)
	}
	b.do("HSET", "rq:job:a", "status", "queued", "ended_at", endedText)
	if got := b.get("a").Result; got != nil {
		t.Errorf("after a retry, of which RQ keeps nothing: %+v", got)
	}
}

func TestAValueStandsInTheStreamWhereStockClientsReadIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.enqueue("j", "q", 1)
	b.run(distro.Result{Outcome: distro.OutcomeFinished, Pickle: []byte("\x80\x05K*."), View: distro.View{Text: "42", JSON: true}})
	if got := b.get("j00000").Result; got == nil || string(got.Pickle) != "\x80\x05K*." || got.View.Text != "42" {
		t.Errorf("got %+v", got)
	}
	entry := b.do("XREVRANGE", "rq:results:j00000", "+", "-").([]any)[0].([]any)[1]
	if diff := cmp.Diff([]any{"type", "1", "worker_name", "w", "return_value", encoded("\x80\x05K*."), "distro_token"}, entry.([]any)[:7]); diff != "" {
		t.Errorf("the entry (-want +got):\n%s", diff)
	}
}

// Distro ends what a stock worker ran that died. That attempt counts for nobody,
// and takes no place among the results of Distro's own.
func TestAStockWorkerThatDiesHidesNoResultBeforeIt(t *testing.T) {
	t.Parallel()
	clock := newStill()
	s := newSite(t, redisbroker.Options{Clock: clock, Schedule: []string{"default"}})
	w := s.hand("own")
	s.enqueue(pickled("job", "peerjobs.add", "[1, 2]", func(j *distro.Job) { j.RetriesLeft = 9 }))
	fail := func(why string) {
		t.Helper()
		claim := w.run("job")
		clock.Advance(time.Second)
		w.done(failed(why), claim)
	}
	earlier := func() (list []string) {
		t.Helper()
		jobs, err := s.broker.Get(t.Context(), []string{"job"})
		if err != nil || len(jobs) != 1 {
			t.Fatal(len(jobs), err)
		}
		for _, r := range jobs[0].Earlier {
			list = append(list, r.Failure.Traceback)
		}
		return list
	}
	fail("one")
	fail("two")
	s.equal("earlier than the second", earlier(), []string{"one"})
	clock.Advance(time.Second)
	s.do("LREM", "rq:queue:default", "0", "job")
	s.do("HSET", "rq:job:job", "status", "started", "started_at", redisbroker.RQTime(clock.Now()), "worker_name", "stock")
	s.do("ZADD", "rq:wip:default", "1", "job")
	clock.Advance(time.Second)
	s.sweep(s.broker)
	s.equal("status", s.status("job"), "queued")
	s.equal("earlier than that of the stock worker", earlier(), []string{"one", "two"})
	fail("three")
	s.equal("earlier than the third", earlier(), []string{"one", "two"})
	fail("four")
	s.equal("earlier than the fourth", earlier(), []string{"one", "two", "three"})
}
