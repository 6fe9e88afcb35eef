package store

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro/internal/sqldb"
)

// condition is a Filter in the terms of the database: names are numbers, times
// are ids, and no negation stands above anything but a leaf.
type condition interface {
	// sql is the condition on distro_executions e.
	sql(b *builder) string
}

type (
	// always and never are true and false.
	constant bool

	// all and anyOf join conditions.
	all   []condition
	anyOf []condition

	// in: a column has one of some numbers, or has none of them.
	in struct {
		column string
		ids    []int64
		not    bool
	}

	// jobs: the ID is one of these, or none of these.
	jobs struct {
		ids []string
		not bool
	}

	// span: the id is at least from and below to, or is not.
	span struct {
		from, to int64
		not      bool
	}

	// duration: it took so many microseconds, or did not, or that is unknown.
	duration struct {
		from, to int64
		not      bool
	}

	// holds: a table of words has all of terms for it, or has not.
	holds struct {
		table string
		terms []term
		not   bool
	}
)

// builder collects the arguments of a statement.
type builder struct {
	dialect dialect
	args    []any

	// residual says that an index has been chosen that does not answer what
	// follows: PostgreSQL shall not look for another.
	residual bool

	// window, where it is set, holds the ids of all executions that the
	// statement looks at, and a good part of what is in it is looked at.
	window *span
}

// arg is the placeholder of a value.
func (b *builder) arg(v any) string {
	b.args = append(b.args, v)
	return fmt.Sprintf("$%d", len(b.args))
}

func (b *builder) list(values []any) string {
	marks := make([]string, len(values))
	for i, v := range values {
		marks[i] = b.arg(v)
	}
	return strings.Join(marks, ", ")
}

func (c constant) sql(*builder) string {
	if c {
		return "1 = 1"
	}
	return "1 = 0"
}

func (c all) sql(b *builder) string   { return join(b, c, " AND ", constant(true)) }
func (c anyOf) sql(b *builder) string { return join(b, c, " OR ", constant(false)) }

// rest is c where an index has been chosen that does not answer it.
func (c all) rest(b *builder) string {
	b.residual = true
	defer func() { b.residual = false }()
	return c.sql(b)
}

func join(b *builder, conditions []condition, with string, empty constant) string {
	if len(conditions) == 0 {
		return empty.sql(b)
	}
	texts := make([]string, len(conditions))
	for i, c := range conditions {
		texts[i] = c.sql(b)
	}
	return "(" + strings.Join(texts, with) + ")"
}

func negated(not bool) string {
	if not {
		return "NOT "
	}
	return ""
}

func (c in) sql(b *builder) string {
	column := "e." + c.column
	if b.residual && b.dialect.engine == sqldb.Postgres {
		column = "(" + column + " + 0)"
	}
	return column + " " + negated(c.not) + "IN (" + b.list(anys(c.ids)) + ")"
}

func (c jobs) sql(b *builder) string {
	keys := make([]any, len(c.ids))
	for i, id := range c.ids {
		keys[i] = hash(id)
	}
	return negated(c.not) + "(e.job_key IN (" + b.list(keys) + ") AND e.job_id IN (" + b.list(anys(c.ids)) + "))"
}

func (c span) sql(b *builder) string {
	return negated(c.not) + "(e.id >= " + b.arg(c.from) + " AND e.id < " + b.arg(c.to) + ")"
}

func (c duration) sql(b *builder) string {
	return negated(c.not) + "(e.took >= " + b.arg(c.from) + " AND e.took <= " + b.arg(c.to) + ")"
}

// sql asks for the words of one execution after the other. SQLite's index of
// words takes long to answer that: there a function of ours looks for them in the
// texts themselves, or in a window all that hold them are found first, unless one
// may go on. PostgreSQL is asked for a scalar, so that it does not find all.
func (c holds) sql(b *builder) string {
	if b.dialect.engine == sqldb.Postgres {
		return negated(c.not) + "COALESCE((SELECT w.words @@ CAST(" + b.arg(b.dialect.question(c.terms)) + "::TEXT AS TSQUERY) FROM " + c.table +
			" w WHERE w.id = e.id), FALSE)"
	}
	if _, last := c.parted(); last == nil && b.window != nil {
		return "e.id " + negated(c.not) + "IN (SELECT w.rowid FROM " + c.table + " w WHERE w." + c.table + " MATCH " +
			b.arg(b.dialect.question(c.terms)) + " AND w.rowid >= " + b.arg(b.window.from) + " AND w.rowid < " + b.arg(b.window.to) + ")"
	}
	call := argumentsHold + "(e.arguments, "
	if c.table == errorTable {
		call = errorHolds + "(e.type, e.message, "
	}
	return negated(c.not) + call + b.arg(writeTerms(c.terms)) + ")"
}

// compile turns a filter into a condition.
func (s *Store) compile(ctx context.Context, f Filter, not bool) (condition, error) {
	switch f := f.(type) {
	case nil:
		return constant(!not), nil
	case And:
		return s.compileParts(ctx, f, not, not)
	case Or:
		return s.compileParts(ctx, f, not, !not)
	case Not:
		if f.Filter == nil {
			return constant(not), nil
		}
		return s.compile(ctx, f.Filter, !not)
	case Started:
		return f.span(not), nil
	case Took:
		return f.duration(not), nil
	case Arguments:
		return asking(argumentTable, "", f.Words, f.Prefix, not), nil
	case Keyword:
		return asking(argumentTable, foldName(f.Name)+joiner, f.Words, f.Prefix, not), nil
	case ErrorText:
		return asking(errorTable, "", f.Words, f.Prefix, not), nil
	}
	return s.compileList(ctx, f, not)
}

