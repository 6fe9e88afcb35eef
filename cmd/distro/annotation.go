package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxAnnotation bounds the annotations that are understood; longer ones say
// nothing.
const maxAnnotation = 1000

var integer = regexp.MustCompile(`^[+-]?[0-9]+(_[0-9]+)*$`)

// plainValue is the value of a word that no annotation explains: itself if it
// is JSON, else the text.
func plainValue(text string) json.RawMessage {
	if json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	return textValue(text)
}

func textValue(text string) json.RawMessage {
	data, err := json.Marshal(text)
	if err != nil { // strings always encode
		return json.RawMessage(`""`)
	}
	return data
}

// annotatedValue is the value of a word for a parameter annotated so. Of the
// members of a union the first one that takes the word decides.
func annotatedValue(annotation, text string) (json.RawMessage, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("not UTF-8 text")
	}
	if annotation == "" || len(annotation) > maxAnnotation {
		return plainValue(text), nil
	}
	var wants []string
	for _, member := range members(annotation) {
		value, wanted := memberValue(member, text)
		if wanted == "" {
			return value, nil
		}
		wants = append(wants, wanted)
	}
	return nil, fmt.Errorf("%q is not %s", text, strings.Join(wants, " or "))
}

// members are the alternatives of an annotation, from the source text.
func members(annotation string) []string {
	annotation = strings.TrimSpace(annotation)
	if n := len(annotation); n > 1 && strings.ContainsAny(annotation[:1], `"'`) && annotation[n-1] == annotation[0] {
		return members(annotation[1 : n-1]) // a forward reference
	}
	if parts := split(annotation, '|'); len(parts) > 1 {
		return each(parts)
	}
	name, inner := generic(annotation)
	switch name {
	case "Optional":
		return append(members(inner), "None")
	case "Union":
		return each(split(inner, ','))
	case "Annotated", "Final", "Required", "NotRequired":
		return members(split(inner, ',')[0])
	}
	return []string{annotation}
}

func each(parts []string) []string {
	var all []string
	for _, part := range parts {
		all = append(all, members(part)...)
	}
	return all
}

// generic divides "typing.List[int]" into "List" and "int".
func generic(annotation string) (name, inner string) {
	name, inner, _ = strings.Cut(annotation, "[")
	inner = strings.TrimSuffix(strings.TrimSpace(inner), "]")
	return strings.TrimSpace(name[strings.LastIndexByte(name, '.')+1:]), inner
}

// split divides text at separators that stand in no bracket and no string.
func split(text string, separator byte) []string {
	var parts []string
	depth, from := 0, 0
	var quoted byte
	for i := range len(text) {
		switch c := text[i]; {
		case quoted != 0:
			if c == quoted {
				quoted = 0
			}
		case c == '"' || c == '\'':
			quoted = c
		case strings.IndexByte("[({", c) >= 0:
			depth++
		case strings.IndexByte("])}", c) >= 0:
			depth--
		case c == separator && depth == 0:
			parts = append(parts, strings.TrimSpace(text[from:i]))
			from = i + 1
		}
	}
	return append(parts, strings.TrimSpace(text[from:]))
}

// memberValue is the value of text for one alternative. wanted says what that
// would take where text does not fit.
func memberValue(member, text string) (value json.RawMessage, wanted string) {
	name, inner := generic(member)
	switch name {
	case "str", "LiteralString", "AnyStr", "bytes", "Path", "PurePath", "date", "datetime", "time", "timedelta", "Decimal", "UUID":
		return textValue(text), ""
	case "int":
		return intValue(text)
	case "float":
		return floatValue(text)
	case "bool":
		return boolValue(text)
	case "None", "NoneType":
		if text == "null" || text == "None" {
			return json.RawMessage("null"), ""
		}
		return nil, "null"
	case "Literal":
		return literalValue(inner, text)
	case "list", "List", "tuple", "Tuple", "set", "Set", "frozenset", "FrozenSet", "Sequence", "MutableSequence", "Iterable", "Collection":
		return jsonValue(text, '[', `a list in JSON like ["a", "b"]`)
	case "dict", "Dict", "Mapping", "MutableMapping", "TypedDict":
		return jsonValue(text, '{', `an object in JSON like {"a": 1}`)
	}
	return plainValue(text), ""
}

func intValue(text string) (json.RawMessage, string) {
	if !integer.MatchString(text) {
		return nil, "a whole number"
	}
	digits := strings.ReplaceAll(strings.TrimLeft(text, "+-"), "_", "")
	if digits = strings.TrimLeft(digits, "0"); digits == "" {
		digits = "0"
	}
	if text[0] == '-' && digits != "0" {
		digits = "-" + digits
	}
	return json.RawMessage(digits), ""
}

func floatValue(text string) (json.RawMessage, string) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return nil, "a number"
	}
	number := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(number, ".e") {
		number += ".0"
	}
	return json.RawMessage(number), ""
}

func boolValue(text string) (json.RawMessage, string) {
	switch strings.ToLower(text) {
	case "true", "yes", "on", "1":
		return json.RawMessage("true"), ""
	case "false", "no", "off", "0":
		return json.RawMessage("false"), ""
	}
	return nil, "true or false"
}

func literalValue(choices, text string) (json.RawMessage, string) {
	for _, choice := range split(choices, ',') {
		switch {
		case len(choice) > 1 && strings.ContainsAny(choice[:1], `"'`):
			if choice[1:len(choice)-1] == text {
				return textValue(text), ""
			}
		case choice == "None" || choice == "True" || choice == "False":
			word := map[string]string{"None": "null", "True": "true", "False": "false"}[choice]
			if text == choice || text == word {
				return json.RawMessage(word), ""
			}
		case choice == text:
			return plainValue(text), ""
		}
	}
	return nil, "one of " + choices
}

func jsonValue(text string, first byte, wanted string) (json.RawMessage, string) {
	trimmed := strings.TrimSpace(text)
	if trimmed == "" || trimmed[0] != first || !json.Valid([]byte(trimmed)) {
		return nil, wanted
	}
	return json.RawMessage(trimmed), ""
}
