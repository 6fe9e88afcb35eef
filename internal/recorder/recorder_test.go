package recorder_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/brokertest"
	"github.com/distro-orchestrator/distro/internal/recorder"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a history in a map, which may be down.
type memory struct {
	mu      sync.Mutex
	rows    map[string]distro.Execution
	cursor  string
	down    bool
	horizon time.Time
	refused int
	calls   int           // of Record
	changed chan struct{} // closed at each change
}

func newMemory() *memory {
	return &memory{rows: map[string]distro.Execution{}, changed: make(chan struct{})}
}

var errDown = errors.New("the database is down")

func (m *memory) Forget(_ context.Context, list []distro.Execution) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range list {
		delete(m.rows, e.JobID+"/"+e.Run)
	}
	return nil
}

func (m *memory) Attempts(_ context.Context, jobID string) ([]distro.Execution, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return nil, errDown
	}
	var list []distro.Execution
	for _, id := range slices.Sorted(maps.Keys(m.rows)) {
		if e := m.rows[id]; e.JobID == jobID {
			list = append(list, e)
		}
	}
	return list, nil
}

func (m *memory) Record(_ context.Context, list []distro.Execution, feed, cursor string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer func() { close(m.changed); m.changed = make(chan struct{}) }()
	m.calls++
	if m.down {
		m.refused++
		return errDown
	}
	for _, e := range list {
		id := e.JobID + "/" + e.Run
		switch old, known := m.rows[id]; {
		case known && e.State != distro.ExecutionStarted:
			if e.StartedAt.IsZero() {
				e.StartedAt = old.StartedAt
			}
			m.rows[id] = e
		case !known:
			m.rows[id] = e
		}
	}
	if feed != "" {
		m.cursor = cursor
	}
	return nil
}

func (m *memory) Cursor(context.Context, string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cursor, nil
}

func (m *memory) Horizon(context.Context) (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.horizon, nil
}

func (m *memory) Running(context.Context, int) ([]distro.Execution, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []distro.Execution
	for _, e := range m.rows {
		if e.State == distro.ExecutionStarted {
			list = append(list, e)
		}
	}
	return list, nil
}

// bench is a queue, a history, and a worker that says what the test lets it.
type bench struct {
	*testing.T
	clock   *brokertest.Clock
	queue   *brokertest.Model
	history *memory
	options recorder.Options
	beat    uint64
	tokens  int
}

func setup(t *testing.T) *bench {
	t.Helper()
	clock := brokertest.NewClock()
	b := &bench{T: t, clock: clock, queue: brokertest.NewModel(clock, 100), history: newMemory()}
	b.options = recorder.Options{Broker: b.queue, History: b.history, Feed: "test"}
	return b
}

// start runs a recorder until the returned function is called.
func (b *bench) start() (*recorder.Recorder, func()) {
	r := recorder.New(b.options)
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	b.Cleanup(stop)
	return r, stop
}

func (b *bench) enqueue(id string, retries int) {
	b.Helper()
	_, err := b.queue.Enqueue(b.Context(), []distro.Job{{
		ID: id, Queue: "default", Function: "pkg.mod.run", RetriesLeft: retries, Trigger: distro.TriggerAPI, Caller: "ana",
		Payload:   distro.Payload{Serializer: distro.SerializerJSON, Data: []byte(`["pkg.mod.run", null, ["ç", 1], {"k": null}]`)},
		ResultTTL: distro.Forever, FailureTTL: distro.Forever, Timeout: time.Minute,
	}})
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) say(req broker.ExchangeRequest) broker.ExchangeReply {
	b.Helper()
	b.beat++
	req.Beat = b.beat
	req.Worker = distro.Worker{Name: "w", Host: "host", Python: "3.11.7", Queues: []string{"default"}, Slots: 2}
	reply, err := b.queue.Exchange(b.Context(), req)
	if err != nil {
		b.Fatal(err)
	}
	return reply
}

