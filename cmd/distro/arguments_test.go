package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/httpapi"
)

func TestValuesAreTakenByTheAnnotation(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ annotation, text, want string }{
		{"", "5", `5`}, {"", "2026-10", `"2026-10"`}, {"", "true", `true`}, {"", "True", `"True"`}, {"", `{"a":1}`, `{"a":1}`}, {"", "", `""`},
		{"str", "5", `"5"`}, {"str", "null", `"null"`}, {`"str"`, "5", `"5"`}, {"builtins.str", "5", `"5"`}, {"Path", "5", `"5"`}, {"datetime.date", "2026", `"2026"`},
		{"int", "5", `5`}, {"int", "+007", `7`}, {"int", "-0", `0`}, {"int", "-1_000", `-1000`}, {"int", "98765432109876543210", `98765432109876543210`},
		{"float", "3", `3.0`}, {"float", "1e3", `1000.0`}, {"float", "-.5", `-0.5`}, {"float", "1e300", `1e+300`},
		{"bool", "TRUE", `true`}, {"bool", "off", `false`}, {"bool", "1", `true`},
		{"list", "[1, 2]", `[1, 2]`}, {"typing.List[str]", `["a"]`, `["a"]`}, {"tuple[int, ...]", "[1]", `[1]`},
		{"dict[str, int]", `{"a": 1}`, `{"a": 1}`}, {"None", "null", `null`},
		{"Optional[int]", "5", `5`}, {"Optional[int]", "None", `null`}, {"typing.Optional[str]", "5", `"5"`},
		{"int | None", "null", `null`}, {"str | None", "null", `"null"`}, {"int|str", "a", `"a"`}, {"int|str", "5", `5`}, {"Union[int, str]", "x", `"x"`},
		{"Union[dict[str, int], None]", "None", `null`}, {`Annotated[str, "a | b"]`, "5", `"5"`}, {`"Optional[str]"`, "5", `"5"`},
		{`Literal["a", "1", 2, None]`, "1", `"1"`}, {`Literal["a", 2]`, "2", `2`}, {`Literal[None, True]`, "true", `true`},
		{"Report", "5", `5`}, {"Any", "x", `"x"`}, {"Callable[[int], str]", "x", `"x"`}, {strings.Repeat("(", 2000), "5", `5`}, {"[", "5", `5`}, {"'", "5", `5`},
	} {
		got, err := annotatedValue(tt.annotation, tt.text)
		if err != nil || string(got) != tt.want || !json.Valid(got) {
			t.Errorf("%q as %.40s = %s, %v; want %s", tt.text, tt.annotation, got, err, tt.want)
		}
	}
}

func TestValuesThatDoNotFitAreRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ annotation, text, want string }{
		{"int", "abc", `"abc" is not a whole number`}, {"int", "1.5", `"1.5" is not a whole number`}, {"int", "", `"" is not a whole number`},
		{"float", "inf", `"inf" is not a number`}, {"float", "x", `"x" is not a number`}, {"bool", "maybe", `"maybe" is not true or false`},
		{"list[int]", "1,2", `"1,2" is not a list in JSON like ["a", "b"]`}, {"dict", "[]", `"[]" is not an object in JSON like {"a": 1}`},
		{"int | None", "x", `"x" is not a whole number or null`}, {`Literal["a", 2]`, "b", `"b" is not one of "a", 2`}, {"", "\xff", "not UTF-8 text"},
	} {
		if got, err := annotatedValue(tt.annotation, tt.text); err == nil || err.Error() != tt.want {
			t.Errorf("%q as %s = %s, %v; want the error %s", tt.text, tt.annotation, got, err, tt.want)
		}
	}
}

func FuzzAnnotatedValueIsJSON(f *testing.F) {
	f.Add("Optional[Union[int, 'str']]", "5")
	f.Add(`Literal['a", ]`, `'`)
	f.Fuzz(func(t *testing.T, annotation, text string) {
		if value, err := annotatedValue(annotation, text); err == nil && !json.Valid(value) {
			t.Errorf("%q as %q = %s", text, annotation, value)
		}
	})
}

func parameters() []httpapi.Parameter {
	return []httpapi.Parameter{
		{Name: "a", Kind: string(distro.PositionalOnly), Annotation: "str"},
		{Name: "b", Kind: string(distro.PositionalOrKeyword), Annotation: "int"},
		{Name: "rest", Kind: string(distro.VarPositional), Annotation: "str"},
		{Name: "c", Kind: string(distro.KeywordOnly), Annotation: "str"},
		{Name: "more", Kind: string(distro.VarKeyword)},
	}
}

func TestWordsBecomeTheArgumentsOfTheCall(t *testing.T) {
	t.Parallel()
	known := httpapi.Function{Parameters: parameters()}
	decorated := httpapi.Function{Parameters: parameters(), Decorators: []string{"cache"}}
	static := httpapi.Function{Parameters: parameters(), Decorators: []string{"staticmethod"}}
	for name, tt := range map[string]struct {
		function     httpapi.Function
		words        string
		args, kwargs string
	}{
		"positions and names":         {known, "1 2 3 c=4 d=5", `["1",2,"3"]`, `{"c":"4","d":5}`},
		"a name for a position":       {known, "1 b=2", `["1"]`, `{"b":2}`},
		"a static method":             {static, "1", `["1"]`, ""},
		"no annotations by decorator": {decorated, "1 c=4", `[1]`, `{"c":4}`},
		"forced JSON":                 {known, `c:=4 d:="x"`, "", `{"c":4,"d":"x"}`},
		"the first = divides":         {known, "c=a=b", "", `{"c":"a=b"}`},
		"not a name before =":         {known, "https://x?a=b =c 1a=2", `["https://x?a=b","=c","1a=2"]`, ""},
		"names keep their order":      {known, "z=1 y=2", "", `{"z":1,"y":2}`},
		"names of any alphabet":       {known, "mês=1", "", `{"mês":1}`},
		"nothing":                     {known, "", "", ""},
	} {
		words := strings.Fields(tt.words)
		if name == "not a name before =" {
			words[1], tt.function = "=c", decorated
		}
		args, kwargs, err := callArguments(words, newSignature(tt.function))
		if diff := cmp.Diff([]string{tt.args, tt.kwargs}, []string{string(args), string(kwargs)}); err != nil || diff != "" {
			t.Errorf("%s: %v, args and kwargs (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestWordsThatDoNotFitNameTheArgument(t *testing.T) {
	t.Parallel()
	for words, want := range map[string]string{
		"x y":     `argument 2: "y" is not a whole number`,
		"b=x":     `b: "x" is not a whole number`,
		"c=1 c=2": "c is given twice: keep one of them",
		"c:=x":    "c:=x is not JSON: write c=… for text",
	} {
		_, _, err := callArguments(strings.Fields(words), newSignature(httpapi.Function{Parameters: parameters()}))
		if err == nil || err.Error() != want || distro.ErrorCode(err) != distro.CodeInvalid {
			t.Errorf("%s: error = %v, want %s", words, err, want)
		}
	}
}
