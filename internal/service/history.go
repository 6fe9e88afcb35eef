package service

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/search"
	"github.com/distro-orchestrator/distro/internal/store"
)

// History is what ran, and what operators and requests did: store.Store.
type History interface {
	Executions(ctx context.Context, q store.Query) (store.Page, error)
	Count(ctx context.Context, filter store.Filter) (n int, exact bool, err error)
	Attempts(ctx context.Context, jobID string) ([]distro.Execution, error)
	Series(ctx context.Context, q store.SeriesQuery) ([]store.Line, error)
	Names(ctx context.Context, match func(name string) bool, limit int) ([]string, error)
	FunctionNames(ctx context.Context, match func(module, name string) bool, limit int) ([][2]string, error)

	Operations
	Answers
	Presets
}

// Operations are kept so that they go on after this process was killed.
type Operations interface {
	CreateOperation(ctx context.Context, o store.Operation) error
	SaveOperation(ctx context.Context, o store.Operation) (store.Operation, error)
	CancelOperation(ctx context.Context, id string) (store.Operation, error)
	Operation(ctx context.Context, id string) (store.Operation, error)
	Operations(ctx context.Context, limit int) ([]store.Operation, error)
	UnfinishedOperations(ctx context.Context) ([]store.Operation, error)
}

// Answers are what requests with a key were answered.
type Answers interface {
	Remember(ctx context.Context, key, fingerprint string, response []byte, ttl time.Duration) error
	Recall(ctx context.Context, key string) (store.Answer, error)
}

// Found is a page of executions.
type Found struct {
	store.Page

	// Behind says since when history lacks what happens; zero: it does not.
	Behind time.Time
}

// Executions returns a page of what ran, the newest first, as a search in the
// language of package search selects it.
func (s *Service) Executions(ctx context.Context, query, cursor string, limit int) (Found, error) {
	expr, err := s.parse("q", query)
	if err != nil {
		return Found{}, err
	}
	page, err := s.lookUp(ctx, expr, cursor, limit)
	return Found{Page: page, Behind: s.opts.Behind()}, err
}

// Newest returns the newest executions of one function, module.function as
// history has it.
func (s *Service) Newest(ctx context.Context, function string, limit int) ([]store.Entry, error) {
	if s.opts.History == nil {
		return nil, errForgets()
	}
	found, err := s.opts.History.Executions(ctx, store.Query{Filter: store.Functions{function}, Limit: limit})
	return found.Executions, historyFault(err)
}

// CountExecutions counts what a search selects; exact is false where that is not
// certain.
func (s *Service) CountExecutions(ctx context.Context, query string) (n int, exact bool, err error) {
	expr, err := s.parse("q", query)
	if err != nil {
		return 0, false, err
	}
	return s.count(ctx, expr)
}

func (s *Service) count(ctx context.Context, expr search.Expr) (n int, exact bool, err error) {
	if s.opts.History == nil {
		return 0, false, errForgets()
	}
	filter, wide, err := s.compile(ctx, expr)
	if err != nil {
		return 0, false, err
	}
	n, exact, err = s.opts.History.Count(ctx, filter)
	return n, exact && !wide, historyFault(err)
}

// lookUp returns a page of the executions that expr matches. History may be asked
// for more than these: what does not match is left out here.
func (s *Service) lookUp(ctx context.Context, expr search.Expr, cursor string, limit int) (store.Page, error) {
	if s.opts.History == nil {
		return store.Page{}, errForgets()
	}
	filter, _, err := s.compile(ctx, expr)
	if err != nil {
		return store.Page{}, err
	}
	found, err := sift(cursor, limit, SearchTime, func(cursor string, limit int) (page[store.Entry], error) {
		p, err := s.opts.History.Executions(ctx, store.Query{Filter: filter, Limit: limit, After: cursor})
		if errors.Is(err, store.ErrInvalid) {
			return page[store.Entry]{}, distro.Invalid("cursor", "not a cursor of this list, or a search that asks for too much")
		}
		return page[store.Entry]{items: p.Executions, next: p.Next, partial: p.Partial}, historyFault(err)
	}, func(entries []store.Entry) ([]bool, error) {
		matches := make([]bool, len(entries))
		for i := range entries {
			matches[i] = expr.Match(&entries[i].Execution)
		}
		return matches, nil
	})
	return store.Page{Executions: found.items, Next: found.next, Partial: found.partial}, err
}

