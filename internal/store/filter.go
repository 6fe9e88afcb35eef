package store

import (
	"time"

	"github.com/distro-orchestrator/distro"
)

// Filter says which executions are asked for: one of the types below, composed
// by And, Or and Not. Nil asks for all.
type Filter interface{ filter() }

// And asks for what every part asks for; without parts for all.
type And []Filter

// Or asks for what any part asks for; without parts for nothing.
type Or []Filter

// Not asks for what its part does not ask for.
type Not struct{ Filter Filter }

// Lists ask for executions that have any of their values; without values for
// nothing. Values are compared exactly.
type (
	States   []distro.ExecutionState
	Queues   []string
	Workers  []string
	Triggers []string
	Jobs     []string // IDs
	Modules  []string
	// Functions holds dotted names: of functions, or of modules, which stand
	// for all their functions.
	Functions []string
)

// Started asks for executions whose anchor, as Executions orders them, is not
// before From and before To; a zero time is no bound. One without any time is
// before all times.
type Started struct{ From, To time.Time }

// Took asks for executions that ended and took at least Min and at most Max; a
// Max of 0 is no bound.
type Took struct{ Min, Max time.Duration }

// Arguments asks for executions whose arguments hold every word of Words, in
// any order, without regard to case and accents. With Prefix the last word may
// be the beginning of one. Words without a letter or digit ask for all.
type Arguments struct {
	Words  string
	Prefix bool
}

// Keyword asks for executions whose keyword argument of this name holds every
// word of Words, as Arguments.
type Keyword struct {
	Name   string
	Words  string
	Prefix bool
}

// ErrorText asks for executions whose exception's type or message hold every
// word of Words, as Arguments. The type counts by its parts too: "timeout"
// finds JobTimeoutException.
type ErrorText struct {
	Words  string
	Prefix bool
}

func (And) filter()       {}
func (Or) filter()        {}
func (Not) filter()       {}
func (States) filter()    {}
func (Queues) filter()    {}
func (Workers) filter()   {}
func (Triggers) filter()  {}
func (Jobs) filter()      {}
func (Modules) filter()   {}
func (Functions) filter() {}
func (Started) filter()   {}
func (Took) filter()      {}
func (Arguments) filter() {}
func (Keyword) filter()   {}
func (ErrorText) filter() {}

// Bounds of a filter: more is ErrInvalid.
const (
	maxLeaves = 200
	maxValues = 1000 // of all lists
	maxDepth  = 50
)

// measure counts the leaves and values of f, and reports whether it is within
// bounds.
func measure(f Filter) bool {
	leaves, values := 0, 0
	var walk func(f Filter, depth int) bool
	walk = func(f Filter, depth int) bool {
		leaves++
		values += listLen(f)
		if leaves > maxLeaves || values > maxValues || depth > maxDepth {
			return false
		}
		for _, part := range parts(f) {
			if !walk(part, depth+1) {
				return false
			}
		}
		return true
	}
	return walk(f, 0)
}

// parts are what f is composed of.
func parts(f Filter) []Filter {
	switch f := f.(type) {
	case And:
		return f
	case Or:
		return f
	case Not:
		return []Filter{f.Filter}
	}
	return nil
}

// listLen is how many values f lists.
func listLen(f Filter) int {
	switch f := f.(type) {
	case States:
		return len(f)
	case Queues:
		return len(f)
	case Workers:
		return len(f)
	case Triggers:
		return len(f)
	case Jobs:
		return len(f)
	case Modules:
		return len(f)
	case Functions:
		return len(f)
	}
	return 0
}
