package dashboard_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/pickle"
)

// shop is a module whose function sell is offered values.
func shop() []distro.Module {
	named := func(name, annotation string) distro.Parameter {
		return distro.Parameter{Name: name, Kind: distro.PositionalOrKeyword, Annotation: annotation}
	}
	one := "1"
	n := named("n", "int")
	n.Default = &one
	return []distro.Module{{Name: "shop", Hash: "1", Functions: []distro.Function{
		{Name: "sell", Parameters: []distro.Parameter{
			named("who", "str"), named("at", "datetime"), named("tags", "list[str]"), named("size", "Literal['S', 'M']"), named("mensagem", "str"), named("senha", "str"), n,
		}},
		{Name: "opcoes_who"}, {Name: "options_at"}, {Name: "opcoes_tags"}, {Name: "opcoes_size"}, {Name: "opcoes_mensagem"}, {Name: "opcoes_senha"}, {Name: "opcoes_n", Parameters: []distro.Parameter{named("x", "")}},
	}}}
}

const (
	sell    = "/automations/shop/sell"
	options = sell + "/options/"
)

// served lets a worker be there.
func (b *bundle) served() *bundle {
	b.t.Helper()
	if _, err := b.broker.Exchange(b.t.Context(), broker.ExchangeRequest{Worker: distro.Worker{Name: "tester", Queues: []string{"default"}}, Beat: 1}); err != nil {
		b.t.Fatal(err)
	}
	return b
}

// returns lets the next job return a value, or fail where that is nil.
func (b *bundle) returns(value any) {
	b.t.Helper()
	if err := b.broker.Wait(b.t.Context(), broker.Interest{Queues: []string{"default"}}); err != nil {
		b.t.Fatal(err)
	}
	who := distro.Worker{Name: "tester", Queues: []string{"default"}}
	reply, err := b.broker.Exchange(b.t.Context(), broker.ExchangeRequest{Worker: who, Beat: 2, Want: broker.Want{Queues: who.Queues, Tokens: []string{distro.NewID()}, Begun: 1}})
	if err != nil || len(reply.Claims) != 1 {
		b.t.Fatalf("%d jobs to run, %v", len(reply.Claims), err)
	}
	result := distro.Result{Outcome: distro.OutcomeFailed, Failure: &distro.Failure{Kind: distro.FailureException, Type: "ValueError", Message: "<b>no</b> database"}}
	if value != nil {
		data, err := pickle.Append(nil, value)
		if err != nil {
			b.t.Fatal(err)
		}
		result = distro.Result{Outcome: distro.OutcomeFinished, Pickle: data}
	}
	c := reply.Claims[0]
	if _, err := b.broker.Exchange(b.t.Context(), broker.ExchangeRequest{Worker: who, Beat: 3, Settle: []broker.Settlement{{Claim: broker.Claim{JobID: c.Job.ID, Token: c.Token}, Result: result}}}); err != nil {
		b.t.Fatal(err)
	}
}

// meanwhile sends something, and lets the job that comes of it return a value.
func (b *bundle) meanwhile(value any, send func() *httptest.ResponseRecorder) *httptest.ResponseRecorder {
	b.t.Helper()
	var w *httptest.ResponseRecorder
	var group sync.WaitGroup
	group.Go(func() { w = send() })
	b.returns(value)
	group.Wait()
	return w
}

var listed = regexp.MustCompile(`<option value="([^"]*)">([^<]*)</option>`)

// listOf is the list of values beside a field.
func listOf(page, field string) string {
	_, rest, _ := strings.Cut(page, `<datalist id="f-kw.`+field+`-suggest-list">`)
	list, _, _ := strings.Cut(rest, "</datalist>")
	var all []string
	for _, m := range listed.FindAllStringSubmatch(list, -1) {
		all = append(all, m[1]+"="+m[2])
	}
	return strings.Join(all, " ")
}

func TestAFieldAsksForItsOptionsAndKeepsWhatWasTyped(t *testing.T) {
	t.Parallel()
	b := setup(t, shop()).served()
	opened := readPage(t, b.get(sell))
	has(t, opened.text, `data-suggest="/automations/shop/sell/options/who" data-suggest-load`, `name="suggest" value="kw.who"`, `list="f-kw.at-suggest-list"`)
	if b.jobs() > 0 {
		t.Error("opening the form made a job")
	}
	for _, other := range []string{"options/size", "options/senha"} {
		if strings.Contains(opened.text, other) {
			t.Errorf("the form asks for %s", other)
		}
	}
	if opened.kinds["kw.mensagem"] != "text" {
		t.Errorf("a text with options is a %s", opened.kinds["kw.mensagem"])
	}
	w := b.meanwhile([]any{pickle.Tuple{"1001", "ACME & Co"}, "<i>", "ACME"}, func() *httptest.ResponseRecorder {
		return b.submit(sell, opened, "kw.who", "typed", "kw.mensagem", "olá", "suggest", "kw.who")
	})
	p := readPage(t, w.Body.String())
	if got := listOf(p.text, "who"); w.Code != http.StatusOK || got != "1001=ACME &amp; Co &lt;i&gt;= ACME=" || p.values.Get("kw.who") != "typed" || p.values.Get("kw.mensagem") != "olá" {
		t.Errorf("%d %s %v", w.Code, got, p.values)
	}
	has(t, p.text, "Options of shop.opcoes_who: 3.", `name="suggest-again" value="kw.who"`)
	if problems(p.text) != "" || b.jobs() != 1 {
		t.Errorf("%s, %d jobs", problems(p.text), b.jobs())
	}

	// They stay when the form comes back, and when another one is opened.
	again := readPage(t, b.get(sell))
	if listOf(again.text, "who") == "" || strings.Contains(again.text, `options/who" data-suggest-load`) || b.jobs() != 1 {
		t.Errorf("the options are not there again, or %d jobs", b.jobs())
	}
	w = b.meanwhile([]any{"new"}, func() *httptest.ResponseRecorder { return b.submit(sell, p, "suggest-again", "kw.who") })
	if got := listOf(w.Body.String(), "who"); got != "new=" {
		t.Errorf("asked anew: %s", got)
	}

	// A form with a problem has them too; the job gets what was typed.
	p = readPage(t, b.submit(sell, p, "do", "run").Body.String())
	if listOf(p.text, "who") != "new=" || problems(p.text) == "" {
		t.Errorf("%s %s", listOf(p.text, "who"), problems(p.text))
	}
	job, _, kwargs := b.ran(b.submit(sell, p, "kw.at", "2026-12-24T18:30", "kw.tags", "a", "kw.size", "S", "kw.senha", "x", "do", "run"))
	if !strings.Contains(kwargs, `"who":"typed"`) || job.Trigger != distro.TriggerAPI {
		t.Errorf("%+v %s", job, kwargs)
	}
}

