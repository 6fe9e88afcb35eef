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
	_, text, _ := strings.Cut(strings.TrimPrefix(call.Describe(MaxArgument), call.Function), "(")
	text = strings.TrimSuffix(text, ")")
	if runes := []rune(text); len(runes) > maxArguments {
		text = string(runes[:maxArguments]) + Untold
	}
	return text
}
