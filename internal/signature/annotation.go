package signature

import (
	"encoding/json"
	"slices"
)

// node is what an annotation says of a value. The zero node takes any value.
type node struct {
	types  []string // of JSON Schema, one of which the value has
	format string   // of a string
	enum   []string // JSON texts, one of which the value is
	names  []string // of the members of an enumeration, as many as enum
	items  *node    // of an array
	values *node    // of an object
	fields []property
	record bool     // fields count, even where there are none
	tuple  []node   // elements of an array of just so many
	exact  bool     // tuple counts, even where it is empty
	bounds []member // of JSON Schema: minimum and the like
	note   string   // for people
	any    []node   // one of which takes the value; nothing else but note is set then

	class   Class    // whose values Python is asked for
	of      string   // the class by its name, where class does not tell it
	keys    *node    // of a dict
	choices []node   // of a union, as they were written
	members []Member // of an enumeration
}

// property is a field of an object.
type property struct {
	name     string
	node     node
	standard string // JSON; empty: none
	required bool
}

// open reports whether n takes any value.
func (n node) open() bool { return len(n.types) == 0 && len(n.enum) == 0 && len(n.any) == 0 }

// plain reports whether n tells types only.
func (n node) plain() bool {
	return len(n.types) > 0 && n.format == "" && n.items == nil && n.values == nil && !n.exact && !n.record && len(n.bounds) == 0 && n.note == ""
}

// schema is n as JSON Schema.
func (n node) schema() object {
	s := object{}
	switch len(n.types) {
	case 0:
	case 1:
		s = append(s, member{"type", n.types[0]})
	default:
		s = append(s, member{"type", n.types})
	}
	if n.format != "" {
		s = append(s, member{"format", n.format})
	}
	if len(n.enum) > 0 {
		values := make([]json.RawMessage, len(n.enum))
		for i, text := range n.enum {
			values[i] = json.RawMessage(text)
		}
		s = append(s, member{"enum", values})
	}
	if len(n.names) > 0 {
		s = append(s, member{"x-names", n.names})
	}
	s = append(s, n.parts()...)
	s = append(s, n.bounds...)
	if len(n.any) > 0 {
		s = append(s, member{"anyOf", schemas(n.any)})
	}
	if n.note != "" {
		s = append(s, member{"description", n.note})
	}
	return s
}

// parts are the members of a schema that tell what is within lists and objects.
func (n node) parts() object {
	s := object{}
	if n.record {
		s = append(s, n.properties()...)
	}
	if n.items != nil && !n.items.open() {
		s = append(s, member{"items", n.items.schema()})
	}
	if n.values != nil && !n.values.open() {
		s = append(s, member{"additionalProperties", n.values.schema()})
	}
	if n.exact {
		if len(n.tuple) > 0 {
			s = append(s, member{"prefixItems", schemas(n.tuple)})
		}
		s = append(s, member{"minItems", len(n.tuple)}, member{"maxItems", len(n.tuple)})
	}
	return s
}

// properties are the members of a schema that tell the fields of an object.
func (n node) properties() object {
	fields, required := object{}, []string{}
	for _, f := range n.fields {
		s := f.node.schema()
		if f.standard != "" {
			s = append(s, member{"default", json.RawMessage(f.standard)})
		}
		fields = append(fields, member{f.name, s})
		if f.required {
			required = append(required, f.name)
		}
	}
	s := object{{"properties", fields}}
	if len(required) > 0 {
		s = append(s, member{"required", required})
	}
	return s
}

func schemas(nodes []node) []object {
	all := make([]object, len(nodes))
	for i, n := range nodes {
		all[i] = n.schema()
	}
	return all
}

// takes reports whether n takes a JSON value of a kind, as far as its outermost
// part tells.
func (n node) takes(value, kind string) bool {
	switch {
	case n.open(), slices.Contains(n.enum, value), slices.Contains(n.types, kind):
		return true
	case kind == "integer" && slices.Contains(n.types, "number"):
		return true
	}
	return slices.ContainsFunc(n.any, func(m node) bool { return m.takes(value, kind) })
}

// union is what takes all that one of the members takes.
func union(members []node) node {
	var plain, enum node
	var others []node
	for _, m := range flat(members) {
		switch {
		case m.open():
			return node{}
		case len(m.enum) > 0:
			enum.enum, enum.names = append(enum.enum, m.enum...), append(enum.names, m.names...)
		case m.plain():
			plain.types = append(plain.types, m.types...)
		default:
			others = append(others, m)
		}
	}
	plain.types = unique(plain.types)
	named := len(enum.names) == len(enum.enum)
	if len(enum.enum) > 0 && slices.Equal(plain.types, []string{"null"}) {
		enum.enum, enum.names, plain.types = append(enum.enum, "null"), append(enum.names, "None"), nil
	}
	enum.enum = unique(enum.enum)
	if !named || len(enum.names) != len(enum.enum) {
		enum.names = nil
	}
	all := others
	for _, m := range []node{enum, plain} {
		if !m.open() {
			all = append(all, m)
		}
	}
	switch len(all) {
	case 0:
		return node{}
	case 1:
		n := all[0]
		n.class, n.choices = Union, flatChoices(members)
		return n
	}
	return node{any: all, class: Union, choices: flatChoices(members)}
}

// flatChoices replaces unions by what they were made of.
func flatChoices(members []node) []node {
	var all []node
	for _, m := range members {
		if m.class == Union {
			all = append(all, m.choices...)
		} else {
			all = append(all, m)
		}
	}
	return all
}

// flat replaces unions by their members.
func flat(members []node) []node {
	var all []node
	for _, m := range members {
		if len(m.any) > 0 {
			all = append(all, m.any...) // which hold no unions: union flattened them
		} else {
			all = append(all, m)
		}
	}
	return all
}

// unique keeps the first of equal texts.
func unique(texts []string) []string {
	seen, kept := make(map[string]bool, len(texts)), texts[:0:0]
	for _, text := range texts {
		if !seen[text] {
			seen[text] = true
			kept = append(kept, text)
		}
	}
	return kept
}
