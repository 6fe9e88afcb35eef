// Package signature describes the arguments of Python functions as JSON Schema
// (2020-12). It reads the source text of annotations and defaults, which anybody
// may have written: it runs none of it, and bounds what it looks at.
package signature

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/distro-orchestrator/distro"
)

// Dialect is the $schema of every schema.
const Dialect = "https://json-schema.org/draft/2020-12/schema"

// Schema is a JSON Schema of the keyword arguments that f takes: an object with
// a property for each parameter that has a name for callers, in their order.
//
// Names, which of them are required and whether others are taken agree with
// what is refused when a job is enqueued. Types are what the annotations say,
// and stricter than that: neither Python nor Distro holds a value against an
// annotation. An annotation that says nothing known leaves the property open,
// and a default that does not fit its annotation widens it. A default that is
// no literal is only described.
//
// A function with positional-only parameters or with *args has a member x-args:
// a schema of the list args, whose elements are the positional-only parameters
// and, where nothing with a name stands between, those of *args. Keyword
// arguments that fit the schema together with such a list make a call that f
// takes.
//
// A decorated function takes any call, so its schema requires nothing.
//
// types are those that the module of f declares. An enumeration is its values,
// with the names of its members in x-names, and a record is an object. What
// JSON has no word for stands as text or as a number: a date, a path, and
// timedelta as seconds; the format says which.
func Schema(f distro.Function, types ...distro.Type) []byte {
	r := newReader(types)
	s := object{{"$schema", Dialect}, {"title", f.Name}, {"type", "object"}}
	properties, required := object{}, []string{}
	var others any = !f.Binding()
	for _, p := range f.Parameters {
		switch p.Kind {
		case distro.PositionalOrKeyword, distro.KeywordOnly:
			properties = append(properties, member{p.Name, r.describe(p)})
			if p.Default == nil && f.Binding() {
				required = append(required, p.Name)
			}
		case distro.VarKeyword:
			others = true
			if n := r.annotated(p.Annotation); !n.open() {
				others = n.schema()
			}
		case distro.PositionalOnly, distro.VarPositional:
		}
	}
	s = append(s, member{"properties", properties})
	if len(required) > 0 {
		s = append(s, member{"required", required})
	}
	s = append(s, member{"additionalProperties", others})
	if list := r.positionals(f); list != nil && f.Binding() {
		s = append(s, member{"x-args", list})
	}
	text, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Errorf("encode the schema of %q: %w", f.Name, err)) // it holds texts, numbers and checked JSON only
	}
	return text
}

// positionals is the schema of the list args, nil where all that f takes has
// a name.
func (r *reader) positionals(f distro.Function) object {
	var elements []object
	var rest *distro.Parameter
	required, named, special := 0, false, false
	for i, p := range f.Parameters {
		switch p.Kind {
		case distro.PositionalOnly:
			special = true
			elements = append(elements, append(object{{"title", p.Name}}, r.describe(p)...))
			if p.Default == nil {
				required = len(elements)
			}
		case distro.VarPositional:
			special = true
			rest = &f.Parameters[i]
		case distro.PositionalOrKeyword:
			named = true
		case distro.KeywordOnly, distro.VarKeyword:
		}
	}
	if !special {
		return nil
	}
	list := object{{"type", "array"}}
	if len(elements) > 0 {
		list = append(list, member{"prefixItems", elements}, member{"minItems", required})
	}
	switch {
	case rest == nil:
		return append(list, member{"maxItems", len(elements)})
	case named:
		text := fmt.Sprintf("*%s is reached by position only: give the parameters before it in args too, and leave them out of kwargs", rest.Name)
		return append(list, member{"maxItems", len(elements)}, member{"description", text})
	}
	return append(list, member{"items", r.annotated(rest.Annotation).schema()})
}

// Parameter is the JSON Schema of what one parameter takes: of each of the
// arguments of *args and **kwargs.
func Parameter(p distro.Parameter, types ...distro.Type) []byte {
	text, err := json.Marshal(newReader(types).describe(p))
	if err != nil {
		panic(fmt.Errorf("encode the schema of %q: %w", p.Name, err)) // as above
	}
	return text
}

// describe is the schema of one parameter.
func (r *reader) describe(p distro.Parameter) object {
	n := r.annotated(p.Annotation)
	if p.Default == nil {
		return n.schema()
	}
	value, ok := r.standard(*p.Default)
	if !ok {
		n.note = strings.TrimPrefix(n.note+"; default: "+*p.Default, "; ")
		return n.schema()
	}
	return append(n.widened(value).schema(), member{"default", json.RawMessage(value)})
}

// member is a member of a JSON object.
type member struct {
	name  string
	value any
}

// object is a JSON object that keeps the order of its members.
type object []member

// MarshalJSON writes the members in their order.
func (o object) MarshalJSON() ([]byte, error) {
	text := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			text = append(text, ',')
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			return nil, fmt.Errorf("encode the name of a member: %w", err)
		}
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, fmt.Errorf("encode member %q: %w", m.name, err)
		}
		text = append(append(append(text, name...), ':'), value...)
	}
	return append(text, '}'), nil
}
