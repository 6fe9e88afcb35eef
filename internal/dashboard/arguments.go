package dashboard

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/distro-orchestrator/distro/internal/pickle"
	"github.com/distro-orchestrator/distro/internal/service"
)

// argumentsView is what the function was called with.
type argumentsView struct {
	Positional []string
	Keywords   []argument
	Call       string // in Python's spelling, where the rest does not tell it all
	Cut        bool   // there is more of it
}

type argument struct{ Name, Value string }

// What of arguments is shown: a page has to stay one that can be opened.
const (
	shownValues = 500       // positional ones, and as many by name
	shownValue  = 100 << 10 // bytes of each
	shownCall   = 400 << 10 // bytes of all
)

// viewArguments shows the call of a job the queue knows as it is, of another as
// history has it.
func viewArguments(k *known) *argumentsView {
	v := &argumentsView{}
	if !k.kept {
		if last := k.last(); last.Arguments != "" {
			v.Call = last.Arguments
		}
		return v
	}
	args, kwargs, call := service.ShowArguments(k.job.Payload)
	if args == nil && kwargs == nil && call == "" {
		v.Call = service.ArgumentLine(k.job.Payload)
		return v
	}
	room := shownCall
	if args == nil {
		if positional, keywords, ok := service.EachArgument(k.job.Payload, shownValues+1, shownValue+1); ok {
			v.spell(positional, keywords, &room)
			return v
		}
	}
	v.Call = v.fit(call, &room)
	var list []json.RawMessage
	if json.Unmarshal(args, &list) == nil {
		v.Cut = v.Cut || len(list) > shownValues
		for _, value := range list[:min(len(list), shownValues)] {
			v.Positional = append(v.Positional, v.fit(pretty(value), &room))
		}
	}
	v.keywords(kwargs, &room)
	return v
}

// keywords shows the members of a JSON object.
func (v *argumentsView) keywords(kwargs []byte, room *int) {
	decoder := json.NewDecoder(bytes.NewReader(kwargs))
	if _, err := decoder.Token(); err != nil {
		return
	}
	for decoder.More() { // in the order of the call
		name, err := decoder.Token()
		var value json.RawMessage
		if err != nil || decoder.Decode(&value) != nil {
			break
		}
		if len(v.Keywords) == shownValues {
			v.Cut = true
			break
		}
		v.Keywords = append(v.Keywords, argument{v.fit(fmt.Sprint(name), room), v.fit(pretty(value), room)})
	}
}

// spell shows arguments that JSON does not tell, as Python spells them.
func (v *argumentsView) spell(positional []string, keywords []pickle.Named, room *int) {
	v.Cut = len(positional) > shownValues || len(keywords) > shownValues
	for _, value := range positional[:min(len(positional), shownValues)] {
		v.Positional = append(v.Positional, v.fit(value, room))
	}
	for _, a := range keywords[:min(len(keywords), shownValues)] {
		v.Keywords = append(v.Keywords, argument{v.fit(a.Name, room), v.fit(a.Value, room)})
	}
}

// fit cuts a text for which there is too little room, and takes the room it needs.
func (v *argumentsView) fit(text string, room *int) string {
	if most := min(*room, shownValue); len(text) > most {
		v.Cut = true
		text = string(bytes.ToValidUTF8([]byte(text[:most]), nil)) + "…"
	}
	*room = max(0, *room-len(text))
	return text
}

// pretty indents JSON; a text alone is shown without its quotes.
func pretty(value []byte) string {
	var text string
	if json.Unmarshal(value, &text) == nil {
		return text
	}
	return indented(value)
}

// maxIndented is how deep JSON may be to be indented: deeper down most of the text
// would be blanks.
const maxIndented = 40

// indented is JSON as people read it, and what is none, or too deep, as it is.
func indented(value []byte) string {
	depth, deepest := 0, 0
	for _, c := range value { // brackets within texts make it look deeper at most
		switch c {
		case '[', '{':
			depth++
			deepest = max(deepest, depth)
		case ']', '}':
			depth--
		}
	}
	var b bytes.Buffer
	if deepest > maxIndented || json.Indent(&b, value, "", "  ") != nil {
		return string(value)
	}
	return b.String()
}
