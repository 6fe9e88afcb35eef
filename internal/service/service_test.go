package service_test

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/sqlitebroker"
	"github.com/distro-orchestrator/distro/internal/output"
	"github.com/distro-orchestrator/distro/internal/pickle"
	"github.com/distro-orchestrator/distro/internal/python"
	"github.com/distro-orchestrator/distro/internal/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// catalog lists modules that are written in Go here, and finds functions and
// checks calls as the real one does.
type catalog struct {
	*python.Catalog
	modules []distro.Module
}

func (c catalog) All(context.Context) ([]distro.Module, error) { return c.modules, nil }
func (c catalog) Modules(context.Context) ([]string, error)    { return []string{"a", "a.b"}, nil }
func (c catalog) Module(_ context.Context, name string) (distro.Module, error) {
	for _, m := range c.modules {
		if m.Name == name {
			return m, nil
		}
	}
	return distro.Module{}, distro.Errorf(distro.CodeNotFound, "there is no module %q", name)
}

type bundle struct {
	*service.Service
	t      *testing.T
	broker broker.Broker
	output *output.Store
}

var start = time.Date(2026, 10, 31, 8, 0, 0, 0, time.UTC)

// frozen is a clock that stands at start.
type frozen struct{}

func (frozen) Now() time.Time           { return start }
func (frozen) Monotonic() time.Duration { return 0 }

