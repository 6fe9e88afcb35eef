package service_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/output"
	"github.com/distro-orchestrator/distro/internal/service"
)

func TestManyWaitForManyJobsAndEachHearsOfItsOwn(t *testing.T) {
	t.Parallel()
	b := setup(t, open(t))
	const jobs, waiters = 20, 3
	var group sync.WaitGroup
	var heard atomic.Int32
	for range jobs {
		id := b.enqueue(service.Request{Queue: "high"}).ID
		for range waiters {
			group.Go(func() {
				if job, err := b.Wait(t.Context(), id, time.Minute); err != nil || job.Status != distro.StatusFinished {
					t.Errorf("%s: %s, %v", id, job.Status, err)
				}
				heard.Add(1)
			})
		}
	}
	for range jobs {
		b.finish(b.claim("high"))
	}
	group.Wait()
	if n := heard.Load(); n != jobs*waiters {
		t.Errorf("%d heard", n)
	}
}

func TestTheEndOfAJobThatIsNotKeptIsHeardOf(t *testing.T) {
	t.Parallel()
	b := setup(t, open(t), func(o *service.Options) { o.ResultTTL = 0 })
	late := b.enqueue(service.Request{Queue: "high"}).ID
	b.finish(b.claim("high"))
	follow := func(id string) {
		if status, err := b.FollowLog(t.Context(), id, 0, time.Minute, func([]output.Line) error { return nil }); err != nil || status != distro.StatusFinished {
			t.Errorf("followed: %s, %v", status, err)
		}
	}
	wait := func(id string) {
		job, err := b.Wait(t.Context(), id, time.Minute)
		if err != nil || job.ID != id || job.Status != distro.StatusFinished || job.Attempt != 1 || job.Result != nil || job.EndedAt.IsZero() || job.CreatedAt.IsZero() {
			t.Errorf("waited: %+v, %v", job, err)
		}
	}
	if _, err := b.Get(t.Context(), late); distro.ErrorCode(err) != distro.CodeNotFound {
		t.Fatal("the record is kept:", err)
	}
	wait(late)
	follow(late)
	var group sync.WaitGroup
	for range 5 {
		id := b.enqueue(service.Request{Queue: "high"}).ID
		group.Go(func() { wait(id) })
		group.Go(func() { follow(id) })
		b.finish(b.claim("high"))
	}
	group.Wait()
}

func TestAJobThatWasDeletedIsNotHeardOf(t *testing.T) {
	t.Parallel()
	b := setup(t, open(t))
	waiting, finished := b.enqueue(service.Request{Queue: "low"}).ID, b.enqueue(service.Request{Queue: "high"}).ID
	b.finish(b.claim("high"))
	for _, id := range []string{waiting, finished, "never"} {
		_ = b.Delete(t.Context(), id)
		if _, err := b.Wait(t.Context(), id, time.Minute); distro.ErrorCode(err) != distro.CodeNotFound {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// feed counts who reads the change feed, and may spoil it.
type feed struct {
	broker.Broker
	waiting atomic.Int32
	changes func(cursor string) ([]distro.Change, error)
}

func (f *feed) Wait(ctx context.Context, in broker.Interest) error {
	f.waiting.Add(1)
	defer f.waiting.Add(-1)
	return f.Broker.Wait(ctx, in)
}

func (f *feed) Changes(ctx context.Context, cursor string, limit int) ([]distro.Change, error) {
	if f.changes != nil {
		if changes, err := f.changes(cursor); err != nil || changes != nil {
			return changes, err
		}
	}
	return f.Broker.Changes(ctx, cursor, limit)
}

func TestTheFeedIsReadOnceForAllAndNotAtAllForNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &feed{Broker: open(t)}
		b := setup(t, f)
		id := b.enqueue(service.Request{Queue: "high"}).ID
		for range 2 {
			var group sync.WaitGroup
			for range 8 {
				group.Go(func() { _, _ = b.Wait(t.Context(), id, time.Second) })
			}
			synctest.Wait()
			if n := f.waiting.Load(); n != 1 {
				t.Errorf("the feed is read by %d", n)
			}
			group.Wait()
			if n := f.waiting.Load(); n != 0 {
				t.Errorf("the feed is still read by %d", n)
			}
		}
	})
}

func TestAFeedThatWasTrimmedIsReadAnew(t *testing.T) {
	t.Parallel()
	var lost atomic.Bool
	f := &feed{Broker: open(t)}
	f.changes = func(cursor string) ([]distro.Change, error) {
		if cursor != "" && !lost.Swap(true) {
			return nil, broker.ErrCursorLost
		}
		return nil, nil
	}
	b := setup(t, f)
	id := b.enqueue(service.Request{Queue: "high"}).ID
	done := make(chan distro.Status)
	go func() {
		job, _ := b.Wait(t.Context(), id, time.Minute)
		done <- job.Status
	}()
	b.finish(b.claim("high"))
	if got := <-done; got != distro.StatusFinished {
		t.Error(got)
	}
}

