package service_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/pickle"
	"github.com/distro-orchestrator/distro/internal/service"
)

// offering is a module whose function f has options for some parameters.
func offering() distro.Module {
	named := func(name, annotation string) distro.Parameter {
		return distro.Parameter{Name: name, Kind: distro.PositionalOrKeyword, Annotation: annotation}
	}
	return distro.Module{Name: "shop", Hash: "1", Functions: []distro.Function{
		{Name: "f", Parameters: []distro.Parameter{named("who", "str"), named("n", "int"), named("day", "date"), named("tags", "list[int]"), named("any", ""), named("plain", "")}},
		{Name: "opcoes_who"}, {Name: "options_who"}, {Name: "options_n"}, {Name: "opcoes_day"}, {Name: "opcoes_tags"}, {Name: "opcoes_any", Parameters: []distro.Parameter{named("x", "")}},
		{Name: "opcoes_nobody"},
	}}
}

// stall is a service over a queue that a worker of the test serves.
type stall struct {
	*bundle
	catalog *catalog
}

func newStall(t *testing.T, change ...func(*service.Options)) *stall {
	t.Helper()
	s := &stall{catalog: &catalog{modules: []distro.Module{offering()}}}
	s.bundle = setup(t, open(t), append(change, func(o *service.Options) { o.Catalog, o.ResultTTL = s.catalog, 0 })...)
	s.exchange(broker.ExchangeRequest{})
	return s
}

func (s *stall) exchange(req broker.ExchangeRequest) broker.ExchangeReply {
	s.t.Helper()
	req.Worker, req.Beat = distro.Worker{Name: "tester", Queues: []string{"high", "low"}, Slots: 1}, uint64(time.Now().UnixNano())
	reply, err := s.broker.Exchange(s.t.Context(), req)
	if err != nil {
		s.t.Fatal(err)
	}
	return reply
}

