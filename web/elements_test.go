package web_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

const selected = `[...document.querySelectorAll("#rows input:checked")].map((box) => box.value).join("")`

func testSelection(t *testing.T, s *tab) {
	s.show(list(row("a", "x"), row("b", "x"), row("c", "x"), row("d", "x"), row("e", "x")))
	s.live()
	s.is(`document.querySelector("#act").hidden`, true)
	s.do(`document.querySelector('[value="b"]').click()`)
	s.do(`document.querySelector('[value="d"]').dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, shiftKey: true }))`)
	s.is(selected, "bcd")
	s.is(`document.querySelector("#act").hidden`, false)
	s.is(`document.querySelector("thead input").indeterminate`, true)
	s.click("thead input")
	s.is(selected, "abcde")
	s.is(`document.querySelector("[data-bulk-count]").textContent`, "5 selected")
	s.click("thead input")
	s.is(selected, "")
	s.is(`document.querySelector("#act").hidden`, true)

	s.press("jjx") // to the second
	s.is(selected, "b")
	s.is(`document.activeElement.textContent + document.querySelector(".current").dataset.job`, "bb")
	s.press("jjX")
	s.is(selected, "bcd")
	s.press("kx")
	s.is(selected, "bd")
	s.mux.HandleFunc("GET /jobs/{id}", func(w http.ResponseWriter, r *http.Request) {
		s.page(w, http.StatusOK, `<h1>Job `+r.PathValue("id")+`</h1>`)
	})
	s.press("\r")
	s.wait(`document.querySelector("h1")?.textContent === "Job c"`)
}

func testKeys(t *testing.T, s *tab) {
	main := `<form><input id="q" data-search><input type="checkbox" id="box"></form>
<button data-key="s">Stop</button><button data-key="]" disabled>Next</button><button data-key="l" hidden>Log</button>`
	s.show(main)
	s.set(func() {
		s.rail = `<a href="/queues" data-go="q">Queues</a><a href="/workers" data-key="g w">Workers</a>`
	})
	s.live()
	s.do(`window.clicks = []; document.addEventListener("click", (e) => clicks.push(e.target.textContent));`)
	s.press("sl]")
	s.is(`clicks.join()`, "Stop") // not what is hidden or disabled
	s.press("s", chromedp.ModifierCtrl)
	s.press("/")
	s.is(`document.activeElement.id`, "q")
	s.press("s?t")
	s.is(`document.activeElement.value + document.querySelector("#help").open`, "s?tfalse")
	s.do(`document.querySelector("#box").focus()`)
	s.press("s")
	s.is(`clicks.join()`, "Stop,Stop")
	s.press("?")
	s.is(`document.querySelector("#help").open`, true)
	s.press("s")
	s.is(`clicks.join()`, "Stop,Stop")
	s.do(`document.querySelector("#help").close()`)
	s.do(`document.documentElement.dataset.keys = "off"`)
	s.press("s?")
	s.is(`clicks.join() + document.querySelector("#help").open`, "Stop,Stopfalse")
	s.do(`delete document.documentElement.dataset.keys`)
	for path, keys := range map[string]string{"/queues": "gq", "/workers": "gw"} {
		s.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { s.page(w, http.StatusOK, main) })
		s.press(keys)
		s.wait(`location.pathname === "` + path + `" && document.documentElement.classList.contains("js")`)
	}
}

func testCommand(t *testing.T, s *tab) {
	s.show("")
	s.live()
	s.press("k", chromedp.ModifierCtrl)
	s.is(`document.querySelector("#command").open && document.activeElement.name`, "q")
	s.press("work")
	s.is(`[...document.querySelectorAll("#command li:not([hidden])")].map((li) => li.textContent).join()`, "Workers")
	s.mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) { s.page(w, http.StatusOK, "<h1>"+esc(r.URL.Path)+"</h1>") })
	s.press("\r")
	s.wait(`document.querySelector("h1")?.textContent === "/workers" && document.documentElement.classList.contains("js")`)
	s.press("k", chromedp.ModifierCtrl)
	s.press("a/b 7\r") // the ID of a foreign job may be anything
	s.wait(`document.querySelector("h1")?.textContent === "/jobs/a/b 7"`)
	s.is(`location.pathname`, "/jobs/a%2Fb%207")
}

func testQuery(t *testing.T, s *tab) {
	s.show(`<d-query data-help='{"fields": ["estado", "fila", "função"], "states": ["falhou", "concluída", "na-fila"]}' data-error="7">
<form action="/"><input name="q" type="search" value="olá x foo:1"><button>Go</button></form></d-query>`)
	s.live()
	const input = `document.querySelector("input[name=q]")`
	s.is(`document.querySelector("mark").textContent`, "foo:1")
	s.is(input+`.getAttribute("aria-invalid")`, "true")
	s.do(input + `.value = ""; ` + input + `.focus()`)
	s.press("fu")
	s.is(`[...document.querySelectorAll("[role=option] b")].map((o) => o.textContent).join()`, "função:")
	s.is(`document.querySelector("mark") === null && `+input+`.getAttribute("aria-expanded")`, "true")
	s.do(input + `.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowDown", bubbles: true, cancelable: true }))`)
	s.is(`document.getElementById(`+input+`.getAttribute("aria-activedescendant")).textContent`, "função:")
	s.press("\r")
	s.is(input+`.value`, "função:")
	s.press("nfse -estado:Conc")
	s.is(`[...document.querySelectorAll("[role=option] b")].map((o) => o.textContent).join()`, "concluída")
	s.click("[role=option]")
	s.is(input+`.value`, "função:nfse -estado:concluída ")
	s.press("\r") // nothing is chosen: it searches
	s.wait(`new URLSearchParams(location.search).get("q") === "função:nfse -estado:concluída "`)
}

