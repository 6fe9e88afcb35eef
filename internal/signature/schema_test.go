package signature_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/python"
	"github.com/distro-orchestrator/distro/internal/signature"
)

// validator compiles a schema, which checks it against the dialect's own.
func validator(t testing.TB, schema []byte) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(schema)))
	if err != nil {
		t.Fatalf("%v in %s", err, schema)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("mem:s", document); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("mem:s")
	if err != nil {
		t.Fatalf("%v in %s", err, schema)
	}
	return compiled
}

func value(t testing.TB, text string) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// property is the schema of the only parameter of a function.
func property(t testing.TB, annotation string, standard *string) string {
	t.Helper()
	schema := signature.Schema(distro.Function{Name: "f", Parameters: []distro.Parameter{
		{Name: "a", Kind: distro.KeywordOnly, Annotation: annotation, Default: standard},
	}})
	validator(t, schema)
	var s struct{ Properties struct{ A json.RawMessage } }
	if err := json.Unmarshal(schema, &s); err != nil {
		t.Fatal(err)
	}
	return string(s.Properties.A)
}

func TestAnAnnotationBecomesATypeOrNothing(t *testing.T) {
	t.Parallel()
	for annotation, want := range map[string]string{
		"":                                   `{}`,
		"int":                                `{"type":"integer"}`,
		"float":                              `{"type":"number"}`,
		"str":                                `{"type":"string"}`,
		"bool":                               `{"type":"boolean"}`,
		"None":                               `{"type":"null"}`,
		"list":                               `{"type":"array"}`,
		"list[int]":                          `{"type":"array","items":{"type":"integer"}}`,
		"typing.List[list[str]]":             `{"type":"array","items":{"type":"array","items":{"type":"string"}}}`,
		"collections.abc.Sequence[Any]":      `{"type":"array"}`,
		"set[datetime.date]":                 `{"type":"array","items":{"type":"string","format":"date"}}`,
		"tuple[int, str]":                    `{"type":"array","prefixItems":[{"type":"integer"},{"type":"string"}],"minItems":2,"maxItems":2}`,
		"tuple[int, ...]":                    `{"type":"array","items":{"type":"integer"}}`,
		"tuple[()]":                          `{"type":"array","minItems":0,"maxItems":0}`,
		"tuple[int, *Rest]":                  `{"type":"array"}`,
		"dict":                               `{"type":"object"}`,
		"dict[str, float]":                   `{"type":"object","additionalProperties":{"type":"number"}}`,
		"Dict[(str, int)]":                   `{"type":"object","additionalProperties":{"type":"integer"}}`,
		"Mapping[str, Any]":                  `{"type":"object"}`,
		"Optional[int]":                      `{"type":["integer","null"]}`,
		"int | None":                         `{"type":["integer","null"]}`,
		"None | str | int | str":             `{"type":["null","string","integer"]}`,
		"Union[int, list[int], None]":        `{"anyOf":[{"type":"array","items":{"type":"integer"}},{"type":["integer","null"]}]}`,
		"Optional[Union[str, dict]]":         `{"type":["string","object","null"]}`,
		"Union[int, Any]":                    `{}`,
		"Optional[Report]":                   `{}`,
		"Literal['a', 'b']":                  `{"enum":["a","b"]}`,
		"Literal[1, -1, True, None, 'ã\\n']": `{"enum":[1,-1,true,null,"ã\n"]}`,
		"Optional[typing.Literal['a']]":      `{"enum":["a",null]}`,
		"Literal['a'] | Literal['b'] | int":  `{"anyOf":[{"enum":["a","b"]},{"type":"integer"}]}`,
		"Literal[Color.RED]":                 `{}`,
		"datetime.datetime":                  `{"type":"string","format":"date-time"}`,
		"datetime":                           `{"type":"string","format":"date-time"}`,
		"date | None":                        `{"anyOf":[{"type":"string","format":"date"},{"type":"null"}]}`,
		"uuid.UUID":                          `{"type":"string","format":"uuid"}`,
		"Annotated[int, Field(0, gt=-1)]":    `{"type":"integer","exclusiveMinimum":-1}`,
		"Range(0, 9)":                        `{}`,
		"Annotated[int, 'years']":            `{"type":"integer","description":"years"}`,
		"'int | None'":                       `{"type":["integer","null"]}`,
		"list['Literal[\"x\"]']":             `{"type":"array","items":{"enum":["x"]}}`,
		"models.date":                        `{}`, // may be anything
		"Any":                                `{}`,
		"object":                             `{}`,
		"Report":                             `{}`,
		"Decimal":                            `{"type":["number","string"],"format":"decimal"}`,
		"bytes":                              `{"type":"string","format":"bytes"}`,
		"Path | None":                        `{"anyOf":[{"type":"string","format":"path"},{"type":"null"}]}`,
		"timedelta":                          `{"type":"number","format":"seconds"}`,
		"PositiveInt":                        `{"type":"integer","exclusiveMinimum":0}`,
		"conint(ge=1, le=12)":                `{"type":"integer","minimum":1,"maximum":12}`,
		"Annotated[float, Ge(0), Lt(1.5)]":   `{"type":"number","minimum":0,"exclusiveMaximum":1.5}`,
		"Annotated[str, Field(max_length=3, description='UF')]": `{"type":"string","maxLength":3,"description":"UF"}`,
		"Annotated[list[int], Field(min_length=1, ge=5)]":       `{"type":"array","items":{"type":"integer"},"minItems":1}`,
		"Annotated[int, Field(ge=limit())]":                     `{"type":"integer"}`,
		"Callable[[int], str]":                                  `{}`,
		"int if x else str":                                     `{}`,
		"lambda: 0":                                             `{}`,
		"list[int":                                              `{}`,
		"int]":                                                  `{}`,
		"…":                                                     `{}`,
		"\xff":                                                  `{}`,
		strings.Repeat("list[", 100) + "int" + strings.Repeat("]", 100): `{}`,
		strings.Repeat("(", 3000):                         `{}`,
		"int | " + strings.Repeat("str | ", 1000) + "str": `{}`, // too long
	} {
		if got := property(t, annotation, nil); got != want {
			t.Errorf("%.60s: %s, want %s", annotation, got, want)
		}
	}
}

