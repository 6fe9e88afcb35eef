package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/httpapi"
)

// signature knows the annotations of a function's parameters. The zero value
// knows none.
type signature struct{ parameters []httpapi.Parameter }

// newSignature takes the parameters unless a decorator may have changed what
// the function takes.
func newSignature(f httpapi.Function) signature {
	for _, decorator := range f.Decorators {
		if decorator != "staticmethod" {
			return signature{}
		}
	}
	return signature{f.Parameters}
}

func (s signature) of(kinds ...distro.ParameterKind) []httpapi.Parameter {
	var list []httpapi.Parameter
	for _, p := range s.parameters {
		if slices.Contains(kinds, distro.ParameterKind(p.Kind)) {
			list = append(list, p)
		}
	}
	return list
}

// position is the annotation of the i-th positional argument.
func (s signature) position(i int) string {
	if list := s.of(distro.PositionalOnly, distro.PositionalOrKeyword); i < len(list) {
		return list[i].Annotation
	}
	return s.rest(distro.VarPositional)
}

// keyword is the annotation of the argument of this name.
func (s signature) keyword(name string) string {
	for _, p := range s.of(distro.PositionalOrKeyword, distro.KeywordOnly) {
		if p.Name == name {
			return p.Annotation
		}
	}
	return s.rest(distro.VarKeyword)
}

func (s signature) rest(kind distro.ParameterKind) string {
	for _, p := range s.of(kind) {
		return p.Annotation
	}
	return ""
}

// callArguments makes the JSON of a call's arguments from the words of the
// command line. "name=…" is a keyword argument where name is a Python name,
// "name:=…" one whose value is JSON; every other word is positional.
func callArguments(words []string, sig signature) (args, kwargs json.RawMessage, err error) {
	var positional, keywords []json.RawMessage
	var seen []string
	for _, word := range words {
		key, text, assigned := strings.Cut(word, "=")
		name, forced := strings.CutSuffix(key, ":")
		if !assigned || !identifier(name) {
			value, err := annotatedValue(sig.position(len(positional)), word)
			if err != nil {
				return nil, nil, usage("argument %d: %v", len(positional)+1, err)
			}
			positional = append(positional, value)
			continue
		}
		if slices.Contains(seen, name) {
			return nil, nil, usage("%s is given twice: keep one of them", name)
		}
		seen = append(seen, name)
		value, err := keywordValue(sig, name, text, forced)
		if err != nil {
			return nil, nil, err
		}
		keywords = append(keywords, slices.Concat(textValue(name), []byte(":"), value))
	}
	return wrap('[', positional, ']'), wrap('{', keywords, '}'), nil
}

func keywordValue(sig signature, name, text string, forced bool) (json.RawMessage, error) {
	if forced {
		if !json.Valid([]byte(text)) {
			return nil, usage("%s:=%s is not JSON: write %s=… for text", name, text, name)
		}
		return json.RawMessage(text), nil
	}
	value, err := annotatedValue(sig.keyword(name), text)
	if err != nil {
		return nil, usage("%s: %v", name, err)
	}
	return value, nil
}

// wrap joins values to a list or an object; nil when there are none.
func wrap(open byte, values []json.RawMessage, end byte) json.RawMessage {
	if len(values) == 0 {
		return nil
	}
	parts := make([][]byte, len(values))
	for i, value := range values {
		parts[i] = value
	}
	return slices.Concat([]byte{open}, bytes.Join(parts, []byte(",")), []byte{end})
}

// identifier reports whether name may name a parameter in Python.
func identifier(name string) bool {
	for i, r := range name {
		if r != '_' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			return false
		}
	}
	return name != ""
}