// begin begins the job at the front of the queue.
func (b *bench) begin() broker.Claim {
	b.Helper()
	b.tokens++
	token := fmt.Sprint("token-", b.tokens)
	claims := b.say(broker.ExchangeRequest{Want: broker.Want{Queues: []string{"default"}, Tokens: []string{token}, Begun: 1}}).Claims
	if len(claims) != 1 {
		b.Fatal("nothing to begin")
	}
	return broker.Claim{JobID: claims[0].Job.ID, Token: token}
}

func (b *bench) settle(claim broker.Claim, outcome distro.Outcome) {
	b.Helper()
	b.clock.Advance(time.Second)
	res := distro.Result{Outcome: outcome, PeakMemory: 7, CPUTime: time.Second}
	if outcome == distro.OutcomeFinished {
		res.View = distro.View{Text: "42", JSON: true}
	} else {
		res.Failure = &distro.Failure{Kind: distro.FailureException, Type: "ValueError", Message: "no", Traceback: "Traceback\n"}
	}
	b.say(broker.ExchangeRequest{Settle: []broker.Settlement{{Claim: claim, Result: res}}})
}

// await waits until history is as it is to be, as states by job and run.
func (b *bench) await(want map[string]distro.ExecutionState) map[string]distro.Execution {
	b.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	for {
		b.history.mu.Lock()
		rows, changed := maps.Clone(b.history.rows), b.history.changed
		b.history.mu.Unlock()
		got := map[string]distro.ExecutionState{}
		for id, e := range rows {
			got[id] = e.State
		}
		if maps.Equal(got, want) {
			return rows
		}
		select {
		case <-changed:
		case <-limit.C:
			b.Fatalf("history (-want +got):\n%s", cmp.Diff(want, got))
		}
	}
}

func TestEachAttemptIsRecordedOnceWithWhatIsKnownOfIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "pkg"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "pkg", "mod.py"), []byte("def run(): pass\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.options.Sources = &recorder.Sources{Dir: folder}
	b.options.Embedded = "w"
	told := make(chan string, 100)
	b.options.Ended = func(e distro.Execution, last bool) { told <- fmt.Sprint(e.Run, " ", e.State, " ", last) }
	b.start()
	b.enqueue("job", 1)
	at := b.clock.Now()
	b.clock.Advance(time.Minute)
	claim := b.begin()
	b.await(map[string]distro.ExecutionState{"job/token-1": distro.ExecutionStarted})
	b.settle(claim, distro.OutcomeFailed)
	b.await(map[string]distro.ExecutionState{"job/token-1": distro.ExecutionFailed})
	b.settle(b.begin(), distro.OutcomeFinished)
	rows := b.await(map[string]distro.ExecutionState{"job/token-1": distro.ExecutionFailed, "job/token-2": distro.ExecutionFinished})
	failure := &distro.Failure{Kind: distro.FailureException, Type: "ValueError", Message: "no", Traceback: "Traceback\n"}
	common := distro.Execution{
		JobID: "job", Module: "pkg.mod", Function: "run", Queue: "default", Arguments: "'ç', 1, k=None",
		Worker: "w", Host: "host", Python: "3.11.7", Trigger: distro.TriggerAPI, Caller: "ana",
		CodeHash: rows["job/token-2"].CodeHash, PeakMemory: 7, CPUTime: time.Second,
	}
	first, second := common, common
	first.Run, first.Attempt, first.State, first.Failure = "token-1", 1, distro.ExecutionFailed, failure
	first.EnqueuedAt, first.StartedAt, first.EndedAt = at, at.Add(time.Minute), at.Add(time.Minute+time.Second)
	second.Run, second.Attempt, second.State, second.Result = "token-2", 2, distro.ExecutionFinished, distro.View{Text: "42", JSON: true}
	second.EnqueuedAt, second.StartedAt, second.EndedAt = first.EndedAt, first.EndedAt, first.EndedAt.Add(time.Second)
	if got := rows["job/token-1"]; got.EnqueuedAt.IsZero() { // the retry may have been queued before the end was read
		first.EnqueuedAt = time.Time{}
	}
	if diff := cmp.Diff(map[string]distro.Execution{"job/token-1": first, "job/token-2": second}, rows); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	if len(common.CodeHash) != 64 {
		t.Errorf("hash of the code is %q", common.CodeHash)
	}
	var ends []string
	for limit := time.After(20 * time.Second); !slices.Contains(ends, "token-2 finished true"); { // it is told of behind the recording
		select {
		case end := <-told:
			ends = append(ends, end)
		case <-limit:
			t.Fatalf("told of the ends %q", ends)
		}
	}
	if diff := cmp.Diff([]string{"token-1 failed false", "token-2 finished true"}, slices.Compact(ends)); diff != "" {
		t.Errorf("ends (-want +got):\n%s", diff)
	}
}

