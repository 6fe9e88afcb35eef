package service_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/service"
)

// follow collects updates: send waits until each was taken.
func follow(t *testing.T, b *bundle, sub *service.Subscription, after string) <-chan service.Update {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	updates, done := make(chan service.Update), make(chan error, 1)
	go func() {
		done <- b.Follow(ctx, sub, after, time.Hour, func(u service.Update) error {
			select {
			case updates <- u:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("follow ended with %v", err)
		}
	})
	return updates
}

// enqueueMany makes as many jobs as one request may.
func (b *bundle) enqueueMany() {
	b.t.Helper()
	requests := slices.Repeat([]service.Request{{Function: "a.b.f", Queue: "low"}}, broker.MaxEnqueue)
	if _, _, err := b.EnqueueMany(b.t.Context(), requests); err != nil {
		b.t.Fatal(err)
	}
}

func TestASlowClientIsToldTheNewestOfEachJobAndHowManyItMissed(t *testing.T) {
	t.Parallel()
	b := setup(t, open(t))
	sub, err := service.Subscribe([]string{"jobs"})
	if err != nil {
		t.Fatal(err)
	}
	updates := follow(t, b, sub, "")
	if first := <-updates; first.Resync || len(first.Changes) != 0 {
		t.Errorf("first: %+v", first)
	}
	watched := b.enqueue(service.Request{Queue: "high"}).ID
	if u := <-updates; len(u.Changes) != 1 || u.Changes[0].JobID != watched || u.Position == "" {
		t.Errorf("one job: %+v", u)
	}
	b.finish(b.claim("high"))
	for range 2 {
		b.enqueueMany()
	}
	changes, more := map[string]distro.Status{}, 0
	for len(changes)+more < 1+2*broker.MaxEnqueue {
		u := <-updates
		more += u.More
		for _, c := range u.Changes {
			changes[c.JobID] = c.Status
		}
		if len(u.Changes) > 500 {
			t.Errorf("%d changes at once", len(u.Changes))
		}
	}
	if changes[watched] != distro.StatusFinished {
		t.Errorf("the job that ended is %q", changes[watched])
	}
}

func TestAClientThatWasAwayForLongIsToldToReadAnew(t *testing.T) {
	t.Parallel()
	b := setup(t, open(t))
	sub, err := service.Subscribe([]string{"jobs"})
	if err != nil {
		t.Fatal(err)
	}
	updates := follow(t, b, sub, "")
	<-updates
	b.enqueue(service.Request{Queue: "high"})
	after := (<-updates).Position
	for range 21 {
		b.enqueueMany()
	}
	late, err := service.Subscribe([]string{"jobs"})
	if err != nil {
		t.Fatal(err)
	}
	if u := <-follow(t, b, late, after); !u.Resync || u.Position == "" || u.Position == after {
		t.Errorf("first: resync %v, position %q", u.Resync, u.Position)
	}
}

func TestUpdatesTellOfOperations(t *testing.T) {
	t.Parallel()
	b, _ := remembering(t)
	sub, err := service.Subscribe([]string{"operations"})
	if err != nil {
		t.Fatal(err)
	}
	updates := follow(t, b, sub, "")
	<-updates
	o, err := b.StartOperation(t.Context(), "", broker.ActionDelete, service.Selection{IDs: []string{"none"}}, "ana")
	if err != nil {
		t.Fatal(err)
	}
	if u := <-updates; len(u.Operations) != 1 || u.Operations[0].ID != o.ID {
		t.Errorf("update: %+v", u)
	}
}
