package e2e_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro/internal/browsertest"
)

func (b *board) testKept() {
	for range 20 { // enough to scroll
		b.ended(b.enqueue("fluxo.works", `["mudo"]`, `, "queue": "mudo"`))
	}
	b.remembered("queue:mudo", 20)
	id, end := b.runs("mudo")
	tab := b.at("/jobs?q=queue:mudo", browsertest.Options{Height: 500})
	row := fmt.Sprintf(`document.querySelector('#rows tr[data-job="%s"]')`, id)
	tab.Wait(row + `?.classList.contains("tone-run")`)
	tab.Do(`window.row = ` + row + `; row.querySelector("input").click();
scrollTo(0, 300); const range = document.createRange(); range.selectNodeContents(document.querySelector("#rows tr:last-child .c-function a"));
getSelection().removeAllRanges(); getSelection().addRange(range); document.querySelector("#rows tr:last-child a").focus({ preventScroll: true });`)
	b.enqueue("fluxo.works", "", `, "queue": "mudo"`)
	end()
	tab.Wait(row + `.classList.contains("tone-done")`)
	tab.Wait(`!document.querySelector("[data-live-new]").hidden`)
	tab.Is(`row === `+row+` && row.querySelector("input").checked`, true)
	tab.Is(`scrollY`, 300)
	tab.Is(`String(getSelection())`, "fluxo.works")
	tab.Is(`document.activeElement === document.querySelector("#rows tr:last-child a")`, true)

	tab.Go(b.pages + "/queues/mudo")
	tab.Wait(isLive)
	tab.Click(".danger-zone summary")
	tab.Fill("#name", "mu")
	tab.Do(`window.field = document.activeElement; field.setSelectionRange(1, 2); window.old = document.querySelector("#counts").textContent; window.at = scrollY`)
	b.enqueue("fluxo.works", "", `, "queue": "mudo"`)
	tab.Wait(`document.querySelector("#counts").textContent !== old`)
	tab.Is(`document.querySelector(".danger-zone").open && document.activeElement === field && scrollY === at`, true)
	tab.Is(`field.value + field.selectionStart + field.selectionEnd`, "mu12")

	// What a wrong search is answered with is live too.
	tab.Go(b.pages + "/jobs?q=nothing:x")
	tab.Wait(isLive)
	tab.Do(`window.shown = document.querySelector("#filters").textContent`)
	b.enqueue("fluxo.works", "", `, "queue": "mudo", "delay": "2h"`)
	tab.Wait(`document.querySelector("#filters").textContent !== shown`)
	tab.Wait(isLive)
}

// Bounds of what a first view may cost, in bytes over the wire. Charts, which Home
// has, are requests of their own.
const (
	maxScripts  = 60_000
	maxStyles   = 15_000
	maxRequests = 8
)

func (b *board) testBudget() {
	home, err := url.Parse(b.pages)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, path := range []string{"/jobs", "/"} {
		tab := b.at(path, browsertest.Options{})
		sizes := map[string]int{}
		requests := tab.Requests()
		for _, r := range requests {
			sizes[r.Type] += r.Bytes
			if u, err := url.Parse(r.URL); err != nil || u.Host != home.Host || r.Status != 200 {
				b.t.Errorf("%s asks for %s: %d", path, r.URL, r.Status)
			}
		}
		b.t.Logf("first view of %s: %d requests, %v bytes", path, len(requests), sizes)
		if sizes["Script"] == 0 || sizes["Script"] > maxScripts || sizes["Stylesheet"] > maxStyles || path == "/jobs" && len(requests) > maxRequests {
			b.t.Errorf("first view of %s costs too much: %+v", path, requests)
		}
	}
}

// quantile is the value below which so much of the sorted list is.
func quantile(list []float64, part float64) float64 {
	slices.Sort(list)
	return list[min(int(float64(len(list))*part), len(list)-1)]
}

// soon bounds how late changes may be on screen, on machines with other work.
const soon = 5000 // ms

