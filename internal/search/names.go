package search

import (
	"slices"
	"strings"

	"github.com/distro-orchestrator/distro"
)

// keywordPrefix begins the field of a Keyword.
const keywordPrefix = "kw."

// named is something with the names that people may write for it, the ones to
// suggest first: Portuguese, then English.
type named struct {
	value string
	names []string
}

// fieldNames lists the fields.
func fieldNames() []named {
	return []named{
		{string(FieldState), []string{"estado", "state", "status"}},
		{string(FieldQueue), []string{"fila", "queue"}},
		{string(FieldFunction), []string{"função", "function", "func"}},
		{string(FieldModule), []string{"módulo", "module"}},
		{string(FieldArgs), []string{"argumentos", "args", "arguments"}},
		{string(FieldError), []string{"erro", "error"}},
		{string(FieldWorker), []string{"worker"}},
		{string(FieldID), []string{"id"}},
		{string(FieldTook), []string{"duração", "took", "duration"}},
		{string(FieldWaited), []string{"espera", "waited"}},
		{string(FieldWhen), []string{"quando", "when"}},
		{string(FieldTrigger), []string{"origem", "trigger"}},
	}
}

// stateNames lists the states of executions, and those that only jobs have.
func stateNames() []named {
	return []named{
		{string(distro.ExecutionFailed), []string{"falhou", "failed"}},
		{string(distro.ExecutionFinished), []string{"concluída", "finished"}},
		{string(distro.ExecutionStarted), []string{"em-execução", "started", "running"}},
		{string(distro.ExecutionStopped), []string{"parada", "stopped"}},
		{string(distro.ExecutionLost), []string{"perdida", "lost"}},
		{string(distro.ExecutionRetried), []string{"repetida", "retried"}},
		{string(distro.StatusQueued), []string{"na-fila", "queued"}},
		{string(distro.StatusScheduled), []string{"agendada", "scheduled"}},
		{string(distro.StatusDeferred), []string{"adiada", "deferred"}},
		{string(distro.StatusCanceled), []string{"cancelada", "canceled"}},
	}
}

// dayNames lists the words for times.
func dayNames() []named {
	return []named{
		{"today", []string{"hoje", "today"}},
		{"yesterday", []string{"ontem", "yesterday"}},
		{"now", []string{"agora", "now"}},
	}
}

// lookUp finds what a word names.
func lookUp(word string, list []named) (value string, ok bool) {
	word = Fold(word)
	for _, n := range list {
		for _, name := range n.names {
			if Fold(name) == word {
				return n.value, true
			}
		}
	}
	return "", false
}

// nearest is the name that a person most likely meant by word; empty where
// none is near.
func nearest(word string, list []named) string { return suggest(word, list, distro.Nearest) }

// closest is the name that comes nearest, however far that is.
func closest(word string, list []named) string {
	if name := nearest(word, list); name != "" {
		return name
	}
	return suggest(word, list, distro.Closest)
}

func suggest(word string, list []named, choose func(string, []string) string) string {
	var folded, shown []string
	for _, n := range list {
		for _, name := range n.names {
			folded, shown = append(folded, Fold(name)), append(shown, name)
		}
	}
	if i := slices.Index(folded, choose(Fold(word), folded)); i >= 0 {
		return shown[i]
	}
	return ""
}

// stateWord is how a state is looked up: its words may be divided by what a
// keyboard has for it.
func stateWord(value string) string { return strings.NewReplacer(" ", "-", "_", "-").Replace(value) }

// compares reports whether values of a field have an order.
func (f Field) compares() bool { return f == FieldTook || f == FieldWaited || f == FieldWhen }

// withinNames reports whether a plain word may stand anywhere in a name of
// this field: these names are long, and written in parts.
func (f Field) withinNames() bool { return f == FieldFunction || f == FieldModule }
