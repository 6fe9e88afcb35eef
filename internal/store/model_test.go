package store_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/store"
)

// texts and names are what random executions and filters are made of: few, so
// that filters find something.
func texts() []string {
	return []string{
		"", "'ACME', valor=3.5", "cliente='ACME Ltda', mes=3", "'não', cliente='acme'", "nota_fiscal=[1, 'acme, mes=4'], mes=5",
		"'São Paulo', CLIENTE='Çelik'", "123, 'acmé'",
	}
}

func names() []string { return []string{"", "a", "b", "ç'\"%"} }

func genTime() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.IntRange(0, 9).Draw(t, "known") == 0 {
			return time.Time{}
		}
		// Some fall together.
		return epoch().Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "seconds")) * time.Second)
	})
}

// genExecution draws everything that there is to know of an execution.
func genExecution() *rapid.Generator[distro.Execution] {
	return rapid.Custom(func(t *rapid.T) distro.Execution {
		name := func(label string) string { return rapid.SampledFrom(names()).Draw(t, label) }
		e := distro.Execution{
			JobID: rapid.SampledFrom([]string{"j1", "j2", "j3", "j4", "j5", "j6", "j7", "j8"}).Draw(t, "job"),
			Run:   rapid.SampledFrom([]string{"", "r1", "r2", "r3"}).Draw(t, "run"),

			Attempt: rapid.IntRange(0, 2).Draw(t, "attempt"),
			Module:  rapid.SampledFrom([]string{"", "m", "m.n"}).Draw(t, "module"), Function: rapid.SampledFrom([]string{"f", "n.f", "g"}).Draw(t, "function"),
			Queue: name("queue"), Arguments: rapid.SampledFrom(texts()).Draw(t, "arguments"),
			State:      rapid.SampledFrom(distro.ExecutionStates()).Draw(t, "state"),
			EnqueuedAt: genTime().Draw(t, "enqueued"), StartedAt: genTime().Draw(t, "started"),
			Worker: name("worker"), Host: name("host"), Trigger: name("trigger"), Stock: rapid.Bool().Draw(t, "stock"),
		}
		switch e.State {
		case distro.ExecutionStarted:
			return e
		case distro.ExecutionFinished:
			e.Result = distro.View{Text: rapid.SampledFrom([]string{"", "1", strings.Repeat("é", 300)}).Draw(t, "result"), JSON: rapid.Bool().Draw(t, "json")}
			if e.Result.Text == "" {
				e.Result = distro.View{}
			}
		default:
			e.Failure = &distro.Failure{
				Kind: distro.FailureException, Type: rapid.SampledFrom([]string{"ValueError", "a.b.JobTimeoutException", "HTTPError2"}).Draw(t, "type"),
				Message: rapid.SampledFrom(texts()).Draw(t, "message"), Traceback: rapid.SampledFrom([]string{"", "Traceback"}).Draw(t, "traceback"),
			}
		}
		e.EndedAt = genTime().Draw(t, "ended")
		if e.EndedAt.Before(e.StartedAt) {
			e.EndedAt = time.Time{}
		}
		if rapid.IntRange(0, 5).Draw(t, "long") == 0 && !e.EndedAt.IsZero() {
			e.EndedAt = e.EndedAt.Add(20 * time.Second)
		}
		return e
	})
}

// glimpse is a part of what there is to know of an execution: that it started,
// that it ended, or all.
func glimpse(t *rapid.T, e distro.Execution) distro.Execution {
	switch rapid.IntRange(0, 3).Draw(t, "glimpse") {
	case 0:
		e.State, e.EndedAt, e.Result, e.Failure = distro.ExecutionStarted, time.Time{}, distro.View{}, nil
	case 1:
		if e.State != distro.ExecutionStarted {
			e = distro.Execution{JobID: e.JobID, Run: e.Run, State: e.State, StartedAt: e.StartedAt, EndedAt: e.EndedAt}
		}
	}
	return e
}

