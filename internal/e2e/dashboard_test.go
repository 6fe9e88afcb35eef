package e2e_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro/internal/browsertest"
	"github.com/distro-orchestrator/distro/web"
)

// board is a server, and the browser that looks at its dashboard.
type board struct {
	*server

	t       *testing.T
	browser *browsertest.Browser
}

// flows are what jobs of the dashboard's tests do.
const flows = `
import os, sys, time

def works(*args, **kwargs):
    print("trabalhando", args, kwargs)
    return {"ok": True, "args": list(args)}

def fails(*args):
    print("antes da falha")
    raise ValueError("não confere: %r" % (args,))

def waits(ready, go):
    print("começou")
    open(ready, "w").close()
    while not os.path.exists(go):
        time.sleep(0.01)
    print("terminou")
    return "depois"

def ticks(go, count):
    print("pronto")
    while not os.path.exists(go):
        time.sleep(0.01)
    for n in range(count):
        print("tick", n, round(time.time() * 1000))
        time.sleep(0.15)

def prints(lines):
    for n in range(1, lines + 1):
        print("linha", n, "agulha" if n % 50_000 == 0 else "de um relatório comprido")
`

// newBoard starts a server whose queues tests have for themselves.
func newBoard(t *testing.T, browser *browsertest.Browser, settings string, modules map[string]string) *board {
	t.Helper()
	all := map[string]string{"fluxo.py": flows}
	maps.Copy(all, modules)
	return &board{newServer(t, settings, all).start(), t, browser}
}

// with is the board for a test of its own.
func (b *board) with(t *testing.T) *board {
	s := *b.server
	s.t = t
	return &board{&s, t, b.browser}
}

// at opens a page in a tab of its own, and waits until it is live.
func (b *board) at(path string, options browsertest.Options) *browsertest.Tab {
	b.t.Helper()
	tab := b.browser.NewTab(b.t, options)
	tab.Go(b.pages + path)
	if !options.NoScripts {
		tab.Wait(isLive)
	}
	return tab
}

// isLive is true where events come in.
const isLive = `document.querySelector("d-live")?.dataset.state === "open"`

// state is the state that the page of a job shows.
const state = `[...document.querySelector(".facts .state").classList].at(-1)`

// fits is true where a page is not wider than the window; else it names what is.
const fits = `document.scrollingElement.scrollWidth <= innerWidth || location.href + " is " + document.scrollingElement.scrollWidth + " wide: " +
  [...document.body.querySelectorAll("*")].filter((e) => e.getBoundingClientRect().right > innerWidth + 0.5 && !e.closest(".scroll, .log, .source, .tabs, pre")).map((e) => e.outerHTML.slice(0, 100)).slice(-3).join(" ")`

// job is an address.
func job(id string) string { return "/jobs/" + id }

// runs starts a job that waits, and returns it with what ends it.
func (b *board) runs(queue string) (id string, end func()) {
	b.t.Helper()
	file := filepath.Join(b.dir, strings.ReplaceAll(b.t.Name(), "/", "-")+queue)
	id = b.enqueue("fluxo.waits", fmt.Sprintf("[%q, %q]", file+".ready", file+".go"), fmt.Sprintf(`, "queue": %q`, queue))
	b.poll("the job runs", func() bool { _, err := os.Stat(file + ".ready"); return err == nil })
	return id, func() {
		if err := os.WriteFile(file+".go", nil, 0o600); err != nil {
			b.t.Fatal(err)
		}
	}
}

// failed queues jobs that fail, and waits until they have.
func (b *board) failed(n int, function, more string) []string {
	b.t.Helper()
	var ids []string
	for i := range n {
		ids = append(ids, b.enqueue(function, fmt.Sprintf("[%d]", i), more))
	}
	for _, id := range ids {
		if got := b.ended(id); got.Status != "failed" {
			b.t.Fatalf("%s is %s", function, got.Status)
		}
	}
	b.remembered("function:"+function+" state:failed", n)
	return ids
}

