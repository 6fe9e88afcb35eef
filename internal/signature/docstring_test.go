package signature_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/signature"
)

func TestDocstringsOfEveryMannerTellOfParameters(t *testing.T) {
	t.Parallel()
	want := map[string]signature.Described{
		"month": {Type: "int", Text: "Which month.\nFrom January on."},
		"names": {Type: "list of str, optional", Text: "Who."},
	}
	for manner, text := range map[string]string{
		"google": "Builds it.\n\nMore.\n\nArgs:\n    month (int): Which month.\n        From January on.\n    names (list of str, optional): Who.\n\nReturns:\n    str: it.",
		"numpy": "Builds it.\n\nMore.\n\nParameters\n----------\nmonth : int\n    Which month.\n    From January on.\nnames : list of str, optional\n    Who.\n\n" +
			"Returns:\n    str: it.",
		"sphinx": "Builds it.\n\nMore.\n\n:param month: Which month.\n    From January on.\n:type month: int\n:param names: Who.\n:type names: list of str, optional\nReturns:\n    str: it.",
	} {
		got := signature.ReadDocstring(text)
		if diff := cmp.Diff(want, got.Parameters); diff != "" || got.Summary != "Builds it." {
			t.Errorf("%s: summary %q, parameters (-want +got):\n%s", manner, got.Summary, diff)
		}
		if !strings.HasPrefix(got.Text, "More.") || strings.Contains(got.Text, "month") || !strings.HasSuffix(got.Text, "str: it.") {
			t.Errorf("%s: the rest is %q", manner, got.Text)
		}
	}
}

func TestWhatADocstringSaysKeepsItsLines(t *testing.T) {
	t.Parallel()
	for manner, text := range map[string]string{
		"google": "A title\n=======\n\nArgs:\n    a: One:\n\n        - two\n          - three\n    b: Four.\n\nMore.",
		"numpy":  "A title\n=======\n\nParameters\n----------\na\n    One:\n\n    - two\n      - three\nb\n    Four.\n\nNotes\n-----\nMore.",
		"sphinx": "A title\n=======\n\n:param a: One:\n\n    - two\n      - three\n:param b: Four.\n\nMore.",
	} {
		got := signature.ReadDocstring(text)
		if got.Summary != "A title\n=======" || got.Parameters["a"].Text != "One:\n\n- two\n  - three" || got.Parameters["b"].Text != "Four." || !strings.HasSuffix(got.Text, "More.") {
			t.Errorf("%s: %q", manner, got)
		}
	}
}

func TestADocstringStandsInForAnnotationsThatAreMissing(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"inteiro": "int", "str, optional": "str", "int ou None": "int | None", "{'a', 'b'}": "Literal['a', 'b']", "list of strings": "list[str]",
		"lista de inteiros": "list[inteiro]", "booleano": "bool", "pandas.DataFrame": "pandas.DataFrame", "Path": "Path", "data": "date",
	} {
		f, _ := signature.Documented(distro.Function{Doc: "x\n\nArgs:\n    a (" + said + "): y", Parameters: []distro.Parameter{{Name: "a"}}})
		got := f.Parameters[0].Annotation
		if said == "lista de inteiros" {
			want = "list[int]"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", said, got, want)
		}
	}
	for text, want := range map[string]string{
		"Mês, entre 1 e 12.": "Annotated[int, Field(ge=1, le=12)]", "from -5 to 5": "Annotated[int, Field(ge=-5, le=5)]", "(1-31)": "Annotated[int, Field(ge=1, le=31)]",
		"of 3 things": "int", "entre 9 e 1": "int", "de 2024": "int", "": "int",
	} {
		f, _ := signature.Documented(distro.Function{Doc: "x\n\n:param a: " + text, Parameters: []distro.Parameter{{Name: "a", Annotation: "int"}}})
		if got := f.Parameters[0].Annotation; got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func FuzzDocstring(f *testing.F) {
	f.Add("a\n\nArgs:\n  x (int): y\n")
	f.Add("Parameters\n---\nx : int\n    y")
	f.Add(":param int x: y\n:type x: int")
	f.Fuzz(func(t *testing.T, text string) {
		got := signature.ReadDocstring(text)
		if len(got.Summary)+len(got.Text) > 2*len(text)+2 {
			t.Errorf("%q became longer", text)
		}
	})
}