// Attempts returns everything that is known of the attempts of a job, the
// oldest first, whether the queue still knows the job or not.
func (s *Service) Attempts(ctx context.Context, id string) ([]distro.Execution, error) {
	if s.opts.History == nil {
		return nil, errForgets()
	}
	list, err := s.opts.History.Attempts(ctx, id)
	if err != nil {
		return nil, historyFault(err)
	}
	if len(list) == 0 {
		if _, err := s.Get(ctx, id); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Series returns counts and times of executions that ended, for charts.
func (s *Service) Series(ctx context.Context, q store.SeriesQuery) ([]store.Line, error) {
	if s.opts.History == nil {
		return nil, errForgets()
	}
	lines, err := s.opts.History.Series(ctx, q)
	if errors.Is(err, store.ErrInvalid) {
		return nil, distro.Invalid("step", "these times and this step make no chart: at most some thousand points, of whole minutes or hours")
	}
	return lines, historyFault(err)
}

// Remember keeps what a request with a key was answered, for ttl.
func (s *Service) Remember(ctx context.Context, key, fingerprint string, response []byte, ttl time.Duration) error {
	if s.opts.History == nil {
		return errForgets()
	}
	return historyFault(s.opts.History.Remember(ctx, key, fingerprint, response, ttl))
}

// Recall returns what Remember kept for a key; where it keeps nothing the
// fingerprint is empty.
func (s *Service) Recall(ctx context.Context, key string) (fingerprint string, response []byte, err error) {
	if s.opts.History == nil {
		return "", nil, errForgets()
	}
	kept, err := s.opts.History.Recall(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil, nil
	}
	return kept.Fingerprint, kept.Response, historyFault(err)
}

// errForgets is what a service without a history answers.
func errForgets() error { return distro.Errorf(distro.CodeUnavailable, "no history is kept here") }

// historyFault gives an error of history the code it has for clients.
func historyFault(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrFull):
		return &distro.Error{Code: distro.CodeFull, Message: "there is no room left for history; free some disk space", Err: err}
	case errors.Is(err, store.ErrInvalid):
		return &distro.Error{Code: distro.CodeInvalid, Message: "history cannot be asked this", Err: err}
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &distro.Error{Code: distro.CodeUnavailable, Message: "history cannot be reached; jobs go on, and what happens is recorded later", Err: err}
	}
	return err
}

// maxNames is how many functions, queues or workers a pattern may mean.
const maxNames = 500

// compile makes a filter for expr: what it selects holds all that expr matches.
// wide says that it may hold more, as history looks for words where the
// language also knows their order.
func (s *Service) compile(ctx context.Context, expr search.Expr) (f store.Filter, wide bool, err error) {
	return s.compilePart(ctx, expr, true)
}

// compilePart makes a filter that selects all that expr matches, and may select
// more; without over it selects only such, and may select less: that is what the
// part of a negation is to be.
func (s *Service) compilePart(ctx context.Context, expr search.Expr, over bool) (f store.Filter, inexact bool, err error) {
	switch e := expr.(type) {
	case search.And:
		parts, inexact, err := s.compileAll(ctx, e, over)
		return store.And(parts), inexact, err
	case search.Or:
		parts, inexact, err := s.compileAll(ctx, e, over)
		return store.Or(parts), inexact, err
	case search.Not:
		part, inexact, err := s.compilePart(ctx, e.Of, !over)
		return store.Not{Filter: part}, inexact, err
	case search.State:
		return store.States{distro.ExecutionState(e.Value)}, false, nil
	case search.Name:
		f, err := s.compileName(ctx, e)
		return f, false, err
	case search.Text:
		f, err := s.compileText(ctx, e)
		return loosely(f, len(e.Words()) > 1, over, err)
	case search.Keyword:
		return loosely(compileKeyword(e), true, over, nil)
	case search.Duration:
		if e.Field != search.FieldTook { // history has no index of how long jobs waited
			return loosely(store.And{}, true, over, nil)
		}
		return compileTook(e), false, nil
	case search.Moment:
		if e.Op == search.AtLeast {
			return store.Started{From: e.At}, false, nil
		}
		return store.Started{To: e.At}, false, nil
	}
	return nil, false, fmt.Errorf("compile search: %T is unknown", expr)
}

