package service_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/search"
	"github.com/distro-orchestrator/distro/internal/service"
	"github.com/distro-orchestrator/distro/internal/store"
)

// watcher is a service that only watches a queue.
func watcher(t *testing.T, b broker.Broker, change ...func(*service.Options)) *bundle {
	t.Helper()
	opts := service.Options{Broker: b}
	for _, f := range change {
		f(&opts)
	}
	s, err := service.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return &bundle{Service: s, t: t, broker: b}
}

// carryOut runs the operations of a service while the test does.
func (b *bundle) carryOut() {
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- b.RunOperations(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	})
}

// over waits until an operation has ended.
func (b *bundle) over(id string) service.Operation {
	b.t.Helper()
	sub, err := service.Subscribe([]string{service.TopicOperations})
	if err != nil {
		b.t.Fatal(err)
	}
	var last service.Operation
	ctx, cancel := context.WithCancel(b.t.Context())
	defer cancel()
	err = b.Follow(ctx, sub, "", time.Hour, func(u service.Update) error {
		for _, o := range u.Operations {
			if o.ID == id && !o.EndedAt.IsZero() {
				last = o
				cancel()
			}
		}
		return nil
	})
	if last.ID == "" {
		b.t.Fatalf("operation %s did not end: %v", id, err)
	}
	return last
}

// queued writes n jobs into a queue.
func queued(t *testing.T, b broker.Broker, n int) {
	t.Helper()
	for at := 0; at < n; at += broker.MaxEnqueue {
		var jobs []distro.Job
		for i := at; i < min(at+broker.MaxEnqueue, n); i++ {
			jobs = append(jobs, distro.Job{ID: fmt.Sprintf("%05d", i), Queue: "low", Function: "m.f", FailureTTL: distro.Forever, ResultTTL: distro.Forever})
		}
		if _, err := b.Enqueue(t.Context(), jobs); err != nil {
			t.Fatal(err)
		}
	}
}

func (b *bundle) standing(status distro.Status) int {
	b.t.Helper()
	page, err := b.Places(b.t.Context(), broker.PlaceQuery{Queue: "low", Status: status, Limit: 1})
	if err != nil {
		b.t.Fatal(err)
	}
	return page.Total
}

func TestAFewJobsOfAListAreActedOnAtOnceAndManyInTheBackground(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 3, 1000} {
		b := watcher(t, open(t))
		queued(t, b.broker, n)
		b.carryOut()
		did, err := b.ActOnList(t.Context(), broker.ActionCancel, "low", distro.StatusQueued, "")
		if err != nil || did.Count != n || (did.Operation != "") != (n > 200) {
			t.Fatalf("%d jobs: %+v, %v", n, did, err)
		}
		if did.Operation != "" {
			if o := b.over(did.Operation); o.State != store.OperationDone || o.Done != n {
				t.Errorf("%d jobs: %+v", n, o)
			}
		}
		if left, canceled := b.standing(distro.StatusQueued), b.standing(distro.StatusCanceled); left != 0 || canceled != n {
			t.Errorf("%d jobs: %d left, %d canceled", n, left, canceled)
		}
	}
}

func TestAListThatDoesNotAllowAnActionIsLeftAlone(t *testing.T) {
	t.Parallel()
	b := watcher(t, open(t))
	queued(t, b.broker, 2)
	b.claim("low")
	for status, code := range map[distro.Status]distro.Code{
		distro.StatusStarted: distro.CodeConflict, distro.StatusFailed: "", distro.StatusStopped: distro.CodeInvalid, "odd": distro.CodeInvalid,
	} {
		if _, err := b.ActOnList(t.Context(), broker.ActionDelete, "low", status, ""); distro.ErrorCode(err) != code {
			t.Errorf("delete all that is %q: %v, want code %q", status, err, code)
		}
	}
	if n := b.standing(distro.StatusStarted) + b.standing(distro.StatusQueued); n != 2 {
		t.Errorf("%d jobs are left of 2", n)
	}
}