func TestADefaultThatIsALiteralIsOne(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ annotation, source, want string }{
		{"", "None", `{"default":null}`},
		{"int", "5", `{"type":"integer","default":5}`},
		{"int", "-5", `{"type":"integer","default":-5}`},
		{"", "0x1F", `{"default":31}`},
		{"", "1_000", `{"default":1000}`},
		{"", "123456789012345678901234567890", `{"default":123456789012345678901234567890}`},
		{"float", "1.0", `{"type":"number","default":1.0}`},
		{"float", "1", `{"type":"number","default":1}`},
		{"", "1e+16", `{"default":1e+16}`},
		{"", ".5", `{"default":0.5}`},
		{"str", `'it\'s "ol\xe1" \u2713 \U0001f600'`, `{"type":"string","default":"it's \"olá\" ✓ 😀"}`},
		{"", `u'a'`, `{"default":"a"}`},
		{"", `r'\d'`, `{"default":"\\d"}`},
		{"list", "[1, 'a', (True,), []]", `{"type":"array","default":[1,"a",[true],[]]}`},
		{"dict", "{'b': 1, 'a': {}}", `{"type":"object","default":{"b":1,"a":{}}}`},
		{"", "(1)", `{"default":1}`},
		// One that does not fit widens.
		{"int", "None", `{"type":["integer","null"],"default":null}`},
		{"date", "None", `{"anyOf":[{"type":"string","format":"date"},{"type":"null"}],"default":null}`},
		{"Literal['a']", "None", `{"enum":["a",null],"default":null}`},
		{"Literal['a']", "'a'", `{"enum":["a"],"default":"a"}`},
		{"str", "0", `{"type":["string","integer"],"default":0}`},
		// What JSON has no word for stands as an argument would.
		{"Decimal", "Decimal('-1.50')", `{"type":["number","string"],"format":"decimal","default":-1.50}`},
		{"date", "date(2026, 1, 31)", `{"type":"string","format":"date","default":"2026-01-31"}`},
		{"time", "datetime.time(8, 30)", `{"type":"string","format":"time","default":"08:30:00"}`},
		{"timedelta", "timedelta(hours=1, minutes=0.5)", `{"type":"number","format":"seconds","default":3630}`},
		{"Path", "Path('a/b')", `{"type":"string","format":"path","default":"a/b"}`},
		{"set", "set()", `{"type":"array","default":[]}`},
		{"date", "date(2026, 2, 30)", `{"type":"string","format":"date","description":"default: date(2026, 2, 30)"}`},
		{"timedelta", "timedelta(x)", `{"type":"number","format":"seconds","description":"default: timedelta(x)"}`},
		// What is no literal of JSON is described.
		{"int", "LIMIT", `{"type":"integer","description":"default: LIMIT"}`},
		{"", "now()", `{"description":"default: now()"}`},
		{"", "1j", `{"description":"default: 1j"}`},
		{"", "1e309", `{"description":"default: 1e309"}`},
		{"", "b'x'", `{"description":"default: b'x'"}`},
		{"", "f'{x}'", `{"description":"default: f'{x}'"}`},
		{"", `'\ud800'`, `{"description":"default: '\\ud800'"}`},
		{"", "{1: 2}", `{"description":"default: {1: 2}"}`},
		{"", "{'a': 1, 'a': 2}", `{"description":"default: {'a': 1, 'a': 2}"}`},
		{"", "{1, 2}", `{"description":"default: {1, 2}"}`},
		{"", "--5", `{"description":"default: --5"}`},
		{"", "5 * 60", `{"description":"default: 5 * 60"}`},
		{"", "x[0]", `{"description":"default: x[0]"}`},
		{"", "...", `{"description":"default: ..."}`},
		{"", "010", `{"description":"default: 010"}`},
		{"", "'''a'''", `{"description":"default: '''a'''"}`},
		{"", "", `{"description":"default: "}`},
	} {
		if got := property(t, tt.annotation, &tt.source); got != tt.want {
			t.Errorf("%s = %s: %s, want %s", tt.annotation, tt.source, got, tt.want)
		}
	}
}

