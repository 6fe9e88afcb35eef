package form_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/form"
	"github.com/distro-orchestrator/distro/internal/service/jsonscan"
	"github.com/distro-orchestrator/distro/internal/signature"
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

func text(s string) *string { return &s }

// depth is how deep arguments may be here.
const depth = 64

// made is the form of a function with such parameters.
func made(t testing.TB, parameters ...distro.Parameter) *form.Form {
	t.Helper()
	m := distro.Module{Name: "m", Types: declared()}
	fm, err := form.New(&m, distro.Function{Name: "f", Parameters: parameters}, form.Options{
		Depth: depth, Kept: 1 << 20, Contents: 1 << 20, Queues: []string{"high", "default"}, Queue: "default", Delay: time.Hour, Retries: 100,
	})
	if err != nil {
		t.Fatal(err)
	}
	return fm
}

// one is the form of a function with one parameter a.
func one(t testing.TB, annotation string, standard *string) *form.Form {
	t.Helper()
	return made(t, distro.Parameter{Name: "a", Kind: distro.PositionalOrKeyword, Annotation: annotation, Default: standard})
}

// reader reads English in UTC; texts are their keys.
func reader() form.Reader {
	return form.Reader{
		Zone: time.UTC, Decimal: ".", Bytes: func(n int64) string { return fmt.Sprint(n, " B") },
		Text: func(key string, args ...any) string {
			return strings.TrimSpace(key + " " + strings.Trim(fmt.Sprint(args...), "[]"))
		},
	}
}

// sent are the values that a browser sends of a form which nobody touches.
func sent(v form.View) url.Values {
	values := url.Values{}
	for _, f := range slices.Concat(v.Fields, v.Options) {
		send(values, &f)
	}
	return values
}

func send(values url.Values, f *form.FieldView) {
	if f.Null && f.IsNull {
		values.Set("null:"+f.Path, "1")
	}
	if f.Raw {
		values.Add("raw", f.Path)
	}
	switch f.Control {
	case "group":
		for i := range f.Fields {
			send(values, &f.Fields[i])
		}
	case "rows":
		values.Set("n:"+f.Path, fmt.Sprint(f.Count))
		for _, row := range f.Rows {
			if row.Keyed {
				values.Set("key:"+row.Path, row.Key)
			}
			for i := range row.Fields {
				send(values, &row.Fields[i])
			}
		}
	case "many", "choice":
		if f.Control == "many" || !f.Radio { // else no button may be pressed
			values[f.Path] = []string{}
		}
		for i, c := range f.Choices {
			if c.On || !f.Radio && f.Control == "choice" && i == 0 && !slices.ContainsFunc(f.Choices, func(c form.ChoiceView) bool { return c.On }) {
				values.Add(f.Path, c.Value)
			}
		}
		if f.Control == "many" {
			values[f.Path] = append([]string{""}, values[f.Path]...)
		}
	case "switch":
		values.Add(f.Path, "")
		if f.On {
			values.Add(f.Path, "true")
		}
	default:
		values.Set(f.Path, strings.ReplaceAll(f.Text, "\n", "\r\n"))
	}
}

// same reports whether two JSON texts mean the same.
func same(a, b []byte) bool {
	return bytes.Equal(jsonscan.AppendCanonical(nil, a), jsonscan.AppendCanonical(nil, b))
}

// refused are the names of the fields that a form says something about.
func refused(a *form.Answers) string {
	var list []string
	for _, p := range a.View(nil).Problems {
		list = append(list, p.Name+": "+p.Text)
	}
	return strings.Join(list, "; ")
}

