package dashboard_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/distro-orchestrator/distro/internal/browsertest"
	"github.com/distro-orchestrator/distro/internal/dashboard"
	"github.com/distro-orchestrator/distro/internal/guard"
)

// TestAutomationsInABrowser looks at the pages with the style that they have, and
// fills in a form without scripts.
func TestAutomationsInABrowser(t *testing.T) {
	t.Parallel()
	browser := browsertest.Start(t)
	b := setup(t, corpus(t), func(o *dashboard.Options) {
		o.Assets = os.DirFS("../../web/static")
		o.Guard = guard.New(guard.Options{Listen: "127.0.0.1:0"})
	})
	b.recorded("fiscal", "emitir_nfse", 30)
	server := httptest.NewServer(b.pages)
	t.Cleanup(server.Close)

	t.Run("without scripts a form of every kind of control is sent", func(t *testing.T) {
		t.Parallel()
		tab := browser.NewTab(t, browsertest.Options{NoScripts: true})
		tab.Go(server.URL + "/automations/vendas/criar_pedido")
		tab.Fill(`[name="kw.pedido.cliente"]`, "ACME")
		tab.Fill(`[name="kw.pedido.itens.0.sku"]`, "A-1")
		tab.Fill(`[name="kw.pedido.itens.0.preco"]`, "10.50")
		tab.Click(`button[name="add"]`)
		tab.Wait(`document.querySelectorAll(".rows > .row").length === 2`)
		tab.Fill(`[name="kw.pedido.itens.1.sku"]`, "B-2")
		tab.Click(`.run-form .actions .primary`)
		tab.Wait(`document.querySelector(".run-form .problem")`)
		tab.Is(`document.querySelector('[name="kw.pedido.itens.0.preco"]').value`, "10.50")
		tab.Is(`document.querySelectorAll('[aria-invalid="true"]').length`, 1)
		tab.Click(`button[name="drop"][value="kw.pedido.itens.1"]`)
		tab.Wait(`document.querySelectorAll(".rows > .row").length === 1`)
		tab.Click(`.run-form .actions .primary`)
		tab.Wait(`location.pathname.startsWith("/jobs/") && document.querySelector("table.values pre").textContent.includes("preco=Decimal('10.50')")`)
		tab.Click(`a[href*="?from="]`)
		tab.Wait(`document.querySelector('[name="kw.pedido.itens.0.sku"]')?.value === "A-1"`)
	})
	for _, width := range []int64{1280, 360} {
		for _, dark := range []bool{false, true} {
			t.Run(fmt.Sprintf("everybody can use them at %d pixels, dark: %v", width, dark), func(t *testing.T) {
				t.Parallel()
				axe := browsertest.ReadAxe(t, "../../web")
				tab := browser.NewTab(t, browsertest.Options{Width: width, Height: 900})
				tab.SetTheme(dark)
				for _, path := range []string{
					"/automations", "/automations?q=nothing", "/automations/fiscal/emitir_nfse", "/automations/financeiro/emitir_boletos", "/automations/rh/contratar_lote",
					"/automations/portais/formulario", "/automations/dados/enviar_bytes", "/automations/operacoes/compactar", "/automations/relatorios/fechamento", "/automations/relatorios/conferir",
					"/automations/fiscal/emitir_nfse?tab=history", "/automations/fiscal/emitir_nfse?tab=charts",
					"/automations/fiscal/emitir_nfse?tab=source", "/automations/fiscal/emitir_nfse?from=nothing",
				} {
					tab.Go(server.URL + path)
					for _, v := range tab.Violations(axe) {
						if v.Serious() {
							t.Errorf("%s: %v", path, v)
						}
					}
					tab.Is(`document.scrollingElement.scrollWidth <= innerWidth`, true)
				}
				tab.Go(server.URL + "/automations/fiscal/emitir_nfse")
				tab.Click(`.run-form .actions .primary`)
				tab.Wait(`document.querySelector(".run-form .problem")`)
				for _, v := range tab.Violations(axe) {
					if v.Serious() {
						t.Errorf("a form that is wrong: %v", v)
					}
				}
				for _, problem := range tab.Problems() {
					t.Errorf("a problem: %s", problem)
				}
			})
		}
	}
}
