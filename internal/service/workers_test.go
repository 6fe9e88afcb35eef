package service_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/service"
)

// told notes the commands that workers are told.
type told struct {
	said []string
	deaf bool
	err  error
}

func (c *told) StopWorker(_ context.Context, name string) (bool, error) {
	c.said = append(c.said, "stop "+name)
	return !c.deaf, c.err
}

func (c *told) KillHorse(_ context.Context, name string) (bool, error) {
	c.said = append(c.said, "kill "+name)
	return !c.deaf, c.err
}

func TestACommandIsToldToAWorkerThatThereIs(t *testing.T) {
	t.Parallel()
	commands := &told{}
	b := setup(t, open(t), func(o *service.Options) { o.Commands = commands })
	b.exchange(broker.ExchangeRequest{})
	if _, err := b.KillHorse(t.Context(), "tester"); distro.ErrorCode(err) != distro.CodeConflict {
		t.Errorf("a worker without a job: %v", err)
	}
	b.enqueue(service.Request{Queue: "low"})
	claim := b.claim("low")
	if w, err := b.KillHorse(t.Context(), "tester"); err != nil || len(w.Running) != 1 || w.Running[0] != claim.JobID {
		t.Errorf("%+v, %v", w, err)
	}
	if w, err := b.StopWorker(t.Context(), "tester"); err != nil || w.Name != "tester" {
		t.Errorf("%+v, %v", w, err)
	}
	for _, name := range []string{"", "none", "tester "} {
		if _, err := b.StopWorker(t.Context(), name); distro.ErrorCode(err) != distro.CodeNotFound {
			t.Errorf("%q: %v", name, err)
		}
	}
	if diff := cmp.Diff([]string{"kill tester", "stop tester"}, commands.said); diff != "" {
		t.Error(diff)
	}
	commands.deaf = true
	if _, err := b.StopWorker(t.Context(), "tester"); distro.ErrorCode(err) != distro.CodeConflict {
		t.Errorf("nobody listens: %v", err)
	}
	commands.err = broker.ErrUnavailable
	if _, err := b.StopWorker(t.Context(), "tester"); distro.ErrorCode(err) != distro.CodeUnavailable {
		t.Errorf("no queue: %v", err)
	}
}

func TestWorkersOfTheEmbeddedQueueHearNoCommands(t *testing.T) {
	t.Parallel()
	b := setup(t, open(t))
	b.exchange(broker.ExchangeRequest{})
	if _, err := b.StopWorker(t.Context(), "tester"); distro.ErrorCode(err) != distro.CodeConflict {
		t.Error(err)
	}
}
