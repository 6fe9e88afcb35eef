package service_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/pickle"
	"github.com/distro-orchestrator/distro/internal/service"
)

// queued is the job of an ID, as the queue has it.
func (b *bundle) queued(id string) distro.Job {
	b.t.Helper()
	job, err := b.Get(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return job
}

// foreign stores a job as a producer of its own would.
func (b *bundle) foreign(job distro.Job) {
	b.t.Helper()
	results, err := b.broker.Enqueue(b.t.Context(), []distro.Job{job})
	if err != nil || results[0] != broker.Enqueued {
		b.t.Fatal(results, err)
	}
}

func TestARerunIsTheSameCallAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, open(t), func(o *service.Options) { o.Retries = 3 })
	opaque := distro.Payload{Serializer: distro.SerializerPickle, Data: []byte("\x80\x04what Go cannot read.")}
	b.foreign(distro.Job{
		ID: "theirs", Queue: "another's", Function: "os.system", Payload: opaque, Timeout: time.Hour, TTL: time.Minute,
		ResultTTL: distro.Forever, FailureTTL: time.Hour, RetriesLeft: 1, RetryIntervals: []time.Duration{time.Second}, Trigger: distro.TriggerRQ,
	})
	again, err := b.Rerun(t.Context(), "theirs", service.RerunRequest{Caller: "ana"})
	if err != nil {
		t.Fatal(err)
	}
	want := b.queued("theirs")
	want.ID, want.Trigger, want.Caller = again.ID, distro.TriggerRerun, "ana"
	if diff := cmp.Diff(want, b.queued(again.ID)); diff != "" || !distro.ValidID(again.ID) {
		t.Errorf("(-want +got)\n%s", diff)
	}
	moved, err := b.Rerun(t.Context(), "theirs", service.RerunRequest{Queue: "high"})
	if got := b.queued(moved.ID); err != nil || got.Queue != "high" || cmp.Diff(opaque, got.Payload) != "" {
		t.Errorf("%+v, %v", got, err)
	}
	// A job that runs, or is over, is as good.
	b.finish(b.claim("high"))
	if _, err := b.Rerun(t.Context(), moved.ID, service.RerunRequest{}); err != nil {
		t.Error(err)
	}
}

