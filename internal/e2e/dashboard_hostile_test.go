package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro/internal/browsertest"
	"github.com/distro-orchestrator/distro/internal/redistest"
)

// hostileModule prints, raises and returns what it is given.
const hostileModule = `
def prints(text):
    print(text)
    print(text.encode("utf-8", "replace"))

def raises(text):
    raise type("<b>Error</b>" + text[:50].replace("\0", ""), (Exception,), {})(text)

def returns(text):
    return {text: [text, {"<script>alert(9)</script>": None}]}
`

// executable finds in a page what a job wrote, had it become a part of the page.
// The page's own scripts and pictures have no such words.
var executable = regexp.MustCompile(`(?i)<script>alert|<img src=x|<svg onload|href="javascript:|<i>fila|<b>Error`)

// maxPage bounds a page, in bytes before they are compressed.
const maxPage = 3 << 20

// testHostile shows jobs that want to break pages, or to run in them.
func testHostile(t *testing.T, browser *browsertest.Browser) {
	s := newSite(t, redistest.Options{})
	script, err := os.ReadFile("testdata/rq/hostile_jobs.py")
	if err != nil {
		t.Fatal(err)
	}
	b := newBoard(t, browser, "redis_url = "+s.url+"\nworkers = 2\nqueues = default\n", map[string]string{"hostil.py": hostileModule})
	ran := filepath.Join(b.dir, "ran")
	var ids []string
	const foreign = 170
	if err := json.Unmarshal([]byte(s.stock.Run(t, s.url, string(script), ran, fmt.Sprint(foreign))), &ids); err != nil || len(ids) != foreign {
		t.Fatalf("%d jobs were written: %v", len(ids), err)
	}
	for _, text := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(2)>`, "\x1b]8;;javascript:alert(3)\x07x\x1b]8;;\x07\x1b[31;1mred\x1b[", "a\u202egnp.exe",
		"nul\x00nul", strings.Repeat("<b>", 50_000), "javascript:alert(4)", "</script><svg onload=alert(5)>", "\u2028\r\n\t", "{{.}}`${alert(6)}`",
	} {
		arg, err := json.Marshal([]string{text})
		if err != nil {
			t.Fatal(err)
		}
		for _, function := range []string{"prints", "raises", "returns"} {
			id := b.enqueue("hostil."+function, string(arg), "")
			ids = append(ids, id)
		}
	}
	for _, id := range ids[foreign:] {
		b.ended(id)
	}
	t.Logf("%d hostile jobs", len(ids))
	b.poll("history has what they raised", func() bool { return len(b.found("function:hostil.raises")) == 10 })

	pages := []string{"/", "/?window=7d", "/jobs", "/queues", "/workers", "/schedules", "/settings"}
	for _, state := range []string{"queued", "failed", "finished", "scheduled", "canceled"} {
		pages = append(pages, "/jobs?q=state:"+state)
	}
	for _, queue := range []string{"parada", "default", `<i>fila</i> & "x"`} {
		pages = append(pages, "/queues/"+url.PathEscape(queue))
	}
	pages = append(pages, "/workers/"+url.PathEscape("<script>alert(1)</script>"))
	for _, id := range ids {
		pages = append(pages, job(url.PathEscape(id)))
	}
	t.Run("shown", func(t *testing.T) {
		const tabs = 3
		for shard := range tabs {
			t.Run(fmt.Sprint(shard), func(t *testing.T) {
				t.Parallel()
				b.with(t).showHostile(pages, shard, tabs)
			})
		}
	})
	if _, err := os.Stat(ran); err == nil {
		t.Error("something that a job holds was run to show it")
	}
}

// showHostile opens some of the pages, and reads all views of their jobs.
func (b *board) showHostile(pages []string, first, step int) {
	tab := b.browser.NewTab(b.t, browsertest.Options{})
	for n := first; n < len(pages); n += step {
		b.opens(tab, pages[n])
		if !strings.HasPrefix(pages[n], "/jobs/") {
			continue
		}
		views := []string{"", "arguments", "raw"}
		if n%4 == 0 {
			views = append(views, "error", "log", "result", "attempts")
		}
		for _, view := range views {
			response, err := http.Get(b.pages + pages[n] + "?tab=" + view)
			if err != nil {
				b.t.Fatal(err)
			}
			text, err := io.ReadAll(response.Body)
			response.Body.Close()
			if found := executable.Find(text); err != nil || response.StatusCode != http.StatusOK || found != nil || len(text) > maxPage {
				b.t.Errorf("%q as %s: %d %v, %d bytes, %q in it", pages[n], view, response.StatusCode, err, len(text), found)
			}
		}
	}
}

// opens opens a page and looks for what does not belong there.
func (b *board) opens(tab *browsertest.Tab, page string) {
	tab.Go(b.pages + page)
	if !strings.HasPrefix(page, "/jobs/") {
		tab.Wait(isLive)
	}
	tab.Is(`Boolean(document.querySelector("h1").textContent.trim() && document.querySelector(".rail") && !document.querySelector(".problem-status"))`, true)
	tab.Is(`document.querySelectorAll("main :is(script, img, iframe, object, embed, svg:not(.icon, .lane, .spark))").length`, 0)
	tab.Is(fits, true)
	if problems := tab.Problems(); len(problems) != 0 {
		b.t.Errorf("%q: %q", page, problems)
	}
}