// next is the next job, as soon as there is one.
func (s *stall) next() broker.Claimed {
	s.t.Helper()
	for {
		reply := s.exchange(broker.ExchangeRequest{Want: broker.Want{Queues: []string{"high", "low"}, Tokens: []string{distro.NewID()}, Begun: 1}})
		if len(reply.Claims) == 1 {
			return reply.Claims[0]
		}
		if err := s.broker.Wait(s.t.Context(), broker.Interest{Queues: []string{"high", "low"}}); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *stall) settle(c broker.Claimed, r distro.Result) {
	s.exchange(broker.ExchangeRequest{Settle: []broker.Settlement{{Claim: broker.Claim{JobID: c.Job.ID, Token: c.Token}, Result: r}}})
}

// returns lets the next job return a value.
func (s *stall) returns(value any) broker.Claimed {
	s.t.Helper()
	c := s.next()
	data, err := pickle.Append(nil, value)
	if err != nil {
		s.t.Fatal(err)
	}
	s.settle(c, distro.Result{Outcome: distro.OutcomeFinished, Pickle: data})
	return c
}

// asking asks for the options of a parameter meanwhile.
func (s *stall) asking(parameter string, refresh bool) (answer func() service.ParameterOptions) {
	var got service.ParameterOptions
	var err error
	var group sync.WaitGroup
	group.Go(func() {
		got, err = s.ParameterOptions(s.t.Context(), service.OptionsRequest{Module: "shop", Function: "f", Parameter: parameter, Refresh: refresh, Caller: "ana"})
	})
	return func() service.ParameterOptions {
		s.t.Helper()
		group.Wait()
		if err != nil {
			s.t.Fatal(err)
		}
		return got
	}
}

// written is options in a line each.
func written(o service.ParameterOptions) string {
	var b strings.Builder
	for _, each := range o.Options {
		b.WriteString(string(each.Value))
		if each.Label != "" {
			b.WriteString(" " + each.Label)
		}
		b.WriteString("; ")
	}
	return b.String()
}

func TestAFunctionOffersOptionsInAnOrdinaryJob(t *testing.T) {
	t.Parallel()
	s := newStall(t, func(o *service.Options) { o.Retries = 3 })
	answer := s.asking("who", false)
	job := s.returns([]any{"ana", pickle.Tuple{"bia", "Bia Lima"}, []any{"c", int64(7)}, "ana"}).Job
	if job.Function != "shop.opcoes_who" || job.Queue != "high" || job.Timeout != 5*time.Second || job.RetriesLeft != 0 ||
		job.Trigger != distro.TriggerOptions || job.Caller != "ana" || job.TTL == 0 || job.ResultTTL == 0 {
		t.Errorf("the job is %+v", job)
	}
	got := answer()
	if text := written(got); text != `"ana"; "bia" Bia Lima; "c" 7; ` || got.State != service.OptionsReady || got.Job != job.ID || got.Function != "shop.opcoes_who" {
		t.Errorf("%s %+v", text, got)
	}
	if known, ok := s.KnownOptions(t.Context(), "shop", "f", "who"); !ok || cmp.Diff(got, known) != "" {
		t.Errorf("known: %v %+v", ok, known)
	}
	if again := s.asking("who", false)(); cmp.Diff(got, again) != "" { // no job is made: nobody would run it
		t.Errorf("%+v", again)
	}

	// Asked anew, and of another version of the file.
	answer = s.asking("who", true)
	s.returns([]any{"new"})
	if text := written(answer()); text != `"new"; ` {
		t.Error(text)
	}
	s.catalog.modules[0].Hash = "2"
	if _, ok := s.KnownOptions(t.Context(), "shop", "f", "who"); ok {
		t.Error("the options of another file are known")
	}
	answer = s.asking("who", false)
	s.returns(pickle.Dict{{Key: "k", Value: "Kiwi"}, {Key: "l", Value: nil}})
	if text := written(answer()); text != `"k" Kiwi; "l" None; ` {
		t.Error(text)
	}
}

func TestRequestsAtTheSameTimeShareAJob(t *testing.T) {
	t.Parallel()
	s := newStall(t)
	answers := []func() service.ParameterOptions{s.asking("n", false)}
	c := s.next()
	for range 8 {
		answers = append(answers, s.asking("n", false))
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := s.ParameterOptions(gone, service.OptionsRequest{Module: "shop", Function: "f", Parameter: "n", Refresh: true}); distro.ErrorCode(err) != distro.CodeUnavailable {
		t.Errorf("%v", err)
	}
	data, err := pickle.Append(nil, []any{int64(1), "x", 2.5, true})
	if err != nil {
		t.Fatal(err)
	}
	s.settle(c, distro.Result{Outcome: distro.OutcomeFinished, Pickle: data})
	for _, answer := range answers {
		got := answer()
		if text := written(got); text != `1; ` || got.Job != c.Job.ID || got.Unfit != 3 || !strings.HasPrefix(got.Example, "x: must be") {
			t.Errorf("%s %+v", text, got)
		}
	}
	page, err := s.List(t.Context(), broker.ListQuery{})
	if err != nil || len(page.Jobs) != 1 {
		t.Errorf("%d jobs, %v", len(page.Jobs), err)
	}
}

func TestLookingForOptionsThatNobodyAskedForForgetsNone(t *testing.T) {
	t.Parallel()
	s := newStall(t)
	m := &s.catalog.modules[0]
	for i := range 100 {
		name := fmt.Sprint("p", i)
		m.Functions[0].Parameters = append(m.Functions[0].Parameters, distro.Parameter{Name: name, Kind: distro.PositionalOrKeyword})
		m.Functions = append(m.Functions, distro.Function{Name: "opcoes_" + name})
	}
	answer := s.asking("who", false)
	s.returns([]any{"ana"})
	answer()
	for i := range 100 {
		if _, ok := s.KnownOptions(t.Context(), "shop", "f", fmt.Sprint("p", i)); ok {
			t.Errorf("options of p%d are known", i)
		}
	}
	if _, ok := s.KnownOptions(t.Context(), "shop", "f", "who"); !ok {
		t.Error("those that were asked for are forgotten")
	}
}

func TestOptionsAreValuesOfTheParameter(t *testing.T) {
	t.Parallel()
	s := newStall(t)
	day := pickle.Made{Module: "datetime", Name: "date", Args: pickle.Tuple{[]byte("\x07\xea\x0b\x1e")}}
	for i, tt := range []struct {
		parameter string
		returned  any
		want      string
		unfit     int
		message   string
	}{
		{"day", pickle.Tuple{pickle.Tuple{day, "hoje"}, "2026-12-01", "amanhã"}, `"2026-11-30" hoje; "2026-12-01"; `, 1, ""},
		{"tags", pickle.Set{int64(3), int64(1)}, `1; 3; `, 0, ""},
		{"tags", []any{[]any{int64(1), int64(2), int64(3)}}, ``, 0, "element 1"},
		{"who", []any{}, ``, 0, ""},
		{"who", nil, ``, 0, "returned NoneType"},
		{"who", "Unserializable return value", ``, 0, "cannot be pickled"},
		{"who", []any{pickle.Dict{}}, ``, 0, "element 1"},
		{"who", []any{pickle.Made{Module: "os", Name: "system", Args: pickle.Tuple{"x"}}}, ``, 1, ""},
		{"who", []any{strings.Repeat("x", 5000), "<b>\n"}, `"<b>\u000a"; `, 1, ""},
	} {
		s.catalog.modules[0].Hash = fmt.Sprint("v", i)
		answer := s.asking(tt.parameter, false)
		s.returns(tt.returned)
		got := answer()
		if text := written(got); text != tt.want || got.Unfit != tt.unfit || !strings.Contains(got.Message, tt.message) || (got.State == service.OptionsUnfit) != (tt.message != "") {
			t.Errorf("%s of %v: %s %+v", tt.parameter, tt.returned, text, got)
		}
	}
	many := make([]any, service.MaxOptions+1)
	for i := range many {
		many[i] = int64(i)
	}
	answer := s.asking("n", false)
	s.returns(many)
	if got := answer(); len(got.Options) != service.MaxOptions || !got.Cut {
		t.Errorf("%d options, cut %v", len(got.Options), got.Cut)
	}
}

func TestOptionsThatDoNotComeSayWhy(t *testing.T) {
	t.Parallel()
	s := newStall(t)
	for what, tt := range map[string]struct {
		failure distro.Failure
		want    service.OptionsState
	}{
		"exception":   {distro.Failure{Kind: distro.FailureException, Type: "ValueError", Message: "no\ndatabase"}, service.OptionsFailed},
		"timeout":     {distro.Failure{Kind: distro.FailureTimeout, Message: "too long"}, service.OptionsTimeout},
		"stock's own": {distro.Failure{Kind: distro.FailureException, Type: "rq.timeouts.JobTimeoutException"}, service.OptionsTimeout},
	} {
		answer := s.asking("who", true)
		c := s.next()
		s.settle(c, distro.Result{Outcome: distro.OutcomeFailed, Failure: &tt.failure})
		if got := answer(); got.State != tt.want || got.Message == "" || strings.Contains(got.Message, "\n") || got.Job != c.Job.ID {
			t.Errorf("%s: %+v", what, got)
		}
	}
	if got := s.asking("any", false)(); got.State != service.OptionsUnfit || got.Job != "" {
		t.Errorf("a function with arguments: %+v", got)
	}
	for _, r := range []service.OptionsRequest{
		{Module: "shop", Function: "f", Parameter: "plain"}, {Module: "shop", Function: "f", Parameter: "nothing"},
		{Module: "shop", Function: "g", Parameter: "who"}, {Module: "none", Function: "f", Parameter: "who"}, {Module: "shop", Function: "opcoes_nobody", Parameter: "nobody"},
	} {
		if _, err := s.ParameterOptions(t.Context(), r); distro.ErrorCode(err) != distro.CodeNotFound {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

func TestNobodyWaitsForAWorkerThatIsNotThere(t *testing.T) {
	t.Parallel()
	s := newStall(t)
	ask := func() service.ParameterOptions { return s.asking("who", true)() }
	if err := s.SetSuspended(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if got := ask(); got.State != service.OptionsNoWorker || got.Job != "" {
		t.Errorf("suspended: %+v", got)
	}
	if err := s.SetSuspended(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	for _, queue := range []string{"high", "low"} {
		if _, err := s.SetPaused(t.Context(), queue, true); err != nil {
			t.Fatal(err)
		}
		if queue == "high" { // the other one is served
			answer := s.asking("who", true)
			if c := s.returns([]any{}); c.Job.Queue != "low" {
				t.Errorf("the job is in %q", c.Job.Queue)
			}
			answer()
		}
	}
	if got := ask(); got.State != service.OptionsNoWorker {
		t.Errorf("paused: %+v", got)
	}
	s.exchange(broker.ExchangeRequest{Leave: true})
	if got := ask(); got.State != service.OptionsNoWorker {
		t.Errorf("gone: %+v", got)
	}
}

func TestAJobThatTakesLongerIsWaitedForLater(t *testing.T) {
	t.Parallel()
	s := newStall(t)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		_, err := s.ParameterOptions(ctx, service.OptionsRequest{Module: "shop", Function: "f", Parameter: "who"})
		if distro.ErrorCode(err) != distro.CodeUnavailable {
			t.Errorf("%v", err)
		}
	})
	c := s.next()
	cancel() // who asked is gone
	group.Wait()
	answer := s.asking("who", false)
	data, err := pickle.Append(nil, []any{"late"})
	if err != nil {
		t.Fatal(err)
	}
	s.settle(c, distro.Result{Outcome: distro.OutcomeFinished, Pickle: data})
	if got := answer(); written(got) != `"late"; ` || got.Job != c.Job.ID {
		t.Errorf("%+v", got)
	}
}
