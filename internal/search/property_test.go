package search_test

import (
	"errors"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/search"
)

// leaves makes leaves of every kind.
func leaves() *rapid.Generator[search.Expr] {
	bare := rapid.StringMatching(`[a-zé0-9][a-zA-Z0-9._/é\\'-]{0,8}`)
	quoted := rapid.Custom(func(t *rapid.T) string {
		return rapid.StringOfN(rapid.RuneFrom([]rune(`aZé0 "\'():-*=._日OR`)), 0, 8, -1).Draw(t, "before") + "x" +
			rapid.StringOfN(rapid.RuneFrom([]rune(`a "\()-`)), 0, 3, -1).Draw(t, "after")
	})
	pattern := rapid.OneOf(rapid.StringMatching(`[a-z "\\()]{0,6}`), rapid.StringMatching(`(\*?[a-z.-]{1,3}){0,3}\*?`))
	return rapid.Custom(func(t *rapid.T) search.Expr {
		switch rapid.IntRange(0, 6).Draw(t, "leaf") {
		case 0:
			return search.State{Value: string(rapid.SampledFrom(distro.ExecutionStates()).Draw(t, "state"))}
		case 1:
			return search.State{Value: string(rapid.SampledFrom(distro.Statuses()).Draw(t, "status"))}
		case 2:
			return search.Name{Pattern: pattern.Draw(t, "pattern"), Field: rapid.SampledFrom([]search.Field{
				search.FieldQueue, search.FieldFunction, search.FieldModule, search.FieldWorker, search.FieldTrigger, search.FieldID,
			}).Draw(t, "field")}
		case 3:
			field := rapid.SampledFrom([]search.Field{search.FieldAny, search.FieldArgs, search.FieldError}).Draw(t, "field")
			if rapid.Bool().Draw(t, "exact") {
				return search.Text{Field: field, Phrase: quoted.Draw(t, "phrase"), Exact: true}
			}
			return search.Text{Field: field, Phrase: bare.Draw(t, "phrase")}
		case 4:
			return search.Keyword{Name: rapid.StringMatching(`[a-z_][a-z0-9_]{0,5}`).Draw(t, "name"), Pattern: pattern.Draw(t, "pattern")}
		case 5:
			return search.Duration{
				Field: rapid.SampledFrom([]search.Field{search.FieldTook, search.FieldWaited}).Draw(t, "field"),
				Op:    rapid.SampledFrom([]search.Op{search.Above, search.AtLeast, search.Below, search.AtMost}).Draw(t, "op"),
				Value: time.Duration(rapid.Int64Range(0, int64(90*365*24*time.Hour)).Draw(t, "value")),
			}
		}
		return search.Moment{
			Op: rapid.SampledFrom([]search.Op{search.AtLeast, search.Below}).Draw(t, "op"),
			At: time.Unix(rapid.Int64Range(0, 1<<37).Draw(t, "second"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanosecond")).UTC(),
		}
	})
}

// tree makes an expression in normal form, at most so deep. within is what it
// is a part of.
func tree(t *rapid.T, depth int, within string) search.Expr {
	kinds := []string{"leaf"}
	for _, kind := range []string{"and", "or", "not"} {
		if depth > 0 && kind != within {
			kinds = append(kinds, kind)
		}
	}
	kind := rapid.SampledFrom(kinds).Draw(t, "kind")
	parts := func() (list []search.Expr) {
		for range rapid.IntRange(2, 3).Draw(t, "parts") {
			list = append(list, tree(t, depth-1, kind))
		}
		return list
	}
	switch kind {
	case "and":
		return search.And(parts())
	case "or":
		return search.Or(parts())
	case "not":
		return search.Not{Of: tree(t, depth-1, kind)}
	}
	return leaves().Draw(t, "leaf")
}

func TestWhatIsPrintedParsesToTheSameTree(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := tree(t, 3, "")
		text := want.String()
		got, err := search.Parse(text, search.Options{})
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q: %s", text, diff)
		}
		if got.Match(failedExecution()) != want.Match(failedExecution()) {
			t.Fatalf("%q means something else", text)
		}
	})
}

func TestFoldingTwiceIsFoldingOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		once := search.Fold(rapid.String().Draw(t, "text"))
		if twice := search.Fold(once); twice != once {
			t.Fatalf("%q becomes %q", once, twice)
		}
	})
}

// FuzzParse: whatever is typed, it parses, prints and means one thing, or the
// error points into it.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", `estado:falhou fila:high função:nfse args:"ACME" -worker:rpa-03 duração:>5m quando:ontem`, "kw.a=b OR (x -\"y\\\"z\")",
		"when:2026-10..2026-10-31T08:00 took:1m..1.5h", "-(a OR -(b c))", "))((", "a:b", "\xff\x00", `"\\\"`, "--OR AND", "kw.İ=1", "quando:7d..agora",
	} {
		f.Add(seed)
	}
	x := failedExecution()
	f.Fuzz(func(t *testing.T, text string) {
		e, err := search.Parse(text, options())
		if err != nil {
			fault, ok := errors.AsType[*search.Error](err)
			if !ok || fault.Column < 1 || fault.Column > utf8.RuneCountInString(text) || fault.Message == "" || !utf8.ValidString(fault.Message) {
				t.Fatalf("%q: %#v", text, err)
			}
			return
		}
		again, err := search.Parse(e.String(), search.Options{})
		if err != nil {
			t.Fatalf("%q prints %q: %v", text, e.String(), err)
		}
		if !cmp.Equal(e, again) || e.String() != again.String() || e.Match(x) != again.Match(x) {
			t.Fatalf("%q prints %q, which is %q", text, e.String(), again.String())
		}
	})
}
