package service_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
	"github.com/distro-orchestrator/distro/internal/redistest"
	"github.com/distro-orchestrator/distro/internal/service"
)

const offers = `
import datetime, os, time

def f(who, n, day, tags, any, plain):
    pass

def opcoes_who():
    return [("ana", "Ana Lima"), "bia"]

def options_n():
    return {3, 1, 2}

def opcoes_day():
    return {datetime.date(2026, 11, 30): "hoje"}

def opcoes_tags():
    time.sleep(60)
`

// TestWorkersOfRQOfferOptions: they tell nobody when a job has ended.
func TestWorkersOfRQOfferOptions(t *testing.T) {
	t.Parallel()
	server, dir := redistest.Start(t, redistest.Options{}), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "shop.py"), []byte(offers), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := redisbroker.Open(t.Context(), redisbroker.Options{URL: server.URL(), Clock: broker.SystemClock(), Feed: true, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	s := setup(t, b, func(o *service.Options) {
		o.Catalog, o.Now = catalog{modules: []distro.Module{offering()}}, time.Now
	})
	ask := func(parameter string) service.ParameterOptions {
		t.Helper()
		got, err := s.ParameterOptions(t.Context(), service.OptionsRequest{Module: "shop", Function: "f", Parameter: parameter})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := ask("who"); got.State != service.OptionsNoWorker {
		t.Errorf("without a worker: %+v", got)
	}
	worker := redistest.FindStock(t).Worker(t, redistest.WorkerOptions{URL: server.URL(), Dir: dir, Queues: []string{"low"}})
	worker.Await(t, "Listening on")
	for parameter, want := range map[string]string{
		"who": `"ana" Ana Lima; "bia"; `, "n": `1; 2; 3; `, "day": `"2026-11-30" hoje; `,
	} {
		got := ask(parameter)
		if got.State == service.OptionsPending { // the machine is busy
			got = ask(parameter)
		}
		if text := written(got); text != want {
			t.Errorf("%s: %s %+v", parameter, text, got)
		}
	}
	got := ask("tags")
	for range 5 {
		if got.State == service.OptionsPending {
			got = ask("tags")
		}
	}
	if got.State != service.OptionsTimeout {
		t.Errorf("a function that sleeps: %+v", got)
	}
}