func TestWhatIsEnteredIsReadAsPeopleMeanIt(t *testing.T) {
	t.Parallel()
	table := []struct {
		annotation string
		standard   *string
		entered    string
		want       string // of kwargs; empty: refused
	}{
		{"int", nil, "+007", `{"a":7}`},
		{"int", nil, "1.5", ``},
		{"int", nil, "", ``},
		{"int", nil, "-0", `{"a":-0}`},
		{"int", nil, strings.Repeat("9", 1001), ``},
		{"int", nil, "0x10", ``},
		{"float", nil, "1,5", ``}, // in English
		{"float", nil, ".5", `{"a":0.5}`},
		{"float", nil, "5.", `{"a":5.0}`},
		{"float", nil, "1e999999999", ``},
		{"float", nil, "1e9999", ``},
		{"float", nil, "NaN", ``},
		{"Annotated[int, Field(ge=1, lt=12)]", nil, "0", ``},
		{"Annotated[int, Field(ge=1, lt=12)]", nil, "12", ``},
		{"Annotated[int, Field(ge=1, lt=12)]", nil, "11", `{"a":11}`},
		{"Annotated[str, Field(max_length=3)]", nil, "éèê", `{"a":"éèê"}`},
		{"Annotated[str, Field(max_length=3)]", nil, "abcd", ``},
		{"str", nil, "a\r\nb", `{"a":"a\nb"}`},
		{"str", nil, "\xff", ``},
		{"str", text("'x'"), "", `{"a":""}`},
		{"str", text("'x'"), "x", `{}`},
		{"str", text("NAME"), "", `{}`},
		{"int", text("5"), "", `{}`},
		{"int", text("5"), "5", `{}`},
		{"int", text("LIMIT"), "", `{}`},
		{"date", nil, "2026-02-30", ``},
		{"UUID", nil, "12345678", ``},
		{"UUID", nil, "12345678123456781234567812345678", `{"a":"12345678123456781234567812345678"}`},
		{"time", nil, "8:5", ``},
		{"time", nil, "08:05", `{"a":"08:05:00"}`},
		{"datetime", nil, "2026-01-31T10:00", `{"a":"2026-01-31T10:00:00+00:00"}`},
		{"timedelta", nil, "1h30", `{"a":5400}`},
		{"timedelta", nil, "1:30", `{"a":5400}`},
		{"timedelta", nil, "2 dias 3 horas", `{"a":183600}`},
		{"timedelta", nil, "1.5h", `{"a":5400}`},
		{"timedelta", nil, "90", `{"a":90}`},
		{"timedelta", nil, "30m1h", ``},
		{"timedelta", nil, "soon", ``},
		{"Color", nil, "green", ``},
		{"Color", text("Color.RED"), "red", `{}`},
		{"list[int]", nil, "1\r\n\r\n2\r\n", `{"a":[1,2]}`},
		{"list[int]", nil, "1\nx", ``},
		{"list[str]", text("[]"), "", `{}`},
		{"list[str]", text("['a']"), "", `{"a":[]}`},
		{"Annotated[list[str], Field(min_length=2)]", nil, "x", ``},
		{"dict[str, int]", nil, "a = 1\nb: 2", `{"a":{"a":1,"b":2}}`},
		{"dict[str, int]", nil, "a = 1\na = 2", ``},
		{"dict[str, int]", nil, "nothing", ``},
		{"", nil, "ACME", `{"a":"ACME"}`},
		{"", nil, "007", `{"a":"007"}`},
		{"", nil, `{"x": [1]}`, `{"a":{"x":[1]}}`},
		{"", nil, `{"x": [1}`, `{"a":"{\"x\": [1}"}`},
		{"", nil, strings.Repeat("[", 100) + strings.Repeat("]", 100), fmt.Sprintf(`{"a":%q}`, strings.Repeat("[", 100)+strings.Repeat("]", 100))},
		{"", text("1.5"), "2", `{"a":2}`},
		{"", text("None"), "", `{"a":""}`}, // the switch is off
		{"object | dict", nil, "x", `{"a":"x"}`},
		{"dict | list", nil, "{", ``},
		{"dict | list", nil, strings.Repeat("[", 100) + strings.Repeat("]", 100), ``},
		{"dict | list", nil, "[1]", `{"a":[1]}`},
	}
	for _, tt := range table {
		a := one(t, tt.annotation, tt.standard).Answers(url.Values{"kw.a": {tt.entered}}, reader())
		args, kwargs := a.Arguments()
		problems := a.View(nil).Problems
		switch {
		case tt.want == "":
			if a.Valid() || len(problems) != 1 || problems[0].ID != "f-kw.a" || problems[0].Text == "" {
				t.Errorf("%s: %.40q is refused as %v", tt.annotation, tt.entered, problems)
			}
		case !a.Valid():
			t.Errorf("%s: %.40q: %v", tt.annotation, tt.entered, problems)
		case !same(kwargs, []byte(tt.want)) || string(args) != "[]":
			t.Errorf("%s: %.40q became %s %s, want %s", tt.annotation, tt.entered, args, kwargs, tt.want)
		}
	}
}

