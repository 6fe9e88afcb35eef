package e2e_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro/internal/browsertest"
	"github.com/distro-orchestrator/distro/internal/redistest"
)

// testRedisGone looks at pages while the queue is away.
func testRedisGone(t *testing.T, browser *browsertest.Browser) {
	s := newSite(t, redistest.Options{})
	b := newBoard(t, browser, "redis_url = "+s.url+"\nworkers = 1\nqueues = default\n", nil)
	done := b.enqueue("fluxo.works", "", "")
	b.ended(done)
	b.remembered("state:finished", 1)
	tab := b.at("/jobs", browsertest.Options{})
	row := fmt.Sprintf(`document.querySelector('#rows tr[data-job="%s"]')`, done)
	tab.Is(`Boolean(`+row+`)`, true)
	tab.Do(`window.stays = true`)
	s.redis.Kill()
	tab.Wait(`document.querySelector("d-live").dataset.state !== "open" && /ago$/.test(document.querySelector(".live-text").textContent)`)
	tab.Is(`Boolean(`+row+`)`, true) // what was known stays

	other := browser.NewTab(t, browsertest.Options{})
	for _, path := range []string{"/", job("nothing"), "/queues", "/workers"} {
		other.Go(b.pages + path)
		requests := other.Requests()
		if len(requests) == 0 || requests[0].Status != http.StatusServiceUnavailable {
			t.Errorf("%s without Redis: %+v", path, requests)
		}
		other.Is(`document.querySelector("h1").textContent`, "Unavailable at the moment")
		other.Is(`document.querySelector(".rail nav") !== null`, true)
	}
	s.redis.Restart(t)
	back := time.Now()
	b.poll("a page is there again", func() bool {
		address := other.Text(`document.querySelector("main .button")?.href ?? ""`)
		if address != "" {
			other.Go(address) // the page's own button
		}
		return address == ""
	})
	t.Logf("a page that is opened is there %v after Redis is back", time.Since(back).Round(time.Millisecond))
	other.Is(`document.querySelector("h1").textContent`, "Workers")
	tab.Wait(isLive)
	id := b.enqueue("fluxo.works", "", "")
	tab.Wait(fmt.Sprintf(`document.querySelector("[data-live-new]")?.checkVisibility() || document.querySelector('[data-job="%s"]')`, id))
	t.Logf("a page that was open is live %v after Redis is back", time.Since(back).Round(time.Millisecond))
	tab.Is(`stays`, true)
	tab.Problems() // answers that were errors, as htmx tells of them
	other.Problems()
}
