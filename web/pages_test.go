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
	s.Do(`
document.querySelector("#more").open = true;
document.querySelector("#ask").show();
document.querySelector("#other").value = "mine";
document.querySelector("#long").value = "mine too";
const typed = document.querySelector("#typed");
typed.focus(); typed.value = "half a wo"; typed.setSelectionRange(2, 4);
window.before = typed;`)
	s.show(region(2))
	s.tell("overview", "{}")
	s.Wait(`document.querySelector("#count").textContent === "2"`)
	s.Is(`document.activeElement === before && before.isConnected`, true)
	s.Is(`before.value + before.selectionStart + before.selectionEnd`, "half a wo24")
	s.Is(`document.querySelector("#more").open && document.querySelector("#ask").open`, true)
	s.Is(`document.querySelector("#other").value`, "mine")
	s.Is(`document.querySelector("#long").value`, "mine too")
	s.Is(`document.querySelector("#kept").textContent`, "1")
	s.Is(`document.querySelector("#else").textContent`, "1") // no event concerned it

	s.Do(`const range = document.createRange(); range.selectNodeContents(document.querySelector("#still"));
getSelection().removeAllRanges(); getSelection().addRange(range);`)
	s.show(region(3))
	s.tell("overview", "{}")
	s.tell("operations", "{}")
	s.Wait(`document.querySelector("#count").textContent === "3"`)
	s.Wait(`document.querySelector("#else").textContent === "3"`)
	s.Is(`String(getSelection())`, "text that stays")
	s.Is(`document.querySelector("d-live").hidden`, false)
	s.Is(`document.querySelector(".live-text").textContent`, "live")
}

func testPosition(t *testing.T, s *tab) {
	s.show(count(1))
	s.set(func() { s.after = "7-1 é" })
	s.live()
	s.hangUp()
	s.Wait(`document.querySelector("d-live").dataset.state === "lost"`)
	s.Wait(`document.querySelector("d-live").dataset.state === "open"`)
	s.set(func() {
		if len(s.afters) < 2 || s.afters[0] != "7-1 é" || s.afters[1] != "" { // it makes the page anew instead
			t.Errorf("streams went on behind %q", s.afters)
		}
	})
}

func testComingAndGoing(t *testing.T, s *tab) {
	extra := `<section id="two" data-live="jobs"><p id="more">more</p></section>`
	s.show(count(1) + extra + list(row("a", "queued")))
	s.live()
	s.Do(`window.kept = document.querySelector("#rows tr"); document.querySelector('[value="a"]').click();`)
	s.show(count(2) + list(row("b", "queued"), row("a", "queued")))
	s.tell("overview", "{}")
	s.Wait(`document.querySelector("#count").textContent === "2" && !document.querySelector("#two")`)
	s.show(count(3) + extra + list(row("b", "queued"), row("a", "queued")))
	s.tell("overview", "{}")
	s.Wait(`document.querySelector("#count").textContent === "3" && document.querySelector("#more")`)
	s.Is(`kept.isConnected && kept.querySelector("input").checked`, true)
	s.Is(order, "a:queued")
}

func testGone(t *testing.T, s *tab) {
	s.show(count(1))
	s.live()
	s.mux.HandleFunc("GET /login", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `<!doctype html><main id="main" data-page="login">who are you</main>`)
	})
	s.set(func() { s.away = "/login" })
	s.tell("overview", "{}")
	s.Wait(`document.querySelector("d-live").dataset.state === "lost" && !document.querySelector(".live-version").hidden`)
	s.Is(`document.querySelector("#count").textContent + location.pathname`, "1/")
	s.set(func() { s.away = "" })
	s.show(count(2))
	s.Wait(`document.querySelector("#count").textContent === "2" && document.querySelector("d-live").dataset.state === "open"`)
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
	s.Do(`document.querySelector('[value="b"]').click(); window.kept = document.querySelector('[data-job="b"]');`)
	s.show(list(row("e", "queued"), row("d", "queued"), row("b", "started"), row("a", "queued")))
	s.changed("b", "c")
	s.Wait(order + `=== "a:queued b:started c:failed"`)
	s.Is(`kept === document.querySelector('[data-job="b"]') && kept.querySelector("input").checked`, true)
	s.Is(`document.querySelector("[data-live-new]").hidden`, false)
	s.Is(`document.querySelector("[data-live-new]").textContent`, "2 new")
	s.Is(`document.querySelector("[data-bulk-count]").textContent`, "1 selected")

	s.show(list(row("e", "queued"), row("d", "queued"), row("b", "started")))
	s.changed("a")
	s.Wait(`document.querySelector('[data-job="a"]').hasAttribute("data-js-gone")`)
	s.Click("[data-live-new]")
	s.Wait(order + `=== "e:queued d:queued b:started"`)
	s.Wait(`document.querySelector("[data-live-new]").hidden`)
	s.Is(`document.querySelector('[value="b"]').checked`, true)
}

func testFirstRow(t *testing.T, s *tab) {
	s.show(`<div class="empty">Nothing yet</div>`)
	s.live()
	s.show(list(row("a", "queued")))
	s.changed("a")
	s.Wait(order + `=== "a:queued"`)
	s.Is(`document.querySelector(".empty")`, nil)
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
	s.Wait(`document.querySelector("d-live").dataset.state === "lost"`)
	s.Is(`document.querySelector(".live-dot").classList.contains("lost")`, true)
	s.set(func() { s.refuse = false })
	s.Wait(`document.querySelector("d-live").dataset.state === "open"`)
	s.Wait(`document.querySelector("#count").textContent === "2"`)
	s.show(count(3))
	s.tell("overview", "{}")
	s.Wait(`document.querySelector("#count").textContent === "3"`)
}

