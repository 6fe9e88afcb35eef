package web_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro/internal/browsertest"
)

const selected = `[...document.querySelectorAll("#rows input:checked")].map((box) => box.value).join("")`

func testSelection(t *testing.T, s *tab) {
	s.show(list(row("a", "x"), row("b", "x"), row("c", "x"), row("d", "x"), row("e", "x")))
	s.live()
	s.Is(`document.querySelector("#act").hidden`, true)
	s.Do(`document.querySelector('[value="b"]').click()`)
	s.Do(`document.querySelector('[value="d"]').dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, shiftKey: true }))`)
	s.Is(selected, "bcd")
	s.Is(`document.querySelector("#act").hidden`, false)
	s.Is(`document.querySelector("thead input").indeterminate`, true)
	s.Click("thead input")
	s.Is(selected, "abcde")
	s.Is(`document.querySelector("[data-bulk-count]").textContent`, "5 selected")
	s.Click("thead input")
	s.Is(selected, "")
	s.Is(`document.querySelector("#act").hidden`, true)

	s.Press("jjx") // to the second
	s.Is(selected, "b")
	s.Is(`document.activeElement.textContent + document.querySelector(".current").dataset.job`, "bb")
	s.Press("jjX")
	s.Is(selected, "bcd")
	s.Press("kx")
	s.Is(selected, "bd")
	s.mux.HandleFunc("GET /jobs/{id}", func(w http.ResponseWriter, r *http.Request) {
		s.page(w, http.StatusOK, `<h1>Job `+r.PathValue("id")+`</h1>`)
	})
	s.Press("\r")
	s.Wait(`document.querySelector("h1")?.textContent === "Job c"`)
}

func testKeys(t *testing.T, s *tab) {
	main := `<form><input id="q" data-search><input type="checkbox" id="box"></form>
<button data-key="s">Stop</button><button data-key="]" disabled>Next</button><button data-key="l" hidden>Log</button>`
	s.show(main)
	s.set(func() {
		s.rail = `<a href="/queues" data-go="q">Queues</a><a href="/workers" data-key="g w">Workers</a>`
	})
	s.live()
	s.Do(`window.clicks = []; document.addEventListener("click", (e) => clicks.push(e.target.textContent));`)
	s.Press("sl]")
	s.Is(`clicks.join()`, "Stop") // not what is hidden or disabled
	s.Press("s", browsertest.Ctrl)
	s.Press("/")
	s.Is(`document.activeElement.id`, "q")
	s.Press("s?t")
	s.Is(`document.activeElement.value + document.querySelector("#help").open`, "s?tfalse")
	s.Do(`document.querySelector("#box").focus()`)
	s.Press("s")
	s.Is(`clicks.join()`, "Stop,Stop")
	s.Press("?")
	s.Is(`document.querySelector("#help").open`, true)
	s.Press("s")
	s.Is(`clicks.join()`, "Stop,Stop")
	s.Do(`document.querySelector("#help").close()`)
	s.Do(`document.documentElement.dataset.keys = "off"`)
	s.Press("s?")
	s.Is(`clicks.join() + document.querySelector("#help").open`, "Stop,Stopfalse")
	s.Do(`delete document.documentElement.dataset.keys`)
	for path, keys := range map[string]string{"/queues": "gq", "/workers": "gw"} {
		s.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { s.page(w, http.StatusOK, main) })
		s.Press(keys)
		s.Wait(`location.pathname === "` + path + `" && document.documentElement.classList.contains("js")`)
	}
}