func (f Started) span(not bool) span {
	c := span{from: 0, to: math.MaxInt64, not: not}
	if !f.From.IsZero() {
		c.from = firstID(f.From)
	}
	if !f.To.IsZero() {
		c.to = firstID(f.To)
	}
	return c
}

// duration is in whole microseconds, as durations are kept.
func (f Took) duration(not bool) duration {
	c := duration{from: max(f.Min.Microseconds(), 0), to: math.MaxInt64, not: not}
	if f.Min > 0 && f.Min%time.Microsecond != 0 {
		c.from++
	}
	if f.Max > 0 {
		c.to = f.Max.Microseconds()
	}
	return c
}

func (s *Store) compileParts(ctx context.Context, parts []Filter, not, either bool) (condition, error) {
	conditions := make([]condition, len(parts))
	for i, part := range parts {
		var err error
		if conditions[i], err = s.compile(ctx, part, not); err != nil {
			return nil, err
		}
	}
	if either {
		return anyOf(conditions), nil
	}
	return all(conditions), nil
}

func asking(table, before, text string, prefix, not bool) condition {
	var terms []term
	for _, w := range words(text) {
		terms = append(terms, term{word: before + w})
	}
	if len(terms) == 0 {
		return constant(!not)
	}
	terms[len(terms)-1].prefix = prefix
	return holds{table: table, terms: terms, not: not}
}

// compileList turns a list of values into a condition on their numbers.
func (s *Store) compileList(ctx context.Context, f Filter, not bool) (condition, error) {
	var ids []int64
	var err error
	column := ""
	switch f := f.(type) {
	case Jobs:
		return asked(jobs{ids: sorted(f, maxID), not: not}, len(f) == 0, not), nil
	case States:
		column = "state"
		for _, state := range f {
			if n := stateNumber(state); n >= 0 {
				ids = append(ids, int64(n))
			}
		}
	case Queues:
		column = "queue"
		ids, err = s.numbersOf(ctx, f)
	case Workers:
		column = "worker"
		ids, err = s.numbersOf(ctx, f)
	case Triggers:
		column = "origin"
		ids, err = s.numbersOf(ctx, f)
	case Modules:
		column = "function"
		ids, err = collect(ctx, f, s.findModule)
	case Functions:
		column = "function"
		ids, err = collect(ctx, f, s.findFunctions)
	default:
		return nil, fmt.Errorf("filter of type %T: %w", f, ErrInvalid)
	}
	if err != nil {
		return nil, fmt.Errorf("find names: %w", err)
	}
	ids = unique(ids)
	if len(ids) > maxValues {
		return nil, fmt.Errorf("filter that means %d functions, %d at most: %w", len(ids), maxValues, ErrInvalid)
	}
	return asked(in{column: column, ids: ids, not: not}, len(ids) == 0, not), nil
}

// asked is c, unless it asks for nothing.
func asked(c condition, empty, not bool) condition {
	if empty {
		return constant(not)
	}
	return c
}

// sorted are values as the database holds them, each once.
func sorted(values []string, limit int) []string {
	cleaned := make([]string, len(values))
	for i, v := range values {
		cleaned[i] = clean(v, limit)
	}
	slices.Sort(cleaned)
	return slices.Compact(cleaned)
}

// numbersOf are the numbers of those names that the database knows.
func (s *Store) numbersOf(ctx context.Context, names []string) ([]int64, error) {
	return collect(ctx, names, func(ctx context.Context, name string) ([]int64, error) {
		id, found, err := s.findName(ctx, s.db, clean(name, maxName))
		if err != nil || !found {
			return nil, err
		}
		return []int64{id}, nil
	})
}

func collect(ctx context.Context, names []string, find func(context.Context, string) ([]int64, error)) ([]int64, error) {
	var found []int64
	for _, name := range sorted(names, 2*maxName+1) {
		ids, err := find(ctx, name)
		if err != nil {
			return nil, err
		}
		found = append(found, ids...)
	}
	return found, nil
}

// maxConjunctions bounds into how many parts a condition is taken apart.
const maxConjunctions = 16

// conjunctions are conditions without alternatives that c is made of: what any
// of them asks for. A condition of too many is returned whole.
func conjunctions(c condition) []all {
	found, ok := apart(c)
	if !ok {
		return []all{{c}}
	}
	return found
}

func apart(c condition) (found []all, ok bool) {
	switch c := c.(type) {
	case constant:
		if !c {
			return nil, true
		}
		return []all{{}}, true
	case anyOf:
		for _, part := range c {
			more, ok := apart(part)
			if found = append(found, more...); !ok || len(found) > maxConjunctions {
				return nil, false
			}
		}
		return found, true
	case all:
		found = []all{{}}
		for _, part := range c {
			more, ok := apart(part)
			if !ok || len(found)*len(more) > maxConjunctions {
				return nil, false
			}
			var product []all
			for _, a := range found {
				for _, b := range more {
					product = append(product, slices.Concat(a, b))
				}
			}
			found = product
		}
		return found, true
	}
	return []all{{c}}, true
}