func (b *board) testSoon() {
	var late []float64
	for n := range 4 {
		id, end := b.with(b.t).runsAs(fmt.Sprint("soon", n))
		tab := b.at(job(id), browsertest.Options{})
		tab.Is(state, "run")
		tab.Do(`window.shown = 0; new MutationObserver(() => { if (!shown && ` + state + ` === "done") shown = Date.now(); })
.observe(document, { subtree: true, childList: true, attributes: true })`)
		end()
		tab.Wait(`shown`)
		late = append(late, tab.Number(`shown`)-float64(b.ended(id).EndedAt.UnixMicro())/1000)
	}
	b.t.Logf("a job that ended is on screen after %.0f ms (median), %.0f ms at most", quantile(late, 0.5), quantile(late, 1))
	if quantile(late, 1) > soon {
		b.t.Errorf("changes are on screen after %v ms", late)
	}

	file := filepath.Join(b.dir, "ticks")
	const ticks = 30
	id := b.enqueue("fluxo.ticks", fmt.Sprintf("[%q, %d]", file, ticks), "")
	tab := b.at(job(id)+"?tab=log", browsertest.Options{})
	tab.Wait(`document.querySelector(".log-text")?.textContent === "pronto"`)
	tab.Do(`window.late = {}; new MutationObserver(() => {
  for (const line of document.querySelectorAll(".log-text")) {
    const [, n, at] = /^tick (\d+) (\d+)$/.exec(line.textContent) ?? [];
    if (n !== undefined) late[n] ??= Date.now() - Number(at);
  }
}).observe(document.querySelector("d-log"), { subtree: true, childList: true, characterData: true })`)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		b.t.Fatal(err)
	}
	tab.Wait(fmt.Sprintf(`Object.keys(late).length === %d`, ticks))
	late = nil
	tab.Eval(`Object.values(late)`, &late)
	b.t.Logf("a printed line is on screen after %.0f ms (median), %.0f ms (95 %%)", quantile(late, 0.5), quantile(late, 0.95))
	if quantile(late, 0.95) > soon {
		b.t.Errorf("lines are on screen after %v ms", late)
	}
}

// runsAs is runs for a test that needs several.
func (b *board) runsAs(name string) (id string, end func()) {
	file := filepath.Join(b.dir, name)
	id = b.enqueue("fluxo.waits", fmt.Sprintf("[%q, %q]", file+".ready", file+".go"), "")
	b.poll("the job runs", func() bool { _, err := os.Stat(file + ".ready"); return err == nil })
	return id, func() { _ = os.WriteFile(file+".go", nil, 0o600) }
}

// maxHeap bounds what the viewer of output keeps of however many lines.
const maxHeap = 80 << 20

func (b *board) testLongLog() {
	lines := soaked(200_000, 1_000_000)
	id := b.enqueue("fluxo.prints", fmt.Sprintf("[%d]", lines), "")
	if got := b.ended(id); got.Status != "finished" {
		b.t.Fatalf("the job that prints is %s", got.Status)
	}
	tab := b.browser.NewTab(b.t, browsertest.Options{})
	tab.RunOnEveryPage(`new MutationObserver(() => {
  if (!window.drawn && document.querySelector(".log-row .log-text")?.textContent) window.drawn = performance.now();
}).observe(document, { subtree: true, childList: true })`)
	tab.Go(b.pages + job(id) + "?tab=log")
	tab.Wait(`window.drawn && performance.getEntriesByName("first-contentful-paint").length`)
	last := fmt.Sprintf(`[...document.querySelectorAll(".log-text")].some((line) => line.textContent.startsWith("linha %d "))`, lines)
	tab.Do(`const view = document.querySelector(".log-view"); view.scrollTop = view.scrollHeight`)
	tab.Wait(last)
	paint, drawn := tab.Number(`performance.getEntriesByName("first-contentful-paint")[0].startTime`), tab.Number(`drawn`)
	searched := time.Now()
	tab.Do(`document.querySelector("d-log input[type=search]").value = "agulha"; document.querySelector("d-log form").requestSubmit()`)
	tab.Wait(fmt.Sprintf(`document.querySelector(".log-count").textContent === "1 / %d"`, lines/50_000))
	took := time.Since(searched)
	tab.Wait(`document.querySelector(".log-row.picked .log-text").textContent === "linha 50000 agulha"`)
	heap := tab.HeapBytes()
	b.t.Logf("a log of %d lines: first paint after %.0f ms, the viewer after %.0f ms, %v for a search, %.1f MB of heap", lines, paint, drawn, took.Round(time.Millisecond), heap/1e6)
	if heap > maxHeap || paint > soon || drawn > 2*soon {
		b.t.Error("that is too much")
	}
}

