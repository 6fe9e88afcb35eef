package e2e_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/distro-orchestrator/distro/internal/browsertest"
	"github.com/distro-orchestrator/distro/internal/httpapi"
)

// demoModules are automations as a company has them.
func demoModules(t *testing.T) map[string]string {
	t.Helper()
	modules := map[string]string{}
	files, err := filepath.Glob("testdata/demo/*/*.py")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "testdata/demo/quebrado.py") {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name, err := filepath.Rel("testdata/demo", file)
		if err != nil {
			t.Fatal(err)
		}
		modules[name] = string(source)
	}
	return modules
}

// everyPage is every page of the dashboard with something on it.
func (b *board) everyPage() []string {
	b.t.Helper()
	failed := b.failed(1, "rpa.certidoes.baixar", "")[0]
	running, _ := b.runs("default")
	finished := b.enqueue("fiscal.nfse.consultar", `["2026/118"]`, "")
	scheduled := b.enqueue("rh.folha.fechar", `["2026-12"]`, `, "delay": "2h"`)
	b.ended(finished)
	if status, text := b.post("/api/v1/queues/cheia/pause", ""); status != 200 {
		b.t.Fatalf("pause: %d %s", status, text)
	}
	b.enqueue("relatorios.diario.vendas", `["2026-11-24"]`, `, "queue": "cheia"`)
	b.keeps("fiscal.nfse/emitir", "Padaria, todo mês", `{"kwargs": {"tomador": "12.345.678/0001-90", "valor": 1250.90}, "typed": true, "queue": "high"}`)
	var workers struct{ Workers []httpapi.Worker }
	b.get("/api/v1/workers", &workers)
	var operations struct{ Operations []httpapi.Operation }
	b.get("/api/v1/operations", &operations)
	pages := []string{
		"/", "/jobs", "/jobs?q=state:failed", "/jobs?q=state:queued", "/jobs?q=nothing:x", "/jobs?q=function:nothing", job(running), job(scheduled),
		"/automations", "/automations/fiscal.nfse/emitir", "/automations/fiscal.nfse/emitir?preset=padaria,+todo+m%C3%AAs", "/automations/fiscal.nfse/opcoes_tomador", "/automations/financeiro.extrato/importar",
		"/automations/fiscal.nfse/consultar?tab=history", "/automations/fiscal.nfse/consultar?tab=charts",
		"/automations/fiscal.nfse/consultar?tab=source", "/queues", "/queues/cheia", "/queues/default", "/workers", "/workers/" + url.PathEscape(workers.Workers[0].Name),
		"/schedules", "/settings", "/nothing",
	}
	for _, tab := range []string{"error", "log", "arguments", "attempts", "raw"} {
		pages = append(pages, job(failed)+"?tab="+tab)
	}
	pages = append(pages, job(finished)+"?tab=result")
	if len(operations.Operations) > 0 {
		pages = append(pages, "/operations/"+operations.Operations[0].ID)
	}
	return pages
}

// testAxe holds every page against axe-core, in both languages and themes, wide and
// narrow. What does not depend on colours is asked of one theme.
func (b *board) testAxe() {
	axe := browsertest.ReadAxe(b.t, "../../web")
	pages := b.everyPage()
	ran := make(chan int, 2)
	b.t.Run("languages", func(t *testing.T) {
		for _, language := range []string{"pt-BR", "en"} {
			t.Run(language, func(t *testing.T) {
				t.Parallel()
				tab := b.browser.NewTab(t, browsertest.Options{Language: language})
				n := 0
				check := func(what string) {
					n += 4
					for _, width := range []int64{1280, 320} {
						tab.Resize(width, 900)
						for _, dark := range []bool{false, true} {
							tab.SetTheme(dark)
							rules := map[bool][]string{true: {"color-contrast", "link-in-text-block"}}[dark]
							for _, v := range tab.Violations(axe, rules...) {
								if v.Serious() {
									t.Errorf("%s in %s, %d wide, dark %v: %v", what, language, width, dark, v)
								}
							}
						}
						tab.Is(fits, true)
					}
					tab.Resize(1280, 900)
				}
				for _, page := range pages {
					tab.Go(b.pages + page)
					tab.Wait(isLive + ` || document.querySelector(".problem-status")`)
					tab.Is(`document.documentElement.lang`, language)
					check(page)
				}
				for dialog, keys := range map[string]string{"help": "?", "command": "k"} {
					tab.Go(b.pages + "/jobs")
					tab.Wait(isLive)
					tab.Press(keys, map[string][]browsertest.Modifier{"command": {browsertest.Ctrl}}[dialog]...)
					tab.Wait(fmt.Sprintf(`document.getElementById(%q).open`, dialog))
					check(dialog)
				}
				ran <- n
			})
		}
	})
	if !b.t.Failed() {
		b.t.Logf("axe-core found nothing serious on %d pages, in %d states of language, width and theme", len(pages), <-ran+<-ran)
	}
}