// parameter reads one parameter as Python writes it: a, a: int, a=1.
func parameter(text string, kind distro.ParameterKind) distro.Parameter {
	p := distro.Parameter{Kind: kind}
	text, standard, optional := strings.Cut(text, "=")
	if optional {
		p.Default = &standard
	}
	p.Name, p.Annotation, _ = strings.Cut(text, ": ")
	return p
}

// parameters reads a list of parameters as Python writes it.
func parameters(list string) []distro.Parameter {
	var all []distro.Parameter
	kind := distro.PositionalOrKeyword
	for part := range strings.SplitSeq(list, ", ") {
		switch {
		case part == "/":
			for i := range all {
				all[i].Kind = distro.PositionalOnly
			}
		case part == "*":
			kind = distro.KeywordOnly
		case strings.HasPrefix(part, "**"):
			all = append(all, parameter(part[2:], distro.VarKeyword))
		case strings.HasPrefix(part, "*"):
			all = append(all, parameter(part[1:], distro.VarPositional))
			kind = distro.KeywordOnly
		case part != "":
			all = append(all, parameter(part, kind))
		}
	}
	return all
}

// accepted reports whether the schema of f takes a call, and whether it says
// anything of a call with so many positional arguments: those that have a name
// for callers are left to kwargs.
func accepted(t *testing.T, f distro.Function, positionals int, keywords []string) (accepted, decided bool) {
	t.Helper()
	schema := signature.Schema(f)
	var s struct {
		Args json.RawMessage `json:"x-args"`
	}
	if err := json.Unmarshal(schema, &s); err != nil {
		t.Fatal(err)
	}
	named, most := 0, 0
	for _, p := range f.Parameters {
		switch p.Kind {
		case distro.PositionalOrKeyword:
			named++
		case distro.PositionalOnly:
			most++
		case distro.VarPositional:
			if named == 0 {
				most = 99
			}
		}
	}
	kwargs, args := map[string]any{}, make([]any, positionals)
	for _, name := range keywords {
		kwargs[name] = nil
	}
	ok := validator(t, schema).Validate(kwargs) == nil
	if s.Args != nil {
		ok = ok && validator(t, s.Args).Validate(args) == nil
	}
	return ok, positionals <= most || !f.Binding()
}