// testNoScripts does without scripts what can be done with them.
func (b *board) testNoScripts() {
	ids := b.failed(4, "noscript.fails", "")
	b.write("noscript.py", strings.ReplaceAll(flows, "raise ValueError", "return str"))
	tab := b.at("/", browsertest.Options{NoScripts: true})
	for _, path := range []string{
		"/", "/jobs", "/queues", "/queues/default", "/workers", "/schedules", "/settings", "/jobs?q=state:failed", job(ids[0]),
		job(ids[0]) + "?tab=log", job(ids[0]) + "?tab=arguments", job(ids[0]) + "?tab=attempts", job(ids[0]) + "?tab=raw",
	} {
		tab.Go(b.pages + path)
		tab.Is(`document.querySelector("h1").textContent.trim() !== "" && document.querySelector("main").innerText.length > 40`, true)
		tab.Is(`document.querySelectorAll("main button").length === [...document.querySelectorAll("main button")].filter((b) => b.hidden || b.form).length`, true)
	}
	tab.Go(b.pages + job(ids[0]) + "?tab=log")
	tab.Is(`document.querySelector(".log .text").textContent`, "antes da falha")
	tab.Go(b.pages + job(ids[0]))
	tab.Is(`document.querySelector(".error-message").textContent`, "não confere: (0,)")
	tab.Click(`form[action$="/requeue"] button`)
	tab.Wait(state + ` !== "fail"`)
	b.ended(ids[0])
	tab.Go(b.pages + job(ids[0]))
	tab.Is(state, "done")
	tab.Click(`form[action$="/delete"] button`)
	tab.Wait(`location.pathname === "/jobs"`)
	tab.Go(b.pages + job(ids[0]))
	tab.Is(`document.querySelector(".notice")?.textContent.startsWith("The queue no longer keeps this job")`, true)

	tab.Go(b.pages + "/jobs?q=function:noscript.fails+state:failed")
	for _, id := range ids[1:3] {
		tab.Click(fmt.Sprintf(`#rows tr[data-job="%s"] input`, id))
	}
	b.operate(tab)
	tab.Go(b.pages + "/jobs?q=function:noscript.fails+state:failed")
	tab.Click(`.bulk-all input`)
	b.operate(tab)
	for _, id := range ids[1:] {
		if got := b.ended(id); got.Status != "finished" {
			b.t.Errorf("a job that was requeued with others is %s", got.Status)
		}
	}

	for range 60 {
		b.enqueue("noscript.works", "", "")
	}
	b.remembered("function:noscript.works state:finished", 60)
	tab.Go(b.pages + "/jobs?q=function:noscript.works+state:finished")
	tab.Is(`document.querySelectorAll("#rows tr").length`, 50)
	first := tab.Text(`document.querySelector("#rows tr").dataset.job`)
	tab.Click(`.pager a[rel="next"]`)
	tab.Wait(`location.search.includes("after") && document.querySelectorAll("#rows tr").length === 10`)
	tab.Is(fmt.Sprintf(`document.querySelector('[data-job="%s"]')`, first), nil)
	tab.Click(`.pager a`)
	tab.Wait(fmt.Sprintf(`document.querySelector('[data-job="%s"]')`, first))
}

// operate requeues what is marked, and looks at the operation until it is done.
func (b *board) operate(tab *browsertest.Tab) {
	b.t.Helper()
	tab.Click(`button[value="requeue"]`)
	tab.Wait(`document.querySelector("main form.form .primary")`)
	tab.Click("main form.form .primary")
	tab.Wait(`location.pathname.startsWith("/operations/") && document.querySelector("#operation .badge")`)
	address := tab.Text(`location.href`)
	b.poll("the operation is done", func() bool {
		tab.Go(address)
		return tab.Text(`Boolean(document.querySelector("#operation .badge.done"))`) == "true"
	})
}
