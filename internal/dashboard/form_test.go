package dashboard_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/service"
)

// declared are types that a module might declare.
func declared() []distro.Type {
	return []distro.Type{
		{Name: "Color", Kind: distro.Enumeration, Fields: []distro.Parameter{{Name: "RED", Default: text("'red'")}, {Name: "TWO", Default: text("2")}}},
		{Name: "Uf", Kind: distro.Alias, Of: "Literal['SP', 'RJ', 'MG', 'RS', 'PR', 'null', '']"},
		{Name: "Place", Kind: distro.Record, Class: true, Fields: []distro.Parameter{
			{Name: "street", Annotation: "str"}, {Name: "number", Annotation: "int | None", Default: text("None")},
		}},
		{Name: "Client", Kind: distro.Record, Class: true, Doc: "Who pays.", Fields: []distro.Parameter{
			{Name: "name", Annotation: "str"}, {Name: "active", Annotation: "bool", Default: text("True")}, {Name: "place", Annotation: "Place"},
		}},
		{Name: "Keys", Kind: distro.Record, Fields: []distro.Parameter{{Name: "a", Annotation: "int"}, {Name: "b", Annotation: "str", Default: text("...")}}},
	}
}

// module holds one function f with one parameter a.
func module(name, annotation string, standard *string) distro.Module {
	return distro.Module{Name: name, Types: declared(), Functions: []distro.Function{{Name: "f", Parameters: []distro.Parameter{
		{Name: "a", Kind: distro.PositionalOrKeyword, Annotation: annotation, Default: standard},
	}}}}
}

// only is module m alone.
func only(annotation string, standard *string) []distro.Module {
	return []distro.Module{module("m", annotation, standard)}
}

const address = "/automations/m/f"

// same reports whether two JSON texts mean the same.
func same(t *testing.T, a, b string) bool {
	t.Helper()
	return reflect.DeepEqual(meant(t, a), meant(t, b))
}

func meant(t *testing.T, text string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return exactly(value)
}

