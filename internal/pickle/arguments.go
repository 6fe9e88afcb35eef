package pickle

import (
	"encoding/json"
	"strings"
)

// Bounds of Arguments.
const (
	maxArgumentsData = 1 << 20 // bytes of a payload that is decoded for people
	maxArgument      = 200     // characters of one argument
	maxArguments     = 2000    // characters of all
)

// Arguments are those of a call as Python spells them, without the parentheses:
// 'x', month=3. The payload is a pickle, or the JSON that RQ writes in its place.
// Empty where it is no call, or longer than 1 MiB.
func Arguments(payload []byte, isJSON bool) string {
	if len(payload) > maxArgumentsData {
		return ""
	}
	if isJSON {
		var parts []json.RawMessage
		if json.Unmarshal(payload, &parts) != nil || len(parts) != 4 {
			return ""
		}
		var err error
		if payload, err = AppendCall(nil, "f", parts[2], parts[3]); err != nil {
			return ""
		}
	}
	call, err := Call(payload)
	if err != nil {
		return ""
	}
	_, text, _ := strings.Cut(strings.TrimPrefix(call.Describe(maxArgument), call.Function), "(")
	text = strings.TrimSuffix(text, ")")
	if runes := []rune(text); len(runes) > maxArguments {
		text = string(runes[:maxArguments]) + "…"
	}
	return text
}