// TestTheDashboardInABrowser is what people do with it, through the binary, in one
// browser.
func TestTheDashboardInABrowser(t *testing.T) {
	t.Parallel()
	scripts, err := web.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(scripts) == 0 {
		t.Skip("the scripts are not built: make assets")
	}
	browser := browsertest.Start(t)
	modules := map[string]string{"lote.py": flows, "teclas.py": brokenModule, "conta.py": brokenModule, "celular.py": brokenModule, "noscript.py": flows, "alheia.py": flows}
	maps.Copy(modules, demoModules(t))
	b := newBoard(t, browser, "workers = 4\nqueues = high, default, low, pausa, lote, cheia, cheia2, cheia3, mudo\n", modules)
	together := map[string]func(*board){
		"a failure is seen, read, requeued and finishes without a reload": (*board).testFailure,
		"a failure is dealt with by keyboard alone":                       (*board).testKeyboard,
		"a failure is dealt with on a small phone":                        (*board).testPhone,
		"a queue is paused and goes on":                                   (*board).testPause,
		"some jobs and all that match are requeued":                       (*board).testBulk,
		"nothing of the reader's is lost when the page changes":           (*board).testKept,
		"the first view of a page costs little":                           (*board).testBudget,
		"everything works without scripts":                                (*board).testNoScripts,
		"a form suggests options and keeps presets":                       (*board).testOffers,
		"pages of other sites can do nothing":                             (*board).testOtherSites,
	}
	t.Run("together", func(t *testing.T) {
		for _, name := range slices.Sorted(maps.Keys(together)) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				together[name](b.with(t))
			})
		}
		for _, h := range hands() {
			t.Run("a running job is stopped "+h.name, func(t *testing.T) { t.Parallel(); b.with(t).testStop(h) })
			t.Run("a queue is emptied once its name was typed "+h.name, func(t *testing.T) { t.Parallel(); b.with(t).testEmpty(h) })
			t.Run("an automation is run from its form "+h.name, func(t *testing.T) { t.Parallel(); b.with(t).testForm(h) })
		}
		t.Run("who may see and change is asked", func(t *testing.T) {
			t.Parallel()
			testLogin(t, browser)
		})
		t.Run("hostile jobs are shown and nothing of them runs", func(t *testing.T) {
			t.Parallel()
			testHostile(t, browser)
		})
		t.Run("pages are honest while Redis is away", func(t *testing.T) {
			t.Parallel()
			testRedisGone(t, browser)
		})
	})
	// What is measured, and what concerns every job, has the machine for itself.
	t.Run("a log of very many lines opens and is searched", func(t *testing.T) { b.with(t).testLongLog() })
	t.Run("changes and lines are on screen soon", func(t *testing.T) { b.with(t).testSoon() })
	t.Run("workers are suspended and go on", func(t *testing.T) { b.with(t).testSuspend() })
	t.Run("every page can be used by everybody", func(t *testing.T) { b.with(t).testAxe() })
}

// brokenModule fails until it is mended.
const (
	brokenModule = `
def fechar(mes):
    print("lendo os lançamentos de", mes)
    total = somar(mes)
    return {"mes": mes, "total": total}

def somar(mes):
    raise ValueError("o saldo de %s não confere" % mes)
`
	mendedModule = `
def fechar(mes):
    print("lendo os lançamentos de", mes)
    print("tudo confere")
    return {"mes": mes, "total": 1234}
`
)

func (b *board) testFailure() {
	tab := b.at("/", browsertest.Options{})
	tab.Do(`window.stays = true`)
	id := b.enqueue("conta.fechar", `["2026-11"]`, "")
	link := fmt.Sprintf(`#failing a[href="/jobs/%s"]`, id)
	tab.Wait(fmt.Sprintf(`document.querySelector('%s')`, link)) // Home tells of it by itself
	tab.Is(`stays`, true)
	tab.Click(link)
	tab.Wait(`location.pathname === "` + job(id) + `" && ` + isLive)
	tab.Is(state, "fail")
	tab.Is(`document.querySelector(".error-title").textContent.trim()`, "ValueError")
	tab.Is(`document.querySelector(".error-message").textContent`, "o saldo de 2026-11 não confere")
	tab.Is(`document.querySelector(".frame b").textContent + document.querySelector(".frame pre").textContent.trim()`,
		`m/conta.py:8raise ValueError("o saldo de %s não confere" % mes)`) // the last frame is the first to be read
	tab.Click(`.tabs a[data-key="l"]`)
	tab.Wait(`[...document.querySelectorAll(".log-text")].some((line) => line.textContent === "lendo os lançamentos de 2026-11") && ` + isLive)
	b.write("conta.py", mendedModule)
	tab.Do(`window.stays = true`)
	tab.Click(`form[action$="/requeue"] button`)
	tab.Wait(state + ` === "done"`)
	tab.Is(`stays && document.querySelector(".tab pre.code").textContent.replace(/\s/g, "")`, `{"mes":"2026-11","total":1234}`)
	tab.Is(`document.querySelector(".actions .primary").textContent.trim()`, "Run again")
	tab.Click(`.tabs a[data-key="l"]`)
	tab.Wait(`[...document.querySelectorAll(".log-text")].some((line) => line.textContent === "tudo confere")`)
}

