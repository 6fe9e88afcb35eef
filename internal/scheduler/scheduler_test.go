package scheduler_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/distro-orchestrator/distro/internal/artifact"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/output"
	"github.com/distro-orchestrator/distro/internal/scheduler"
	"github.com/distro-orchestrator/distro/internal/upload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// due is a broker of which time asks something at given moments.
type due struct {
	broker.Broker
	mu     sync.Mutex
	at     []time.Time   // moments not yet swept
	sweeps []time.Time   // when Sweep was called
	late   []time.Time   // when what was due was swept
	sooner chan struct{} // a due time became earlier
	broken bool
}

func (d *due) Sweep(context.Context, int) (broker.Swept, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	d.sweeps = append(d.sweeps, now)
	if d.broken {
		return broker.Swept{}, errors.New("no disk")
	}
	if len(d.at) > 0 && !now.Before(d.at[0]) {
		d.at = d.at[1:]
		d.late = append(d.late, now)
	}
	if len(d.at) == 0 {
		return broker.Swept{}, nil
	}
	return broker.Swept{NextDue: d.at[0]}, nil
}

func (d *due) Wait(ctx context.Context, in broker.Interest) error {
	if !in.Due {
		return errors.New("the scheduler waits for due times")
	}
	select {
	case <-d.sooner:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func run(t *testing.T, d *due, during func()) {
	t.Helper()
	d.sooner = make(chan struct{})
	printed, err := output.Open(t.TempDir(), output.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- scheduler.New(scheduler.Options{Broker: d, Output: printed, Clock: clock{}, Retention: time.Hour}).Run(ctx)
	}()
	during()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// clock is the clock of the test's bubble.
type clock struct{}

func (clock) Now() time.Time           { return time.Now() }
func (clock) Monotonic() time.Duration { return 0 }

func after(d time.Duration) <-chan time.Time { return time.NewTimer(d).C }

func TestOldArtifactsAndUploadsAreDeleted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, age := range map[string]time.Duration{
		"artifacts/old": 2 * time.Hour, "artifacts/young": time.Minute, "uploads/old": 2 * time.Hour, "uploads/young": time.Minute,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Join(path, "inner"), 0o700); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(path, then, then); err != nil {
			t.Fatal(err)
		}
	}
	printed, err := output.Open(t.TempDir(), output.Options{})
	if err != nil {
		t.Fatal(err)
	}
	uploads, err := upload.Open(filepath.Join(dir, "uploads"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- scheduler.New(scheduler.Options{
			Broker: &due{sooner: make(chan struct{})}, Output: printed, Artifacts: artifact.New(filepath.Join(dir, "artifacts")), Uploads: uploads,
			Clock: clock{}, Retention: time.Hour,
		}).Run(ctx)
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		_, artifacts := os.Stat(filepath.Join(dir, "artifacts", "old"))
		if _, err := os.Stat(filepath.Join(dir, "uploads", "old")); err != nil && artifacts != nil {
			break
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, kind := range []string{"artifacts", "uploads"} {
		if _, err := os.Stat(filepath.Join(dir, kind, "young", "inner")); err != nil {
			t.Error(err)
		}
	}
}

func TestTheOldestOutputIsDeletedWhenAllOfItIsTooMuch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	printed, err := output.Open(dir, output.Options{})
	if err != nil {
		t.Fatal(err)
	}
	prints := func(id string) {
		w := printed.Writer(id, 1)
		if err := w.Write(output.Stdout, time.Now(), make([]byte, 10_000)); err != nil {
			t.Fatal(err)
		}
		w.Close()
	}
	prints("old")
	heads, err := filepath.Glob(filepath.Join(dir, "*", "*.log"))
	if err != nil || len(heads) != 1 {
		t.Fatal(heads, err)
	}
	then := time.Now().Add(-10 * time.Minute)
	if err := os.Chtimes(heads[0], then, then); err != nil {
		t.Fatal(err)
	}
	prints("young")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- scheduler.New(scheduler.Options{
			Broker: &due{sooner: make(chan struct{})}, Output: printed, Clock: clock{}, MaxOutput: 15_000, // and however old it is
		}).Run(ctx)
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if _, err := os.Stat(heads[0]); err != nil {
			break
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if use, err := printed.Usage(t.Context()); err != nil || use.Jobs != 1 {
		t.Errorf("%+v is left, %v", use, err)
	}
}

func TestAnIdleSchedulerSweepsOnceASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &due{}
		run(t, d, func() { <-after(time.Minute + time.Millisecond) })
		if n := len(d.sweeps); n < 60 || n > 62 {
			t.Errorf("%d sweeps in a minute", n)
		}
	})
}

func TestWhatIsDueIsSweptAtItsTimeAndNotBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		d := &due{at: []time.Time{start.Add(300 * time.Millisecond), start.Add(301 * time.Millisecond), start.Add(2500 * time.Millisecond)}}
		want := slices.Clone(d.at)
		run(t, d, func() { <-after(5 * time.Second) })
		if len(d.late) != len(want) {
			t.Fatalf("%d of %d were swept", len(d.late), len(want))
		}
		for i, at := range d.late {
			if late := at.Sub(want[i]); late < 0 || late > 5*time.Millisecond {
				t.Errorf("number %d was swept %s late", i, late)
			}
		}
	})
}

func TestAnEarlierDueTimeEndsTheRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &due{}
		run(t, d, func() {
			<-after(1500 * time.Millisecond)
			d.mu.Lock()
			d.at = []time.Time{time.Now()}
			d.mu.Unlock()
			d.sooner <- struct{}{}
			synctest.Wait()
			d.mu.Lock()
			defer d.mu.Unlock()
			if len(d.late) != 1 {
				t.Error("it was not swept at once")
			}
		})
	})
}

func TestABrokerThatFailsIsNotAskedMoreOften(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &due{broken: true}
		run(t, d, func() { <-after(10*time.Second + time.Millisecond) })
		if n := len(d.sweeps); n < 10 || n > 12 {
			t.Errorf("%d sweeps in ten seconds", n)
		}
	})
}