func TestAServiceThatOnlyWatchesRefusesWhatItHasNot(t *testing.T) {
	t.Parallel()
	b := watcher(t, open(t))
	queued(t, b.broker, 1)
	for what, call := range map[string]func() error{
		"modules":  func() error { _, err := b.Modules(t.Context()); return err },
		"function": func() error { _, err := b.Function(t.Context(), "a", "f"); return err },
		"enqueue": func() error {
			_, err := b.Enqueue(t.Context(), service.Request{Function: "a.f", Queue: "low"})
			return err
		},
		"output":  func() error { _, err := b.ReadLog(t.Context(), "00000", 0, 10); return err },
		"history": func() error { _, err := b.Executions(t.Context(), "", "", 10); return err },
		"a search": func() error {
			_, err := b.StartOperation(t.Context(), "", broker.ActionCancel, service.Selection{Query: search.State{Value: "queued"}.String()}, "")
			return err
		},
	} {
		if err := call(); err == nil || distro.ErrorCode(err) == distro.CodeInternal {
			t.Errorf("%s: %v", what, err)
		}
	}
	if b.DefaultQueue() != "default" {
		t.Errorf("default queue %q", b.DefaultQueue())
	}
	if err := b.Delete(t.Context(), "00000"); err != nil {
		t.Errorf("delete a job: %v", err)
	}
}

func TestWithoutHistoryOperationsAreKnownWhileTheServiceLives(t *testing.T) {
	t.Parallel()
	b := watcher(t, open(t))
	queued(t, b.broker, 1)
	sel := service.Selection{Status: distro.StatusQueued}
	first, err := b.StartOperation(t.Context(), "first", broker.ActionCancel, sel, "me")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := b.StartOperation(t.Context(), "first", broker.ActionDelete, sel, ""); err != nil || again.Action != first.Action {
		t.Errorf("begun again: %+v, %v", again, err)
	}
	if o, err := b.CancelOperation(t.Context(), "first"); err != nil || !o.CancelRequested {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := b.Operation(t.Context(), "none"); distro.ErrorCode(err) != distro.CodeNotFound {
		t.Errorf("an operation that is none: %v", err)
	}
	b.carryOut()
	if o := b.over("first"); o.State != store.OperationCanceled || o.Caller != "me" || b.standing(distro.StatusQueued) != 1 {
		t.Errorf("%+v", o)
	}
	for i := range 151 {
		if i == 150 {
			b.over("149") // they are carried out in their order
		}
		if _, err := b.StartOperation(t.Context(), fmt.Sprint(i), broker.ActionCancel, sel, ""); err != nil {
			t.Fatal(err)
		}
	}
	list, err := b.Operations(t.Context(), 500)
	if err != nil || len(list) > 100 || !slices.ContainsFunc(list, func(o service.Operation) bool { return o.ID == "150" }) {
		t.Errorf("%d operations are known, %v", len(list), err)
	}
}

func TestDeletingCanBeDisabled(t *testing.T) {
	t.Parallel()
	b := watcher(t, open(t), func(o *service.Options) { o.DisableDelete = true })
	queued(t, b.broker, 1000)
	for what, call := range map[string]func() error{
		"a job":        func() error { return b.Delete(t.Context(), "00000") },
		"by an action": func() error { _, err := b.Act(t.Context(), broker.ActionDelete, "00000"); return err },
		"a queue":      func() error { _, err := b.Empty(t.Context(), "low"); return err },
		"a list": func() error {
			_, err := b.ActOnList(t.Context(), broker.ActionDelete, "low", distro.StatusQueued, "")
			return err
		},
		"in the background": func() error {
			_, err := b.StartOperation(t.Context(), "", broker.ActionDelete, service.Selection{Status: distro.StatusQueued}, "")
			return err
		},
	} {
		if err := call(); distro.ErrorCode(err) != distro.CodeForbidden {
			t.Errorf("%s: %v", what, err)
		}
	}
	if !b.DeleteDisabled() || b.standing(distro.StatusQueued) != 1000 {
		t.Error("something was deleted")
	}
}
