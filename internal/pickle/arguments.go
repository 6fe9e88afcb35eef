package pickle

import (
	"encoding/json"
	"strings"
)

// Bounds of Arguments.
const (
	maxArgumentsData = 1 << 20 // bytes of a payload that is decoded for people
	maxArguments     = 2000    // characters of all
)

// MaxArgument is how many characters of one argument Arguments shows: a longer
// one is cut there, and "..." stands behind it.
const MaxArgument = 200

// Untold is the text of arguments that Arguments does not tell.
const Untold = "…"

// Arguments are those of a call as Python spells them, without the parentheses:
// 'x', month=3. The payload is a pickle, or the JSON that RQ writes in its place.
// Untold where it is no call, or longer than 1 MiB, and behind what is too long
// as a whole; empty where there is no payload.
func Arguments(payload []byte, isJSON bool) string {
	switch {
	case len(payload) == 0:
		return ""
	case len(payload) > maxArgumentsData:
		return Untold
	}
	if isJSON {
		var parts []json.RawMessage
		if json.Unmarshal(payload, &parts) != nil || len(parts) != 4 {
			return Untold
		}
		var err error
		if payload, err = AppendCall(nil, "f", parts[2], parts[3]); err != nil {
			return Untold
		}
	}
	call, err := Call(payload)
	if err != nil {
		return Untold
	}
	text := call.Spell(MaxArgument)
	if runes := []rune(text); len(runes) > maxArguments {
		text = string(runes[:maxArguments]) + Untold
	}
	return text
}

// Spell is what stands between the parentheses of Describe.
func (c CallView) Spell(limit int) string {
	_, text, _ := strings.Cut(strings.TrimPrefix(c.Describe(limit), c.Function), "(")
	return strings.TrimSuffix(text, ")")
}

// Named is a keyword argument as Python spells it.
type Named struct{ Name, Value string }

// Each are the arguments one by one as Python spells them, in their order, each
// cut behind limit characters: the first ones, most of each kind.
func (c CallView) Each(most, limit int) (positional []string, keywords []Named) {
	if s, ok := c.Args.node.(*sequence); ok {
		for _, arg := range s.items[:min(len(s.items), most)] {
			positional = append(positional, Value{arg, c.Args.depth}.Repr(limit))
		}
	}
	if m, ok := c.Kwargs.node.(*mapping); ok {
		for _, e := range m.entries[:min(len(m.entries), most)] {
			name := Value{e.key, c.Kwargs.depth}.Repr(limit)
			if t, ok := e.key.(text); ok {
				name = cut(readable(string(t[:min(len(t), 4*(limit+1))])), limit)
			}
			keywords = append(keywords, Named{name, Value{e.value, c.Kwargs.depth}.Repr(limit)})
		}
	}
	return positional, keywords
}