func TestNumbersAreReadAsTheirReaderWritesThem(t *testing.T) {
	t.Parallel()
	r := reader()
	r.Decimal = ","
	for entered, want := range map[string]string{"1,5": `{"a":1.5}`, "1.5": `{"a":1.5}`, "1,5,5": "", "1.000,5": ""} {
		a := one(t, "float", nil).Answers(url.Values{"kw.a": {entered}}, r)
		if _, kwargs := a.Arguments(); a.Valid() != (want != "") || a.Valid() && string(kwargs) != want {
			t.Errorf("%s became %s; %s", entered, kwargs, refused(a))
		}
	}
}

func TestARecordThatMayBeLeftOutIsNeverLeftOutHalfEntered(t *testing.T) {
	t.Parallel()
	fm := one(t, "Client", text("Client('A')"))
	for _, tt := range []struct{ name, value, refused string }{
		{"kw.a.name", "", ""},
		{"kw.a.name", "X", "street"},
		{"kw.a.place.street", "X", "name"},
		{"kw.a.place.number", "x", "number"},
		{"kw.a.active", "", "name"},
	} {
		values := sent(fm.Blank(url.Values{}, reader()).View(nil))
		values[tt.name] = []string{tt.value}
		a := fm.Answers(values, reader())
		_, kwargs := a.Arguments()
		if tt.refused == "" && (!a.Valid() || string(kwargs) != `{}`) || tt.refused != "" && !strings.Contains(refused(a), tt.refused+": ") {
			t.Errorf("%s = %q became %s; %s", tt.name, tt.value, kwargs, refused(a))
		}
	}
}

func TestArgumentsGoByPositionWhereTheyHaveTo(t *testing.T) {
	t.Parallel()
	fm := made(t,
		distro.Parameter{Name: "first", Kind: distro.PositionalOnly, Annotation: "int"},
		distro.Parameter{Name: "second", Kind: distro.PositionalOnly, Annotation: "int", Default: text("2")},
		distro.Parameter{Name: "third", Kind: distro.PositionalOrKeyword, Annotation: "str", Default: text("'x'")},
		distro.Parameter{Name: "rest", Kind: distro.VarPositional, Annotation: "int"},
		distro.Parameter{Name: "flag", Kind: distro.KeywordOnly, Annotation: "bool", Default: text("False")},
		distro.Parameter{Name: "more", Kind: distro.VarKeyword},
	)
	enter := func(rest, more string) *form.Answers {
		values := sent(fm.Blank(url.Values{}, reader()).View(nil))
		values.Set("kw.first", "1")
		values.Set("kw.rest", rest)
		values.Set("kw.more", more)
		return fm.Answers(values, reader())
	}
	for _, tt := range []struct{ rest, more, args, kwargs string }{
		{"", "", `[1]`, `{}`},
		{"8\n9", "", `[1,2,"x",8,9]`, `{}`},
		{"", "k = 5", `[1]`, `{"k":5}`},
		{"7", "k = [1, 2]\nz = text", `[1,2,"x",7]`, `{"k":[1, 2],"z":"text"}`},
	} {
		a := enter(tt.rest, tt.more)
		args, kwargs := a.Arguments()
		if !a.Valid() || string(args) != tt.args || !same(kwargs, []byte(tt.kwargs)) {
			t.Errorf("%q and %q became %s %s, want %s %s; %s", tt.rest, tt.more, args, kwargs, tt.args, tt.kwargs, refused(a))
		}
	}
	a := enter("", "third = 5")
	if a.Arguments(); refused(a) != "**more: form.problem.named third" {
		t.Errorf("a name that is taken: %s", refused(a))
	}
}

