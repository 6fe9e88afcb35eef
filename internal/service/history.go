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

// History is what ran, and what operators did to many jobs: store.Store.
type History interface {
	Executions(ctx context.Context, q store.Query) (store.Page, error)
	Count(ctx context.Context, filter store.Filter) (n int, exact bool, err error)
	Attempts(ctx context.Context, jobID string) ([]distro.Execution, error)
	Series(ctx context.Context, q store.SeriesQuery) ([]store.Line, error)
	Names(ctx context.Context, match func(name string) bool, limit int) ([]string, error)
	FunctionNames(ctx context.Context, match func(module, name string) bool, limit int) ([][2]string, error)

	CreateOperation(ctx context.Context, o store.Operation) error
	SaveOperation(ctx context.Context, o store.Operation) (store.Operation, error)
	CancelOperation(ctx context.Context, id string) (store.Operation, error)
	Operation(ctx context.Context, id string) (store.Operation, error)
	Operations(ctx context.Context, limit int) ([]store.Operation, error)
	UnfinishedOperations(ctx context.Context) ([]store.Operation, error)
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
	if s.opts.History == nil {
		return Found{}, errForgets()
	}
	filter, err := s.filter(ctx, query)
	if err != nil {
		return Found{}, err
	}
	page, err := s.opts.History.Executions(ctx, store.Query{Filter: filter, Limit: limit, After: cursor})
	if errors.Is(err, store.ErrInvalid) {
		return Found{}, distro.Invalid("cursor", "not a cursor of this list, or a search that asks for too much")
	}
	return Found{Page: page, Behind: s.opts.Behind()}, historyFault(err)
}

// CountExecutions counts what a search selects; exact is false where there may
// be more.
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
	filter, err := s.compile(ctx, expr)
	if err != nil {
		return 0, false, err
	}
	n, exact, err = s.opts.History.Count(ctx, filter)
	return n, exact, historyFault(err)
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

// filter is a search as history takes it.
func (s *Service) filter(ctx context.Context, query string) (store.Filter, error) {
	expr, err := s.parse("q", query)
	if err != nil {
		return nil, err
	}
	return s.compile(ctx, expr)
}

// maxNames is how many functions, queues or workers a pattern may mean.
const maxNames = 500

// compile makes a filter of an expression. Names are patterns there and values
// here: history is asked which it has. Words may stand anywhere in a text here.
func (s *Service) compile(ctx context.Context, expr search.Expr) (store.Filter, error) {
	switch e := expr.(type) {
	case search.And:
		parts, err := s.compileAll(ctx, e)
		return store.And(parts), err
	case search.Or:
		parts, err := s.compileAll(ctx, e)
		return store.Or(parts), err
	case search.Not:
		part, err := s.compile(ctx, e.Of)
		return store.Not{Filter: part}, err
	case search.State:
		return store.States{distro.ExecutionState(e.Value)}, nil
	case search.Name:
		return s.compileName(ctx, e)
	case search.Text:
		return s.compileText(ctx, e)
	case search.Keyword:
		words, star := strings.CutSuffix(e.Pattern, "*")
		return store.Keyword{Name: e.Name, Words: strings.ReplaceAll(words, "*", " "), Prefix: star}, nil
	case search.Duration:
		return compileDuration(e)
	case search.Moment:
		if e.Op == search.AtLeast {
			return store.Started{From: e.At}, nil
		}
		return store.Started{To: e.At}, nil
	}
	return nil, fmt.Errorf("compile search: %T is unknown", expr)
}

func (s *Service) compileAll(ctx context.Context, parts []search.Expr) ([]store.Filter, error) {
	list := make([]store.Filter, len(parts))
	for i, part := range parts {
		var err error
		if list[i], err = s.compile(ctx, part); err != nil {
			return nil, err
		}
	}
	return list, nil
}

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
	names, err := s.opts.History.Names(ctx, n.Matches, maxNames)
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

// functions asks for those that match.
func (s *Service) functions(ctx context.Context, match func(module, name string) bool) (store.Filter, error) {
	found, err := s.opts.History.FunctionNames(ctx, match, maxNames)
	list := make(store.Functions, len(found))
	for i, f := range found {
		list[i] = dottedName(f[0], f[1])
	}
	return list, historyFault(err)
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

func compileDuration(d search.Duration) (store.Filter, error) {
	if d.Field != search.FieldTook {
		return nil, distro.Invalid("q", "how long jobs waited cannot be searched in history; search by how long they took")
	}
	switch d.Op {
	case search.AtLeast:
		return store.Took{Min: d.Value}, nil
	case search.Above:
		return store.Took{Min: d.Value + time.Microsecond}, nil
	case search.Below:
		return store.Took{Max: max(d.Value-time.Microsecond, time.Nanosecond)}, nil
	default:
		return store.Took{Max: max(d.Value, time.Nanosecond)}, nil
	}
}
