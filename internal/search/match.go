package search

import (
	"iter"
	"strings"
	"time"
	"unicode"

	"github.com/distro-orchestrator/distro"
)

// subject is what an expression is held against.
type subject struct {
	state, queue, module, function, worker, trigger, id string
	arguments, failure                                  string

	took, waited           time.Duration
	knowsTook, knowsWaited bool
	when                   time.Time
}

func ofExecution(x *distro.Execution) *subject {
	s := &subject{
		state: string(x.State), queue: x.Queue, module: x.Module, function: x.Function,
		worker: x.Worker, trigger: x.Trigger, id: x.JobID, arguments: x.Arguments, failure: failureText(x.Failure),
		when: When(x), took: x.Took(), waited: x.Waited(),
		knowsTook:   !x.StartedAt.IsZero() && !x.EndedAt.IsZero(),
		knowsWaited: !x.EnqueuedAt.IsZero() && !x.StartedAt.IsZero(),
	}
	switch {
	case x.Module != "" && x.Function != "":
		s.function = x.Module + "." + x.Function
	case x.Module != "":
		s.function = x.Module
	}
	return s
}

// MatchJob reports whether e means a job of the queue. The job does not tell
// its module, which is taken for what stands before the last dot of its
// function, nor its arguments, which the caller shows as a distro.Execution
// has them. It is searched by its start, else by the first that is known of
// the times it is due, was put on the queue and was made.
func MatchJob(e Expr, job *distro.Job, arguments string) bool {
	x := distro.Execution{
		JobID: job.ID, Function: job.Function, Queue: job.Queue, Worker: job.Worker, Arguments: arguments,
		State: distro.ExecutionState(job.Status), EnqueuedAt: job.EnqueuedAt, StartedAt: job.StartedAt, EndedAt: job.EndedAt,
	}
	if dot := strings.LastIndexByte(job.Function, '.'); dot >= 0 {
		x.Module, x.Function = job.Function[:dot], job.Function[dot+1:]
	}
	if job.Result != nil && job.Status != distro.StatusFinished {
		x.Failure = job.Result.Failure
	}
	s := ofExecution(&x)
	s.when = first(job.StartedAt, job.DueAt, job.EnqueuedAt, job.CreatedAt)
	return e.holds(s)
}

func failureText(f *distro.Failure) string {
	if f == nil {
		return ""
	}
	return f.Type + ": " + f.Message
}

// failed reports whether a failure has a phrase: in its type and message, or in
// the parts of its type, so that "timeout" means a JobTimeoutException too.
func (s *subject) failed(words []string, exact bool) bool {
	class, _, _ := strings.Cut(s.failure, ":")
	return hasPhrase(s.failure, words, exact) || hasPhrase(Humps(class), words, exact)
}

// Match reports whether every part matches.
func (e And) Match(x *distro.Execution) bool { return e.holds(ofExecution(x)) }

// Match reports whether a part matches.
func (e Or) Match(x *distro.Execution) bool { return e.holds(ofExecution(x)) }

// Match reports whether Of does not match.
func (e Not) Match(x *distro.Execution) bool { return e.holds(ofExecution(x)) }

// Match compares the state.
func (e State) Match(x *distro.Execution) bool { return e.holds(ofExecution(x)) }

// Match compares a name.
func (e Name) Match(x *distro.Execution) bool { return e.holds(ofExecution(x)) }

// Match looks for the words.
func (e Text) Match(x *distro.Execution) bool { return e.holds(ofExecution(x)) }

// Match looks at the arguments that were given by name.
func (e Keyword) Match(x *distro.Execution) bool { return e.holds(ofExecution(x)) }

// Match compares how long it took or waited.
func (e Duration) Match(x *distro.Execution) bool { return e.holds(ofExecution(x)) }

// Match compares the time that When tells.
func (e Moment) Match(x *distro.Execution) bool { return e.holds(ofExecution(x)) }

