package signature

import (
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// literal is the JSON text of a source text that is a literal, and whether it
// is one that JSON has.
func literal(source string) (string, bool) {
	e, err := parse(source)
	if err != nil {
		return "", false
	}
	return constant(e)
}

// constant is literal for a part of an expression.
func constant(e expression) (string, bool) {
	switch e.kind {
	case kindName:
		value, ok := map[string]string{"None": "null", "True": "true", "False": "false"}[e.text]
		return value, ok
	case kindNumber:
		return numeral(e.text)
	case kindNegative:
		if e.items[0].kind != kindNumber {
			return "", false
		}
		value, ok := numeral(e.items[0].text)
		return "-" + value, ok
	case kindText:
		return quote(e.text), true
	case kindList, kindTuple:
		parts := make([]string, len(e.items))
		for i, item := range e.items {
			part, ok := constant(item)
			if !ok {
				return "", false
			}
			parts[i] = part
		}
		return "[" + strings.Join(parts, ",") + "]", true
	case kindDict:
		return mapping(e.items)
	default:
		return "", false
	}
}

// mapping is a dict with keys of text, each of which is there once.
func mapping(items []expression) (string, bool) {
	parts, seen := make([]string, 0, len(items)/2), map[string]bool{}
	for i := 0; i+1 < len(items); i += 2 {
		value, ok := constant(items[i+1])
		if items[i].kind != kindText || seen[items[i].text] || !ok {
			return "", false
		}
		seen[items[i].text] = true
		parts = append(parts, quote(items[i].text)+":"+value)
	}
	return "{" + strings.Join(parts, ",") + "}", true
}

func quote(value string) string {
	data, err := json.Marshal(value)
	if err != nil { // strings always encode
		return `""`
	}
	return string(data)
}

// numeral is a number of Python as JSON writes it.
func numeral(source string) (string, bool) {
	if n, ok := new(big.Int).SetString(source, 0); ok {
		if len(source) > 1 && source[0] == '0' && '0' <= source[1] && source[1] <= '9' {
			return "", false // Python has no such octal numbers
		}
		return n.String(), true
	}
	f, err := strconv.ParseFloat(source, 64)
	if err != nil || math.IsInf(f, 0) || strings.ContainsAny(source, "xXpPnN") {
		return "", false
	}
	if json.Valid([]byte(source)) {
		return source, true // 1.0 stays a float
	}
	data, err := json.Marshal(f)
	return string(data), err == nil
}

// kindOf is the type of a JSON text, as JSON Schema names it.
func kindOf(value string) string {
	switch value[0] {
	case '"':
		return "string"
	case '[':
		return "array"
	case '{':
		return "object"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	if strings.ContainsAny(value, ".eE") {
		return "number"
	}
	return "integer"
}

// unquote is the string that a source text between quotes means.
func unquote(inner string, raw bool) (string, error) {
	if raw || !strings.Contains(inner, `\`) {
		return inner, nil
	}
	var value strings.Builder
	for inner != "" {
		i := strings.IndexByte(inner, '\\')
		if i < 0 {
			break
		}
		value.WriteString(inner[:i])
		r, rest, err := escape(inner[i+1:])
		if err != nil {
			return "", err
		}
		value.WriteRune(r)
		inner = rest
	}
	value.WriteString(inner)
	return value.String(), nil
}

// unquoteBytes are the bytes that a source text between quotes means.
func unquoteBytes(inner string) (string, error) {
	value, err := unquote(inner, false)
	if err != nil {
		return "", err
	}
	octets := make([]byte, 0, len(value))
	for _, r := range value {
		if r > 0xff {
			return "", errSyntax
		}
		octets = append(octets, byte(r))
	}
	return string(octets), nil
}

// escape reads what stands behind a backslash.
func escape(s string) (rune, string, error) {
	if s == "" {
		return 0, "", errSyntax
	}
	if i := strings.IndexByte(`\'"abfnrtv`, s[0]); i >= 0 {
		return rune("\\'\"\a\b\f\n\r\t\v"[i]), s[1:], nil
	}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[0]]
	if digits == 0 || len(s) <= digits {
		return 0, "", errSyntax // octal numbers and names too: ast.unparse writes none
	}
	n, err := strconv.ParseUint(s[1:1+digits], 16, 32)
	if err != nil || n > utf8.MaxRune || !utf8.ValidRune(rune(n)) {
		return 0, "", errSyntax // half of a surrogate pair is no text in JSON
	}
	return rune(n), s[1+digits:], nil
}