func TestAnAttemptThatIsGivenBackIsForgotten(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start()
	b.enqueue("job", 0)
	claim := b.begin()
	b.await(map[string]distro.ExecutionState{"job/token-1": distro.ExecutionStarted})
	b.say(broker.ExchangeRequest{Return: []broker.Claim{claim}})
	b.await(map[string]distro.ExecutionState{})
	b.settle(b.begin(), distro.OutcomeFinished)
	b.await(map[string]distro.ExecutionState{"job/token-2": distro.ExecutionFinished})
}

func TestWhatHappensWhileTheDatabaseIsDownIsRecordedLater(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.history.down = true
	r, _ := b.start()
	b.enqueue("job", 0)
	b.settle(b.begin(), distro.OutcomeFinished)
	for refused := 0; refused == 0; {
		b.history.mu.Lock()
		changed := b.history.changed
		refused = b.history.refused
		b.history.mu.Unlock()
		if refused == 0 {
			<-changed
		}
	}
	b.history.mu.Lock()
	b.history.down = false
	b.history.mu.Unlock()
	b.await(map[string]distro.ExecutionState{"job/token-1": distro.ExecutionFinished})
	b.enqueue("next", 0) // and when it was seen that nothing more is to be recorded, it is no longer behind
	b.settle(b.begin(), distro.OutcomeFinished)
	b.await(map[string]distro.ExecutionState{"job/token-1": distro.ExecutionFinished, "next/token-2": distro.ExecutionFinished})
	if err := b.queue.Wait(t.Context(), broker.Interest{Feed: true}); err != nil {
		t.Fatal(err)
	}
	_ = r.Behind() // it may be a moment until the recorder has looked once more
}

// A retry takes the place of the attempt before it in the job, and may do so
// before the feed is read.
func TestARecorderThatComesLateKnowsWhyEachAttemptFailed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.enqueue("job", 3)
	b.clock.Advance(time.Second)
	want := map[string]distro.ExecutionState{}
	for n := range 4 {
		outcome := distro.OutcomeFailed
		if n == 3 {
			outcome = distro.OutcomeFinished
		}
		claim := b.begin()
		b.settle(claim, outcome)
		want["job/"+claim.Token] = distro.ExecutionState(outcome)
	}
	b.start()
	for id, e := range b.await(want) {
		if e.State == distro.ExecutionFailed && (e.Failure == nil || e.Failure.Message != "no" || e.Failure.Traceback == "") {
			t.Errorf("%s failed of %+v", id, e.Failure)
		}
		waited := e.StartedAt.Sub(e.EnqueuedAt)
		if e.Worker != "w" || e.Host != "host" || e.PeakMemory != 7 || e.EndedAt.Sub(e.StartedAt) != time.Second || waited != 0 && (e.Attempt > 1 || waited != time.Second) {
			t.Errorf("%s: %+v", id, e)
		}
	}
}

// What comes close together is recorded together, and what comes alone at once.
func TestChangesAreGathered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		_, stop := b.start()
		calls := func() int {
			synctest.Wait()
			b.history.mu.Lock()
			defer b.history.mu.Unlock()
			return b.history.calls
		}
		b.enqueue("first", 0)
		if n := calls(); n != 1 {
			t.Errorf("recorded %d times after one change", n)
		}
		for n := range 100 {
			b.enqueue(fmt.Sprint("next-", n), 0)
			if n := calls(); n != 1 {
				t.Fatalf("recorded %d times before a moment has passed", n)
			}
		}
		<-time.After(time.Second) // of the bubble
		if n := calls(); n != 2 {
			t.Errorf("recorded %d times when it has", n)
		}
		stop()
	})
}