func (e And) holds(s *subject) bool {
	for _, part := range e {
		if !part.holds(s) {
			return false
		}
	}
	return true
}

func (e Or) holds(s *subject) bool {
	for _, part := range e {
		if part.holds(s) {
			return true
		}
	}
	return false
}

func (e Not) holds(s *subject) bool { return !e.Of.holds(s) }

func (e State) holds(s *subject) bool { return s.state == e.Value }

func (e Name) holds(s *subject) bool {
	switch e.Field {
	case FieldQueue:
		return e.Matches(s.queue)
	case FieldFunction:
		return e.Matches(s.function)
	case FieldModule:
		return e.Matches(s.module)
	case FieldWorker:
		return e.Matches(s.worker)
	case FieldTrigger:
		return e.Matches(s.trigger)
	case FieldID:
		return e.Matches(s.id)
	}
	return false
}

func (e Text) holds(s *subject) bool {
	words := e.Words()
	switch e.Field {
	case FieldArgs:
		return hasPhrase(s.arguments, words, e.Exact)
	case FieldError:
		return s.failed(words, e.Exact)
	}
	return hasPhrase(s.function, words, e.Exact) || hasPhrase(s.arguments, words, e.Exact) || s.failed(words, e.Exact)
}

func (e Keyword) holds(s *subject) bool { return e.Matches(s.arguments) }

func (e Duration) holds(s *subject) bool {
	have, known := s.took, s.knowsTook
	if e.Field == FieldWaited {
		have, known = s.waited, s.knowsWaited
	}
	if !known {
		return false
	}
	switch e.Op {
	case Above:
		return have > e.Value
	case AtLeast:
		return have >= e.Value
	case Below:
		return have < e.Value
	case AtMost:
		return have <= e.Value
	}
	return false
}

func (e Moment) holds(s *subject) bool {
	switch {
	case s.when.IsZero():
		return false
	case e.Op == Below:
		return s.when.Before(e.At)
	}
	return !s.when.Before(e.At)
}

// Keywords yields the arguments of a call that were given by name, with the
// spelling of their values. Text that was cut may end anywhere.
func Keywords(arguments string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for part := range topLevel(arguments) {
			name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
			if ok && isName(name) && !strings.HasPrefix(value, "=") && !yield(name, value) {
				return
			}
		}
	}
}

// isName reports whether a text is an identifier of Python.
func isName(s string) bool {
	for i, r := range s {
		if r != '_' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			return false
		}
	}
	return s != ""
}

// topLevel cuts at the commas that stand in no bracket and no string.
func topLevel(arguments string) iter.Seq[string] {
	return func(yield func(string) bool) {
		start, open := 0, 0
		for i := 0; i < len(arguments); i++ {
			switch arguments[i] {
			case '\'', '"':
				i = endOfString(arguments, i)
			case '(', '[', '{':
				open++
			case ')', ']', '}':
				open = max(open-1, 0)
			case ',':
				if open != 0 {
					continue
				}
				if !yield(arguments[start:i]) {
					return
				}
				start = i + 1
			}
		}
		yield(arguments[start:])
	}
}

// endOfString is the index of the quote that ends the string which begins at
// an index, or behind the text.
func endOfString(arguments string, at int) int {
	quote := arguments[at]
	for i := at + 1; i < len(arguments); i++ {
		switch arguments[i] {
		case '\\':
			i++
		case quote:
			return i
		}
	}
	return len(arguments)
}

// unquote is the text of a string that Python or JSON spelled; other values
// stay as they are.
func unquote(value string) string {
	n := len(value)
	if n < 2 || value[0] != '\'' && value[0] != '"' || value[n-1] != value[0] {
		return value
	}
	value = value[1 : n-1]
	if !strings.Contains(value, `\`) {
		return value
	}
	return strings.NewReplacer(`\\`, `\`, `\'`, `'`, `\"`, `"`, `\n`, "\n", `\r`, "\r", `\t`, "\t").Replace(value)
}