func TestTheSchemaTakesTheNamesThatEnqueueingTakes(t *testing.T) {
	t.Parallel()
	calls := 0
	for _, list := range []string{
		"", "a", "a, b", "a, b=1", "a=1, b=2, c=3", "a, /", "a, /, b", "a, b=1, /, c=2", "*a", "*, a", "*, a=1, b", "a, *, b",
		"a, *b, c", "**z", "a, /, **k", "a, b=1, *args, c, **kwargs", "a=1, *args, b=2", "a, /, *args, b", "a=1, /, *rest, **c",
	} {
		for _, decorators := range [][]string{nil, {"staticmethod"}, {"retry", "staticmethod"}} {
			f := distro.Function{Name: "f", Parameters: parameters(list), Decorators: decorators}
			for positionals := range 4 {
				for bits := range 16 {
					var keywords []string
					for i, name := range []string{"a", "b", "c", "z"} {
						if bits>>i&1 == 1 {
							keywords = append(keywords, name)
						}
					}
					accepted, decided := accepted(t, f, positionals, keywords)
					err := python.CheckCall(f, positionals, keywords)
					if decided {
						calls++
						if accepted != (err == nil) {
							t.Errorf("%q def f(%s), %d arguments and %q: schema %t, enqueueing %v", decorators, list, positionals, keywords, accepted, err)
						}
					}
				}
			}
		}
	}
	if calls < 1000 {
		t.Errorf("only %d calls were compared", calls)
	}
}

func TestASchemaTellsOfAllParameters(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ list, want string }{
		{"", `"properties":{},"additionalProperties":false}`},
		{"z: int, a: str='x', *, m", `"properties":{"z":{"type":"integer"},"a":{"type":"string","default":"x"},"m":{}},"required":["z","m"],"additionalProperties":false}`},
		{"a, **kw: int", `"properties":{"a":{}},"required":["a"],"additionalProperties":{"type":"integer"}}`},
		{"**kw", `"properties":{},"additionalProperties":true}`},
		{"a: int, b=2, /, c=3", `"properties":{"c":{"default":3}},"additionalProperties":false,"x-args":{"type":"array",` +
			`"prefixItems":[{"title":"a","type":"integer"},{"title":"b","default":2}],"minItems":1,"maxItems":2}}`},
		{"a, /, *rest: int", `"properties":{},"additionalProperties":false,"x-args":{"type":"array","prefixItems":[{"title":"a"}],"minItems":1,"items":{"type":"integer"}}}`},
		{"a, *rest", `"properties":{"a":{}},"required":["a"],"additionalProperties":false,"x-args":{"type":"array","maxItems":0,` +
			`"description":"*rest is reached by position only: give the parameters before it in args too, and leave them out of kwargs"}}`},
	} {
		got := string(signature.Schema(distro.Function{Name: "f", Parameters: parameters(tt.list)}))
		const head = `{"$schema":"https://json-schema.org/draft/2020-12/schema","title":"f","type":"object",`
		if diff := cmp.Diff(head+tt.want, got); diff != "" {
			t.Errorf("def f(%s):\n%s", tt.list, diff)
		}
	}
	decorated := distro.Function{Name: "f", Decorators: []string{"task"}, Parameters: parameters("a: int, /, b: str, *c")}
	if got := string(signature.Schema(decorated)); !strings.HasSuffix(got, `"properties":{"b":{"type":"string"}},"additionalProperties":true}`) {
		t.Errorf("decorated: %s", got)
	}
}