func TestWhatTheServiceRefusesIsToldAtItsField(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"kwargs.a":            "a: no",
		"kwargs.a.name":       "name: no",
		"kwargs.a.place[3].x": "place: [3].x: no",
		"kwargs.a.new":        "a: new: no",
		"kwargs.b":            "",
		"args[0]":             "",
		"queue":               "form.opt.queue: no",
		"retries":             "form.opt.retries: no",
		"":                    "",
	} {
		a := one(t, "Client", nil).Blank(url.Values{}, reader())
		if known := a.RefuseArgument(name, "no"); known != (want != "") || refused(a) != want {
			t.Errorf("%s: %v, %q, want %q", name, known, refused(a), want)
		}
	}
}

func TestOptionsOfTheJobAreReadAndRefused(t *testing.T) {
	t.Parallel()
	fm := made(t)
	asked := url.Values{"opt.delay": {"30min"}, "opt.timeout": {"1h"}, "opt.retries": {" 3 "}, "opt.queue": {"high"}, "opt.plain": {"true"}, "other": {"x"}}
	a := fm.Answers(sent(fm.Blank(asked, reader()).View(nil)), reader())
	o := a.JobOptions()
	if !a.Valid() || o.Delay != 30*time.Minute || o.Timeout != time.Hour || o.Retries == nil || *o.Retries != 3 || o.Queue != "high" || !o.Plain || !o.At.IsZero() {
		t.Errorf("read %+v; %s", o, refused(a))
	}
	a = fm.Answers(sent(fm.Blank(url.Values{"opt.at": {"2026-01-31 10:00"}}, reader()).View(nil)), reader())
	if o := a.JobOptions(); !a.Valid() || !o.At.Equal(time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC)) || o.Queue != "default" || o.Plain || o.Retries != nil {
		t.Errorf("read %+v; %s", o, refused(a))
	}
	for name, value := range map[string]string{"opt.delay": "61min", "opt.timeout": "-5s", "opt.retries": "many", "opt.at": "2026-13-45T10:00"} {
		a := fm.Answers(url.Values{name: {value}}, reader())
		if a.JobOptions(); a.Valid() || !a.View(nil).Opened {
			t.Errorf("%s = %s is taken, or hidden", name, value)
		}
	}
	a = fm.Answers(url.Values{"opt.delay": {"5s"}, "opt.at": {"2026-01-31T10:00"}}, reader())
	if a.JobOptions(); refused(a) != "form.opt.delay: form.problem.both" {
		t.Errorf("two times of a job: %s", refused(a))
	}
}

