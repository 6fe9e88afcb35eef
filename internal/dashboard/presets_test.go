package dashboard_test

import (
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker/sqlitebroker"
	"github.com/distro-orchestrator/distro/internal/dashboard"
	"github.com/distro-orchestrator/distro/internal/service"
	"github.com/distro-orchestrator/distro/internal/store"
)

// billing is a module whose function bill has parameters of several kinds.
func billing() []distro.Module {
	parameter := func(name, annotation string, standard ...string) distro.Parameter {
		p := distro.Parameter{Name: name, Kind: distro.PositionalOrKeyword, Annotation: annotation}
		if len(standard) > 0 {
			p.Default = &standard[0]
		}
		return p
	}
	return []distro.Module{{Name: "fin", Functions: []distro.Function{{Name: "bill", Parameters: []distro.Parameter{
		parameter("who", "str"), parameter("day", "date"), parameter("n", "int", "1"), parameter("senha", "str"), parameter("file", "Path | None", "None"), parameter("lines", "list[str]", "[]"),
	}}}}}
}

const bill = "/automations/fin/bill"

// preset is one of bill.
func (b *bundle) preset(name string) service.Preset {
	b.t.Helper()
	p, err := b.service.Preset(b.t.Context(), "fin", "bill", name)
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

func TestAPresetKeepsTheFormAndFillsItInAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, billing())
	p := readPage(t, b.get(bill))
	w := b.submit(bill, p, "kw.who", "ACME <i>", "kw.senha", "s3cret", "kw.lines", "a\nb", "opt.queue", "low", "opt.timeout", "1h30", "opt.at", "2030-01-01T10:00", "opt.preset", " Mês/1 ", "do", "save-preset")
	p = readPage(t, w.Body.String())
	has(t, p.text, "The preset “Mês/1” is saved. Not kept: Run at, senha.", `href="/automations/fin/bill?preset=M%C3%AAs%2F1" aria-current="true"`)
	if w.Code != http.StatusOK || p.values.Get("kw.who") != "ACME <i>" || p.values.Get("kw.senha") != "s3cret" || p.values.Get("opt.timeout") != "1h30" || b.jobs() > 0 {
		t.Errorf("%d %v, %d jobs", w.Code, p.values, b.jobs())
	}
	kept := b.preset("mês/1")
	if string(kept.Kwargs) != `{"who":"ACME \u003ci\u003e","n":1,"file":null,"lines":["a","b"]}` || string(kept.Args) != "[]" || !kept.Typed || kept.Queue != "low" || kept.Timeout.Minutes() != 90 || kept.Caller != "dashboard" {
		t.Errorf("%s %+v", kept.Kwargs, kept)
	}

	p = readPage(t, b.get(bill+"?preset="+url.QueryEscape("MÊS/1")))
	has(t, p.text, "Filled in with the preset “Mês/1”.")
	for control, want := range map[string]string{"kw.who": "ACME <i>", "kw.senha": "", "kw.n": "1", "kw.lines": "a\nb", "opt.queue": "low", "opt.timeout": "1h30min", "opt.at": "", "opt.preset": "Mês/1"} {
		if got := p.values.Get(control); got != want {
			t.Errorf("%s is %q, want %q", control, got, want)
		}
	}
	job, _, kwargs := b.ran(b.submit(bill, p, "kw.senha", "x", "kw.day", "2026-11-30", "do", "follow"))
	if job.Queue != "low" || !strings.Contains(kwargs, `"lines":["a","b"]`) {
		t.Errorf("%+v %s", job, kwargs)
	}
	p = readPage(t, b.get(bill+"?preset=nothing"))
	has(t, p.text, "There is no preset “nothing” any more")
	p = readPage(t, b.get(bill+"?preset=M%C3%AAs/1&kw.who=Beta"))
	if got := p.values.Get("kw.who"); got != "Beta" {
		t.Errorf("the address says Beta, the form %q", got)
	}
}