func (b *board) testKeyboard() {
	id := b.failed(1, "teclas.fechar", "")[0]
	tab := b.at("/", browsertest.Options{Language: "pt-BR"})
	tab.Press(browsertest.KeyTab)
	tab.Is(`document.activeElement.className`, "skip")
	tab.Wait(fmt.Sprintf(`document.querySelector('#failing a[href="/jobs/%s"]')`, id))
	reach(b.t, tab, fmt.Sprintf(`#failing a[href="/jobs/%s"]`, id))
	tab.Press(browsertest.KeyEnter)
	tab.Wait(`location.pathname === "` + job(id) + `" && ` + isLive)
	tab.Is(`document.querySelector(".error-message").textContent`, "o saldo de 0 não confere")
	tab.Press("l")
	tab.Wait(`document.querySelector(".log-text")?.textContent === "lendo os lançamentos de 0" && ` + isLive)
	b.write("teclas.py", mendedModule)
	reach(b.t, tab, `form[action$="/requeue"] button`)
	tab.Press(browsertest.KeyEnter)
	tab.Wait(state + ` === "done"`)

	running, _ := b.runs("default")
	tab.Press("gj")
	tab.Wait(`location.pathname === "/jobs" && ` + isLive)
	tab.Wait(fmt.Sprintf(`document.querySelector('#rows tr[data-job="%s"]')`, running))
	tab.Press("j")
	for tab.Text(`document.querySelector("tr.current")?.dataset.job ?? ""`) != running {
		before := tab.Text(`document.querySelector("tr.current")?.dataset.job ?? ""`)
		tab.Press("j")
		if tab.Text(`document.querySelector("tr.current")?.dataset.job ?? ""`) == before {
			b.t.Fatal("j does not reach the job")
		}
	}
	tab.Press(browsertest.KeyEnter)
	tab.Wait(`location.pathname === "` + job(running) + `" && ` + isLive)
	tab.Press("s")
	b.ended(running)
	tab.Wait(`document.querySelector(".facts .state").textContent.trim() === "parada"`)
}

func (b *board) testPhone() {
	id := b.failed(1, "celular.fechar", "")[0]
	tab := b.at("/", browsertest.Options{Width: 320, Height: 640})
	tab.Is(fits, true)
	tab.Click(fmt.Sprintf(`#failing a[href="/jobs/%s"]`, id))
	tab.Wait(`location.pathname === "` + job(id) + `" && ` + isLive)
	tab.Is(fits, true)
	tab.Is(`document.querySelector(".error-message").checkVisibility()`, true)
	b.write("celular.py", mendedModule)
	tab.Click(`form[action$="/requeue"] button`)
	tab.Wait(state + ` === "done"`)
	for _, path := range []string{job(id) + "?tab=log", job(id) + "?tab=arguments", job(id) + "?tab=attempts", job(id) + "?tab=raw", "/jobs", "/jobs?q=x:y", "/queues", "/queues/default", "/workers", "/schedules", "/settings", "/nothing"} {
		tab.Go(b.pages + path)
		tab.Wait(`document.readyState === "complete"`)
		tab.Is(fits, true)
		for _, link := range []string{"/", "/jobs", "/queues", "/workers"} {
			tab.Is(fmt.Sprintf(`(() => { const box = document.querySelector('.rail nav a[href="%s"]').getBoundingClientRect(); return box.height >= 44 && box.bottom <= innerHeight; })()`, link), true)
		}
	}
}

