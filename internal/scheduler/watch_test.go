package scheduler_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/scheduler"
)

// fleet is a broker with workers and queues that change as a test says.
type fleet struct {
	broker.Broker
	mu      sync.Mutex
	beating []distro.Worker // give a sign whenever somebody looks
	silent  []distro.Worker
	queues  []distro.QueueInfo
	broken  bool

	start time.Time
	told  []string
}

func (f *fleet) Sweep(context.Context, int) (broker.Swept, error) { return broker.Swept{}, nil }

func (f *fleet) Wait(ctx context.Context, _ broker.Interest) error { <-ctx.Done(); return ctx.Err() }

func (f *fleet) Workers(context.Context) ([]distro.Worker, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken {
		return nil, errors.New("no queue")
	}
	var list []distro.Worker
	for _, w := range f.beating {
		w.SeenAt = time.Now()
		list = append(list, w)
	}
	return append(list, f.silent...), nil
}

func (f *fleet) Counts(context.Context) (broker.Counts, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken {
		return broker.Counts{}, errors.New("no queue")
	}
	return broker.Counts{Queues: f.queues}, nil
}

func (f *fleet) tell(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = append(f.told, fmt.Sprintf("%s ", time.Since(f.start).Round(time.Second))+fmt.Sprintf(format, args...))
}

func (f *fleet) QueueLate(q distro.QueueInfo, oldest, limit time.Duration) {
	f.tell("%s is late: %s > %s", q.Name, oldest.Round(time.Second), limit)
}

func (f *fleet) WorkerLost(w distro.Worker) { f.tell("%s is lost with %q", w.Name, w.Running) }

// steady is a clock of the test's bubble that counts on.
type steady struct{ start time.Time }

func (steady) Now() time.Time             { return time.Now() }
func (c steady) Monotonic() time.Duration { return time.Since(c.start) }

// step is what happens at a time after the start.
type step struct {
	at time.Duration
	do func(f *fleet)
}

// watched runs steps, and returns what was told with the time it was.
func watched(t *testing.T, f *fleet, steps ...step) (told []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f.start = time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- scheduler.New(scheduler.Options{
				Broker: f, Clock: steady{f.start}, Alerts: f, Queues: []string{"high", "low"}, QueueAge: time.Minute,
			}).Run(ctx)
		}()
		for _, s := range steps {
			<-after(time.Until(f.start.Add(s.at)))
			f.mu.Lock()
			s.do(f)
			f.mu.Unlock()
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		told = f.told
	})
	return told
}

func nothing(*fleet) {}

func someWorker(name string) distro.Worker {
	return distro.Worker{Name: name, SeenAt: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), Running: []string{"job-1"}}
}

func TestAWorkerThatGivesNoSignIsToldOnce(t *testing.T) {
	t.Parallel()
	goesSilent := func(f *fleet) { f.beating, f.silent = nil, []distro.Worker{someWorker("w")} }
	for name, tt := range map[string]struct {
		steps []step
		want  []string
	}{
		"alive":             {[]step{{time.Minute, nothing}}, nil},
		"silent and listed": {[]step{{5 * time.Second, goesSilent}, {time.Minute, nothing}}, []string{`16s w is lost with ["job-1"]`}},
		"rescued by another": {[]step{
			{5 * time.Second, goesSilent}, {13 * time.Second, func(f *fleet) { f.silent = nil }}, {time.Minute, nothing},
		}, []string{`14s w is lost with ["job-1"]`}},
		"it left": {[]step{{5 * time.Second, func(f *fleet) { f.beating = nil }}, {time.Minute, nothing}}, nil},
		"it is back": {[]step{
			{5 * time.Second, goesSilent}, {13 * time.Second, func(f *fleet) { f.beating, f.silent = f.silent, nil }}, {time.Minute, nothing},
		}, nil},
		"the queue was away": {[]step{
			{5 * time.Second, goesSilent}, {13 * time.Second, func(f *fleet) { f.broken = true }}, {31 * time.Second, func(f *fleet) { f.broken = false }},
			{time.Minute, nothing},
		}, []string{`42s w is lost with ["job-1"]`}},
		"the queue was away afterwards": {[]step{
			{5 * time.Second, goesSilent}, {21 * time.Second, func(f *fleet) { f.broken = true }}, {31 * time.Second, func(f *fleet) { f.broken = false }},
			{time.Minute, nothing},
		}, []string{`16s w is lost with ["job-1"]`}},
		"one of RQ": {[]step{{5 * time.Second, func(f *fleet) {
			goesSilent(f)
			f.silent[0].Stock = true
		}}, {time.Minute, nothing}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			told := watched(t, &fleet{beating: []distro.Worker{someWorker("w")}}, tt.steps...)
			if diff := cmp.Diff(tt.want, told); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestALateQueueIsToldOnceUntilItHasRecovered(t *testing.T) {
	t.Parallel()
	oldest := func(name string, ago time.Duration) func(*fleet) {
		return func(f *fleet) { f.queues = []distro.QueueInfo{{Name: name, OldestAt: time.Now().Add(-ago)}} }
	}
	told := watched(t, &fleet{},
		step{time.Second, oldest("high", 45*time.Second)},          // late at 0:16
		step{60 * time.Second, oldest("high", 40*time.Second)},     // not late, and not recovered; late at 1:20
		step{95 * time.Second, func(f *fleet) { f.broken = true }}, // which says nothing
		step{115 * time.Second, func(f *fleet) { f.broken = false }},
		step{200 * time.Second, oldest("high", 0)}, // recovered; late at 4:20
		step{275 * time.Second, func(f *fleet) { f.queues = nil }},
		step{285 * time.Second, oldest("low", 2*time.Minute)},
		step{295 * time.Second, oldest("of others", 2*time.Minute)},
		step{400 * time.Second, nothing},
	)
	want := []string{"20s high is late: 1m4s > 1m0s", "4m30s high is late: 1m10s > 1m0s", "4m50s low is late: 2m5s > 1m0s"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
}
