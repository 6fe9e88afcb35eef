package form_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/form"
)

func TestWhatIsKeptOfAFormIsAllThatStandsInIt(t *testing.T) {
	t.Parallel()
	parameter := func(name string, kind distro.ParameterKind, annotation string, standard *string) distro.Parameter {
		return distro.Parameter{Name: name, Kind: kind, Annotation: annotation, Default: standard}
	}
	named := []distro.Parameter{
		parameter("who", distro.PositionalOrKeyword, "str", nil), parameter("n", distro.PositionalOrKeyword, "int", text("1")),
		parameter("place", distro.PositionalOrKeyword, "Place", nil), parameter("file", distro.PositionalOrKeyword, "bytes | None", text("None")),
	}
	placed := []distro.Parameter{
		parameter("a", distro.PositionalOnly, "str", nil), parameter("b", distro.PositionalOnly, "str", nil), parameter("rest", distro.VarPositional, "int", nil),
	}
	for what, tt := range map[string]struct {
		parameters   []distro.Parameter
		entered      string
		args, kwargs string
		problems     string
	}{
		"nothing":            {named, "", `[]`, `{"n":1,"file":null}`, ""},
		"a default":          {named, "kw.who=ana&kw.n=1", `[]`, `{"who":"ana","n":1,"file":null}`, ""},
		"a part of a record": {named, "kw.place.number=7", `[]`, `{"n":1,"file":null}`, "kw.place.street"},
		"a record":           {named, "kw.place.street=x", `[]`, `{"n":1,"place":{"street":"x","number":null},"file":null}`, ""},
		"what is wrong":      {named, "kw.n=many", `[]`, `{"file":null}`, "kw.n"},
		"positions":          {placed, "kw.a=x&kw.b=y&kw.rest=1", `["x","y",1]`, `{}`, ""},
		"fewer positions":    {placed, "kw.a=x", `["x"]`, `{}`, ""},
		"a position missing": {placed, "kw.b=y", ``, `{}`, "kw.a"},
	} {
		fm := made(t, tt.parameters...)
		values := sent(fm.Blank(url.Values{}, reader()).View(nil))
		entered, err := url.ParseQuery(tt.entered)
		if err != nil {
			t.Fatal(err)
		}
		for name, list := range entered {
			values[name] = list
		}
		a := fm.Answers(values, reader())
		args, kwargs, omitted := a.Keep()
		var wrong []string
		for _, p := range a.View(nil).Problems {
			wrong = append(wrong, strings.TrimPrefix(p.ID, "f-"))
		}
		if tt.args != "" && string(args) != tt.args || string(kwargs) != tt.kwargs || strings.Join(wrong, " ") != tt.problems || len(omitted) > 0 {
			t.Errorf("%s: %s %s, wrong is %q, omitted %q", what, args, kwargs, wrong, omitted)
		}
	}
}

func TestFilesAreNotKept(t *testing.T) {
	t.Parallel()
	fm := made(t, distro.Parameter{Name: "file", Kind: distro.PositionalOrKeyword, Annotation: "bytes"})
	a := fm.Answers(url.Values{"kw.file": {""}}, reader())
	file, _, err := form.ReadFile("a.txt", strings.NewReader("content"), 100)
	if err != nil {
		t.Fatal(err)
	}
	a.Give("kw.file", file)
	_, kwargs, omitted := a.Keep()
	if string(kwargs) != "{}" || !slices.Equal(omitted, []string{"file"}) || !a.Valid() {
		t.Errorf("%s, omitted %q, valid %v", kwargs, omitted, a.Valid())
	}
}

func TestARecordWithAFileIsNotKept(t *testing.T) {
	t.Parallel()
	m := distro.Module{Name: "m", Types: []distro.Type{{Name: "Letter", Kind: distro.Record, Class: true, Fields: []distro.Parameter{
		{Name: "to", Annotation: "str"}, {Name: "scan", Annotation: "bytes"},
	}}}}
	f := distro.Function{Name: "f", Parameters: []distro.Parameter{
		{Name: "n", Kind: distro.PositionalOrKeyword, Annotation: "int"}, {Name: "letter", Kind: distro.PositionalOrKeyword, Annotation: "Letter"},
	}}
	fm, err := form.New(&m, f, form.Options{Depth: depth})
	if err != nil {
		t.Fatal(err)
	}
	a := fm.Answers(url.Values{"kw.n": {"1"}, "kw.letter.to": {"ana"}, "kw.letter.scan": {""}}, reader())
	file, _, err := form.ReadFile("a.pdf", strings.NewReader("content"), 100)
	if err != nil {
		t.Fatal(err)
	}
	a.Give("kw.letter.scan", file)
	_, kwargs, omitted := a.Keep()
	if string(kwargs) != `{"n":1}` || !slices.Equal(omitted, []string{"letter"}) || !a.Valid() {
		t.Errorf("%s, omitted %q, %s", kwargs, omitted, refused(a))
	}
}

func TestSuggestionsStandAsTheyAreEntered(t *testing.T) {
	t.Parallel()
	m := distro.Module{Name: "m", Types: declared()}
	f := distro.Function{Name: "f", Parameters: []distro.Parameter{{Name: "a", Kind: distro.PositionalOrKeyword}}}
	for annotation, tt := range map[string]struct {
		values []string
		want   string // those that are suggested, and how many do not fit
		lines  bool
	}{
		"":              {[]string{`1`, `"1"`, `"x"`, `true`}, `1 "1" x true`, false},
		"str":           {[]string{`"x"`, `7`}, `x; 1`, false},
		"int | None":    {[]string{`7`, `null`}, `7`, false},
		"date":          {[]string{`"2026-11-30"`}, `2026-11-30`, false},
		"datetime":      {[]string{`"2026-11-30T10:00:00+02:00"`, `"2026-11-30T10:00:00"`, `"x"`}, `2026-11-30T08:00 2026-11-30T10:00; 1`, false},
		"timedelta":     {[]string{`5400`}, `1h30min`, false},
		"list[str]":     {[]string{`"x"`, `"two\nlines"`}, `x; 1`, true},
		"set[int]":      {[]string{`1`, `2`}, `1 2`, true},
		"bool":          {[]string{`true`}, `-`, false},
		"Color":         {[]string{`"red"`}, `-`, false},
		"SecretStr":     {[]string{`"x"`}, `-`, false},
		"SecretBytes":   {[]string{`"x"`}, `-`, false},
		"dict[str,int]": {[]string{`1`}, `-`, false},
	} {
		f.Parameters[0].Annotation = annotation
		m.Functions = []distro.Function{f, {Name: "opcoes_a"}}
		fm, err := form.New(&m, f, form.Options{Depth: depth})
		if err != nil {
			t.Fatal(err)
		}
		a := fm.Blank(url.Values{}, reader())
		s := form.Suggestions{State: form.SuggestReady, Function: "m.opcoes_a"}
		for _, v := range tt.values {
			s.Values = append(s.Values, form.Suggestion{Value: []byte(v)})
		}
		a.Suggest("a", s)
		view, ok := a.ViewSuggestions("a")
		got := "-"
		if ok {
			var texts []string
			for _, v := range view.Values {
				texts = append(texts, v.Value)
			}
			if got = strings.Join(texts, " "); view.Unfit > 0 {
				got += "; " + string(rune('0'+view.Unfit))
			}
		}
		if got != tt.want || ok && view.Lines != tt.lines || ok != slices.Equal(fm.Offered(), []string{"a"}) {
			t.Errorf("%s: %s %+v", annotation, got, view)
		}
	}
}