func open(t *testing.T) broker.Broker {
	t.Helper()
	b, err := sqlitebroker.Open(t.Context(), sqlitebroker.Options{Path: filepath.Join(t.TempDir(), "queue.db"), Clock: frozen{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func setup(t *testing.T, b broker.Broker, change ...func(*service.Options)) *bundle {
	t.Helper()
	out, err := output.Open(t.TempDir(), output.Options{})
	if err != nil {
		t.Fatal(err)
	}
	functions := []distro.Function{{Name: "f", Parameters: []distro.Parameter{
		{Name: "args", Kind: distro.VarPositional}, {Name: "kwargs", Kind: distro.VarKeyword},
	}}}
	opts := service.Options{
		Broker: b, Output: out, Queues: []string{"high", "low"}, ResultTTL: time.Hour, Now: func() time.Time { return start },
		Catalog: catalog{modules: []distro.Module{
			{Name: "a", Functions: []distro.Function{{Name: "b.f"}, {Name: "g"}}}, {Name: "a.b", Functions: functions},
		}},
	}
	for _, f := range change {
		f(&opts)
	}
	s, err := service.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return &bundle{Service: s, t: t, broker: b, output: out}
}

// enqueue makes a job of a.b.f.
func (b *bundle) enqueue(r service.Request) distro.Job {
	b.t.Helper()
	if r.Function == "" {
		r.Function = "a.b.f"
	}
	job, err := b.Enqueue(b.t.Context(), r)
	if err != nil {
		b.t.Fatal(err)
	}
	return job
}

func (b *bundle) exchange(req broker.ExchangeRequest) broker.ExchangeReply {
	b.t.Helper()
	req.Worker, req.Beat = distro.Worker{Name: "tester", Slots: 1}, uint64(time.Now().UnixNano())
	reply, err := b.broker.Exchange(b.t.Context(), req)
	if err != nil {
		b.t.Fatal(err)
	}
	return reply
}

func (b *bundle) claim(queue string) broker.Claim {
	b.t.Helper()
	reply := b.exchange(broker.ExchangeRequest{Want: broker.Want{Queues: []string{queue}, Tokens: []string{distro.NewID()}, Begun: 1}})
	if len(reply.Claims) != 1 {
		b.t.Fatalf("nothing to claim from %q", queue)
	}
	return broker.Claim{JobID: reply.Claims[0].Job.ID, Token: reply.Claims[0].Token}
}

func (b *bundle) finish(c broker.Claim) {
	b.exchange(broker.ExchangeRequest{Settle: []broker.Settlement{{Claim: c, Result: distro.Result{Outcome: distro.OutcomeFinished}}}})
}

// pickled is the payload of a call of a.b.f.
func pickled(t *testing.T, args pickle.Tuple, kwargs pickle.Dict) distro.Payload {
	t.Helper()
	data, err := pickle.Append(nil, pickle.Tuple{"a.b.f", nil, args, kwargs})
	if err != nil {
		t.Fatal(err)
	}
	return distro.Payload{Serializer: distro.SerializerPickle, Data: data}
}

func TestAJobIsMadeByPolicy(t *testing.T) {
	t.Parallel()
	b := setup(t, open(t), func(o *service.Options) { o.Retries, o.RetryInterval = 2, time.Minute })
	two := 0
	for name, tt := range map[string]struct {
		request service.Request
		want    distro.Job
	}{
		"defaults": {service.Request{Function: "a.b.f"}, distro.Job{
			Queue: "low", Timeout: 30 * time.Minute, RetriesLeft: 2,
			Payload: pickled(t, pickle.Tuple{}, pickle.Dict{}),
		}},
		"as requested": {service.Request{
			Module: "a.b", Function: "f", Queue: "high", Delay: time.Hour, Timeout: distro.Forever, Retries: &two, Args: []byte(" [1e1]\n"), Kwargs: []byte(`{"a" : -0.0}`),
		}, distro.Job{
			Queue: "high", Timeout: distro.Forever, DueAt: start.Add(time.Hour),
			Payload: pickled(t, pickle.Tuple{10.0}, pickle.Dict{{Key: "a", Value: math.Copysign(0, -1)}}),
		}},
		"at a moment": {service.Request{Function: "a.b.f", At: start.Add(time.Hour).In(time.FixedZone("", 3600))}, distro.Job{
			Queue: "low", Timeout: 30 * time.Minute, RetriesLeft: 2, DueAt: start.Add(time.Hour),
			Payload: pickled(t, pickle.Tuple{}, pickle.Dict{}),
		}},
	} {
		got := b.enqueue(tt.request)
		want := tt.want
		want.ID, want.Function, want.ResultTTL, want.FailureTTL = got.ID, "a.b.f", time.Hour, 365*24*time.Hour
		want.RetryIntervals = []time.Duration{time.Minute}
		if diff := cmp.Diff(want, got); diff != "" || !distro.ValidID(got.ID) {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestADottedNameMeansItsLongestModule(t *testing.T) {
	t.Parallel()
	b := setup(t, open(t))
	if job := b.enqueue(service.Request{Function: "a.b.f", Args: []byte("[1]")}); job.Function != "a.b.f" {
		t.Errorf("%s", job.Function)
	}
	if job := b.enqueue(service.Request{Module: "a", Function: "b.f"}); job.Function != "a.b.f" {
		t.Errorf("%s", job.Function)
	}
	if _, err := b.Enqueue(t.Context(), service.Request{Function: "a.g", Args: []byte("[1]")}); err == nil {
		t.Error("a.g takes no argument")
	}
}

func TestARepetitionIsTheSameRequestAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, open(t))
	first := service.Request{Function: "a.b.f", ID: "j", Args: []byte(`[{"x":1,"y":[2]}]`), Delay: time.Hour}
	b.enqueue(first)
	same := first
	same.Module, same.Function, same.Args = "a.b", "f", []byte(`[{"y":[2],"x":0,"x":1}]`)
	b.enqueue(same)
	for what, change := range map[string]func(*service.Request){
		"queue":    func(r *service.Request) { r.Queue = "high" },
		"argument": func(r *service.Request) { r.Args = []byte(`[{"x":1,"y":2}]`) },
		"keyword":  func(r *service.Request) { r.Kwargs = []byte(`{"z":null}`) },
		"delay":    func(r *service.Request) { r.Delay = 2 * time.Hour },
		"moment":   func(r *service.Request) { r.Delay, r.At = 0, start.Add(time.Hour) },
		"wording":  func(r *service.Request) { r.Schedule = "0h60m0s" },
	} {
		other := first
		change(&other)
		if _, err := b.Enqueue(t.Context(), other); distro.ErrorCode(err) != distro.CodeConflict {
			t.Errorf("another %s: %v", what, err)
		}
	}
}

func TestARepetitionIsKnownAfterItsModuleChanged(t *testing.T) {
	t.Parallel()
	queue := open(t)
	before := setup(t, queue)
	first := service.Request{Module: "a.b", Function: "f", ID: "j", Args: []byte(`[1]`), Delay: time.Hour}
	before.enqueue(first)
	gone := setup(t, queue, func(o *service.Options) { o.Catalog = catalog{modules: []distro.Module{{Name: "a"}}} })
	other := setup(t, queue, func(o *service.Options) {
		o.Catalog = catalog{modules: []distro.Module{{Name: "a.b", Functions: []distro.Function{{Name: "f"}}}}}
	})
	for _, b := range []*bundle{gone, other} {
		if job := b.enqueue(first); job.ID != "j" || job.Function != "a.b.f" || job.Queue != "low" {
			t.Errorf("%+v", job)
		}
		if _, results, err := b.EnqueueMany(t.Context(), []service.Request{first}); err != nil || results[0] != broker.EnqueueRepeated {
			t.Error(results, err)
		}
		for what, change := range map[string]func(*service.Request){
			"argument": func(r *service.Request) { r.Args = []byte(`[2]`) }, "queue": func(r *service.Request) { r.Queue = "high" },
			"delay": func(r *service.Request) { r.Delay++ }, "ID": func(r *service.Request) { r.ID = "k" }, "none": func(r *service.Request) { r.ID = "" },
		} {
			changed := first
			change(&changed)
			if _, err := b.Enqueue(t.Context(), changed); distro.ErrorCode(err) != distro.CodeInvalid {
				t.Errorf("another %s: %v", what, err)
			}
		}
	}
}

func TestArgumentsAreBounded(t *testing.T) {
	t.Parallel()
	b := setup(t, open(t), func(o *service.Options) { o.MaxArguments = 1000 })
	for name, r := range map[string]service.Request{
		"large": {Args: []byte(`["` + strings.Repeat("x", 1000) + `"]`)}, "deep": {Args: []byte(strings.Repeat("[", 65) + strings.Repeat("]", 65))},
		"no JSON": {Args: []byte("[")}, "no list": {Args: []byte(`"x"`)},
	} {
		r.Function = "a.b.f"
		_, err := b.Enqueue(t.Context(), r)
		if e, ok := errors.AsType[*distro.Error](err); !ok || e.Code != distro.CodeInvalid || e.Field != "args" {
			t.Errorf("%s: %v", name, err)
		}
	}
	b.enqueue(service.Request{Args: []byte(strings.Repeat("[", 64) + strings.Repeat("]", 64))})
}

func TestPayloadsAreShownOnlyWhereTheyAreCalls(t *testing.T) {
	t.Parallel()
	show := func(serializer, data string) string {
		args, kwargs, call := service.ShowArguments(distro.Payload{Serializer: serializer, Data: []byte(data)})
		return string(args) + string(kwargs) + call
	}
	if got := show("json", `["f", null, [1], {"a":2}]`); got != `[1]{"a":2}` {
		t.Error(got)
	}
	for _, data := range []string{"", "x", "{}", "[]", `["f",null,[1]]`, `["f",null,[1],{},5]`, `["f",null,1,{}]`, `["f",null,[],null]`, `"["`, `["f",null,["` + strings.Repeat("x", 1<<20) + `"],{}]`} {
		if got := show("json", data); got != "" {
			t.Errorf("%.40s: %.40s", data, got)
		}
	}
	for _, data := range []string{"", `["f", null, [1], {"a":2}]`, "N.", "(U\x01fN)t.", "(U\x01fN)}", "(U\x01fN]C\xff" + strings.Repeat("N", 1<<20) + "a}t."} {
		if got := show("pickle", data); got != "" {
			t.Errorf("%.40q: %.40s", data, got)
		}
	}
}

func TestPickledArgumentsAreShownAsJSONWhereTheyArePlainData(t *testing.T) {
	t.Parallel()
	type shown struct{ Args, Kwargs, Call string }
	for data, want := range map[string]shown{
		"(U\x01fNK\x01U\x01\"\x86}(U\x01a]U\x01bGO\xf0\x00\x00\x00\x00\x00\x00ut.": {Args: `[1,"\""]`, Kwargs: `{"a":[],"b":1.157920892373162e+77}`},
		"(U\x01fNF1e400\n\x85}t.": {Call: "f(inf)"},
		"(U\x01fN)}U\x01a)st.":    {Call: "f(a=())"},
		"(U\x01fNcdatetime\ndate\nU\x04\x07\xea\x01\x02\x85R\x85}t.": {Call: "f(datetime.date(2026, 1, 2))"},
		"(U\x01fcm\nC\n)\x81K\x01\x85}t.":                            {Args: "[1]", Kwargs: "{}", Call: "m.C.f(1)"},
	} {
		args, kwargs, call := service.ShowArguments(distro.Payload{Serializer: distro.SerializerPickle, Data: []byte(data)})
		if diff := cmp.Diff(want, shown{string(args), string(kwargs), call}); diff != "" {
			t.Errorf("%q: %s", data, diff)
		}
	}
}

func TestCleaningTakesWhatStoodInAllQueuesWhenItBegan(t *testing.T) {
	t.Parallel()
	// A job that arrives between the first steps and the second ones stays.
	late := &arriving{Broker: open(t)}
	b := setup(t, late)
	late.arrive = func() {
		b.enqueue(service.Request{ID: "late-high", Queue: "high"})
		b.enqueue(service.Request{ID: "late-low", Queue: "low"})
	}
	requests := slices.Repeat([]service.Request{{Function: "a.b.f", Queue: "high"}}, 500)
	for range 2 {
		if _, _, err := b.EnqueueMany(t.Context(), requests); err != nil {
			t.Fatal(err)
		}
	}
	b.enqueue(service.Request{Queue: "low"})
	if n, err := b.Clean(t.Context(), ""); n != 1001 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	page, err := b.List(t.Context(), broker.ListQuery{})
	if err != nil || len(page.Jobs) != 2 {
		t.Errorf("%d jobs left, %v", len(page.Jobs), err)
	}
}

// arriving calls arrive behind the first step of each walk's beginning.
type arriving struct {
	broker.Broker
	arrive func()
	begun  int
}

func (a *arriving) Empty(ctx context.Context, queue, cursor string, limit int) (int, string, error) {
	n, next, err := a.Broker.Empty(ctx, queue, cursor, limit)
	if a.begun++; a.begun == 2 {
		a.arrive()
	}
	return n, next, err
}