func TestAFeedThatFailsEndsEveryWaitAndTheNextOneTriesAgain(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	f := &feed{Broker: open(t)}
	var failing atomic.Bool
	failing.Store(true)
	f.changes = func(string) ([]distro.Change, error) {
		if failing.Load() {
			return nil, broken
		}
		return nil, nil
	}
	b := setup(t, f)
	id := b.enqueue(service.Request{Queue: "high"}).ID
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if _, err := b.Wait(t.Context(), id, time.Minute); !errors.Is(err, broken) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	failing.Store(false)
	if job, err := b.Wait(t.Context(), id, time.Millisecond); err != nil || job.Status != distro.StatusQueued {
		t.Error(job.Status, err)
	}
}

func TestAQuietJobBeatsWhileItIsFollowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, open(t))
		id := b.enqueue(service.Request{Queue: "high"}).ID
		begun := time.Now()
		var beats []time.Duration
		enough := errors.New("enough")
		_, err := b.FollowLog(t.Context(), id, 0, 15*time.Second, func(lines []output.Line) error {
			beats = append(beats, time.Since(begun))
			if len(beats) == 3 {
				return enough
			}
			return nil
		})
		if diff := cmp.Diff([]time.Duration{15 * time.Second, 30 * time.Second, 45 * time.Second}, beats); diff != "" || !errors.Is(err, enough) {
			t.Error(diff, err)
		}
		if _, err := b.Wait(t.Context(), id, time.Hour); err != nil {
			t.Error(err)
		}
		if waited := time.Since(begun) - 45*time.Second; waited != service.MaxWait {
			t.Errorf("waited %v", waited)
		}
	})
}

func TestASlowReaderHoldsUpNobodyAndMissesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, open(t))
	id := b.enqueue(service.Request{Queue: "high"}).ID
	claim := b.claim("high")
	w := b.output.Writer(id, 1)
	blocked, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var numbers []int64
	status := make(chan distro.Status)
	go func() {
		got, err := b.FollowLog(t.Context(), id, 1, time.Minute, func(lines []output.Line) error {
			for _, line := range lines {
				numbers = append(numbers, line.Number)
			}
			once.Do(func() { close(blocked); <-release })
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		status <- got
	}()
	const lines = 5000
	for i := range lines {
		if err := w.Write(output.Stdout, start, []byte("line\n")); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			<-blocked // the reader takes nothing from here on
		}
	}
	w.Close()
	b.finish(claim)
	close(release)
	if got := <-status; got != distro.StatusFinished || len(numbers) != lines || numbers[lines-1] != lines {
		t.Errorf("%s after %d lines", got, len(numbers))
	}
}

func TestALineWhoseProcessWasKilledIsHandedOverAtTheEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := func() *output.Store {
		s, err := output.Open(dir, output.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	b := setup(t, open(t), func(o *service.Options) { o.Output = store() })
	id := b.enqueue(service.Request{Queue: "high"}).ID
	w := store().Writer(id, 1) // of another process, as far as the service's store knows
	defer w.Close()
	if err := w.Write(output.Stdout, start, []byte("one\ntwo")); err != nil {
		t.Fatal(err)
	}
	log, err := b.ReadLog(t.Context(), id, 1, 10)
	if err != nil || len(log.Lines) != 2 || !log.Lines[1].Open || log.Next != 2 || log.Ended {
		t.Errorf("%+v, %v", log, err)
	}
	if _, err := b.Act(t.Context(), broker.ActionCancel, id); err != nil {
		t.Fatal(err)
	}
	var lines []string
	status, err := b.FollowLog(t.Context(), id, 1, time.Minute, func(more []output.Line) error {
		for _, line := range more {
			lines = append(lines, line.Text)
		}
		return nil
	})
	if diff := cmp.Diff([]string{"one", "two"}, lines); diff != "" || status != distro.StatusCanceled || err != nil {
		t.Error(diff, status, err)
	}
	if log, err := b.ReadLog(t.Context(), id, 2, 10); err != nil || len(log.Lines) != 1 || !log.Ended {
		t.Errorf("%+v, %v", log, err)
	}
}

func TestALogEndsOnlyWhenItsLastWriterDid(t *testing.T) {
	t.Parallel()
	b := setup(t, open(t))
	id := b.enqueue(service.Request{Queue: "high"}).ID
	w := b.output.Writer(id, 1)
	if _, err := b.Act(t.Context(), broker.ActionCancel, id); err != nil {
		t.Fatal(err)
	}
	if log, err := b.ReadLog(t.Context(), id, 0, 0); err != nil || log.Ended {
		t.Errorf("ended while it is written: %+v, %v", log, err)
	}
	w.Close()
	if log, err := b.ReadLog(t.Context(), id, 0, 0); err != nil || !log.Ended {
		t.Errorf("%+v, %v", log, err)
	}
}
