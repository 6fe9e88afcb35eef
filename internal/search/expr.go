package search

import (
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
)

// Expr is a parsed expression: And, Or, Not, or one of the leaves State, Name,
// Text, Keyword, Duration and Moment. Parse makes only trees in normal form:
// And and Or have two parts or more, none of which is of their own type, and
// Not holds no Not. The one And without parts matches everything, and is no
// part of another Expr.
//
// There are two truth values. What is unknown of an execution, as a time that
// nobody wrote, matches no leaf, so that it matches the Not of it.
type Expr interface {
	// String is the canonical text: Parse makes the same tree of it, whenever
	// and wherever it is called.
	String() string
	// Match reports whether an execution is meant.
	Match(x *distro.Execution) bool

	holds(s *subject) bool
	print(b *strings.Builder, within place)
}

// And matches what all its parts match.
type And []Expr

// Or matches what one of its parts matches.
type Or []Expr

// Not matches what Of does not.
type Not struct{ Of Expr }

// State matches what is in a state: a distro.ExecutionState or a
// distro.Status.
type State struct{ Value string }

// Field names what a leaf looks at, in the language's English.
type Field string

// The fields.
const (
	FieldState    Field = "state"
	FieldQueue    Field = "queue"
	FieldFunction Field = "function" // dotted, with its module
	FieldModule   Field = "module"
	FieldWorker   Field = "worker"
	FieldTrigger  Field = "trigger"
	FieldID       Field = "id" // of the job
	FieldArgs     Field = "args"
	FieldError    Field = "error" // its type and message
	FieldTook     Field = "took"
	FieldWaited   Field = "waited"
	FieldWhen     Field = "when"
	FieldAny      Field = "" // of Text: function, arguments or error
)

// Name matches what has such a name in Field: FieldQueue, FieldFunction,
// FieldModule, FieldWorker, FieldTrigger or FieldID. In Pattern * stands for
// any characters. Names are compared as Fold makes them, but those of FieldID.
type Name struct {
	Field   Field
	Pattern string
}

// Matches reports whether a name is meant. There are few functions, modules,
// queues and workers: a store may ask for each which of them are.
func (e Name) Matches(name string) bool {
	if e.Field == FieldID {
		return glob(e.Pattern, name)
	}
	return glob(Fold(e.Pattern), Fold(name))
}

// Text matches what has the words of Phrase beside each other, in Field:
// FieldArgs, FieldError or FieldAny. Unless Exact is set, the last word may go
// on.
type Text struct {
	Field  Field
	Phrase string
	Exact  bool
}

// Words are those of Phrase, at least one, as Words makes them.
func (e Text) Words() []string { return Words(e.Phrase) }

// Keyword matches a call that gave an argument by its name, with such a value:
// the text of a string, else Python's spelling. In Pattern * stands for any
// characters. Case and accents do not matter.
type Keyword struct {
	Name    string
	Pattern string
}

// Matches reports whether arguments, as distro.Execution has them, hold it.
func (e Keyword) Matches(arguments string) bool {
	name, pattern := Fold(e.Name), Fold(e.Pattern)
	for have, value := range Keywords(arguments) {
		if Fold(have) == name && glob(pattern, Fold(unquote(value))) {
			return true
		}
	}
	return false
}

// Words stand beside each other in every value that Matches finds, in Python's
// spelling too; with prefix the last may go on. A store may narrow its search by
// them, and ask Matches for the rest. There are none where nothing is certain.
func (e Keyword) Words() (words []string, prefix bool) {
	text, prefix := strings.CutSuffix(e.Pattern, "*")
	if strings.Contains(text, "*") || strings.ContainsFunc(text, unprintable) {
		return nil, false
	}
	return Words(text), prefix
}

// Op compares.
type Op string

// The comparisons.
const (
	Above   Op = ">"
	AtLeast Op = ">="
	Below   Op = "<"
	AtMost  Op = "<="
)

// Duration matches by how long something took: FieldTook or FieldWaited. What
// is not known, or has not ended, matches none.
type Duration struct {
	Field Field
	Op    Op
	Value time.Duration
}

// Moment matches by when something was, as When tells it. Op is AtLeast or
// Below, At is UTC.
type Moment struct {
	Op Op
	At time.Time
}

// When is the time by which executions are searched: their start, else the
// first that is known of their end and of the time they were put on the queue.
func When(x *distro.Execution) time.Time {
	return first(x.StartedAt, x.EndedAt, x.EnqueuedAt)
}

func first(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

// joined makes the normal form of a conjunction or a disjunction.
func joined[List interface {
	Expr
	And | Or
}](parts []Expr) Expr {
	var flat List
	for _, part := range parts {
		if inner, ok := part.(List); ok {
			flat = append(flat, inner...)
		} else {
			flat = append(flat, part)
		}
	}
	if len(flat) == 1 {
		return flat[0]
	}
	return flat
}

// not makes the normal form of a negation.
func not(e Expr) Expr {
	if n, ok := e.(Not); ok {
		return n.Of
	}
	return Not{e}
}