// exactly replaces numbers by what they are worth.
func exactly(value any) any {
	switch v := value.(type) {
	case json.Number:
		r, _ := new(big.Rat).SetString(v.String())
		return "number " + r.String()
	case []any:
		for i := range v {
			v[i] = exactly(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = exactly(v[k])
		}
	}
	return value
}

// called stores a job that called f with a.
func (b *bundle) called(id, module, value string) {
	b.t.Helper()
	b.enqueue(distro.Job{ID: id, Queue: "high", Function: module + ".f", Timeout: 1e9, Payload: distro.Payload{
		Serializer: distro.SerializerJSON, Data: fmt.Appendf(nil, `["%s.f", null, [], {"a": %s}]`, module, value),
	}})
}

// TestEveryValueComesBackFromItsControlAsItWas fills the form from an earlier
// job, sends it unchanged, and compares the calls.
func TestEveryValueComesBackFromItsControlAsItWas(t *testing.T) {
	t.Parallel()
	table := map[string][]string{
		"str":                     {`"ACME"`, `"  two  spaces "`, `"<script>\"'&"`, `"a\nb"`, `"é 😀"`, `"nul\u0000"`, `"cr\r\nlf"`, `5`, `null`, `["x"]`},
		"str | None":              {`"x"`, `""`, `null`, `"null"`},
		"int":                     {`0`, `-5`, `123456789012345678901234567890`, `"5"`, `true`, `1.5`},
		"int | None":              {`7`, `null`},
		"float":                   {`1.50`, `1e10`, `-0.5`, `3`},
		"Decimal":                 {`10.50`, `0`},
		"bool":                    {`true`, `false`, `1`},
		"bool | None":             {`true`, `false`, `null`},
		"date":                    {`"2026-01-31"`, `"31/01/2026"`},
		"datetime":                {`"2026-01-31T10:00:00-03:00"`, `"2026-01-31T10:00:00.25+00:00"`, `"2026-01-31T10:00:00"`},
		"time":                    {`"08:30:00"`, `"08:30:15"`, `"8h"`},
		"timedelta":               {`5400`, `90061`, `0`, `1.5`, `-60`},
		"Literal['a', 'b', 3]":    {`"a"`, `3`, `"c"`},
		"Literal[1, '1', 'true']": {`1`, `"1"`, `"true"`},
		"Color":                   {`"red"`, `2`},
		"Color | None":            {`"red"`, `null`},
		"Uf":                      {`"SP"`, `"null"`, `""`},
		"list[str]":               {`["a","b"]`, `["1","null"]`, `["a\nb"]`, `["",""]`, `[]`, `[1]`, `"a"`},
		"list[int]":               {`[1,2,3]`, `[1,"2"]`},
		"list":                    {`["a",1,null,true,{"b":[2]}]`, `["007","7"]`, `["a","[1]"]`},
		"set[date]":               {`["2026-01-31"]`},
		"list[Literal['x','y']]":  {`["x"]`, `["y","x"]`, `["x","x"]`},
		"tuple[int, str]":         {`[1,"a"]`, `[1]`},
		"dict":                    {`{"a":1,"b":"x"}`, `{"a":{"b":1}}`, `{"a=b":1}`, `{"":1}`, `{"a":"1"}`, `{}`},
		"dict[str, str]":          {`{"a":"1","b c":"x = y"}`, `{"a":"x\ny"}`},
		"dict[str, list[str]]":    {`{"a":["x","y"],"b":["z"]}`, `{"a":[]}`},
		"dict[str, Client]":       {`{"k":{"name":"A","active":false,"place":{"street":"R","number":1}}}`},
		"list[list[int]]":         {`[[1,2],[3]]`},
		"list[dict]":              {`[{"a":1},{"b":"x"}]`},
		"list[Client]":            {`[{"name":"A","active":true,"place":{"street":"R","number":null}},{"name":"B","active":false,"place":{"street":"S","number":2}}]`},
		"list[tuple[int, date]]":  {`[[1,"2026-01-31"],[2,"2026-02-01"]]`},
		"Client":                  {`{"name":"A","active":true,"place":{"street":"R","number":7}}`, `{"name":"A","extra":1}`},
		"Client | None":           {`{"name":"A","active":true,"place":{"street":"R","number":7}}`, `null`},
		"Keys":                    {`{"a":1}`, `{"a":1,"b":"x"}`},
		"str | list[str]":         {`"a"`, `["a","b"]`, `["a"]`},
		"int | str":               {`5`, `"x"`, `"5"`, `""`},
		"str | dict":              {`"x"`, `{"a":[1]}`},
		"Path":                    {`"/tmp/a b.csv"`},
		"bytes":                   {`"text"`},
		"":                        {`"x"`, `"007"`, `7`, `[1,{"a":null}]`, `null`, `"null"`, `""`, `true`},
		"Any":                     {`{"deep":{"er":[1,2,{"x":"y"}]}}`},
		"Callable[[], None]":      {`"x"`},
	}
	var modules []distro.Module
	var names []string
	for annotation := range table {
		modules = append(modules, module(fmt.Sprintf("m%d", len(names)), annotation, nil))
		names = append(names, annotation)
	}
	b := setup(t, modules)
	for n, annotation := range names {
		address := "/automations/" + modules[n].Name + "/f"
		for i, value := range table[annotation] {
			id := fmt.Sprintf("job-%d-%d", n, i)
			b.called(id, modules[n].Name, value)
			p := readPage(t, b.get(address+"?from="+id))
			w := b.submit(address, p)
			if w.Code != http.StatusSeeOther {
				t.Errorf("%s = %s: %s", annotation, value, problems(w.Body.String()))
				continue
			}
			if _, _, kwargs := b.ran(w); !same(t, kwargs, `{"a":`+value+`}`) && !sameMoment(annotation, value, kwargs) {
				t.Errorf("%s = %s came back as %s", annotation, value, kwargs)
			}
		}
	}
}

// sameMoment reports whether a moment came back in the zone of the server, and
// with microseconds.
func sameMoment(annotation, value, kwargs string) bool {
	return annotation == "datetime" && (value == `"2026-01-31T10:00:00-03:00"` && kwargs == `{"a":"2026-01-31T13:00:00+00:00"}` ||
		value == `"2026-01-31T10:00:00.25+00:00"` && kwargs == `{"a":"2026-01-31T10:00:00.250000+00:00"}`)
}

func TestNumbersAreWrittenAsTheReaderWritesThem(t *testing.T) {
	t.Parallel()
	b := setup(t, only("float", nil))
	w := b.send(http.MethodPost, address, "kw.a=1%2C5", "Sec-Fetch-Site", "same-origin", "Accept-Language", "pt-BR")
	if _, _, kwargs := b.ran(w); kwargs != `{"a":1.5}` {
		t.Errorf("1,5 in Portuguese became %s", kwargs)
	}
}

func TestWhatWasTypedStaysWhereSomethingIsWrong(t *testing.T) {
	t.Parallel()
	modules := only("int", nil)
	f := &modules[0].Functions[0]
	f.Parameters = append(f.Parameters, distro.Parameter{Name: "client", Kind: distro.KeywordOnly, Annotation: "Client"},
		distro.Parameter{Name: "note", Kind: distro.KeywordOnly, Annotation: "str", Default: text("''")},
		distro.Parameter{Name: "senha", Kind: distro.KeywordOnly, Annotation: "str", Default: text("''")})
	b := setup(t, modules)
	w := b.post(address, "kw.a", "twelve", "kw.client.name", "ACME", "kw.client.active", "", "kw.client.place.street", "", "kw.note", "<b>\"'", "kw.senha", "s3cret", "opt.delay", "soon")
	if w.Code != http.StatusUnprocessableEntity || b.jobs() != 0 {
		t.Fatalf("answered %d, %d jobs", w.Code, b.jobs())
	}
	p := readPage(t, w.Body.String())
	for name, want := range map[string]string{"kw.a": "twelve", "kw.client.name": "ACME", "kw.note": "<b>\"'", "kw.senha": "s3cret", "opt.delay": "soon"} {
		if got := p.values.Get(name); got != want {
			t.Errorf("%s holds %q, want %q", name, got, want)
		}
	}
	if p.kinds["kw.senha"] != "password" || p.values.Get("kw.client.active") != "" {
		t.Errorf("a password is a %s, an empty box is %q", p.kinds["kw.senha"], p.values.Get("kw.client.active"))
	}
	has(t, w.Body.String(), "3 fields need to be corrected. Nothing was run.", `<details class="options" open>`, `href="#f-kw.client.place.street"`)
}

func TestRowsAreAddedAndTakenOutWithoutScripts(t *testing.T) {
	t.Parallel()
	b := setup(t, only("list[Client]", nil))
	p := readPage(t, b.get(address))
	p.values.Set("kw.a.0.name", "A")
	p.values.Set("kw.a.0.place.street", "first")
	p = readPage(t, b.submit(address, p, "add", "kw.a").Body.String())
	p.values.Set("kw.a.1.name", "B")
	p.values.Set("kw.a.1.place.street", "second")
	p = readPage(t, b.submit(address, p, "add", "kw.a").Body.String()) // and left empty
	if b.jobs() != 0 {
		t.Fatal("a row more made a job")
	}
	_, _, kwargs := b.ran(b.submit(address, p))
	want := `{"a":[{"name":"A","active":true,"place":{"street":"first","number":null}},{"name":"B","active":true,"place":{"street":"second","number":null}}]}`
	if kwargs != want {
		t.Errorf("two rows became %s", kwargs)
	}
	p = readPage(t, b.submit(address, p, "drop", "kw.a.0").Body.String())
	if p.values.Get("kw.a.0.name") != "B" || p.values.Get("n:kw.a") != "2" {
		t.Errorf("without the first row: %v", p.values)
	}
	for range 300 {
		p.values.Set("n:kw.a", "99999999999")
	}
	if w := b.submit(address, p, "add", "kw.a"); w.Code != http.StatusOK {
		t.Errorf("very many rows: %d", w.Code)
	}
	for _, path := range []string{"kw.a.7", "kw.a.x", "kw.b", "", "....", "kw.a.-1"} {
		if w := b.post(address, "drop", path, "add", "", "kw.a.0.name", "x"); w.Code >= http.StatusInternalServerError {
			t.Errorf("drop %q answered %d", path, w.Code)
		}
	}
}

func TestAFieldIsEnteredAsJSONWhereThatIsEasier(t *testing.T) {
	t.Parallel()
	b := setup(t, only("list[str]", nil))
	p := readPage(t, b.get(address))
	p.values.Set("kw.a", "x\ny")
	p = readPage(t, b.submit(address, p, "as-json", "kw.a").Body.String())
	if got := p.values.Get("kw.a"); !same(t, got, `["x","y"]`) {
		t.Fatalf("as JSON: %s", got)
	}
	p.values.Set("kw.a", `["x", "a\nb"]`)
	if _, _, kwargs := b.ran(b.submit(address, p)); !same(t, kwargs, `{"a":["x", "a\nb"]}`) {
		t.Errorf("sent %s", kwargs)
	}
	p.values.Set("kw.a", `["x"`)
	w := b.submit(address, p)
	if w.Code != http.StatusUnprocessableEntity || !strings.Contains(problems(w.Body.String()), "This is no JSON") {
		t.Errorf("broken JSON answered %d: %s", w.Code, problems(w.Body.String()))
	}
	p.values.Set("kw.a", `["x", "y"]`)
	if p = readPage(t, b.submit(address, p, "as-form", "kw.a").Body.String()); p.values.Get("kw.a") != "x\ny" {
		t.Errorf("as a form again: %q", p.values.Get("kw.a"))
	}
}

func TestHostileFormsAreAnsweredAndMakeNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, only("list[Client]", nil))
	deep := strings.Repeat(`[`, 100_000)
	for _, body := range []string{
		"kw.a=" + strings.Repeat("x", 5<<20),
		"n:kw.a=100&raw=kw.a&kw.a=" + deep,
		"n:kw.a=-5", "n:kw.a=100", "add=kw.a&n:kw.a=100", "as-json=kw.a.0.place", "as-form=kw.a.0", "raw=kw.a.0.name&n:kw.a=1&kw.a.0.name=" + deep,
		"null:kw.a=1", "%00=%00", "kw.a=%00&n:kw.a=1&kw.a.0.name=%00", "opt.queue=nothing&n:kw.a=1&kw.a.0.name=x&kw.a.0.place.street=y",
		"opt.delay=99999999999d&n:kw.a=1&kw.a.0.name=x&kw.a.0.place.street=y", "opt.retries=-1&n:kw.a=1&kw.a.0.name=x&kw.a.0.place.street=y",
		"opt.at=2026-13-45&n:kw.a=1&kw.a.0.name=x&kw.a.0.place.street=y",
		strings.Repeat("raw=kw.a.0.name&", 1000),
	} {
		w := b.send(http.MethodPost, address, body, "Sec-Fetch-Site", "same-origin")
		if w.Code >= http.StatusInternalServerError || w.Code == http.StatusSeeOther {
			t.Errorf("%.60s answered %d", body, w.Code)
		}
	}
	if n := b.jobs(); n != 0 {
		t.Errorf("%d jobs", n)
	}
}