func testPolling(t *testing.T, s *tab) {
	s.set(func() { s.refuse = true })
	s.show(count(1))
	s.open("/")
	s.Wait(`/^\d+ s ago$/.test(document.querySelector(".live-text").textContent)`)
	s.show(count(2))
	s.Wait(`document.querySelector("#count").textContent === "2"`)
	s.show(count(3))
	s.Wait(`document.querySelector("#count").textContent === "3"`)
	s.Is(`document.querySelector("d-live").dataset.state`, "lost")
}

// hide and its opposite are what a browser does when another tab is chosen.
const hide = `Object.defineProperty(document, "hidden", { configurable: true, get: () => %t }); document.dispatchEvent(new Event("visibilitychange"));`

func testHidden(t *testing.T, s *tab) {
	s.show(count(1))
	s.live()
	s.Do(`const live = document.querySelector("d-live"), fresh = live.cloneNode(); fresh.setAttribute("hidden-after", "0.05"); live.replaceWith(fresh);`)
	s.Wait(`document.querySelector("d-live").dataset.state === "open"`)
	s.Do(fmt.Sprintf(hide, true))
	s.Wait(`document.querySelector("d-live").dataset.state === "lost"`)
	s.show(count(2))
	s.Do(fmt.Sprintf(hide, false))
	s.Wait(`document.querySelector("#count").textContent === "2"`)
	s.Is(`document.querySelector("d-live").dataset.state`, "open")
}

func testPause(t *testing.T, s *tab) {
	s.show(count(1))
	s.live()
	s.Press(".")
	s.Wait(`document.querySelector("d-live").dataset.state === "paused"`)
	s.Is(`document.querySelector(".live-pause").getAttribute("aria-pressed")`, "true")
	s.show(count(2))
	s.tell("overview", "{}")
	s.Is(`document.querySelector("#count").textContent`, "1")
	s.Press(".")
	s.Wait(`document.querySelector("#count").textContent === "2"`)
	s.Wait(`document.querySelector("d-live").dataset.state === "open"`)
}

func testUpgrade(t *testing.T, s *tab) {
	s.show(count(1))
	s.live()
	s.Is(`document.querySelector(".live-version").hidden`, true)
	s.set(func() { s.version = "2" })
	s.tell("overview", "{}")
	s.Wait(`!document.querySelector(".live-version").hidden`)
	s.Is(`document.querySelector(".live-version").textContent`, "reload")
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
	s.Do(`window.stays = true; document.querySelector("#more").open = true; document.querySelector("#act button").focus();`)
	s.Press("r")
	s.Wait(`document.querySelector("#state").textContent === "queued"`)
	s.Wait(`!document.querySelector("#act").hasAttribute("aria-busy")`)
	s.Is(`stays && document.querySelector("#more").open && location.pathname`, "/")
	s.Is(`document.activeElement.textContent`, "Requeue")
	s.Is(`history.length`, 2)
}

func testRefused(t *testing.T, s *tab) {
	s.show(acting("failed", ""))
	answers := make(chan int, 2)
	s.mux.HandleFunc("POST /act", func(w http.ResponseWriter, r *http.Request) {
		s.page(w, <-answers, `<p class="problem">the job is <b>running</b></p>`)
	})
	s.live()
	answers <- http.StatusConflict
	s.Click("#act button")
	s.Wait(`document.querySelector("#act + .problem")?.textContent === "the job is running"`)
	s.Is(`document.querySelectorAll(".problem").length + document.querySelector("#state").textContent`, "1failed")
	answers <- http.StatusConflict
	s.Click("#act button")
	s.Wait(`!document.querySelector("#act").hasAttribute("aria-busy")`)
	s.Is(`document.querySelectorAll(".problem").length`, 1)
	s.Problems() // htmx and the browser say that the answer was an error
}

func testAsking(t *testing.T, s *tab) {
	s.show(acting("failed", ` data-confirm-dialog="sure"`))
	s.mux.HandleFunc("POST /act", func(w http.ResponseWriter, r *http.Request) {
		s.show(acting("deleted", ""))
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	s.live()
	s.Click("#act button")
	s.Wait(`document.querySelector("#sure").open`)
	s.Click("#no")
	s.Wait(`!document.querySelector("#sure").open`)
	s.Is(`document.querySelector("#state").textContent`, "failed")
	s.Click("#act button")
	s.Wait(`document.querySelector("#sure").open`)
	s.Click("#yes")
	s.Wait(`document.querySelector("#state").textContent === "deleted"`)
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
	s.Do(`window.stays = true`)
	s.Click("#act button")
	s.Wait(`location.pathname === "/operations/7" && document.querySelector("h1").textContent === "Operation"`)
	s.Is(`stays && document.activeElement.tagName`, "H1")
	s.Is(`document.querySelector("nav a").hasAttribute("aria-current")`, false)
	s.Do(`history.back()`)
	s.Wait(`document.querySelector("#state")?.textContent === "failed"`)
	s.Is(`location.pathname`, "/")
}