func genFilter(depth int) *rapid.Generator[store.Filter] {
	return rapid.Custom(func(t *rapid.T) store.Filter {
		kinds := 12
		if depth == 0 {
			kinds = 9
		}
		some := func(values []string) []string {
			return rapid.SliceOfN(rapid.SampledFrom(values), 0, 2).Draw(t, "values")
		}
		parts := func() []store.Filter { return rapid.SliceOfN(genFilter(depth-1), 0, 3).Draw(t, "parts") }
		word := rapid.SampledFrom([]string{"acme", "ACMÉ ltda", "nao", "não", "Ac", "mes", "3", "fiscal nota", "sao", "timeout", "HTTP", "valueerror", "zzz", "--", "celik"})
		prefix := rapid.Bool()
		switch rapid.IntRange(0, kinds).Draw(t, "kind") {
		case 0:
			return store.States(rapid.SliceOfN(rapid.SampledFrom(distro.ExecutionStates()), 0, 3).Draw(t, "states"))
		case 1:
			return store.Queues(some(append(names(), "unknown")))
		case 2:
			return store.Workers(some(names()))
		case 3:
			return store.Triggers(some(names()))
		case 4:
			return store.Jobs(some([]string{"j1", "j2", "j3", "unknown"}))
		case 5:
			return store.Functions(some([]string{"m", "m.n", "m.f", "m.n.f", "f", "n", "unknown.f"}))
		case 6:
			return store.Modules(some([]string{"", "m", "m.n"}))
		case 7:
			return store.Started{From: genTime().Draw(t, "from"), To: genTime().Draw(t, "to")}
		case 8:
			return store.Took{
				Min: time.Duration(rapid.IntRange(0, 25_000).Draw(t, "min")) * time.Millisecond,
				Max: time.Duration(rapid.IntRange(0, 2).Draw(t, "max")) * 15 * time.Second,
			}
		case 9:
			switch rapid.IntRange(0, 2).Draw(t, "words") {
			case 0:
				return store.Arguments{Words: word.Draw(t, "word"), Prefix: prefix.Draw(t, "prefix")}
			case 1:
				return store.ErrorText{Words: word.Draw(t, "word"), Prefix: prefix.Draw(t, "prefix")}
			default:
				return store.Keyword{
					Name:  rapid.SampledFrom([]string{"cliente", "mes", "Cliente", "nota_fiscal"}).Draw(t, "keyword"),
					Words: word.Draw(t, "word"), Prefix: prefix.Draw(t, "prefix"),
				}
			}
		case 10:
			return store.And(parts())
		case 11:
			return store.Or(parts())
		default:
			return store.Not{Filter: genFilter(depth-1).Draw(t, "not")}
		}
	})
}

// wordsOf is a slow and simple way to the words that a text is found by.
func wordsOf(text string) []string {
	plain := strings.NewReplacer("é", "e", "ã", "a", "ç", "c").Replace(strings.ToLower(text))
	return strings.FieldsFunc(plain, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
}

func hasWords(text, question string, prefix bool) bool {
	have, asked := wordsOf(text), wordsOf(question)
	for i, w := range asked {
		if !slices.ContainsFunc(have, func(h string) bool {
			return h == w || prefix && i == len(asked)-1 && strings.HasPrefix(h, w)
		}) {
			return false
		}
	}
	return true
}

// keywordsOf are the keyword arguments in texts().
func keywordsOf(arguments string) map[string]string {
	return map[string]map[string]string{
		"'ACME', valor=3.5":                     {"valor": "3.5"},
		"cliente='ACME Ltda', mes=3":            {"cliente": "ACME Ltda", "mes": "3"},
		"'não', cliente='acme'":                 {"cliente": "acme"},
		"nota_fiscal=[1, 'acme, mes=4'], mes=5": {"notafiscal": "1 acme mes 4", "mes": "5"},
		"'São Paulo', CLIENTE='Çelik'":          {"cliente": "Çelik"},
	}[arguments]
}

func errorText(f *distro.Failure) string {
	if f == nil {
		return ""
	}
	parts := map[string]string{
		"ValueError": "Value Error", "a.b.JobTimeoutException": "Job Timeout Exception", "HTTPError2": "HTTP Error2",
	}[f.Type]
	return f.Type + " " + parts + " " + f.Message
}

func anchorOf(e *distro.Execution) time.Time {
	for _, t := range []time.Time{e.StartedAt, e.EndedAt} {
		if !t.IsZero() {
			return t
		}
	}
	return e.EnqueuedAt
}

func matches(f store.Filter, e *distro.Execution) bool {
	switch f := f.(type) {
	case store.And:
		return !slices.ContainsFunc(f, func(p store.Filter) bool { return !matches(p, e) })
	case store.Or:
		return slices.ContainsFunc(f, func(p store.Filter) bool { return matches(p, e) })
	case store.Not:
		return !matches(f.Filter, e)
	case store.States:
		return slices.Contains(f, e.State)
	case store.Queues:
		return slices.Contains(f, e.Queue)
	case store.Workers:
		return slices.Contains(f, e.Worker)
	case store.Triggers:
		return slices.Contains(f, e.Trigger)
	case store.Jobs:
		return slices.Contains(f, e.JobID)
	case store.Modules:
		return slices.Contains(f, e.Module)
	case store.Functions:
		dotted := strings.TrimPrefix(e.Module+"."+e.Function, ".")
		return slices.Contains(f, dotted) || e.Module != "" && slices.Contains(f, e.Module)
	case store.Started:
		at := anchorOf(e)
		return (f.From.IsZero() || !at.Before(f.From)) && (f.To.IsZero() || at.Before(f.To))
	case store.Took:
		known := !e.StartedAt.IsZero() && !e.EndedAt.IsZero()
		return known && e.Took() >= f.Min && (f.Max == 0 || e.Took() <= f.Max)
	case store.Arguments:
		return hasWords(e.Arguments, f.Words, f.Prefix)
	case store.ErrorText:
		return hasWords(errorText(e.Failure), f.Words, f.Prefix)
	case store.Keyword:
		value, ok := keywordsOf(e.Arguments)[strings.Join(wordsOf(f.Name), "")]
		return len(wordsOf(f.Words)) == 0 || ok && hasWords(value, f.Words, f.Prefix)
	}
	return f == nil
}

type executionKey struct{ job, run string }

// TestListsAreWhatAFilterAsksForInEitherDatabase records random executions in
// any order and repeatedly, and compares every list, count and attempt with a
// plain model. The two databases must also agree on the order of ties.
func TestListsAreWhatAFilterAsksForInEitherDatabase(t *testing.T) {
	t.Parallel()
	for _, p := range places() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			o := p.options(t, t.TempDir())
			s := open(t, o)
			rapid.Check(t, func(t *rapid.T) {
				if err := s.Clear(t.Context()); err != nil {
					t.Fatal(err)
				}
				patience := rapid.SampledFrom([]time.Duration{0, time.Nanosecond}).Draw(t, "patience")
				s.Usual(store.Options{Patience: patience})
				if rapid.Bool().Draw(t, "hurry") {
					s.Hurry(rapid.SampledFrom([]int{-1, 3}).Draw(t, "few"), rapid.IntRange(0, 5).Draw(t, "recent"), 2)
				}
				truth := map[executionKey]distro.Execution{}
				for _, e := range rapid.SliceOfN(genExecution(), 0, 40).Draw(t, "executions") {
					truth[executionKey{e.JobID, e.Run}] = e
				}
				keys := sortedKeys(truth)
				if len(keys) > 0 {
					for _, k := range rapid.SliceOfN(rapid.SampledFrom(keys), 0, 60).Draw(t, "recorded") {
						record(t, s, glimpse(t, truth[k]))
					}
				}
				for _, k := range keys {
					record(t, s, truth[k], glimpse(t, truth[k]))
				}
				checkAttempts(t, s, truth)
				for range 12 {
					checkFilter(t, s, genFilter(3).Draw(t, "filter"), truth, patience == 0)
				}
			})
		})
	}
}

