package web_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// printed is a job's output as the API tells of it.
type printed struct {
	mu     sync.Mutex
	total  int
	ended  bool
	text   func(n int) string
	stream chan string
	broken bool
	pages  int // that were asked for
}

type line struct {
	N      int    `json:"n"`
	At     string `json:"at"`
	Stream string `json:"stream"`
	Text   string `json:"text"`
}

func (p *printed) line(n int) line {
	l := line{N: n, At: time.UnixMilli(1_764_000_000_000 + int64(n)).UTC().Format(time.RFC3339Nano), Stream: "stdout", Text: p.text(n)}
	if n%1000 == 0 {
		l.Stream = "stderr"
	}
	return l
}

// ServeHTTP is GET /api/v1/jobs/{id}/log. Its pages are shorter than what is
// asked for, as those of the API are where lines are long.
func (p *printed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pages++
	if p.broken {
		http.Error(w, "no", http.StatusServiceUnavailable)
		return
	}
	from, _ := strconv.Atoi(r.FormValue("from"))
	count, _ := strconv.Atoi(r.FormValue("count"))
	count = min(count, 150)
	q, level := strings.ToLower(r.FormValue("q")), r.FormValue("level")
	search := q != "" || level != ""
	lines, found, next := []line{}, 0, p.total+1
	begin := max(from, 1)
	if search {
		begin = 1
	}
	for n := begin; n <= p.total; n++ {
		if search && !strings.Contains(strings.ToLower(p.text(n)), q) || level != "" && n%1000 != 0 {
			continue
		}
		found++
		if n >= from && len(lines) < count {
			if lines = append(lines, p.line(n)); len(lines) == count {
				next = n + 1
			}
		}
		if !search && len(lines) == count || found == 10_000 {
			break
		}
	}
	answer := map[string]any{"lines": lines, "next": max(next, from), "total": p.total, "ended": p.ended}
	if search {
		answer["matches"] = map[string]any{"found": found, "more": found == 10_000}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func (p *printed) follow(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	for control.Flush() == nil {
		select {
		case event := <-p.stream:
			fmt.Fprint(w, event)
		case <-r.Context().Done():
			return
		}
	}
}

// print adds lines and tells of them.
func (p *printed) print(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range n {
		p.total++
		data, _ := json.Marshal(p.line(p.total))
		p.stream <- fmt.Sprintf("event: line\nid: %d\ndata: %s\n\n", p.total, data)
	}
}

// printing serves output of so many lines, and a page that shows it.
func (s *tab) printing(total int, ended bool, open string, text func(n int) string) *printed {
	p := &printed{total: total, ended: ended, text: text, stream: make(chan string, 4096)}
	s.mux.Handle("GET /log", p)
	s.mux.HandleFunc("GET /log/stream", p.follow)
	s.show(fmt.Sprintf(`<d-log data-keep src="/log" stream="/log/stream" lines="%d" open="%s" id="log"><pre>%s</pre></d-log>`, total, open, "as the server has it"))
	return p
}

func plain(n int) string { return fmt.Sprintf("line number %d", n) }

const (
	view  = `document.querySelector(".log-view")`
	first = `Number(document.querySelector(".log-row").dataset.n)`
	last  = `Number([...document.querySelectorAll(".log-row")].at(-1).dataset.n)`
	drawn = `document.querySelectorAll(".log-row").length`
	// seen are the texts of rows that are within the view.
	seen = `[...document.querySelectorAll(".log-row")].filter((row) => { const a = row.getBoundingClientRect(), b = ` + view + `.getBoundingClientRect(); return a.bottom > b.top + 2 && a.top < b.bottom - 2; })`
)

func testLongLog(t *testing.T, s *tab) {
	const total = 1_000_000
	p := s.printing(total, true, "end", plain)
	s.live()
	s.Wait(last + ` === 1000000 && [...document.querySelectorAll(".log-text")].at(-1).textContent === "line number 1000000"`)
	s.Is(`document.querySelector("d-log").textContent.includes("as the server")`, false)
	s.Is(drawn+` < 200 && document.querySelectorAll("d-log *").length < 1000`, true)
	s.Is(`Math.abs([...document.querySelectorAll(".log-row")].at(-1).getBoundingClientRect().bottom - `+view+`.getBoundingClientRect().bottom) < 3`, true)
	s.Is(view+`.scrollHeight < 9e6`, true)

	s.Do(view + `.scrollTop -= 40`)
	s.Wait(last + ` === 999998`)
	s.Do(view + `.scrollTop = 0`)
	s.Wait(first + ` === 1 && ` + seen + `[0].querySelector(".log-text").textContent === "line number 1"`)
	s.Do(view + `.scrollTop += 100`)
	s.Wait(first + ` === 6`)
	s.Do(view + `.scrollTop = ` + view + `.scrollHeight / 2`)
	s.Wait(`Math.abs(` + first + ` - 500000) < 5000 && ` + seen + `.every((row) => row.querySelector(".log-text").textContent === "line number " + row.dataset.n)`)
	s.Do(fmt.Sprintf(`for (let i = 0; i < 60; i++) { %s.scrollTop = %[1]s.scrollHeight * i / 60; await new Promise(requestAnimationFrame); }`, view))
	s.Wait(seen + `.every((row) => row.querySelector(".log-text").textContent === "line number " + row.dataset.n)`)
	s.Is(drawn+` < 200`, true)
	s.Do(view + `.scrollTop = ` + view + `.scrollHeight`)
	s.Wait(last + ` === 1000000`)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pages > 300 {
		t.Errorf("%d pages were asked for", p.pages)
	}
}

func testSearchLog(t *testing.T, s *tab) {
	s.printing(20_000, true, "end", func(n int) string {
		if n%3000 == 0 {
			return fmt.Sprintf("the Needle %d", n)
		}
		return plain(n)
	})
	s.live()
	s.Wait(last + ` === 20000`)
	s.Press("/")
	s.Is(`document.activeElement.type`, "search")
	s.Press("needle\r")
	s.Wait(`document.querySelector(".log-count").textContent === "1 / 6"`)
	s.Wait(`document.querySelector(".log-row.picked mark")?.textContent === "Needle"`)
	s.Is(`document.querySelector(".log-row.picked").dataset.n`, "3000")
	s.Press("\r")
	s.Wait(`document.querySelector(".log-row.picked")?.dataset.n === "6000"`)
	s.Do(view + `.focus()`)
	s.Press("nN")
	s.Press("N")
	s.Wait(`document.querySelector(".log-row.picked")?.dataset.n === "3000"`)
	s.Press("N")
	s.Wait(`document.querySelector(".log-count").textContent === "6 / 6"`)

	s.Click("d-log .log-search input[type=checkbox]")
	s.Wait(drawn + ` === 6`)
	s.Is(`[...document.querySelectorAll(".log-n")].map((n) => n.textContent).join()`, "3000,6000,9000,12000,15000,18000")
	s.Do(`const level = document.querySelector("d-log select"); document.querySelector("d-log input[type=search]").value = ""; level.value = "warning"; level.dispatchEvent(new Event("change"))`)
	s.Wait(drawn + ` === 20 && document.querySelector(".log-row").dataset.n === "1000"`)
	s.Is(`document.querySelector(".log-row").dataset.stream + document.querySelector(".log-mark").title`, "stderrstderr")
	s.Do(`const level = document.querySelector("d-log select"); level.value = ""; level.dispatchEvent(new Event("change"))`)
	s.Wait(drawn + ` > 20`)
	s.Do(`const input = document.querySelector("d-log input[type=search]"); input.value = "nowhere"; input.dispatchEvent(new Event("input"))`)
	s.Wait(`document.querySelector(".log-count").textContent === "js.log.none"`)
}

func testFollowLog(t *testing.T, s *tab) {
	p := s.printing(1000, false, "end", plain)
	s.live()
	s.Wait(last + ` === 1000`)
	const follows = `[...document.querySelectorAll("d-log .log-bar > label input")].at(-1).checked`
	s.Is(follows, true)
	p.print(50)
	s.Wait(last + ` === 1050`)
	s.Do(`window.row = document.querySelector(".log-row"); ` + view + `.scrollTop -= 200`)
	s.Wait(`!` + follows)
	p.print(1)
	s.Wait(`document.querySelector(".log-more").textContent === "1 new line"`)
	p.print(400)
	s.Wait(`document.querySelector(".log-more").textContent === "401 new lines"`)
	s.Is(last+` < 1050`, true)
	s.Click(".log-more")
	s.Wait(last + ` === 1451 && ` + follows)
	s.Do(`document.querySelector("d-log").closest("main").focus()`)
	s.Press("f")
	s.Is(follows, false)
	s.Press("f")
	s.Is(follows, true)
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	p.stream <- "event: end\ndata: {\"status\": \"finished\"}\n\n"
	s.Wait(`!` + follows)
	s.Is(last, 1451)
}

func testLogPlaces(t *testing.T, s *tab) {
	s.printing(5000, true, "traceback", func(n int) string {
		if n == 2500 {
			return "Traceback (most recent call last):"
		}
		return plain(n)
	})
	s.live()
	s.Wait(seen + `.some((row) => row.dataset.n === "2500")`)
	s.Do(`const links = [...document.querySelectorAll(".log-n")]; links.find((a) => a.textContent === "2501").click();
links.find((a) => a.textContent === "2505").dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, shiftKey: true }))`)
	s.Is(`location.hash + document.querySelectorAll(".picked").length`, "#L2501-L25055")
	s.Do(`location.hash = "#L4000-L4002"`)
	s.Wait(seen + `.some((row) => row.dataset.n === "4000") && document.querySelectorAll(".picked").length === 3`)
	s.open("/?#L77")
	s.Wait(`document.querySelector(".log-row.picked")?.dataset.n === "77"`)
	s.Do(`const times = document.querySelectorAll("d-log select")[1]; times.value = "since"; times.dispatchEvent(new Event("change"))`)
	s.Wait(`document.querySelector('[data-n="77"] .log-time')?.textContent === "+00:00:00.076"`)
	// What is selected is the text alone.
	s.Do(`const range = document.createRange(); range.selectNodeContents(document.querySelector('[data-n="77"]')); getSelection().removeAllRanges(); getSelection().addRange(range)`)
	s.Is(`String(getSelection()).trim()`, "line number 77")
}

func testHostileLog(t *testing.T, s *tab) {
	texts := []string{
		`<img src=x onerror="console.error('ran')"><script>console.error("ran")</script>`,
		"\x1b[1;31mred\x1b[0m plain \x1b[38;5;196mbright\x1b[48;2;0;0;255m on blue\x1b[m",
		" 10 %\r 50 %\r100 %\r",
		"\x1b]8;;http://evil.example\x07link\x1b]8;;\x07 \x1b[2J\x1b[?25lrest\x1b",
		"see https://example.com/a?b=1, and (http://x.example/).",
		"user\u202egnp.exe",
		strings.Repeat("long ", 20_000),
		"\x1b[" + strings.Repeat("1;", 30_000) + "m\x1b]" + strings.Repeat("x", 30_000),
	}
	s.printing(len(texts), true, "end", func(n int) string { return texts[n-1] })
	s.live()
	s.Wait(drawn + fmt.Sprint(` === `, len(texts)))
	const row = `document.querySelectorAll(".log-text")[%d]`
	s.Is(fmt.Sprintf(row, 0)+`.textContent`, texts[0])
	s.Is(fmt.Sprintf(row, 1)+`.innerHTML`, `<span class="sgr-1 sgr-31">red</span> plain <span class="sgr-91">bright</span><span class="sgr-91 sgr-104"> on blue</span>`)
	s.Is(fmt.Sprintf(row, 2)+`.textContent`, "100 %")
	s.Is(fmt.Sprintf(row, 3)+`.textContent`, "link rest")
	s.Is(`[...`+fmt.Sprintf(row, 4)+`.querySelectorAll("a")].map((a) => a.getAttribute("href") + a.rel).join()`, "https://example.com/a?b=1noopener noreferrer,http://x.example/noopener noreferrer")
	s.Is(fmt.Sprintf(row, 5)+`.textContent`, "user\ufffdgnp.exe")
	s.Is(fmt.Sprintf(row, 6)+`.textContent.length < 6000`, true)
	s.Is(fmt.Sprintf(row, 7)+`.textContent`, "")
	s.Is(`document.querySelector(".log-view img, .log-view script")`, nil)
}

func testNoLog(t *testing.T, s *tab) {
	p := s.printing(10, true, "end", plain)
	p.broken = true
	s.live()
	s.Wait(`document.querySelector("d-log").dataset.state === "failed"`)
	s.Is(`document.querySelector("d-log").textContent`, "as the server has it")
}

func testWrappedLog(t *testing.T, s *tab) {
	s.printing(3000, true, "end", func(n int) string { return strings.Repeat(fmt.Sprintf("word%d ", n), 200) })
	s.live()
	s.Wait(last + ` === 3000`)
	s.Do(`[...document.querySelectorAll("d-log .log-bar > label input")][0].click()`)
	s.Wait(`Math.abs([...document.querySelectorAll(".log-row")].at(-1).getBoundingClientRect().bottom - ` + view + `.getBoundingClientRect().bottom) < 3`)
	s.Is(last, 3000)
	s.Is(`document.querySelector(".log-row").offsetHeight > 30 && `+view+`.scrollWidth <= `+view+`.clientWidth`, true)
	s.Do(view + `.scrollTop = 0`)
	s.Wait(first + ` === 1`)
	s.Is(`Math.abs(document.querySelector(".log-row").getBoundingClientRect().top - `+view+`.getBoundingClientRect().top) < 3`, true)
}
