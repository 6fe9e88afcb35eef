package store

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/distro-orchestrator/distro"
)

// Bounds of texts, in bytes. What is longer is cut.
const (
	maxID        = 1 << 10
	maxName      = 512
	maxArguments = 16 << 10
	maxMessage   = 16 << 10
	maxResult    = 1 << 20
	maxTraceback = 1 << 20
)

// States in the database, the stronger the higher: what is recorded of an
// execution later, or again, never makes its state weaker.
const (
	stateStarted = iota
	stateRetried
	stateLost
	stateStopped
	stateFailed
	stateFinished
	states
)

// stateWord is the state of a number of the database.
func stateWord(n int) distro.ExecutionState {
	words := [states]distro.ExecutionState{
		stateStarted: distro.ExecutionStarted, stateRetried: distro.ExecutionRetried, stateLost: distro.ExecutionLost,
		stateStopped: distro.ExecutionStopped, stateFailed: distro.ExecutionFailed, stateFinished: distro.ExecutionFinished,
	}
	if n < 0 || n >= states {
		return ""
	}
	return words[n]
}

// stateNumber is the number of a state, -1 of none.
func stateNumber(s distro.ExecutionState) int {
	for n := range states {
		if stateWord(n) == s {
			return n
		}
	}
	return -1
}

// strength orders what is known of how an execution ended: nothing, that it
// ended, and how.
func strength(s distro.ExecutionState) int { return min(stateNumber(s), stateStopped) }

// normal is e as the database gives it back: times in microseconds, texts that
// both databases can hold, nothing longer than its bound.
func normal(e distro.Execution) distro.Execution {
	e.JobID, e.Run = clean(e.JobID, maxID), clean(e.Run, maxID)
	for _, text := range []*string{
		&e.Module, &e.Function, &e.Queue, &e.Worker, &e.Host, &e.Python, &e.CodeHash, &e.Commit, &e.Trigger, &e.Caller,
	} {
		*text = clean(*text, maxName)
	}
	e.Arguments = clean(e.Arguments, maxArguments)
	for _, t := range []*time.Time{&e.EnqueuedAt, &e.StartedAt, &e.EndedAt} {
		*t = moment(micros(*t))
	}
	whole := e.Result.Text
	e.Result.Text = clean(whole, maxResult)
	e.Result.Truncated = e.Result.Truncated || len(whole) > maxResult
	if e.Failure != nil {
		f := *e.Failure
		f.Type, f.Message = clean(f.Type, maxName), clean(f.Message, maxMessage)
		f.Kind = distro.FailureKind(clean(string(f.Kind), maxName))
		f.Traceback = clean(f.Traceback, maxTraceback)
		e.Failure = &f
	}
	return settled(e)
}

// settled is e without what its state excludes.
func settled(e distro.Execution) distro.Execution {
	if e.State == distro.ExecutionStarted || e.State == distro.ExecutionFinished {
		e.Failure = nil
	}
	if e.Failure != nil && *e.Failure == (distro.Failure{}) {
		e.Failure = nil
	}
	if e.State == distro.ExecutionStarted {
		e.EndedAt = time.Time{}
	}
	return e
}

// clean is text without what PostgreSQL cannot hold, cut to at most limit bytes
// at the end of a character.
func clean(text string, limit int) string {
	if len(text) > limit {
		text = text[:limit]
		for range utf8.UTFMax - 1 {
			if r, size := utf8.DecodeLastRuneInString(text); r != utf8.RuneError || size != 1 {
				break
			}
			text = text[:len(text)-1]
		}
	}
	if strings.IndexByte(text, 0) >= 0 {
		text = strings.ReplaceAll(text, "\x00", "\uFFFD")
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// merge is what is known of an execution when next is recorded after known.
// Both are normal.
//
// A weaker state never overwrites a stronger one, nor what is empty what is
// not. Where both say something, what comes with a state that is not weaker
// holds. The start alone stays as it first was known, since it is the
// execution's place in the list.
func merge(known, next distro.Execution) distro.Execution {
	if strength(next.State) < strength(known.State) {
		return settled(fill(known, next))
	}
	merged := fill(next, known)
	if !known.StartedAt.IsZero() {
		merged.StartedAt = known.StartedAt
	}
	return settled(merged)
}

// fill is e with what it lacks taken from other. e's state holds.
func fill(e, other distro.Execution) distro.Execution {
	or(&e.Attempt, other.Attempt)
	if e.Module == "" && e.Function == "" {
		e.Module, e.Function = other.Module, other.Function
	}
	for text, from := range map[*string]string{
		&e.Queue: other.Queue, &e.Arguments: other.Arguments, &e.Worker: other.Worker, &e.Host: other.Host,
		&e.Python: other.Python, &e.CodeHash: other.CodeHash, &e.Commit: other.Commit,
		&e.Trigger: other.Trigger, &e.Caller: other.Caller,
	} {
		or(text, from)
	}
	or(&e.EnqueuedAt, other.EnqueuedAt)
	or(&e.StartedAt, other.StartedAt)
	or(&e.EndedAt, other.EndedAt)
	or(&e.Stock, other.Stock)
	if e.Result.Text == "" {
		e.Result = other.Result
	}
	switch {
	case e.Failure == nil:
		e.Failure = other.Failure
	case other.Failure != nil && other.Failure.Kind == e.Failure.Kind:
		f := *e.Failure
		or(&f.Type, other.Failure.Type)
		or(&f.Message, other.Failure.Message)
		or(&f.Traceback, other.Failure.Traceback)
		or(&f.ExitCode, other.Failure.ExitCode)
		or(&f.Signal, other.Failure.Signal)
		e.Failure = &f
	}
	or(&e.PeakMemory, other.PeakMemory)
	or(&e.CPUTime, other.CPUTime)
	return e
}

// or gives value what other has, where it is empty.
func or[T comparable](value *T, other T) {
	var empty T
	if *value == empty {
		*value = other
	}
}

// same reports whether two normal executions are equal.
func same(a, b distro.Execution) bool {
	if (a.Failure == nil) != (b.Failure == nil) || a.Failure != nil && *a.Failure != *b.Failure {
		return false
	}
	a.Failure, b.Failure = nil, nil
	return a == b
}

// anchor is the time that an execution has in the list: its start, else its
// end, else when it was enqueued.
func anchor(e *distro.Execution) time.Time {
	switch {
	case !e.StartedAt.IsZero():
		return e.StartedAt
	case !e.EndedAt.IsZero():
		return e.EndedAt
	default:
		return e.EnqueuedAt
	}
}