func sortedKeys(truth map[executionKey]distro.Execution) []executionKey {
	var keys []executionKey
	for k := range truth {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b executionKey) int { return strings.Compare(a.job+"/"+a.run, b.job+"/"+b.run) })
	return keys
}

func checkAttempts(t *rapid.T, s *store.Store, truth map[executionKey]distro.Execution) {
	for _, k := range sortedKeys(truth) {
		got, err := s.Attempts(t.Context(), k.job)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(got, func(e distro.Execution) bool { return e.Run == k.run })
		if i < 0 {
			t.Fatalf("%v is missing", k)
		}
		if diff := cmp.Diff(truth[k], got[i]); diff != "" {
			t.Fatal(diff)
		}
	}
}

func checkFilter(t *rapid.T, s *store.Store, f store.Filter, truth map[executionKey]distro.Execution, patient bool) {
	var want []executionKey
	for _, k := range sortedKeys(truth) {
		if e := truth[k]; matches(f, &e) {
			want = append(want, k)
		}
	}
	got := list(t, s, f, rapid.IntRange(1, 12).Draw(t, "limit"))
	var have []executionKey
	for i, e := range got {
		have = append(have, executionKey{e.JobID, e.Run})
		if i > 0 && anchorOf(&got[i-1].Execution).Before(anchorOf(&e.Execution)) {
			t.Fatalf("%+v: %v stands before %v", f, got[i-1].Execution, e.Execution)
		}
	}
	slices.SortFunc(have, func(a, b executionKey) int { return strings.Compare(a.job+"/"+a.run, b.job+"/"+b.run) })
	if diff := cmp.Diff(want, have, cmp.AllowUnexported(executionKey{})); diff != "" {
		t.Fatalf("%T %+v: %s", f, f, diff)
	}
	if n, exact, err := s.Count(t.Context(), f); err != nil || exact && n != len(want) || n > len(want) || patient && !exact {
		t.Fatalf("%T %+v: count %d, %v, %v, want %d", f, f, n, exact, err, len(want))
	}
}