// loosely is f where it may select more than is meant, and nothing in its place
// where it may not.
func loosely(f store.Filter, inexact, over bool, err error) (store.Filter, bool, error) {
	if inexact && !over {
		return store.Or{}, true, err
	}
	return f, inexact, err
}

func (s *Service) compileAll(ctx context.Context, parts []search.Expr, over bool) (list []store.Filter, inexact bool, err error) {
	list = make([]store.Filter, len(parts))
	for i, part := range parts {
		var loose bool
		if list[i], loose, err = s.compilePart(ctx, part, over); err != nil {
			return nil, false, err
		}
		inexact = inexact || loose
	}
	return list, inexact, nil
}

// compileName asks history which names a pattern means.
func (s *Service) compileName(ctx context.Context, n search.Name) (store.Filter, error) {
	switch n.Field {
	case search.FieldID:
		if strings.Contains(n.Pattern, "*") {
			return nil, distro.Invalid("q", "id: write the whole ID, without *")
		}
		return store.Jobs{n.Pattern}, nil
	case search.FieldFunction, search.FieldModule:
		return s.functions(ctx, func(module, name string) bool {
			if n.Field == search.FieldModule {
				return n.Matches(module)
			}
			return n.Matches(dottedName(module, name))
		})
	}
	names, err := s.opts.History.Names(ctx, n.Matches, maxNames+1)
	if err == nil {
		err = fewNames(len(names))
	}
	if err != nil {
		return nil, historyFault(err)
	}
	switch n.Field {
	case search.FieldQueue:
		return store.Queues(names), nil
	case search.FieldWorker:
		return store.Workers(names), nil
	default:
		return store.Triggers(names), nil
	}
}

// fewNames refuses a pattern that means too many names.
func fewNames(n int) error {
	if n > maxNames {
		return distro.Invalid("q", "a word or pattern means more than %d functions, queues or workers: write more of the name", maxNames)
	}
	return nil
}

// functions asks for those that match.
func (s *Service) functions(ctx context.Context, match func(module, name string) bool) (store.Filter, error) {
	found, err := s.opts.History.FunctionNames(ctx, match, maxNames+1)
	if err == nil {
		err = fewNames(len(found))
	}
	if err != nil {
		return nil, historyFault(err)
	}
	list := make(store.Functions, len(found))
	for i, f := range found {
		list[i] = dottedName(f[0], f[1])
	}
	return list, nil
}

func dottedName(module, name string) string {
	if module == "" || name == "" {
		return module + name
	}
	return module + "." + name
}

func (s *Service) compileText(ctx context.Context, t search.Text) (store.Filter, error) {
	arguments := store.Arguments{Words: t.Phrase, Prefix: !t.Exact}
	failure := store.ErrorText{Words: t.Phrase, Prefix: !t.Exact}
	switch t.Field {
	case search.FieldArgs:
		return arguments, nil
	case search.FieldError:
		return failure, nil
	}
	functions, err := s.functions(ctx, func(module, name string) bool {
		return t.Match(&distro.Execution{Module: module, Function: name})
	})
	return store.Or{arguments, failure, functions}, err
}

// compileKeyword narrows by the words of the value, else by the argument's name.
func compileKeyword(k search.Keyword) store.Filter {
	words, prefix := k.Words()
	if len(words) == 0 {
		return store.Arguments{Words: k.Name}
	}
	return store.Keyword{Name: k.Name, Words: strings.Join(words, " "), Prefix: prefix}
}

// compileTook compares in the microseconds that history keeps.
func compileTook(d search.Duration) store.Filter {
	switch d.Op {
	case search.AtLeast:
		return store.Took{Min: d.Value}
	case search.Above:
		return store.Took{Min: d.Value + time.Microsecond}
	case search.Below:
		return store.Took{Max: max(d.Value-time.Microsecond, time.Nanosecond)}
	default:
		return store.Took{Max: max(d.Value, time.Nanosecond)}
	}
}