func TestAPresetIsReplacedAndDeletedWhenThatIsConfirmed(t *testing.T) {
	t.Parallel()
	b := setup(t, billing())
	first := readPage(t, b.get(bill))
	b.submit(bill, first, "kw.who", "one", "opt.preset", "p", "do", "save-preset")
	if w := b.submit(bill, first, "kw.who", "one", "opt.preset", "p", "do", "save-preset"); w.Code != http.StatusOK {
		t.Errorf("the same again: %d", w.Code)
	}
	w := b.submit(bill, first, "kw.who", "two", "opt.preset", "P", "do", "save-preset")
	p := readPage(t, w.Body.String())
	if w.Code != http.StatusConflict || p.values.Get("kw.who") != "two" || !strings.Contains(string(b.preset("p").Kwargs), "one") {
		t.Errorf("%d %v", w.Code, p.values)
	}
	has(t, p.text, "There is already a preset “P” with other values.", `value="replace-preset"`)
	b.submit(bill, first, "kw.who", "other", "opt.preset", "other", "do", "save-preset")
	w = b.submit(bill, p, "opt.preset", "other", "do", "replace-preset")
	has(t, w.Body.String(), "There is already a preset “other” with other values.")
	if w.Code != http.StatusConflict || !strings.Contains(string(b.preset("other").Kwargs), `"other"`) {
		t.Errorf("a name that nobody was asked about: %d", w.Code)
	}
	if w = b.submit(bill, p, "do", "replace-preset"); w.Code != http.StatusOK || !strings.Contains(string(b.preset("p").Kwargs), "two") {
		t.Errorf("%d", w.Code)
	}
	has(t, b.get(bill+"?preset=p"), "Delete “P”…", `action="/automations/fin/bill/presets/delete"`)
	for range 2 { // somebody else may have been faster
		if w := b.post(bill+"/presets/delete", "name", "P"); w.Code != http.StatusSeeOther || w.Header().Get("Location") != bill {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	if text := b.get(bill); strings.Contains(text, "?preset=p\"") {
		t.Error("it is still there")
	}
}

func TestEnterBehindTheNameOfAPresetRunsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, billing())
	full := []string{"kw.who", "one", "kw.day", "2026-11-30", "kw.senha", "x", "do", "enter"}
	w := b.submit(bill, readPage(t, b.get(bill)), append(full, "opt.preset", "p")...)
	if w.Code != http.StatusOK || b.jobs() > 0 {
		t.Fatalf("%d, %d jobs", w.Code, b.jobs())
	}
	b.preset("p")
	b.ran(b.submit(bill, readPage(t, b.get(bill+"?preset=p")), full...)) // the name was there before
}

func TestWhatIsWrongWithAPresetIsSaidAndNothingIsLost(t *testing.T) {
	t.Parallel()
	b := setup(t, billing())
	for _, tt := range []struct {
		pairs  []string
		status int
		want   string
	}{
		{[]string{"opt.preset", ""}, 422, "Give the preset a name."},
		{[]string{"opt.preset", ".."}, 422, "The name must be one line"},
		{[]string{"opt.preset", strings.Repeat("x", 81)}, 422, "at most 80 characters"},
		{[]string{"opt.preset", "p", "kw.n", "many"}, 422, "Write a whole number."},
		{[]string{"opt.preset", "p", "opt.retries", "1000"}, 422, "must be 0 to 100"},
		{[]string{"opt.preset", "p", "opt.queue", "closed"}, 422, "there is no queue"},
		{[]string{"opt.preset", "p", "kw.lines", strings.Repeat("x", 70_000)}, 422, "a preset keeps at most 65536"},
	} {
		w := b.submit(bill, readPage(t, b.get(bill)), append([]string{"kw.who", "typed", "do", "save-preset"}, tt.pairs...)...)
		p := readPage(t, w.Body.String())
		if w.Code != tt.status || !strings.Contains(problems(p.text), tt.want) || p.values.Get("kw.who") != "typed" {
			t.Errorf("%.60v: %d %s", tt.pairs, w.Code, problems(p.text))
		}
	}
	if list, err := b.service.Presets(t.Context(), "fin", "bill"); err != nil || len(list) > 0 {
		t.Errorf("%d are kept, %v", len(list), err)
	}
}

func TestAPresetThatDoesNotFitAnyMoreFillsInWhatDoes(t *testing.T) {
	t.Parallel()
	modules := billing()
	b := setup(t, modules)
	saved := service.Preset{Name: "typed", Kwargs: []byte(`{"who":"ACME","day":"2026-11-30","n":3}`), Typed: true, Queue: "low"}
	if _, _, err := b.service.SavePreset(t.Context(), "fin", "bill", saved, true); err != nil {
		t.Fatal(err)
	}
	parameters := modules[0].Functions[0].Parameters
	parameters[1].Name, parameters[0].Annotation = "due", "int"
	p := readPage(t, b.get(bill+"?preset=typed"))
	has(t, p.text, "Some of it does not fit the function any more, and is left out: who, day.")
	if p.values.Get("kw.who") != "" || p.values.Get("opt.queue") != "low" || p.values.Get("kw.n") != "3" {
		t.Errorf("%v", p.values)
	}
}

