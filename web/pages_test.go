package web_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func testRegions(t *testing.T, s *tab) {
	region := func(n int) string {
		return fmt.Sprintf(`<section id="one" data-live="overview">
<p id="count">%d</p><p id="still">text that stays</p>
<details id="more"><summary>More</summary>%d</details>
<form><input id="typed" name="a" value=""><input id="other" name="b" value="%d"><textarea id="long">%d</textarea></form>
<div data-keep id="kept">%d</div><dialog id="ask">%d</dialog></section>
<section id="two" data-live="operations"><p id="else">%d</p></section>`, n, n, n, n, n, n, n)
	}
	s.show(region(1))
	s.live()
	s.do(`
document.querySelector("#more").open = true;
document.querySelector("#ask").show();
document.querySelector("#other").value = "mine";
document.querySelector("#long").value = "mine too";
const typed = document.querySelector("#typed");
typed.focus(); typed.value = "half a wo"; typed.setSelectionRange(2, 4);
window.before = typed;`)
	s.show(region(2))
	s.tell("overview", "{}")
	s.wait(`document.querySelector("#count").textContent === "2"`)
	s.is(`document.activeElement === before && before.isConnected`, true)
	s.is(`before.value + before.selectionStart + before.selectionEnd`, "half a wo24")
	s.is(`document.querySelector("#more").open && document.querySelector("#ask").open`, true)
	s.is(`document.querySelector("#other").value`, "mine")
	s.is(`document.querySelector("#long").value`, "mine too")
	s.is(`document.querySelector("#kept").textContent`, "1")
	s.is(`document.querySelector("#else").textContent`, "1") // no event concerned it

	s.do(`const range = document.createRange(); range.selectNodeContents(document.querySelector("#still"));
getSelection().removeAllRanges(); getSelection().addRange(range);`)
	s.show(region(3))
	s.tell("overview", "{}")
	s.tell("operations", "{}")
	s.wait(`document.querySelector("#count").textContent === "3"`)
	s.wait(`document.querySelector("#else").textContent === "3"`)
	s.is(`String(getSelection())`, "text that stays")
	s.is(`document.querySelector("d-live").hidden`, false)
	s.is(`document.querySelector(".live-text").textContent`, "live")
}

func testComingAndGoing(t *testing.T, s *tab) {
	extra := `<section id="two" data-live="jobs"><p id="more">more</p></section>`
	s.show(count(1) + extra + list(row("a", "queued")))
	s.live()
	s.do(`window.kept = document.querySelector("#rows tr"); document.querySelector('[value="a"]').click();`)
	s.show(count(2) + list(row("b", "queued"), row("a", "queued")))
	s.tell("overview", "{}")
	s.wait(`document.querySelector("#count").textContent === "2" && !document.querySelector("#two")`)
	s.show(count(3) + extra + list(row("b", "queued"), row("a", "queued")))
	s.tell("overview", "{}")
	s.wait(`document.querySelector("#count").textContent === "3" && document.querySelector("#more")`)
	s.is(`kept.isConnected && kept.querySelector("input").checked`, true)
	s.is(order, "a:queued")
}

func testGone(t *testing.T, s *tab) {
	s.show(count(1))
	s.live()
	s.mux.HandleFunc("GET /login", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `<!doctype html><main id="main" data-page="login">who are you</main>`)
	})
	s.set(func() { s.away = "/login" })
	s.tell("overview", "{}")
	s.wait(`document.querySelector("d-live").dataset.state === "lost" && !document.querySelector(".live-version").hidden`)
	s.is(`document.querySelector("#count").textContent + location.pathname`, "1/")
	s.set(func() { s.away = "" })
	s.show(count(2))
	s.wait(`document.querySelector("#count").textContent === "2" && document.querySelector("d-live").dataset.state === "open"`)
}

// row is a row of a list of jobs.
func row(id, state string) string {
	return fmt.Sprintf(`<tr data-job="%s"><td class="c-pick"><input type="checkbox" name="ids" value="%[1]s"></td><td class="state">%s</td><td><a data-open href="/jobs/%[1]s">%[1]s</a></td></tr>`, id, state)
}

func list(rows ...string) string {
	return `<d-list><div data-bulk><span data-bulk-count></span><button id="act">Act</button><button data-live-new hidden></button></div>
<table><thead><tr><th class="c-pick"></th><th>State</th><th>Job</th></tr></thead><tbody id="rows" data-live-rows>` + strings.Join(rows, "") + `</tbody></table></d-list>`
}

const order = `[...document.querySelectorAll("#rows tr")].map((row) => row.dataset.job + ":" + row.querySelector(".state").textContent).join(" ")`

