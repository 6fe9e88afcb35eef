package httpapi_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/httpapi"
	"github.com/distro-orchestrator/distro/internal/pickle"
)

const optionsPath = "/api/v1/automations/pkg.report/build/options/month"

func TestOptionsAreOfferedOverTheAPI(t *testing.T) {
	t.Parallel()
	b := setup(t, withToken)
	auth := []string{"Authorization", "Bearer " + secret}
	if got := ask[httpapi.ParameterOptions](b, http.StatusOK, "POST", optionsPath, "", auth...); got.State != "no_worker" || got.Message == "" || got.Options == nil || len(b.jobs()) > 0 {
		t.Errorf("without a worker: %+v", got)
	}
	if _, err := b.broker.Exchange(t.Context(), broker.ExchangeRequest{Worker: distro.Worker{Name: "tester", Queues: []string{"default"}}, Beat: 1}); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() {
		got := ask[httpapi.ParameterOptions](b, http.StatusOK, "POST", optionsPath, "", auth...)
		values := map[string]string{}
		for _, o := range got.Options {
			values[string(o.Value)] = o.Label
		}
		if diff := cmp.Diff(map[string]string{`"10"`: "October", `"11"`: ""}, values); diff != "" || got.State != "ready" || got.Function != "pkg.report.options_month" || got.Job == "" || got.At == nil {
			t.Errorf("%+v %s", got, diff)
		}
	})
	if err := b.broker.Wait(t.Context(), broker.Interest{Queues: []string{"default"}}); err != nil {
		t.Fatal(err)
	}
	c := b.claim("default")
	if c.Job.Trigger != distro.TriggerOptions || c.Job.Caller == "" {
		t.Errorf("%+v", c.Job)
	}
	data, err := pickle.Append(nil, []any{pickle.Tuple{"10", "October"}, "11"})
	if err != nil {
		t.Fatal(err)
	}
	b.settle(c, distro.Result{Outcome: distro.OutcomeFinished, Pickle: data})
	group.Wait()

	f := ask[httpapi.Function](b, http.StatusOK, "GET", "/api/v1/automations/pkg.report/build", "", auth...)
	offers := ask[httpapi.Function](b, http.StatusOK, "GET", "/api/v1/automations/pkg.report/options_month", "", auth...)
	if f.Parameters[0].Options != "options_month" || f.Parameters[1].Options != "" || offers.OptionsOf != "month" || f.OptionsOf != "" {
		t.Errorf("%+v %+v", f, offers)
	}
	for address, want := range map[string]int{
		"/api/v1/automations/pkg.report/build/options/limit": 404, "/api/v1/automations/pkg.report/build/options/none": 404,
		"/api/v1/automations/none/build/options/month": 404, "/api/v1/automations/pkg.report/none/options/month": 404,
		"/api/v1/automations/broken/x/options/month": 422, optionsPath + "?refresh=perhaps": 422,
	} {
		if w := b.do("POST", address, "", auth...); w.Code != want {
			t.Errorf("%s: %d %s", address, w.Code, w.Body)
		}
	}
}

func TestWhoMayOnlyReadAsksForNoOptions(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *httpapi.Options) { o.AuthToken, o.ReadToken = secret, "fedcba9876543210" })
	if w := b.do("POST", optionsPath, "", "Authorization", "Bearer fedcba9876543210"); w.Code != http.StatusForbidden || len(b.jobs()) > 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