func TestWhatFitsTheAnnotationFitsTheSchema(t *testing.T) {
	t.Parallel()
	for annotation, values := range map[string]struct{ fit, unfit []string }{
		"int":                          {[]string{"1", "-1", "99999999999999999999"}, []string{"1.5", `"1"`, "null", "true"}},
		"float":                        {[]string{"1", "1.5"}, []string{`"1"`, "null"}},
		"str":                          {[]string{`""`}, []string{"1", "[]"}},
		"bool":                         {[]string{"true"}, []string{"0", `"true"`}},
		"list[int]":                    {[]string{"[]", "[1,2]"}, []string{`["a"]`, "{}"}},
		"dict[str, float | None]":      {[]string{"{}", `{"a":1.5,"b":null}`}, []string{`{"a":"x"}`, "[]"}},
		"Optional[list[str]]":          {[]string{"null", `["a"]`}, []string{"[1]", `"a"`}},
		"Literal['high', 'low'] | int": {[]string{`"high"`, "5"}, []string{`"mid"`, "null"}},
		"tuple[int, str]":              {[]string{`[1,"a"]`}, []string{"[1]", `[1,"a",2]`, `["a",1]`}},
		"Report":                       {[]string{"1", "null", "[{}]"}, nil},
	} {
		schema := validator(t, signature.Schema(distro.Function{Parameters: []distro.Parameter{{Name: "a", Kind: distro.KeywordOnly, Annotation: annotation}}}))
		for _, text := range slices.Concat(values.fit, values.unfit) {
			err := schema.Validate(value(t, fmt.Sprintf(`{"a":%s}`, text)))
			if fits := slices.Contains(values.fit, text); fits != (err == nil) {
				t.Errorf("%s for %s: %v", text, annotation, err)
			}
		}
	}
}

// FuzzSchema reads any annotation and any default: the schema is one, of a
// bounded size, whatever they are.
func FuzzSchema(f *testing.F) {
	f.Add("int | None", "None", "a")
	f.Add("dict[str, list[Literal['a', -1]]]", "{'a': [1.5, (True,)]}", "")
	f.Add("'list[\"int\"]'", `'\u2713\x00'`, "\xff")
	f.Add("tuple[int, *Ts]", "--1", "x-args")
	f.Add(strings.Repeat("Optional[", 50), strings.Repeat("[", 50), "é")
	f.Fuzz(func(t *testing.T, annotation, standard, name string) {
		schema := signature.Schema(distro.Function{Name: name, Parameters: []distro.Parameter{
			{Name: name, Kind: distro.PositionalOrKeyword, Annotation: annotation, Default: &standard},
			{Name: name, Kind: distro.PositionalOnly, Annotation: annotation},
			{Name: name, Kind: distro.ParameterKind(standard), Annotation: standard},
			{Name: name, Kind: distro.VarPositional, Annotation: annotation},
			{Name: name, Kind: distro.VarKeyword, Annotation: annotation},
		}})
		validator(t, schema)
		if n := len(annotation) + len(standard) + len(name); len(schema) > 1000+200*n {
			t.Errorf("%d bytes made %d", n, len(schema))
		}
	})
}

