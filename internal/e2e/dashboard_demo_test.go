package e2e_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/browsertest"
	"github.com/distro-orchestrator/distro/internal/httpapi"
	"github.com/distro-orchestrator/distro/internal/redistest"
	"github.com/distro-orchestrator/distro/internal/store"
)

// demo is a dashboard on which a day of a company is to be seen.
type demo struct {
	*board

	site *site

	failed    string // jobs, by how they are
	running   string
	finished  string
	scheduled string
	operation string
}

// newDemo starts a Redis, an orchestrator and workers, and gives them a day's work.
func newDemo(t *testing.T, browser *browsertest.Browser) *demo {
	t.Helper()
	s := newSite(t, redistest.Options{})
	modules := demoModules(t)
	for name, source := range modules {
		path := filepath.Join(s.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all := map[string]string{"fluxo.py": flows}
	maps.Copy(all, modules)
	up := newServer(t, "redis_url = "+s.url+"\nworkers = 2\nresult_ttl = 1d\n", all)
	remember(t, filepath.Join(up.dir, ".distro"))
	d := &demo{board: &board{up.start(), t, browser}, site: s}
	for _, name := range []string{"rpa-01", "rpa-02"} {
		s.awaitState(distroWorker(s, name, "high", "default"), name, "idle")
	}
	d.work()
	return d
}

// weights are how often functions are called, and how often they fail, in percent.
func weights() []struct {
	name          string
	often, failed int
	took          time.Duration
	args          string
} {
	return []struct {
		name          string
		often, failed int
		took          time.Duration
		args          string
	}{
		{"fiscal.nfse.emitir", 30, 2, 4 * time.Second, "tomador='Padaria São José', valor=Decimal('1250.90')"},
		{"fiscal.nfse.baixar_xml", 10, 30, 40 * time.Second, "'2026-11', tentativas=3"},
		{"fiscal.nfse.consultar", 25, 0, time.Second, "'2026/118'"},
		{"financeiro.extrato.baixar", 14, 4, 12 * time.Second, "'bb', '1234-5'"},
		{"financeiro.extrato.conciliar", 6, 18, 25 * time.Second, "'1234-5', '2026-11'"},
		{"relatorios.diario.vendas", 8, 0, 9 * time.Second, "'2026-11-24', regiao='Sul'"},
		{"rpa.certidoes.baixar", 7, 12, 70 * time.Second, "'12.345.678/0001-90', orgao='receita'"},
	}
}

// remember writes what ran in the last day into the history of a server that has
// not started yet.
func remember(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	history, err := store.Open(t.Context(), store.Options{Path: filepath.Join(dir, "history.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer history.Close()
	random := rand.New(rand.NewPCG(11, 24))
	var list []distro.Execution
	for at := time.Now().Add(-24 * time.Hour); at.Before(time.Now().Add(-2 * time.Minute)); {
		busy := 6 // minutes between two jobs, and fewer in working hours
		if hour := at.In(time.FixedZone("", -3*3600)).Hour(); hour >= 7 && hour < 19 {
			busy = 2
		}
		at = at.Add(time.Duration(random.IntN(2*60*busy)+10) * time.Second)
		list = append(list, past(random, at, len(list)))
	}
	if err := history.Record(t.Context(), list, "", ""); err != nil {
		t.Fatal(err)
	}
}

// past is an execution that began at a time.
func past(random *rand.Rand, at time.Time, n int) distro.Execution {
	pick := random.IntN(100)
	all := weights()
	kind := all[0]
	for _, w := range all {
		if pick -= w.often; pick < 0 {
			kind = w
			break
		}
	}
	module, function := kind.name[:strings.LastIndexByte(kind.name, '.')], kind.name[strings.LastIndexByte(kind.name, '.')+1:]
	worker := fmt.Sprintf("rpa-0%d", 1+n%2)
	x := distro.Execution{
		JobID: fmt.Sprintf("ontem-%04d", n), Run: "1", Attempt: 1, Module: module, Function: function, Queue: []string{"high", "default", "default", "low"}[n%4],
		Arguments: kind.args, State: distro.ExecutionFinished, Trigger: distro.TriggerAPI, Worker: worker, Host: "srv-" + worker, Python: "3.12.4",
		StartedAt: at, EndedAt: at.Add(kind.took/2 + time.Duration(random.Int64N(int64(kind.took)))),
		EnqueuedAt: at.Add(-time.Duration(random.IntN(9000)) * time.Millisecond), PeakMemory: 48 << 20, CPUTime: kind.took / 9,
	}
	if random.IntN(100) < kind.failed {
		x.State = distro.ExecutionFailed
		x.Failure = &distro.Failure{Kind: distro.FailureException, Type: "TimeoutError", Message: "o portal não respondeu em 30 s"}
	}
	return x
}

// work gives the workers what they show.
func (d *demo) work() {
	d.t.Helper()
	for n := range 12 {
		d.enqueue("fiscal.nfse.consultar", fmt.Sprintf(`["2026/%d"]`, 100+n), "")
		d.enqueue("financeiro.extrato.baixar", fmt.Sprintf(`["bb", "%d-5"]`, 1200+n), "")
		d.enqueue("relatorios.diario.vendas", `["2026-11-24"]`, `, "kwargs": {"regiao": "Sul"}`)
	}
	var failing []string
	for n := range 4 {
		failing = append(failing, d.enqueue("fiscal.nfse.baixar_xml", fmt.Sprintf(`["2026-%02d"]`, 8+n), `, "queue": "high"`))
		failing = append(failing, d.enqueue("rpa.certidoes.baixar", fmt.Sprintf(`["12.345.678/000%d-90"]`, 1+n), `, "queue": "low"`)) // the orchestrator keeps its files
	}
	failing = append(failing, d.enqueue("financeiro.extrato.conciliar", `["1234-5", "2026-11"]`, ""))
	d.finished = d.enqueue("fiscal.nfse.emitir", "[]", `, "kwargs": {"tomador": "Padaria São José", "valor": "1250.90", "competencia": "2026-11-01", "emails": ["fiscal@padaria.example"]}`)
	for _, id := range append(failing, d.finished) {
		d.ended(id)
	}
	d.failed = failing[1]
	if status, text := d.post("/api/v1/operations", fmt.Sprintf(`{"action": "requeue", "ids": [%q, %q]}`, failing[2], failing[4])); status/100 == 2 {
		_, after, _ := strings.Cut(text, `"id":"`)
		d.operation, _, _ = strings.Cut(after, `"`)
	} else {
		d.t.Fatalf("an operation: %d %s", status, text)
	}
	d.keeps("fiscal.nfse/emitir", "Padaria, todo mês", `{"kwargs": {"tomador": "12.345.678/0001-90", "valor": 1250.90}, "typed": true, "queue": "high"}`)
	d.keeps("fiscal.nfse/emitir", "Clínica", `{"kwargs": {"tomador": "45.111.222/0001-33", "servico": "suporte"}, "typed": true}`)
	d.running = d.enqueue("rh.folha.enviar_holerites", `["2026-11"]`, `, "queue": "high"`)
	d.enqueue("rpa.certidoes.renovar_todas", "", "")
	for n, delay := range []string{"4m", "18m", "1h", "2h30m", "6h", "20h", "72h"} {
		id := d.enqueue("rh.folha.fechar", fmt.Sprintf(`["2026-%02d"]`, 12-n%2), fmt.Sprintf(`, "delay": %q`, delay))
		if n == 2 {
			d.scheduled = id
		}
	}
	if status, text := d.post("/api/v1/queues/low/pause", ""); status != 200 {
		d.t.Fatalf("pause: %d %s", status, text)
	}
	for n := range 40 {
		d.enqueue("relatorios.diario.inadimplencia", fmt.Sprintf("[%d]", 30+n), `, "queue": "low"`)
	}
	d.poll("what runs has printed something", func() bool {
		var log struct{ Total int }
		d.get("/api/v1/jobs/"+d.running+"/log", &log)
		return log.Total > 20
	})
	var workers struct{ Workers []httpapi.Worker }
	d.get("/api/v1/workers", &workers)
	if len(workers.Workers) < 3 {
		d.t.Errorf("%d workers are there", len(workers.Workers))
	}
}

// end lets the jobs end that go on all day.
func (d *demo) end() {
	d.t.Helper()
	for _, modules := range []string{d.modules, d.site.dir} {
		for _, folder := range []string{"rh", "rpa"} {
			if err := os.WriteFile(filepath.Join(modules, folder, "fim"), nil, 0o600); err != nil {
				d.t.Fatal(err)
			}
		}
	}
}
