package e2e_test

import (
	"fmt"
	"testing"

	"github.com/distro-orchestrator/distro/internal/browsertest"
	"github.com/distro-orchestrator/distro/internal/httpapi"
)

// hand is a way in which people use a page.
type hand struct {
	name     string
	keyboard bool   // without a pointer
	width    int64  // of the window; 0: usual
	queue    string // that it has for itself
}

func hands() []hand {
	return []hand{{name: "with a mouse", queue: "cheia"}, {name: "by keyboard alone", keyboard: true, queue: "cheia2"}, {name: "on a small phone", width: 320, queue: "cheia3"}}
}

// held is a page in a hand.
type held struct {
	*browsertest.Tab

	t *testing.T
	hand
}

// hold opens a page as a hand has it.
func (b *board) hold(h hand, path, language string) held {
	options := browsertest.Options{Language: language, Width: h.width}
	if h.width != 0 {
		options.Height = 640
	}
	return held{b.at(path, options), b.t, h}
}

// press clicks on something, or goes to it by Tab and presses a key.
func (p held) press(selector string) {
	p.t.Helper()
	if p.width != 0 {
		p.Is(fits, true)
	}
	if p.keyboard {
		p.Wait(fmt.Sprintf(`document.querySelector(%q)?.checkVisibility()`, selector))
		reach(p.t, p.Tab, selector)
		p.Press(browsertest.KeyEnter)
		return
	}
	p.Click(selector)
}

// fill puts text into a field.
func (p held) fill(selector, text string) {
	p.t.Helper()
	if p.keyboard {
		reach(p.t, p.Tab, selector)
		p.Retype(text)
		return
	}
	p.Fill(selector, text)
}

// reach presses Tab until an element has the focus, and checks on the way that
// what has it can be seen.
func reach(t *testing.T, tab *browsertest.Tab, selector string) {
	t.Helper()
	for range 80 {
		tab.Press(browsertest.KeyTab)
		var now struct {
			There, Seen bool
			What        string
		}
		tab.Eval(fmt.Sprintf(`(() => {
  const e = document.activeElement, style = getComputedStyle(e), box = e.getBoundingClientRect();
  const ring = (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2) || e === document.body;
  return { There: e.matches(%q), Seen: ring && (e === document.body || (box.width > 0 && box.bottom > 0 && box.top < innerHeight)), What: e.outerHTML.slice(0, 120) + " (outline " + style.outline + ", from " + box.top + " to " + box.bottom + " of " + innerHeight + ")" };
})()`, selector), &now)
		if !now.Seen {
			t.Errorf("%s has the focus and it is not seen", now.What)
		}
		if now.There {
			return
		}
	}
	t.Fatalf("Tab does not reach %s", selector)
}

func (b *board) testStop(h hand) {
	id, _ := b.runs("default")
	tab := b.hold(h, job(id), "en")
	tab.Do(`window.stays = true`)
	tab.Is(state, "run")
	tab.Wait(`document.querySelector(".log-text")?.textContent === "começou"`)
	tab.press(`form[action$="/stop"] button`)
	tab.Wait(`document.querySelector(".facts .state").textContent.trim() === "stopped"`)
	tab.Is(`stays && document.querySelector(".actions .primary").textContent.trim()`, "Requeue")
	if got := b.ended(id); got.Status != "stopped" {
		b.t.Errorf("the job is %s", got.Status)
	}
}

func (b *board) testEmpty(h hand) {
	tab := b.hold(h, "/queues/"+h.queue, "en")
	tab.press(`form[action$="/pause"] button`)
	tab.Wait(`document.querySelector('form[action$="/resume"]')`)
	for range 7 {
		b.enqueue("fluxo.works", "", fmt.Sprintf(`, "queue": %q`, h.queue))
	}
	tab.Wait(`document.querySelector("#facts").textContent.includes("7 jobs queued")`)
	tab.Do(`window.stays = true`)
	tab.press(".danger-zone summary")
	tab.fill("#name", "vazia")
	tab.press(".danger-zone form button")
	tab.Wait(`document.querySelector(".danger-zone .problem")?.textContent.includes("nothing was deleted")`)
	tab.fill("#name", h.queue)
	tab.press(".danger-zone form button")
	tab.Wait(`location.pathname.startsWith("/operations/") && document.querySelector("#operation .badge.done")`)
	tab.Is(`document.querySelector("#operation .card p").textContent.startsWith("7 of 7") || document.querySelector("#operation").textContent`, true)
	tab.Is(`stays`, true)
	var queue httpapi.Queue
	b.get("/api/v1/queues/"+h.queue, &queue)
	if n := queue.Jobs["queued"]; n != 0 {
		b.t.Errorf("%d jobs are queued", n)
	}
	tab.Problems() // the first word was refused, and htmx says so
}

// testForm runs an automation from its form.
func (b *board) testForm(h hand) {
	tab := b.hold(h, "/automations", "pt-BR")
	tab.fill("#q", "emitir")
	tab.Press(browsertest.KeyEnter)
	tab.Wait(`location.search === "?q=emitir" && ` + isLive)
	tab.press(`a[href="/automations/fiscal.nfse/emitir"]`)
	tab.Wait(`location.pathname === "/automations/fiscal.nfse/emitir" && ` + isLive)
	tab.fill(`[name="kw.tomador"]`, "Padaria São José")
	tab.fill(`[name="kw.valor"]`, "1250.75")
	tab.press(`.run-form .actions .primary`)
	tab.Wait(`document.querySelector(".run-form .problem")`) // the day is missing
	tab.Is(`document.querySelector('[name="kw.tomador"]').value`, "Padaria São José")
	if h.keyboard {
		reach(b.t, tab.Tab, `[name="kw.competencia"]`)
		tab.Press("11012026")
	} else {
		tab.Do(`document.querySelector('[name="kw.competencia"]').value = "2026-11-01"`)
	}
	tab.press(`.run-form .actions .primary`)
	tab.Wait(`location.pathname.startsWith("/jobs/") && ` + state + ` === "done"`)
	tab.Is(`JSON.parse(document.querySelector(".tab pre.code").textContent).valor`, "1250.75")
	tab.press(`.tabs a[href*="tab=arguments"]`)
	tab.Wait(`[...document.querySelectorAll("table.values th")].map((th) => th.textContent).includes("tomador")`)
	tab.Is(`document.querySelector("table.values").textContent.includes("datetime.date(2026, 11, 1)")`, true)
	tab.press(`a[href*="?from="]`)
	tab.Wait(`document.querySelector('[name="kw.tomador"]')?.value === "Padaria São José"`)
	tab.Problems() // the answer to the form that lacked the day
}