func TestOnlyFilesThatFitAndHaveAFieldAreTaken(t *testing.T) {
	t.Parallel()
	fm := made(t,
		distro.Parameter{Name: "p", Kind: distro.PositionalOrKeyword, Annotation: "Path"},
		distro.Parameter{Name: "b", Kind: distro.PositionalOrKeyword, Annotation: "list[Client] | bytes", Default: text("None")},
		distro.Parameter{Name: "c", Kind: distro.PositionalOrKeyword, Annotation: "bytes", Default: text("b''")},
	)
	if got := []string{fm.Upload("kw.p"), fm.Upload("kw.b"), fm.Upload("kw.c"), fm.Upload("kw.none"), fm.Upload("")}; !slices.Equal(got, []string{signature.FormatPath, "", signature.FormatBytes, "", ""}) {
		t.Errorf("files become %q", got)
	}
	file, fits, err := form.ReadFile("name", strings.NewReader("four"), 4)
	if err != nil || !fits || file.Size() != 4 {
		t.Errorf("a file as large as it may be: %v, %v", fits, err)
	}
	if _, fits, err := form.ReadFile("name", strings.NewReader("four5"), 4); err != nil || fits {
		t.Errorf("a file that is too large: %v, %v", fits, err)
	}
	a := fm.Answers(url.Values{"lost:kw.c": {"forged"}, "file:kw.c": {"forged"}, "ref:kw.p": {"old", "id"}, "ref:kw.c": {"id"}, "ref:": {"id"}}, reader())
	a.Add("lost:kw.p", "forged")
	if refs := a.References(); len(refs) != 1 || refs["kw.p"] != "id" {
		t.Errorf("references are %v", refs)
	}
	a.Give("kw.p", form.KeptFile("a.csv", 4, "id", "/kept/<a>.csv"))
	a.Give("kw.c", file)
	if a.Free("kw.p") || !a.Free("kw.b") {
		t.Error("a field takes two files, or none")
	}
	if _, kwargs := a.Arguments(); !a.Valid() || string(kwargs) != `{"p":"/kept/<a>.csv","c":"data:;base64,Zm91cg=="}` {
		t.Errorf("became %s; %s", kwargs, refused(a))
	}
	a.Hold()
	v := a.View([]string{"other"})
	if p, c := v.Fields[0], v.Fields[2]; !v.Files || p.Ref != "id" || p.Kept != "a.csv (4 B)" || c.Lost != "name" || c.Ref != "" ||
		!slices.Contains(p.Hints, "form.hint.elsewhere other") || slices.Contains(c.Hints, "form.hint.elsewhere other") {
		t.Errorf("shown again: %+v and %+v", p, c)
	}
}

// FuzzAFormGivesBackWhatItShows: of whatever annotation, default and argument, the
// form reads as the same argument when it is sent as it stands, or refuses.
func FuzzAFormGivesBackWhatItShows(f *testing.F) {
	for _, annotation := range []string{
		"str", "int | None", "Decimal", "bool", "timedelta", "Literal['a', 3, None]", "Color", "Uf", "list[str]", "set[int]", "dict[str, list[Client]]", "tuple[int, str]",
		"Client | None", "str | list[str]", "", "Keys", "list[list[list[list[list[int]]]]]", "Path", "bytes",
	} {
		f.Add(annotation, "", `"x"`)
		f.Add(annotation, "None", `{"name":"A","active":true,"place":{"street":"R","number":null}}`)
		f.Add(annotation, "['a', 1]", `["a\nb", 1, null, {"": [[]]}]`)
	}
	f.Fuzz(func(t *testing.T, annotation, standard, value string) {
		if jsonscan.Check([]byte(value), depth) != nil || strings.Contains(annotation, "time") {
			return // moments come back in the zone of the reader
		}
		var source *string
		if standard != "" {
			source = &standard
		}
		fm := one(t, annotation, source)
		a := fm.Blank(url.Values{}, reader())
		given := fmt.Appendf(nil, `{"a":%s}`, value)
		if !a.Enter([]byte("[]"), given) {
			t.Fatalf("%s = %s has no place", annotation, value)
		}
		v := a.View(nil)
		again := fm.Answers(sent(v), reader())
		_, kwargs := again.Arguments()
		if !json.Valid(kwargs) {
			t.Fatalf("%s = %s became %s", annotation, value, kwargs)
		}
		left := string(kwargs) == "{}" // as what the function takes anyway
		if again.Valid() && !left && !same(kwargs, given) {
			t.Errorf("%s = %s (default %s) came back as %s", annotation, value, standard, kwargs)
		}
	})
}
