package output_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/distro-orchestrator/distro/internal/output"
)

func search(t testing.TB, s *output.Store, q output.Query) output.Matches {
	t.Helper()
	m, err := s.Search(t.Context(), id, q)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSearchFindsLinesWithTheirNumbersAndCountsThem(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), output.Options{})
	w := writer(t, s, 1)
	write(t, w, output.Stdout, "Ação começa\nnothing\nAÇÃO again\n")
	write(t, w, output.Stderr, "no ação\n")
	write(t, w, output.Stdout, "an open Ação")
	found := search(t, s, output.Query{Text: "ação", Count: 2})
	wantLines(t, found.Page, "1 stdout Ação começa", "3 stdout AÇÃO again")
	if found.Found != 4 || found.More || found.Next != 4 || found.Total != 5 || !found.Writing {
		t.Errorf("%+v", found)
	}
	found = search(t, s, output.Query{Text: "AÇÃO", From: found.Next, Count: 2})
	wantLines(t, found.Page, "4 stderr no ação", "5 stdout an open Ação>")
	if found.Found != 4 || found.Next != 5 {
		t.Errorf("behind: %+v", found)
	}
	if found = search(t, s, output.Query{Text: "Acao"}); len(found.Lines) != 0 || found.Found != 0 || found.Next != 5 {
		t.Errorf("without accents: %+v", found)
	}
	if found = search(t, s, output.Query{Text: "nothing", From: 100}); found.Found != 1 || len(found.Lines) != 0 || found.Next != 100 {
		t.Errorf("before the first: %+v", found)
	}
}

func TestSearchOfNothingAndWithoutEnd(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), output.Options{})
	w := writer(t, s, 1)
	write(t, w, output.Stdout, "x\n")
	if found, err := s.Search(t.Context(), "other", output.Query{Text: "x"}); err != nil || found.Found != 0 || found.Next != 1 {
		t.Errorf("of a job without output: %+v, %v", found, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Search(ctx, id, output.Query{}); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}

func TestMatchesAreCountedUpToABound(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), output.Options{})
	w := writer(t, s, 1)
	write(t, w, output.Stdout, strings.Repeat("x\n", output.MaxMatches)+"y\n")
	if found := search(t, s, output.Query{Text: "x", Count: 1}); found.Found != output.MaxMatches || found.More || found.Next != 2 {
		t.Errorf("exactly: %d, more %t, next %d", found.Found, found.More, found.Next)
	}
	write(t, w, output.Stdout, "x\nx\n")
	w.Close()
	if found := search(t, s, output.Query{Text: "x", Count: 1}); found.Found != output.MaxMatches || !found.More {
		t.Errorf("more: %d, more %t", found.Found, found.More)
	}
	if found := search(t, s, output.Query{Text: "x", From: output.MaxMatches + 2, Count: 1}); found.Lines[0].Number != output.MaxMatches+2 || found.Next != output.MaxMatches+3 {
		t.Errorf("behind the bound: %+v", show(found.Lines))
	}
}

func TestLevelsAreThoseThatLinesName(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), output.Options{})
	w := writer(t, s, 1)
	want := map[string][]string{}
	names := []string{"debug", "info", "warning", "error", "critical"}
	line := func(level string, stream output.Stream, text string) {
		write(t, w, stream, text+"\n")
		for _, name := range names {
			want[name] = append(want[name], text)
			if name == level {
				break
			}
		}
	}
	line("debug", output.Stdout, "DEBUG:root:x")
	line("info", output.Stdout, "x")
	line("info", output.Stdout, "there was no error, INFORMATION ERRORS")
	line("info", output.Stderr, "2026-01-02 03:04:05,678 - mod - INFO - x")
	line("warning", output.Stderr, "50%|█████     | 1/2")
	line("warning", output.Stdout, "WARN x")
	line("warning", output.Distro, "attempt 2")
	line("error", output.Stdout, "ERROR x INFO")
	line("error", output.Stdout, "[ERROR] x")
	line("error", output.Stderr, "Traceback (most recent call last):")
	line("error", output.Stdout, "pkg.mod.CustomError: não dá")
	line("error", output.Stdout, "KeyError")
	line("info", output.Stdout, "KeyError was seen")
	line("critical", output.Stderr, "CRITICAL x")
	line("info", output.Stdout, strings.Repeat("x ", 200)+"ERROR")
	line("info", output.Stdout, "")
	for _, name := range names {
		level, ok := output.ParseLevel(name)
		if !ok {
			t.Fatalf("no level %s", name)
		}
		var got []string
		for _, l := range search(t, s, output.Query{Level: level}).Lines {
			got = append(got, l.Text)
		}
		if diff := cmp.Diff(want[name], got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if _, ok := output.ParseLevel("loud"); ok {
		t.Error("there is a level loud")
	}
	if level, ok := output.ParseLevel(""); !ok || level != output.LevelAny {
		t.Error("no name is no level")
	}
}

// TestCaseIsIgnoredAtAnyPlace searches what a plain search would find.
func TestCaseIsIgnoredAtAnyPlace(t *testing.T) {
	t.Parallel()
	lower := func(text string) string {
		return strings.Map(func(r rune) rune {
			if r >= 'A' && r <= 'Z' || r >= 'À' && r <= 'Þ' && r != '×' {
				return r + 0x20
			}
			return r
		}, text)
	}
	alphabet := rapid.StringOfN(rapid.SampledFrom([]rune("aAzZ@[`{eéÉ÷×ŁÞþÿ€ 7")), 0, 30, -1)
	rapid.Check(t, func(r *rapid.T) {
		s := open(t, t.TempDir(), output.Options{})
		w := writer(t, s, 1)
		lines := rapid.SliceOfN(alphabet, 1, 20).Draw(r, "lines")
		write(t, w, output.Stdout, strings.Join(lines, "\n")+"\n")
		w.Close()
		text := rapid.OneOf(rapid.StringOfN(rapid.SampledFrom([]rune("aAzZeéÉ×ÞŁ@[")), 0, 3, -1), rapid.SampledFrom(lines)).Draw(r, "text")
		var want []string
		for i, line := range lines {
			if strings.Contains(lower(line), lower(text)) {
				want = append(want, fmt.Sprintf("%d stdout %s", i+1, line))
			}
		}
		found := search(t, s, output.Query{Text: text})
		if diff := cmp.Diff(want, show(found.Lines)); diff != "" || found.Found != len(want) {
			r.Fatalf("%d found for %q (-want +got):\n%s", found.Found, text, diff)
		}
	})
}