func testTimes(t *testing.T, s *tab) {
	s.show(`<section id="one" data-live="overview"><time data-rel datetime="2020-01-01T00:00:00Z" data-clock="1 Jan 2020">old</time></section>
<b data-since="2020-01-01T00:00:00Z">?</b>`)
	s.live()
	s.is(`/^\d+ yr\. ago$/.test(document.querySelector("time").textContent)`, true)
	s.wait(`/^[\d,]+ d \d+ h$/.test(document.querySelector("b").textContent)`)
	s.press("t")
	s.is(`document.querySelector("time").textContent`, "1 Jan 2020")
	s.is(`document.documentElement.classList.contains("times-absolute")`, true)
	s.live()
	s.is(`document.querySelector("time").textContent`, "1 Jan 2020") // it is remembered
	s.press("t")
	s.is(`/ago$/.test(document.querySelector("time").textContent)`, true)
}

func testCopy(t *testing.T, s *tab) {
	s.show(`<button id="plain" data-copy="one &lt;two&gt;">Copy</button><button id="drawn" data-copy="x" hidden><svg></svg><span class="sr">Copy</span></button>`)
	s.live()
	s.is(`document.querySelector("#drawn").hidden`, false)
	s.do(`window.copied = []; navigator.clipboard.writeText = (text) => (copied.push(text), Promise.resolve());`)
	s.click("#plain")
	s.wait(`copied.join() === "one <two>" && document.querySelector("#plain").textContent === "js.copied"`)
	s.wait(`document.querySelector("#plain").textContent === "Copy"`)
	s.do(`navigator.clipboard.writeText = () => Promise.reject(new Error("no HTTPS")); document.execCommand = (what) => (copied.push(what + getSelection()), true)`)
	s.click("#drawn")
	s.wait(`document.querySelector("#drawn .sr").textContent === "js.copied"`)
	s.is(`copied.length === 2 && copied[1].startsWith("copy")`, true)
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
	s.wait(inked + ` > 1000`)
	s.is(`document.querySelector("d-chart").shadowRoot.querySelector("[role=img]").getAttribute("aria-label")`, "Jobs a minute")
	s.is(`[...document.querySelector("d-chart").shadowRoot.querySelectorAll(".u-label")].map((l) => l.textContent).join()`, "When,failed,finished")
	s.is(`getComputedStyle(document.querySelector("d-chart").shadowRoot.querySelector(".u-over")).position`, "absolute") // its style sheet is here
	s.is(`document.querySelector("d-chart table").tBodies[0].rows.length`, 5)
	var before float64
	s.eval(inked, &before)
	s.show(chart("bars", 9, 9, 9, 9, 9, 9))
	s.tell("overview", "{}")
	s.wait(fmt.Sprintf(`%s > %v`, inked, before*1.2))
	for _, kind := range []string{"lines", "dots"} {
		s.do(fmt.Sprintf(`document.querySelector("d-chart").setAttribute("kind", %q)`, kind))
		s.wait(inked + ` > 300`)
	}
	s.do(`document.documentElement.dataset.theme = "dark"; document.querySelector("d-chart").style.width = "300px"`)
	s.wait(`document.querySelector("d-chart").shadowRoot.querySelector(".u-wrap").clientWidth === 300`)
}

// testAccessibility holds what scripts make against axe-core, in both themes.
func testAccessibility(t *testing.T, s *tab) {
	axe, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Skip("axe-core is not installed: make assets")
	}
	s.printing(40, true, "end", func(n int) string { return fmt.Sprintf("\x1b[%dmline\x1b[0m http://x.example/%d", 30+n%8, n) })
	s.show("<h1>Everything</h1>" + s.body() + list(row("a", "queued"), row("b", "queued")) + chart("bars", 1, 2, 3) +
		`<d-query data-help='{"fields": ["estado", "fila"]}'><form class="search" action="/"><label class="sr" for="q">Search</label><input id="q" name="q"></form></d-query>`)
	s.live()
	s.wait(drawn + ` > 5`)
	s.wait(inked + ` > 100`)
	s.do(`document.querySelectorAll("tbody input").forEach((box) => box.setAttribute("aria-label", "select"));
document.querySelector('[value="a"]').click(); document.querySelector("#q").focus()`)
	s.press("e")
	if _, err := chromedp.Run(s.ctx, chromedp.Evaluate[bool](string(axe)+"; true")); err != nil {
		t.Fatal(err)
	}
	for _, theme := range []string{"light", "dark"} {
		s.do(fmt.Sprintf(`document.documentElement.dataset.theme = %q`, theme))
		var found []string
		s.eval(`axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) => violations
.filter((v) => v.impact === "serious" || v.impact === "critical")
.map((v) => v.id + ": " + v.nodes.map((n) => n.html.slice(0, 120) + " " + n.failureSummary).join("; ")))`, &found)
		for _, v := range found {
			t.Errorf("%s: %s", theme, v)
		}
	}
	s.do(`problems = problems.filter((p) => !p.startsWith("style-src-elem inline"))`) // axe-core's own
}