func testCommand(t *testing.T, s *tab) {
	s.show("")
	s.live()
	s.Press("k", browsertest.Ctrl)
	s.Is(`document.querySelector("#command").open && document.activeElement.name`, "q")
	s.Press("work")
	s.Is(`[...document.querySelectorAll("#command li:not([hidden])")].map((li) => li.textContent).join()`, "Workers")
	s.mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) { s.page(w, http.StatusOK, "<h1>"+esc(r.URL.Path)+"</h1>") })
	s.Press("\r")
	s.Wait(`document.querySelector("h1")?.textContent === "/workers" && document.documentElement.classList.contains("js")`)
	s.Press("k", browsertest.Ctrl)
	s.Press("a/b 7\r") // the ID of a foreign job may be anything
	s.Wait(`document.querySelector("h1")?.textContent === "/jobs/a/b 7"`)
	s.Is(`location.pathname`, "/jobs/a%2Fb%207")
}

func testQuery(t *testing.T, s *tab) {
	s.show(`<d-query data-help='{"fields": ["estado", "fila", "função"], "states": ["falhou", "concluída", "na-fila"]}' data-error="7">
<form action="/"><input name="q" type="search" value="olá x foo:1"><button>Go</button></form></d-query>`)
	s.live()
	const input = `document.querySelector("input[name=q]")`
	s.Is(`document.querySelector("mark").textContent`, "foo:1")
	s.Is(input+`.getAttribute("aria-invalid")`, "true")
	s.Do(input + `.value = ""; ` + input + `.focus()`)
	s.Press("fu")
	s.Is(`[...document.querySelectorAll("[role=option] b")].map((o) => o.textContent).join()`, "função:")
	s.Is(`document.querySelector("mark") === null && `+input+`.getAttribute("aria-expanded")`, "true")
	s.Do(input + `.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowDown", bubbles: true, cancelable: true }))`)
	s.Is(`document.getElementById(`+input+`.getAttribute("aria-activedescendant")).textContent`, "função:")
	s.Press("\r")
	s.Is(input+`.value`, "função:")
	s.Press("nfse -estado:Conc")
	s.Is(`[...document.querySelectorAll("[role=option] b")].map((o) => o.textContent).join()`, "concluída")
	s.Click("[role=option]")
	s.Is(input+`.value`, "função:nfse -estado:concluída ")
	s.Press("\r") // nothing is chosen: it searches
	s.Wait(`new URLSearchParams(location.search).get("q") === "função:nfse -estado:concluída "`)
}

func testTimes(t *testing.T, s *tab) {
	s.show(`<section id="one" data-live="overview"><time data-rel datetime="2020-01-01T00:00:00Z" data-clock="1 Jan 2020">old</time></section>
<b data-since="2020-01-01T00:00:00Z">?</b>`)
	s.live()
	s.Is(`/^\d+ yr\. ago$/.test(document.querySelector("time").textContent)`, true)
	s.Wait(`/^[\d,]+ d \d+ h$/.test(document.querySelector("b").textContent)`)
	s.Press("t")
	s.Is(`document.querySelector("time").textContent`, "1 Jan 2020")
	s.Is(`document.documentElement.classList.contains("times-absolute")`, true)
	s.live()
	s.Is(`document.querySelector("time").textContent`, "1 Jan 2020") // it is remembered
	s.Press("t")
	s.Is(`/ago$/.test(document.querySelector("time").textContent)`, true)
}

func testCopy(t *testing.T, s *tab) {
	s.show(`<button id="plain" data-copy="one &lt;two&gt;">Copy</button><button id="drawn" data-copy="x" hidden><svg></svg><span class="sr">Copy</span></button>`)
	s.live()
	s.Is(`document.querySelector("#drawn").hidden`, false)
	s.Do(`window.copied = []; navigator.clipboard.writeText = (text) => (copied.push(text), Promise.resolve());`)
	s.Click("#plain")
	s.Wait(`copied.join() === "one <two>" && document.querySelector("#plain").textContent === "js.copied"`)
	s.Wait(`document.querySelector("#plain").textContent === "Copy"`)
	s.Do(`navigator.clipboard.writeText = () => Promise.reject(new Error("no HTTPS")); document.execCommand = (what) => (copied.push(what + getSelection()), true)`)
	s.Click("#drawn")
	s.Wait(`document.querySelector("#drawn .sr").textContent === "js.copied"`)
	s.Is(`copied.length === 2 && copied[1].startsWith("copy")`, true)
}

