package store_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro/internal/store"
)

func TestArgumentsAreCutIntoWords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"":                           nil,
		"'', [], {}":                 nil,
		"'Não', 12.50":               {"nao", "12", "50"},
		"mês='Março'":                {"mes", "marco", "mes·marco"},
		"a='x, b=1', c={'d': 'e=f'}": {"a", "x", "b", "1", "c", "d", "e", "f", "a·x", "a·b", "a·1", "c·d", "c·e", "c·f"},
		`q="it's", r='a\'b, s=1`:     {"q", "it", "s", "r", "a", "b", "1", "q·it", "q·s", "r·a", "r·b", "r·s", "r·1"},
		"x==1, 1=2, =3":              {"x", "1", "2", "3"},
	} {
		if diff := cmp.Diff(want, store.ArgumentWords(text)); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

// FuzzWords: whatever text comes, its words are few, short, and nothing that a
// database would take for an operator.
func FuzzWords(f *testing.F) {
	for _, seed := range []string{"a='x'", "((([", `"\`, "é\u0301\xff\x00", "a·b", strings.Repeat("x ", 1000), "İΣ"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words := store.ArgumentWords(text)
		if len(words) > 256 {
			t.Errorf("%d words", len(words))
		}
		for _, w := range words {
			if w == "" || !utf8.ValidString(w) || strings.ContainsAny(w, "'\"\\&|!()*:<>^ \x00-+") || w != strings.ToLower(w) && w == strings.ToUpper(w) {
				t.Errorf("%q has the word %q", text, w)
			}
		}
	})
}