func testRows(t *testing.T, s *tab) {
	s.mux.HandleFunc("GET /jobs/rows", func(w http.ResponseWriter, r *http.Request) {
		if got := r.FormValue("ids"); got != "c" && got != "a" {
			t.Errorf("asked for rows %q, want those that the page has not", got)
		}
		if r.FormValue("ids") == "c" {
			_, _ = fmt.Fprintf(w, "<table><tbody>%s</tbody></table>", row("c", "failed"))
		}
	})
	s.show(list(row("a", "queued"), row("b", "queued"), row("c", "queued")))
	s.live()
	s.do(`document.querySelector('[value="b"]').click(); window.kept = document.querySelector('[data-job="b"]');`)
	s.show(list(row("e", "queued"), row("d", "queued"), row("b", "started"), row("a", "queued")))
	s.changed("b", "c")
	s.wait(order + `=== "a:queued b:started c:failed"`)
	s.is(`kept === document.querySelector('[data-job="b"]') && kept.querySelector("input").checked`, true)
	s.is(`document.querySelector("[data-live-new]").hidden`, false)
	s.is(`document.querySelector("[data-live-new]").textContent`, "2 new")
	s.is(`document.querySelector("[data-bulk-count]").textContent`, "1 selected")

	s.show(list(row("e", "queued"), row("d", "queued"), row("b", "started")))
	s.changed("a")
	s.wait(`document.querySelector('[data-job="a"]').hasAttribute("data-js-gone")`)
	s.click("[data-live-new]")
	s.wait(order + `=== "e:queued d:queued b:started"`)
	s.wait(`document.querySelector("[data-live-new]").hidden`)
	s.is(`document.querySelector('[value="b"]').checked`, true)
}

func testFirstRow(t *testing.T, s *tab) {
	s.show(`<div class="empty">Nothing yet</div>`)
	s.live()
	s.show(list(row("a", "queued")))
	s.changed("a")
	s.wait(order + `=== "a:queued"`)
	s.is(`document.querySelector(".empty")`, nil)
}

func count(n int) string {
	return fmt.Sprintf(`<section id="one" data-live="overview"><p id="count">%d</p></section>`, n)
}

func testReconnect(t *testing.T, s *tab) {
	s.show(count(1))
	s.live()
	s.show(count(2)) // and no event says so
	s.set(func() { s.refuse = true })
	s.hangUp()
	s.wait(`document.querySelector("d-live").dataset.state === "lost"`)
	s.is(`document.querySelector(".live-dot").classList.contains("lost")`, true)
	s.set(func() { s.refuse = false })
	s.wait(`document.querySelector("d-live").dataset.state === "open"`)
	s.wait(`document.querySelector("#count").textContent === "2"`)
	s.show(count(3))
	s.tell("overview", "{}")
	s.wait(`document.querySelector("#count").textContent === "3"`)
}

func testPolling(t *testing.T, s *tab) {
	s.set(func() { s.refuse = true })
	s.show(count(1))
	s.open("/")
	s.wait(`/^\d+ s ago$/.test(document.querySelector(".live-text").textContent)`)
	s.show(count(2))
	s.wait(`document.querySelector("#count").textContent === "2"`)
	s.show(count(3))
	s.wait(`document.querySelector("#count").textContent === "3"`)
	s.is(`document.querySelector("d-live").dataset.state`, "lost")
}

// hide and its opposite are what a browser does when another tab is chosen.
const hide = `Object.defineProperty(document, "hidden", { configurable: true, get: () => %t }); document.dispatchEvent(new Event("visibilitychange"));`

func testHidden(t *testing.T, s *tab) {
	s.show(count(1))
	s.live()
	s.do(`const live = document.querySelector("d-live"), fresh = live.cloneNode(); fresh.setAttribute("hidden-after", "0.05"); live.replaceWith(fresh);`)
	s.wait(`document.querySelector("d-live").dataset.state === "open"`)
	s.do(fmt.Sprintf(hide, true))
	s.wait(`document.querySelector("d-live").dataset.state === "lost"`)
	s.show(count(2))
	s.do(fmt.Sprintf(hide, false))
	s.wait(`document.querySelector("#count").textContent === "2"`)
	s.is(`document.querySelector("d-live").dataset.state`, "open")
}

func testPause(t *testing.T, s *tab) {
	s.show(count(1))
	s.live()
	s.press(".")
	s.wait(`document.querySelector("d-live").dataset.state === "paused"`)
	s.is(`document.querySelector(".live-pause").getAttribute("aria-pressed")`, "true")
	s.show(count(2))
	s.tell("overview", "{}")
	s.is(`document.querySelector("#count").textContent`, "1")
	s.press(".")
	s.wait(`document.querySelector("#count").textContent === "2"`)
	s.wait(`document.querySelector("d-live").dataset.state === "open"`)
}