func chart(kind string, values ...int) string {
	var rows strings.Builder
	for i, v := range values {
		fmt.Fprintf(&rows, `<tr><th><time datetime="2026-11-24T10:%02d:00Z">10:%02[1]d</time></th><td data-v="%d">%[2]d</td><td data-v="">—</td></tr>`, i, v)
	}
	return fmt.Sprintf(`<section id="one" data-live="overview"><d-chart kind="%s" unit="count"><details><summary>Data</summary>
<table><caption>Jobs a minute</caption><thead><tr><th>When</th><th data-series="finished">finished</th><th data-series="failed">failed</th></tr></thead>
<tbody>%s</tbody></table></details></d-chart></section>`, kind, rows.String())
}

// inked counts the pixels of the chart that are drawn.
const inked = `(() => {
  const c = document.querySelector("d-chart").shadowRoot.querySelector("canvas");
  return c ? c.getContext("2d").getImageData(0, 0, c.width, c.height).data.filter((v, i) => i % 4 === 3 && v > 0).length : 0;
})()`

func testChart(t *testing.T, s *tab) {
	s.show(chart("bars", 1, 5, 2, 8, 3))
	s.live()
	s.Wait(inked + ` > 1000`)
	s.Is(`document.querySelector("d-chart").shadowRoot.querySelector("[role=img]").getAttribute("aria-label")`, "Jobs a minute")
	s.Is(`[...document.querySelector("d-chart").shadowRoot.querySelectorAll(".u-label")].map((l) => l.textContent).join()`, "When,failed,finished")
	s.Is(`getComputedStyle(document.querySelector("d-chart").shadowRoot.querySelector(".u-over")).position`, "absolute") // its style sheet is here
	s.Is(`document.querySelector("d-chart table").tBodies[0].rows.length`, 5)
	var before float64
	s.Eval(inked, &before)
	s.show(chart("bars", 9, 9, 9, 9, 9, 9))
	s.tell("overview", "{}")
	s.Wait(fmt.Sprintf(`%s > %v`, inked, before*1.2))
	for _, kind := range []string{"lines", "dots"} {
		s.Do(fmt.Sprintf(`document.querySelector("d-chart").setAttribute("kind", %q)`, kind))
		s.Wait(inked + ` > 300`)
	}
	s.Do(`document.documentElement.dataset.theme = "dark"; document.querySelector("d-chart").style.width = "300px"`)
	s.Wait(`document.querySelector("d-chart").shadowRoot.querySelector(".u-wrap").clientWidth === 300`)
}

// testAccessibility holds what scripts make against axe-core, in both themes.
func testAccessibility(t *testing.T, s *tab) {
	axe := browsertest.ReadAxe(t, ".")
	s.printing(40, true, "end", func(n int) string { return fmt.Sprintf("\x1b[%dmline\x1b[0m http://x.example/%d", 30+n%8, n) })
	s.show("<h1>Everything</h1>" + s.body() + list(row("a", "queued"), row("b", "queued")) + chart("bars", 1, 2, 3) +
		`<d-query data-help='{"fields": ["estado", "fila"]}'><form class="search" action="/"><label class="sr" for="q">Search</label><input id="q" name="q"></form></d-query>`)
	s.live()
	s.Wait(drawn + ` > 5`)
	s.Wait(inked + ` > 100`)
	s.Do(`document.querySelectorAll("tbody input").forEach((box) => box.setAttribute("aria-label", "select"));
document.querySelector('[value="a"]').click(); document.querySelector("#q").focus()`)
	s.Press("e")
	for _, theme := range []string{"light", "dark"} {
		s.Do(fmt.Sprintf(`document.documentElement.dataset.theme = %q`, theme))
		for _, v := range s.Violations(axe) {
			if v.Serious() {
				t.Errorf("%s: %v", theme, v)
			}
		}
	}
}