func TestAQueueThatIsNotServedAnyMoreIsNamed(t *testing.T) {
	t.Parallel()
	b := setup(t, billing())
	kept := store.Preset{Module: "fin", Function: "bill", Name: "p", Content: `{"args":[],"kwargs":{"who":"ACME"},"queue":"closed"}`}
	if _, err := b.history.SavePreset(t.Context(), kept, true); err != nil {
		t.Fatal(err)
	}
	p := readPage(t, b.get(bill+"?preset=p", "Accept-Language", "pt-BR"))
	has(t, p.text, "ficou de fora: Fila.")
	if p.values.Get("kw.who") != "ACME" || p.values.Get("opt.queue") != "default" {
		t.Errorf("%v", p.values)
	}
}

func TestWhileHistoryIsAwayTheFormGoesOnWithoutPresets(t *testing.T) {
	t.Parallel()
	b := setup(t, billing())
	if _, _, err := b.service.SavePreset(t.Context(), "fin", "bill", service.Preset{Name: "p", Kwargs: []byte(`{"who":"ACME"}`)}, true); err != nil {
		t.Fatal(err)
	}
	first := readPage(t, b.get(bill))
	if err := b.history.Close(); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{bill, bill + "?preset=p"} {
		p := readPage(t, b.get(address))
		has(t, p.text, "The presets cannot be read now", `name="kw.who"`)
	}
	w := b.submit(bill, first, "kw.who", "typed", "opt.preset", "q", "do", "save-preset")
	p := readPage(t, w.Body.String())
	has(t, problems(p.text), "The preset was not saved:")
	if w.Code < http.StatusInternalServerError || p.values.Get("kw.who") != "typed" {
		t.Errorf("%d %v", w.Code, p.values)
	}
	b.ran(b.submit(bill, first, "kw.who", "ACME", "kw.day", "2026-11-30", "kw.senha", "x", "do", "follow"))
}

func TestAPresetKeepsNoFiles(t *testing.T) {
	t.Parallel()
	b := setup(t, billing())
	w := b.multi(bill, []sentFile{{"kw.file", "a.txt", "content"}}, "kw.who", "ACME", "opt.preset", "p", "do", "save-preset")
	has(t, w.Body.String(), "Not kept: file.", "a.txt")
	if kept := string(b.preset("p").Kwargs); strings.Contains(kept, "a.txt") {
		t.Errorf("%s", kept)
	}
}

func TestReadersSavePresetsNeitherNorDeleteThem(t *testing.T) {
	t.Parallel()
	b := setup(t, billing(), closed)
	if _, _, err := b.service.SavePreset(t.Context(), "fin", "bill", service.Preset{Name: "p"}, true); err != nil {
		t.Fatal(err)
	}
	reader := []string{"Authorization", "Bearer " + readSecret}
	text := b.get(bill+"?preset=p", reader...)
	has(t, text, "Filled in with the preset “p”.", "?preset=p")
	for _, part := range []string{"save-preset", "presets/delete"} {
		if strings.Contains(text, part) {
			t.Errorf("a reader is offered %s", part)
		}
	}
	for _, address := range []string{bill, bill + "/presets/delete"} {
		if w := b.send(http.MethodPost, address, "name=p&do=save-preset&opt.preset=q", append(reader, "Sec-Fetch-Site", "same-origin")...); w.Code != http.StatusForbidden {
			t.Errorf("%s: %d", address, w.Code)
		}
	}
	b.preset("p")
	if w := b.send(http.MethodPost, bill+"/presets/delete", "name=p", "Authorization", "Bearer "+secret, "Sec-Fetch-Site", "cross-site"); w.Code != http.StatusForbidden {
		t.Errorf("of another site: %d", w.Code)
	}
}

func TestWithoutAStoreNoPresetsAreDrawn(t *testing.T) {
	t.Parallel()
	queue, err := sqlitebroker.Open(t.Context(), sqlitebroker.Options{Path: filepath.Join(t.TempDir(), "queue.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = queue.Close() })
	without, err := service.New(service.Options{Broker: queue, Catalog: catalog{modules: billing()}, Queues: []string{"default"}})
	if err != nil {
		t.Fatal(err)
	}
	b := setup(t, nil, func(o *dashboard.Options) { o.Service = without })
	if text := b.get(bill); strings.Contains(text, "preset") {
		t.Error("presets are drawn")
	}
}
