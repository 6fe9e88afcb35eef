package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro/internal/browsertest"
)

// shot is a page to be taken a picture of.
type shot struct {
	page  string // its name
	state string // empty, full or error
	url   string
	ready string // an expression that is true when it is complete
	prep  func(tab *browsertest.Tab)
}

// maxPicture bounds a picture of the readmes, in bytes.
const maxPicture = 200 << 10

// TestScreenshotsAreTaken makes the pictures of `make screenshots`, where
// DISTRO_SCREENSHOTS names a folder for them: PAGE-STATE-THEME-WIDTH-LANGUAGE.png.
// Those of the readmes go to docs/images as well. DISTRO_SCREENSHOTS_OF has parts of
// the names of those that are wanted, with commas between them.
func TestScreenshotsAreTaken(t *testing.T) {
	folder := os.Getenv("DISTRO_SCREENSHOTS")
	if folder == "" {
		t.Skip("DISTRO_SCREENSHOTS is not set")
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	browser := browsertest.Start(t)
	camera := &camera{t: t, browser: browser, folder: folder, of: os.Getenv("DISTRO_SCREENSHOTS_OF")}
	full := newDemo(t, browser)
	camera.take(full.shots())
	camera.readme(full)
	camera.take(emptyShots(newBoard(t, browser, "workers = 0\n", map[string]string{"fluxo.py": ""})))
	camera.take(errorShots(full))
	full.site.redis.Kill()
	camera.take([]shot{{page: "home", state: "unavailable", url: full.pages + "/", ready: "true"}, {page: "queues", state: "unavailable", url: full.pages + "/queues", ready: "true"}})
	full.site.redis.Restart(t)
	full.end()
}

// camera takes pictures.
type camera struct {
	t       *testing.T
	browser *browsertest.Browser
	folder  string
	of      string
}

// take takes every page in both languages and themes, at three widths.
func (c *camera) take(shots []shot) {
	c.t.Helper()
	for _, language := range []string{"pt-BR", "en"} {
		tab := c.browser.NewTab(c.t, browsertest.Options{Language: language})
		for _, s := range shots {
			names := map[string]func(){}
			var order []string
			for _, dark := range []bool{false, true} {
				for _, width := range []int64{1440, 768, 360} {
					theme := map[bool]string{false: "light", true: "dark"}[dark]
					name := fmt.Sprintf("%s-%s-%s-%d-%s.png", s.page, s.state, theme, width, language)
					if !c.wants(name) {
						continue
					}
					order = append(order, name)
					names[name] = func() {
						tab.SetTheme(dark)
						height := map[int64]int64{1440: 900, 768: 1024, 360: 740}[width]
						tab.Resize(width, height)
						if whole := int64(tab.Number(`document.querySelector("d-log, dialog[open]") ? 0 : document.documentElement.scrollHeight`)); whole > height {
							tab.Resize(width, whole) // so that what sticks to the window's edges does so
						}
					}
				}
			}
			if len(order) == 0 {
				continue
			}
			tab.Resize(1440, 900)
			tab.Go(s.url)
			tab.Wait(s.ready)
			if s.prep != nil {
				s.prep(tab)
			}
			for _, name := range order {
				names[name]()
				// Charts are drawn anew at another width.
				tab.Wait(`new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`)
				c.write(filepath.Join(c.folder, name), tab.Screenshot(false))
			}
		}
		tab.Problems() // answers that are errors are what some of them show
	}
}

// wants reports whether a picture is asked for.
func (c *camera) wants(name string) bool {
	return slices.ContainsFunc(strings.Split(c.of, ","), func(part string) bool { return strings.Contains(name, part) })
}

func (c *camera) write(path string, picture []byte) {
	c.t.Helper()
	if err := os.WriteFile(path, picture, 0o644); err != nil {
		c.t.Fatal(err)
	}
}

// readme takes the pictures of the readmes.
func (c *camera) readme(d *demo) {
	c.t.Helper()
	if !c.wants("readme") {
		return
	}
	for name, s := range map[string]struct {
		options browsertest.Options
		url     string
		ready   string
	}{
		"home-pt":       {browsertest.Options{Width: 1280, Height: 800, Language: "pt-BR"}, "/", chartDrawn},
		"home-en":       {browsertest.Options{Width: 1280, Height: 800, Dark: true}, "/", chartDrawn},
		"error-pt":      {browsertest.Options{Width: 1280, Height: 800, Language: "pt-BR"}, job(d.failed), isLive},
		"automation-pt": {browsertest.Options{Width: 1280, Height: 800, Language: "pt-BR"}, "/automations/fiscal.nfse/emitir", isLive + " && " + offered("tomador")},
		"jobs-en":       {browsertest.Options{Width: 1280, Height: 800}, "/jobs", isLive},
		"phone-pt":      {browsertest.Options{Width: 360, Height: 740, Language: "pt-BR", Dark: true}, job(d.failed), isLive},
	} {
		tab := c.browser.NewTab(c.t, s.options)
		tab.Go(d.pages + s.url)
		tab.Wait(s.ready)
		picture := tab.Screenshot(false)
		if len(picture) > maxPicture {
			c.t.Errorf("the picture %s has %d bytes", name, len(picture))
		}
		if err := os.MkdirAll("../../docs/images", 0o755); err != nil {
			c.t.Fatal(err)
		}
		c.write(filepath.Join("../../docs/images", name+".png"), picture)
	}
}

// chartDrawn is true when the first chart is there.
const chartDrawn = isLive + ` && (!document.querySelector("d-chart") || document.querySelector("d-chart").shadowRoot?.querySelector("canvas"))`

// shots are the pages of the demonstration.
func (d *demo) shots() []shot {
	at := func(page, path string) shot {
		return shot{page: page, state: "full", url: d.pages + path, ready: chartDrawn}
	}
	help := at("help", "/jobs")
	help.prep = func(tab *browsertest.Tab) { tab.Press("?") }
	sheet := at("sheet", "/jobs?q=state:failed")
	sheet.prep = func(tab *browsertest.Tab) {
		tab.Do(`document.querySelectorAll("#rows input").forEach((box, n) => n < 3 && box.click())`)
		tab.Click(`button[value="requeue"]`)
		tab.Wait(`document.querySelector("main form.form .primary")`)
	}
	marked := at("marked", "/jobs?q=state:failed")
	marked.prep = func(tab *browsertest.Tab) {
		tab.Do(`document.querySelectorAll("#rows input").forEach((box, n) => n < 3 && box.click())`)
	}
	form := at("automation", "/automations/fiscal.nfse/emitir")
	form.ready = isLive + " && " + offered("tomador")
	preset := at("automation-preset", "/automations/fiscal.nfse/emitir?preset=cl%C3%ADnica")
	preset.ready = form.ready
	preset.prep = func(tab *browsertest.Tab) {
		tab.Do(`document.querySelectorAll(".presets details, details:has(#preset)").forEach((d) => d.open = true)`)
	}
	log := at("log", job(d.running))
	log.ready = `document.querySelectorAll(".log-row").length > 5`
	failedLog := at("failed-log", job(d.failed)+"?tab=log")
	failedLog.ready = `document.querySelectorAll(".log-row").length > 3`
	return []shot{
		at("home", "/"), at("jobs", "/jobs"), at("failed", "/jobs?q=state:failed"), at("job-error", job(d.failed)), log, failedLog,
		at("job-arguments", job(d.finished)+"?tab=arguments"), at("job-result", job(d.finished)), at("job-attempts", job(d.failed)+"?tab=attempts"),
		at("job-files", job(d.failed)+"?tab=files"), at("job-raw", job(d.failed)+"?tab=raw"), at("job-scheduled", job(d.scheduled)),
		at("automations", "/automations"), form, preset, at("automation-file", "/automations/financeiro.extrato/importar"), at("automation-history", "/automations/fiscal.nfse/baixar_xml?tab=history"),
		at("automation-charts", "/automations/fiscal.nfse/baixar_xml?tab=charts"), at("automation-source", "/automations/fiscal.nfse/emitir?tab=source"),
		at("queues", "/queues"), at("queue", "/queues/low"), at("workers", "/workers"), at("worker", "/workers/rpa-01"), at("schedules", "/schedules"),
		at("settings", "/settings"), at("operation", "/operations/"+d.operation), help, sheet, marked,
	}
}

func emptyShots(b *board) []shot {
	var shots []shot
	for page, path := range map[string]string{
		"home": "/", "jobs": "/jobs", "failed": "/jobs?q=state:failed", "automations": "/automations", "queues": "/queues", "queue": "/queues/default",
		"workers": "/workers", "schedules": "/schedules", "settings": "/settings",
	} {
		shots = append(shots, shot{page: page, state: "empty", url: b.pages + path, ready: isLive})
	}
	return shots
}

func errorShots(d *demo) []shot {
	refused := shot{page: "automation", state: "error", url: d.pages + "/automations/fiscal.nfse/emitir", ready: isLive, prep: func(tab *browsertest.Tab) {
		tab.Click(`.run-form .actions .primary`)
		tab.Wait(`document.querySelector(".run-form .problem")`)
	}}
	return []shot{
		{page: "job", state: "error", url: d.pages + "/jobs/nothing", ready: "true"}, {page: "jobs", state: "error", url: d.pages + "/jobs?q=estado:falhou+fla:high", ready: isLive}, refused,
	}
}