func (b *board) testPause() {
	tab := b.at("/queues/pausa", browsertest.Options{})
	tab.Do(`window.stays = true`)
	tab.Click(`form[action$="/pause"] button`)
	tab.Wait(`document.querySelector('form[action$="/resume"]')`)
	id := b.enqueue("fluxo.works", "", `, "queue": "pausa"`)
	tab.Wait(fmt.Sprintf(`document.querySelector('#waiting a[href="/jobs/%s"]')`, id))
	tab.Is(`document.querySelector("#facts .badge").textContent`, "paused")
	tab.Click(`form[action$="/resume"] button`)
	tab.Wait(`!document.querySelector("#waiting table")`)
	tab.Is(`stays`, true)
	if got := b.ended(id); got.Status != "finished" {
		b.t.Errorf("the job is %s", got.Status)
	}
}

func (b *board) testBulk() {
	ids := b.failed(5, "lote.fails", `, "queue": "lote"`)
	b.write("lote.py", strings.ReplaceAll(flows, "raise ValueError", "return str"))
	tab := b.at("/jobs?q=function:lote.fails+state:failed", browsertest.Options{})
	tab.Is(`document.querySelectorAll("#rows tr").length`, 5)
	tab.Is(`document.querySelector('button[value="requeue"]').checkVisibility()`, false)
	for _, id := range ids[:3] {
		tab.Click(fmt.Sprintf(`#rows tr[data-job="%s"] input`, id))
	}
	tab.Is(`document.querySelector("[data-bulk-count]").textContent`, "3 selected")
	tab.Click(`button[value="requeue"]`)
	tab.Wait(`document.querySelector(".sentence")?.textContent.includes("3 jobs go back to their queues")`)
	tab.Wait(`document.querySelectorAll("main table tbody tr").length === 3`)
	tab.Click("main form.form .primary")
	tab.Wait(`location.pathname.startsWith("/operations/") && document.querySelector("#operation .badge.done")`)
	tab.Is(`document.querySelector("#operation .card p").textContent.startsWith("3 of 3")`, true)
	for _, id := range ids[:3] {
		if got := b.ended(id); got.Status != "finished" {
			b.t.Errorf("a marked job is %s", got.Status)
		}
	}
	tab.Go(b.pages + "/jobs?q=function:lote.fails+state:failed")
	tab.Wait(isLive)
	tab.Click(`#rows thead input, d-list thead input`)
	tab.Click(`.bulk-all input`)
	tab.Click(`button[value="requeue"]`)
	tab.Wait(`document.querySelector(".sentence code")`)
	// The same is two clicks from Home.
	tab.Go(b.pages + "/")
	tab.Wait(isLive)
	tab.Click(`button[aria-label="Requeue all failed jobs of lote.fails…"]`)
	tab.Wait(`document.querySelector(".sentence code")`)
	tab.Click("main form.form .primary")
	tab.Wait(`location.pathname.startsWith("/operations/") && document.querySelector("#operation .badge.done")`)
	for _, id := range ids {
		if got := b.ended(id); got.Status != "finished" {
			b.t.Errorf("of all that match one is %s", got.Status)
		}
	}
}

func (b *board) testSuspend() {
	tab := b.at("/workers", browsertest.Options{})
	tab.Do(`window.stays = true`)
	tab.Click(`form[action="/workers/suspend"] button`)
	tab.Wait(`document.querySelector("#sure").open`)
	tab.Click(`#sure button[value="yes"]`)
	tab.Wait(`document.querySelector('form[action="/workers/resume"]')`)
	id := b.enqueue("fluxo.works", "", "")
	home := b.at("/", browsertest.Options{})
	home.Is(`document.querySelector("#status").textContent.includes("Workers are suspended")`, true)
	tab.Click(`form[action="/workers/resume"] button`)
	if got := b.ended(id); got.Status != "finished" {
		b.t.Errorf("the job is %s", got.Status)
	}
	home.Wait(`!document.querySelector("#status").textContent.includes("Workers are suspended")`)
	tab.Is(`stays`, true)
}