func TestValuesStayPlainJSONWhereThatIsAskedFor(t *testing.T) {
	t.Parallel()
	b := setup(t, only("set[date]", nil))
	typed, _, _ := b.ran(b.post(address, "kw.a", "2026-01-31"))
	if got := service.ArgumentLine(typed.Payload); got != "a={datetime.date(2026, 1, 31)}" {
		t.Errorf("typed: %s", got)
	}
	has(t, b.get("/jobs/"+typed.ID+"?tab=arguments"), "{datetime.date(2026, 1, 31)}")
	p := readPage(t, b.get(address+"?from="+typed.ID))
	if got := p.values["opt.plain"]; p.values.Get("kw.a") != "2026-01-31" || len(got) != 1 || got[0] != "" {
		t.Errorf("filled in again: %v", p.values)
	}
	if again, _, _ := b.ran(b.submit(address, p)); !bytes.Equal(again.Payload.Data, typed.Payload.Data) {
		t.Errorf("run again: %s", service.ArgumentLine(again.Payload))
	}
	p = readPage(t, b.get(address+"?opt.plain=true&kw.a=2026-01-31"))
	plain, _, _ := b.ran(b.submit(address, p))
	if got := service.ArgumentLine(plain.Payload); got != "a=['2026-01-31']" {
		t.Errorf("plain: %s", got)
	}
	w := b.post(address, "raw", "kw.a", "kw.a", `["2026-01-31", "soon"]`)
	if got := problems(w.Body.String()); w.Code != http.StatusUnprocessableEntity || !strings.Contains(got, "[1]: must be a date like 2026-10-31") {
		t.Errorf("%d: %s", w.Code, got)
	}
}