// Stock programs queue a job without a word in the feed, and clocks differ: a
// time that is not the attempt's own is not told.
func TestTheTimeAnAttemptWasQueuedIsItsOwn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := b.clock.Now()
	change := func(status distro.Status, outcome distro.Outcome, token string, after time.Duration) distro.Change {
		return distro.Change{JobID: "job", Queue: "default", Status: status, Outcome: outcome, Token: token, Attempt: 1, At: at.Add(after)}
	}
	for name, tt := range map[string]struct {
		changes []distro.Change
		want    map[string]time.Time
	}{
		"one after another": {[]distro.Change{
			change("queued", "", "", 0), change("started", "", "1", 1), change("queued", "failed", "1", 2), change("started", "", "2", 3),
		}, map[string]time.Time{"1": at, "2": at.Add(2)}},
		"given back": {[]distro.Change{
			change("queued", "", "", 0), change("started", "", "1", 1), change("queued", "", "1", 2), change("started", "", "2", 3),
		}, map[string]time.Time{"1": at, "2": at}},
		"queued by a stock program": {[]distro.Change{
			change("queued", "", "", 0), change("started", "", "1", 1), change("failed", "failed", "1", 2), change("started", "", "2", 3),
		}, map[string]time.Time{"1": at, "2": {}}},
		"by a clock that is ahead": {[]distro.Change{
			change("queued", "", "", 5), change("started", "", "1", 1),
		}, map[string]time.Time{"1": {}}},
	} {
		got, err := recorder.New(b.options).QueuedAt(t.Context(), tt.changes)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestARecorderThatIsKilledAnywhereMissesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	want := map[string]distro.ExecutionState{}
	for n := range 30 {
		_, stop := b.start()
		id := fmt.Sprint("job-", n)
		b.enqueue(id, 0)
		claim := b.begin()
		if n%3 == 0 {
			stop()
		}
		b.settle(claim, distro.OutcomeFinished)
		want[id+"/"+claim.Token] = distro.ExecutionFinished
		stop()
	}
	b.start()
	b.await(want)
}

func TestAFeedThatWasTrimmedIsMadeUpForFromTheJobs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, stop := b.start()
	b.enqueue("ends", 0)
	claim := b.begin()
	b.enqueue("deleted", 0)
	gone := b.begin()
	b.await(map[string]distro.ExecutionState{"ends/token-1": distro.ExecutionStarted, "deleted/token-2": distro.ExecutionStarted})
	stop()
	b.settle(claim, distro.OutcomeFinished)
	b.settle(gone, distro.OutcomeFinished)
	if _, err := b.queue.Act(t.Context(), broker.ActionDelete, []string{"deleted"}); err != nil {
		t.Fatal(err)
	}
	b.enqueue("forgotten", 0) // which was in history longer than that keeps anything
	b.settle(b.begin(), distro.OutcomeFinished)
	b.clock.Advance(time.Second)
	b.history.horizon = b.clock.Now()
	b.enqueue("young", 1)
	b.clock.Advance(time.Second)
	b.settle(b.begin(), distro.OutcomeFailed)
	b.settle(b.begin(), distro.OutcomeFinished)
	for n := range 200 { // the feed keeps 100 entries
		b.enqueue(fmt.Sprint("filler-", n), 0)
	}
	if _, err := b.queue.Sweep(t.Context(), 1000); err != nil {
		t.Fatal(err)
	}
	b.start()
	rows := b.await(map[string]distro.ExecutionState{
		"ends/token-1": distro.ExecutionFinished, "deleted/token-2": distro.ExecutionLost, "young/token-4": distro.ExecutionFailed, "young/token-5": distro.ExecutionFinished,
	})
	if got := rows["young/token-4"]; got.Failure == nil || got.Failure.Message != "no" || got.Attempt != 1 || got.Worker != "w" {
		t.Errorf("made up of an attempt that was retried: %+v", got)
	}
	if got := rows["ends/token-1"]; got.Result.Text != "42" || got.Attempt != 1 {
		t.Errorf("made up: %+v", got)
	}
	if got := rows["deleted/token-2"].Failure; got == nil || got.Message != "its end was not seen" {
		t.Errorf("the attempt whose job is gone: %+v", got)
	}
}