func TestARerunWithOtherArgumentsIsCheckedAsANewJob(t *testing.T) {
	t.Parallel()
	b := setup(t, open(t))
	job := b.enqueue(service.Request{Args: []byte("[1]"), Kwargs: []byte(`{"k":[2.0]}`), Queue: "high", Timeout: time.Minute})
	tuple, err := pickle.Append(nil, pickle.Tuple{"a.b.f", nil, pickle.Tuple{pickle.Tuple{1}}, pickle.Dict{{Key: "k", Value: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	b.foreign(distro.Job{ID: "tuple", Queue: "low", Function: "a.b.f", Payload: distro.Payload{Serializer: distro.SerializerPickle, Data: tuple}})
	b.foreign(distro.Job{ID: "json", Queue: "low", Function: "a.b.f", Payload: distro.Payload{Serializer: distro.SerializerJSON, Data: []byte(`["a.b.f", null, [1], {"k": 2}]`)}})
	b.foreign(distro.Job{ID: "object", Queue: "low", Function: "f", Payload: distro.Payload{Serializer: distro.SerializerPickle, Data: []byte("(U\x01fcm\nC\n)\x81)}t.")}})
	b.foreign(distro.Job{ID: "os", Queue: "low", Function: "os.system", Payload: distro.Payload{Serializer: distro.SerializerJSON, Data: []byte(`["os.system", null, ["true"], {}]`)}})
	for _, tt := range []struct {
		id           string
		request      service.RerunRequest
		args, kwargs string
	}{
		{job.ID, service.RerunRequest{Args: []byte("[3]")}, "[3]", `{"k":[2.0]}`},
		{job.ID, service.RerunRequest{Kwargs: []byte("{}")}, "[1]", "{}"},
		{"tuple", service.RerunRequest{Args: []byte("[2]")}, "[2]", `{"k":1}`},
		{"json", service.RerunRequest{Args: []byte(`[{"x":1}]`)}, `[{"x":1}]`, `{"k": 2}`},
	} {
		again, err := b.Rerun(t.Context(), tt.id, tt.request)
		if err != nil {
			t.Errorf("%s: %v", tt.id, err)
			continue
		}
		before, got := b.queued(tt.id), b.queued(again.ID)
		args, kwargs, _ := service.ShowArguments(got.Payload)
		if string(args) != tt.args || string(kwargs) != tt.kwargs || got.Payload.Serializer != before.Payload.Serializer || got.Queue != before.Queue || got.Timeout != before.Timeout {
			t.Errorf("%s: %s %s of %+v", tt.id, args, kwargs, got)
		}
	}
	for _, tt := range []struct {
		id, field string
		code      distro.Code
		request   service.RerunRequest
	}{
		{"none", "", distro.CodeNotFound, service.RerunRequest{}}, {"", "", distro.CodeNotFound, service.RerunRequest{}},
		{strings.Repeat("x", 2000), "", distro.CodeNotFound, service.RerunRequest{}},
		{job.ID, "queue", distro.CodeInvalid, service.RerunRequest{Queue: "none"}}, {job.ID, "id", distro.CodeInvalid, service.RerunRequest{ID: "a b"}},
		{job.ID, "args", distro.CodeInvalid, service.RerunRequest{Args: []byte("{}")}}, {job.ID, "kwargs", distro.CodeInvalid, service.RerunRequest{Kwargs: []byte("{")}},
		{"tuple", "args", distro.CodeInvalid, service.RerunRequest{Kwargs: []byte("{}")}},
		{"object", "", distro.CodeConflict, service.RerunRequest{Args: []byte("[]"), Kwargs: []byte("{}")}},
		{"os", "function", distro.CodeInvalid, service.RerunRequest{Args: []byte(`["rm"]`)}},
	} {
		_, err := b.Rerun(t.Context(), tt.id, tt.request)
		e, ok := errors.AsType[*distro.Error](err)
		if !ok || e.Code != tt.code || e.Field != tt.field {
			t.Errorf("%.10s %+v: %v", tt.id, tt.request, err)
		}
	}
}

func TestARerunWithAnIDCanBeRepeated(t *testing.T) {
	t.Parallel()
	b := setup(t, open(t))
	job := b.enqueue(service.Request{Args: []byte("[1]")})
	for range 2 {
		if again, err := b.Rerun(t.Context(), job.ID, service.RerunRequest{ID: "again"}); err != nil || again.ID != "again" {
			t.Error(again.ID, err)
		}
	}
	for _, other := range []service.RerunRequest{{ID: "again", Args: []byte("[2]")}, {ID: "again", Queue: "high"}} {
		if _, err := b.Rerun(t.Context(), job.ID, other); distro.ErrorCode(err) != distro.CodeConflict {
			t.Errorf("%+v: %v", other, err)
		}
	}
	if page, err := b.List(t.Context(), broker.ListQuery{}); err != nil || len(page.Jobs) != 2 {
		t.Errorf("%d jobs, %v", len(page.Jobs), err)
	}
}

func TestAJobThatTheQueueHasForgottenIsRunAgainFromHistory(t *testing.T) {
	t.Parallel()
	s, history := remembering(t)
	var all []distro.Execution
	for id, e := range map[string]distro.Execution{
		"plain":   {Module: "a.b", Function: "f", Queue: "high", Arguments: "1, 'x', k=[None], z={'a': 2.5}"},
		"cut":     {Module: "a.b", Function: "f", Queue: "high", Arguments: "'" + strings.Repeat("x", 199) + "..., k=1"},
		"untold":  {Module: "a.b", Function: "f", Queue: "high", Arguments: pickle.Untold},
		"nothing": {Queue: "high"},
		"gone":    {Module: "m", Function: "f", Queue: "high"},
		"moved":   {Module: "a.b", Function: "f", Queue: "closed"},
	} {
		e.JobID, e.Run, e.Attempt, e.State, e.StartedAt, e.EndedAt = id, "run-"+id, 1, distro.ExecutionFinished, start, start.Add(time.Second)
		all = append(all, e)
	}
	if err := history.Record(t.Context(), all, "", ""); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		id, args, kwargs, queue string
		request                 service.RerunRequest
	}{
		{"plain", `[1,"x"]`, `{"k":[null],"z":{"a":2.5}}`, "high", service.RerunRequest{}},
		{"plain", `[7]`, `{"k":[null],"z":{"a":2.5}}`, "low", service.RerunRequest{Args: []byte("[7]"), Queue: "low"}},
		{"cut", `[]`, `{}`, "high", service.RerunRequest{Args: []byte("[]"), Kwargs: []byte("{}")}},
		{"moved", `[]`, `{}`, "low", service.RerunRequest{Queue: "low"}},
	} {
		again, err := s.Rerun(t.Context(), tt.id, tt.request)
		if err != nil {
			t.Errorf("%s: %v", tt.id, err)
			continue
		}
		got := s.queued(again.ID)
		args, kwargs, _ := service.ShowArguments(got.Payload)
		if string(args) != tt.args || string(kwargs) != tt.kwargs || got.Queue != tt.queue || got.Trigger != distro.TriggerRerun || got.Function != "a.b.f" {
			t.Errorf("%s: %s %s of %+v", tt.id, args, kwargs, got)
		}
	}
	for id, want := range map[string]string{
		"cut": "args", "untold": "args", "nothing": "", "gone": "function", "moved": "queue", "never": "",
	} {
		_, err := s.Rerun(t.Context(), id, service.RerunRequest{})
		if e, ok := errors.AsType[*distro.Error](err); !ok || e.Field != want || e.Code == distro.CodeInternal {
			t.Errorf("%s: %v", id, err)
		}
	}
}