func testUpgrade(t *testing.T, s *tab) {
	s.show(count(1))
	s.live()
	s.is(`document.querySelector(".live-version").hidden`, true)
	s.set(func() { s.version = "2" })
	s.tell("overview", "{}")
	s.wait(`!document.querySelector(".live-version").hidden`)
	s.is(`document.querySelector(".live-version").textContent`, "reload")
}

// acting is a page with a form that acts.
func acting(state, attrs string) string {
	return fmt.Sprintf(`<h1>Job</h1><p id="state">%s</p><details id="more"><summary>More</summary>x</details>
<form id="act" method="post" action="/act" data-act%s><input name="typed" value="x"><button name="how" value="now" data-key="r">Requeue</button></form>
<dialog id="sure"><form method="dialog"><button id="no" value="no">No</button><button id="yes" value="yes">Yes</button></form></dialog>`, state, attrs)
}

func testAction(t *testing.T, s *tab) {
	s.show(acting("failed", ""))
	s.mux.HandleFunc("POST /act", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("typed") != "x" || r.FormValue("how") != "now" {
			t.Errorf("the form sent %v", r.Form)
		}
		s.show(acting("queued", ""))
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	s.live()
	s.do(`window.stays = true; document.querySelector("#more").open = true; document.querySelector("#act button").focus();`)
	s.press("r")
	s.wait(`document.querySelector("#state").textContent === "queued"`)
	s.wait(`!document.querySelector("#act").hasAttribute("aria-busy")`)
	s.is(`stays && document.querySelector("#more").open && location.pathname`, "/")
	s.is(`document.activeElement.textContent`, "Requeue")
	s.is(`history.length`, 2)
}

func testRefused(t *testing.T, s *tab) {
	s.show(acting("failed", ""))
	answers := make(chan int, 2)
	s.mux.HandleFunc("POST /act", func(w http.ResponseWriter, r *http.Request) {
		s.page(w, <-answers, `<p class="problem">the job is <b>running</b></p>`)
	})
	s.live()
	answers <- http.StatusConflict
	s.click("#act button")
	s.wait(`document.querySelector("#act + .problem")?.textContent === "the job is running"`)
	s.is(`document.querySelectorAll(".problem").length + document.querySelector("#state").textContent`, "1failed")
	answers <- http.StatusConflict
	s.click("#act button")
	s.wait(`!document.querySelector("#act").hasAttribute("aria-busy")`)
	s.is(`document.querySelectorAll(".problem").length`, 1)
	s.do(`problems.length = 0`) // htmx and the browser say that the answer was an error
}

func testAsking(t *testing.T, s *tab) {
	s.show(acting("failed", ` data-confirm-dialog="sure"`))
	s.mux.HandleFunc("POST /act", func(w http.ResponseWriter, r *http.Request) {
		s.show(acting("deleted", ""))
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	s.live()
	s.click("#act button")
	s.wait(`document.querySelector("#sure").open`)
	s.click("#no")
	s.wait(`!document.querySelector("#sure").open`)
	s.is(`document.querySelector("#state").textContent`, "failed")
	s.click("#act button")
	s.wait(`document.querySelector("#sure").open`)
	s.click("#yes")
	s.wait(`document.querySelector("#state").textContent === "deleted"`)
}

func testLeading(t *testing.T, s *tab) {
	s.show(acting("failed", ""))
	s.set(func() { s.rail = `<a href="/" aria-current="page">Home</a>` })
	s.mux.HandleFunc("POST /act", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/operations/7", http.StatusSeeOther)
	})
	s.mux.HandleFunc("GET /operations/7", func(w http.ResponseWriter, _ *http.Request) {
		s.set(func() { s.rail = `<a href="/">Home</a>` })
		s.page(w, http.StatusOK, `<h1 data-focus tabindex="-1">Operation</h1>`)
	})
	s.live()
	s.do(`window.stays = true`)
	s.click("#act button")
	s.wait(`location.pathname === "/operations/7" && document.querySelector("h1").textContent === "Operation"`)
	s.is(`stays && document.activeElement.tagName`, "H1")
	s.is(`document.querySelector("nav a").hasAttribute("aria-current")`, false)
	s.do(`history.back()`)
	s.wait(`document.querySelector("#state")?.textContent === "failed"`)
	s.is(`location.pathname`, "/")
}
