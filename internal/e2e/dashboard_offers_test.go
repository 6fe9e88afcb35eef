package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/distro-orchestrator/distro/internal/browsertest"
)

// keeps saves a preset of a function, module/function.
func (s *server) keeps(function, name, body string) {
	s.t.Helper()
	status, text, err := s.try(http.MethodPut, "/api/v1/automations/"+function+"/presets/"+url.PathEscape(name), body)
	if err != nil || status/100 != 2 {
		s.t.Fatalf("save the preset %s: %d %s %v", name, status, text, err)
	}
}

// offered is true when the options of a field are there.
func offered(field string) string {
	return `document.getElementById("f-kw.` + field + `-suggest-list")?.options.length === 3`
}

// testOffers lets a form suggest options and keep a preset, with scripts and without.
func (b *board) testOffers() {
	for _, scripts := range []bool{true, false} {
		b.t.Run(map[bool]string{true: "with scripts", false: "without scripts"}[scripts], func(t *testing.T) {
			name := map[bool]string{true: "Mensal", false: "Sem scripts"}[scripts]
			tab := b.with(t).at("/automations/fiscal.nfse/emitir", browsertest.Options{NoScripts: !scripts, Language: "pt-BR"})
			tab.Fill(`[name="kw.valor"]`, "10.50")
			ask := func(field string) {
				if !scripts {
					tab.Do(`window.before = true`)
					tab.Click(`#f-kw\.` + field + `-suggest button[name^="suggest"]`)
					tab.Wait(`!window.before`)
				}
			}
			ask("tomador")
			tab.Wait(offered("tomador"))
			tab.Is(`document.querySelector('[name="kw.tomador"]').list.options[0].label`, "Padaria São José")
			ask("emails")
			tab.Wait(`document.querySelector('[name="pick:kw.emails"]')?.options.length === 3`)
			for n, email := range []string{"fiscal@padaria.example", "contas@aurora.example"} {
				tab.Do(fmt.Sprintf(`document.querySelector('[name="pick:kw.emails"]').selectedIndex = %d`, n+1))
				tab.Click(`button[name="pick"]`)
				tab.Wait(fmt.Sprintf(`document.querySelector('[name="kw.emails"]')?.value.endsWith(%q)`, email))
			}
			tab.Is(`document.querySelector('[name="kw.emails"]').value`, "fiscal@padaria.example\ncontas@aurora.example")
			tab.Is(`document.querySelector('[name="kw.valor"]').value`, "10.50")

			tab.Fill(`[name="kw.tomador"]`, "12.345.678/0001-90")
			tab.Click(`details:has(#preset) summary`)
			tab.Fill(`#preset`, name)
			tab.Press(browsertest.KeyEnter) // runs nothing
			tab.Wait(`document.querySelector(".notice.done")`)
			tab.Is(`location.pathname`, "/automations/fiscal.nfse/emitir")
			tab.Fill(`[name="kw.valor"]`, "11")
			tab.Click(`details:has(#preset) summary`)
			tab.Click(`button[value="save-preset"]`)
			tab.Wait(`document.querySelector('button[value="replace-preset"]')`)
			tab.Is(`document.querySelector('[name="kw.valor"]').value`, "11")
			tab.Click(`button[value="replace-preset"]`)
			tab.Wait(`document.querySelector(".notice.done")`)

			tab.Go(b.pages + "/automations/fiscal.nfse/emitir")
			tab.Click(`a.chip[href$="` + url.QueryEscape(name) + `"]`)
			tab.Wait(`document.querySelector('[name="kw.valor"]')?.value === "11" && document.querySelector('[name="kw.emails"]').value.includes("aurora")`)
			tab.Wait(offered("tomador")) // they are kept
			tab.Click(`.presets summary`)
			tab.Click(`.presets .danger`)
			tab.Wait(`!location.search && !document.querySelector('a.chip[href$="` + url.QueryEscape(name) + `"]')`)
			tab.Problems() // the answer that asked whether to replace
		})
	}
}