// declaredTypes are of class Color(Enum): RED = 'red'; BLUE = 2,
// Sort = Literal['up', 'down'], and dataclasses that name each other.
func declaredTypes() []distro.Type {
	text := func(s string) *string { return &s }
	return []distro.Type{
		{Name: "Color", Kind: distro.Enumeration, Fields: []distro.Parameter{
			{Name: "RED", Default: text("'red'")}, {Name: "BLUE", Default: text("2")}, {Name: "AZUL", Default: text("2")},
		}},
		{Name: "Odd", Kind: distro.Enumeration, Fields: []distro.Parameter{{Name: "A", Default: text("object()")}}},
		{Name: "Sort", Kind: distro.Alias, Of: "Literal['up', 'down']"},
		{Name: "Loop", Kind: distro.Alias, Of: "list[Loop]"},
		{Name: "Item", Kind: distro.Record, Doc: "A line.\n\nMore.", Fields: []distro.Parameter{
			{Name: "name", Annotation: "str"}, {Name: "color", Annotation: "Color", Default: text("Color.RED")}, {Name: "note", Annotation: "str", Default: text("...")},
		}},
		{Name: "Tree", Kind: distro.Record, Fields: []distro.Parameter{{Name: "children", Annotation: "list['Tree']", Default: text("[]")}}},
	}
}

func TestTypesThatTheModuleDeclaresAreKnown(t *testing.T) {
	t.Parallel()
	text := func(s string) *string { return &s }
	for _, tt := range []struct {
		annotation string
		standard   *string
		want       string
	}{
		{"Color", nil, `{"enum":["red",2],"x-names":["RED","BLUE"]}`},
		{"Color", text("Color.BLUE"), `{"enum":["red",2],"x-names":["RED","BLUE"],"default":2}`},
		{"str", text("Color.RED.value"), `{"type":"string","default":"red"}`},
		{"Color | None", text("None"), `{"enum":["red",2,null],"x-names":["RED","BLUE","None"],"default":null}`},
		{"Color | Literal['x']", nil, `{"enum":["red",2,"x"]}`},
		{"Odd", nil, `{}`},
		{"Sort", nil, `{"enum":["up","down"]}`},
		{"list[Item]", nil, `{"type":"array","items":{"type":"object","properties":{"name":{"type":"string"},` +
			`"color":{"enum":["red",2],"x-names":["RED","BLUE"],"default":"red"},"note":{"type":"string"}},"required":["name"],"description":"A line."}}`},
		{"Item", text("Item('a')"), `{"type":"object","properties":{"name":{"type":"string"},` +
			`"color":{"enum":["red",2],"x-names":["RED","BLUE"],"default":"red"},"note":{"type":"string"}},"required":["name"],"description":"A line.; default: Item('a')"}`},
		{"Tree", nil, `{"type":"object","properties":{"children":{"type":"array","items":{"type":"object","properties":{"children":{"type":"array","items":` +
			`{"type":"object","properties":{"children":{"type":"array","items":{"type":"object"},"default":[]}}},"default":[]}}},"default":[]}}}`},
	} {
		p := distro.Parameter{Name: "a", Kind: distro.KeywordOnly, Annotation: tt.annotation, Default: tt.standard}
		got := string(signature.Parameter(p, declaredTypes()...))
		validator(t, []byte(got))
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.annotation, got, tt.want)
		}
	}
	if got := signature.Parameter(distro.Parameter{Annotation: "Loop"}, declaredTypes()...); len(got) > 4000 {
		t.Errorf("a type that holds itself: %d bytes", len(got))
	}
	var wide distro.Type
	wide.Name, wide.Kind = "Wide", distro.Record
	for i := range 200 {
		wide.Fields = append(wide.Fields, distro.Parameter{Name: fmt.Sprintf("f%d", i), Annotation: "Wide"})
	}
	if got := signature.Parameter(distro.Parameter{Annotation: "Wide"}, wide); len(got) > 1<<20 {
		t.Errorf("a wide type that holds itself: %d bytes", len(got))
	}
}