func TestAScriptGetsTheOptionsOfOneField(t *testing.T) {
	t.Parallel()
	b := setup(t, shop()).served()
	post := func(parameter string) *httptest.ResponseRecorder { return b.post(options + parameter) }
	w := b.meanwhile([]any{"2026-12-24T18:30:00", "2026-12-24T18:30:00-03:00", pickle.Tuple{"tomorrow", "x"}}, func() *httptest.ResponseRecorder { return post("at") })
	if got := listOf(w.Body.String(), "at"); w.Code != http.StatusOK || got != "2026-12-24T18:30= 2026-12-24T21:30=" || strings.Contains(w.Body.String(), "<html") {
		t.Errorf("%d %s\n%s", w.Code, got, w.Body)
	}
	has(t, w.Body.String(), "Values that do not fit and are left out: 1, like", "x: must be", "See the job")
	w = b.meanwhile(nil, func() *httptest.ResponseRecorder { return post("who") })
	has(t, w.Body.String(), "shop.opcoes_who offers no options:", "ValueError: &lt;b&gt;no&lt;/b&gt; database", `<a href="/jobs/`)
	if w := post("n"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "shop.opcoes_n needs arguments, and is called without any") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, parameter := range []string{"size", "senha", "nothing"} {
		if w := post(parameter); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", parameter, w.Code)
		}
	}
	if w := b.send(http.MethodGet, options+"at", ""); w.Code != http.StatusMethodNotAllowed && w.Code != http.StatusNotFound {
		t.Errorf("GET: %d", w.Code)
	}
	if w := b.send(http.MethodPost, options+"at", "", "Sec-Fetch-Site", "cross-site"); w.Code != http.StatusForbidden {
		t.Errorf("of another site: %d", w.Code)
	}
}

func TestAnOptionBecomesALineOfAList(t *testing.T) {
	t.Parallel()
	b := setup(t, shop()).served()
	w := b.meanwhile([]any{pickle.Tuple{"a", "first"}, "b"}, func() *httptest.ResponseRecorder {
		return b.submit(sell, readPage(t, b.get(sell)), "kw.tags", "typed\n", "suggest", "kw.tags")
	})
	p := readPage(t, w.Body.String())
	has(t, p.text, `<option value="a">first — a</option>`)
	p = readPage(t, b.submit(sell, p, "pick:kw.tags", "a", "pick", "kw.tags").Body.String())
	p = readPage(t, b.submit(sell, p, "pick:kw.tags", "b", "pick", "kw.tags").Body.String())
	if got := strings.ReplaceAll(p.values.Get("kw.tags"), "\r", ""); got != "typed\na\nb" {
		t.Errorf("%q", got)
	}
	p = readPage(t, b.submit(sell, p, "pick:kw.who", "a", "pick", "kw.who").Body.String())
	if got := p.values.Get("kw.who"); got != "" {
		t.Errorf("a field of one line took %q", got)
	}
}

func TestWithoutAWorkerNobodyWaitsForOptions(t *testing.T) {
	t.Parallel()
	b := setup(t, shop())
	p := readPage(t, b.submit(sell, readPage(t, b.get(sell)), "kw.who", "typed", "suggest", "kw.who").Body.String())
	has(t, p.text, "No worker takes jobs now, so shop.opcoes_who cannot be asked for options.")
	if p.values.Get("kw.who") != "typed" || b.jobs() > 0 {
		t.Errorf("%q, %d jobs", p.values.Get("kw.who"), b.jobs())
	}
}

func TestReadersAskForNoOptions(t *testing.T) {
	t.Parallel()
	b := setup(t, shop(), closed).served()
	reader := []string{"Authorization", "Bearer " + readSecret}
	if text := b.get(sell, reader...); strings.Contains(text, "-suggest") {
		t.Error("the form of a reader asks for options")
	}
	for _, address := range []string{sell, options + "who"} {
		w := b.send(http.MethodPost, address, "suggest=kw.who", append(reader, "Sec-Fetch-Site", "same-origin")...)
		if w.Code != http.StatusForbidden || b.jobs() > 0 {
			t.Errorf("%s: %d, %d jobs", address, w.Code, b.jobs())
		}
	}
}

func TestFunctionsThatOfferOptionsAreMarked(t *testing.T) {
	t.Parallel()
	b := setup(t, shop())
	has(t, b.get("/automations"), `opcoes_who</a> <span class="badge">options of who</span>`)
	has(t, b.get("/automations/shop/options_at", "Accept-Language", "pt-BR"), `<span class="badge">opções de at</span>`)
}
