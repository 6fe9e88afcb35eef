package signature_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro/internal/pickle"
	"github.com/distro-orchestrator/distro/internal/signature"
)

func TestArgumentsAreReadAsPythonSpellsThem(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"":                                  "[]{}",
		"1, -2.5, None, True, 'a'":          `[1,-2.5,null,true,"a"]{}`,
		"1e+16, -0.0, 12345678901234567890": `[1e+16,-0.0,12345678901234567890]{}`,
		`'it\'s', "it's", 'a, b=2', '\n\x1b\u2028\U0001f600ç'`: `["it's","it's","a, b=2","\n\u001b\u2028😀ç"]{}`,
		"[1, [2]], {'a': {'b': []}}, mês=3, x={}":              `[[1,[2]],{"a":{"b":[]}}]{"mês":3,"x":{}}`,
		"x='='":                                 `[]{"x":"="}`,
		"'" + strings.Repeat("é", 198) + "', 1": `["` + strings.Repeat("é", 198) + `",1]{}`,
	} {
		args, kwargs, ok := signature.Arguments(source, pickle.MaxArgument)
		if got := string(args) + string(kwargs); !ok || got != want {
			t.Errorf("%s:\n got %s, %t\nwant %s", source, got, ok, want)
		}
	}
}

func TestArgumentsThatAreNoPlainDataOrNotAllOfItAreRefused(t *testing.T) {
	t.Parallel()
	long := "'" + strings.Repeat("x", 199) + "..."
	for _, source := range []string{
		"(1,)", "()", "[(1, 2)]", "b'x'", "{1}", "{1: 2}", "{'a': 1, 'a': 2}", "nan", "inf", "Decimal('1')", "datetime.date(2026, 1, 2)", "<m.C {}>", "x=<m.C {}>",
		"1, ...", "…", "1, 2…", "'abc…", "[1, 2...", "123...", "a=1, 2", "a=1, a=2", "1 2", "1,, 2", "a=", "=1", "*[1]", "1 | 2", "'\\ud800'", "\xff",
		long, long + ", 'b'", long + ", ', ', 'y'", long + `, ',', "'," '`, long + `, ',', "',", '"'`, "'" + strings.Repeat("x", 199) + "'",
		strings.Repeat("[", 100) + strings.Repeat("]", 100), strings.Repeat("1, ", 10_000) + "1",
	} {
		if args, kwargs, ok := signature.Arguments(source, pickle.MaxArgument); ok {
			t.Errorf("%.60s: %.60s %.60s", source, args, kwargs)
		}
	}
}

// randomValue is JSON with what its spelling may stumble over.
func randomValue(r *rand.Rand, depth int) any {
	texts := []string{"", "a", "it's", `"`, `'"`, "..., ", "…", ", ", "\\", "\n\x00\u2028", "ção", "x=1", "None", "😀"}
	switch r.IntN(8) {
	case 0:
		return nil
	case 1:
		return r.IntN(2) == 0
	case 2:
		return r.IntN(1000) - 500
	case 3:
		return r.NormFloat64() * 1e10
	case 4:
		if depth > 0 {
			list := make([]any, r.IntN(4))
			for i := range list {
				list[i] = randomValue(r, depth-1)
			}
			return list
		}
	case 5:
		if depth > 0 {
			object := map[string]any{}
			for range r.IntN(4) {
				object[texts[r.IntN(len(texts))]] = randomValue(r, depth-1)
			}
			return object
		}
	}
	return strings.Repeat(texts[r.IntN(len(texts))], 1+r.IntN(3)*r.IntN(50))
}

// TestWhatIsReadOfRecordedArgumentsIsWhatTheyWere: all of it, or nothing.
func TestWhatIsReadOfRecordedArgumentsIsWhatTheyWere(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	encode := func(v any) []byte {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	decode := func(text []byte) (v any) {
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		return v
	}
	read, refused := 0, 0
	for range 5000 {
		list, object := make([]any, r.IntN(5)), map[string]any{}
		for i := range list {
			list[i] = randomValue(r, 3)
		}
		for i := range r.IntN(4) {
			object[fmt.Sprintf("k%d", i)] = randomValue(r, 3)
		}
		wantArgs, wantKwargs := encode(list), encode(object)
		payload, err := pickle.AppendCall(nil, "m.f", wantArgs, wantKwargs)
		if err != nil {
			t.Fatal(err)
		}
		text := pickle.Arguments(payload, false)
		args, kwargs, ok := signature.Arguments(text, pickle.MaxArgument)
		if !ok {
			refused++
			continue
		}
		read++
		if diff := cmp.Diff([]any{decode(wantArgs), decode(wantKwargs)}, []any{decode(args), decode(kwargs)}); diff != "" {
			t.Fatalf("%s: %s", text, diff)
		}
	}
	if read < 1000 || refused < 100 {
		t.Errorf("%d were read, %d refused: the test shows little", read, refused)
	}
}
