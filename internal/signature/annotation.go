package signature

import (
	"encoding/json"
	"slices"
	"strings"
)

// node is what an annotation says of a value. The zero node takes any value.
type node struct {
	types  []string // of JSON Schema, one of which the value has
	format string   // of a string
	enum   []string // JSON texts, one of which the value is
	items  *node    // of an array
	values *node    // of an object
	tuple  []node   // elements of an array of just so many
	exact  bool     // tuple counts, even where it is empty
	any    []node   // one of which takes the value; nothing else is set then
}

// open reports whether n takes any value.
func (n node) open() bool { return len(n.types) == 0 && len(n.enum) == 0 && len(n.any) == 0 }

// plain reports whether n tells types only.
func (n node) plain() bool {
	return len(n.types) > 0 && n.format == "" && n.items == nil && n.values == nil && !n.exact
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
	if len(n.any) > 0 {
		s = append(s, member{"anyOf", schemas(n.any)})
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
			enum.enum = append(enum.enum, m.enum...)
		case m.plain():
			plain.types = append(plain.types, m.types...)
		default:
			others = append(others, m)
		}
	}
	plain.types = unique(plain.types)
	if len(enum.enum) > 0 && slices.Equal(plain.types, []string{"null"}) {
		enum.enum, plain.types = append(enum.enum, "null"), nil
	}
	enum.enum = unique(enum.enum)
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
		return all[0]
	}
	return node{any: all}
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

// annotated is what the source text of an annotation says; nothing where it is
// none that is known.
func annotated(source string) node { return reading(source, maxDepth) }

// reading is annotated for a text within others: a forward reference.
func reading(source string, depth int) node {
	e, err := parse(source)
	if err != nil || depth == 0 {
		return node{}
	}
	return meaning(e, depth-1)
}

func meaning(e expression, depth int) node {
	switch e.kind {
	case kindName:
		return named(e.text)
	case kindText:
		return reading(e.text, depth)
	case kindUnion:
		return union(meanings(e.items, depth))
	case kindSubscript:
		if e.items[0].kind == kindName {
			return generic(known(e.items[0].text), arguments(e), depth)
		}
	default:
	}
	return node{}
}

// arguments are what stands in the brackets of a subscript: X[A, B] and
// X[(A, B)] are the same to Python.
func arguments(e expression) []expression {
	if len(e.items) == 2 && e.items[1].kind == kindTuple && len(e.items[1].items) > 0 {
		return e.items[1].items
	}
	return e.items[1:]
}

func meanings(items []expression, depth int) []node {
	all := make([]node, len(items))
	for i, e := range items {
		all[i] = meaning(e, depth)
	}
	return all
}

// known is the name that a dotted name ends in, where what stands before is
// one of the modules of Python that define types; else "". Names of other
// modules may mean anything.
func known(dotted string) string {
	i := strings.LastIndexByte(dotted, '.')
	if i < 0 {
		return dotted
	}
	switch dotted[:i] {
	case "typing", "typing_extensions", "t", "collections", "collections.abc", "abc", "builtins", "datetime", "dt", "uuid", "pathlib", "types":
		return dotted[i+1:]
	}
	return ""
}

// named is what a name without brackets says.
func named(dotted string) node {
	switch short := known(dotted); short {
	case "int":
		return node{types: []string{"integer"}}
	case "float":
		return node{types: []string{"number"}}
	case "bool":
		return node{types: []string{"boolean"}}
	case "str", "LiteralString", "AnyStr", "Path", "PurePath", "PosixPath", "PurePosixPath":
		return node{types: []string{"string"}}
	case "None", "NoneType":
		return node{types: []string{"null"}}
	case "date":
		return node{types: []string{"string"}, format: "date"}
	case "datetime":
		return node{types: []string{"string"}, format: "date-time"}
	case "time":
		return node{types: []string{"string"}, format: "time"}
	case "UUID":
		return node{types: []string{"string"}, format: "uuid"}
	default:
		if isList(short) || short == "tuple" || short == "Tuple" {
			return node{types: []string{"array"}}
		}
		if isDict(short) {
			return node{types: []string{"object"}}
		}
	}
	return node{}
}

// isList reports whether a value of a type comes as a list: JSON has no other
// for sets and tuples.
func isList(short string) bool {
	switch short {
	case "list", "List", "set", "Set", "frozenset", "FrozenSet", "Sequence", "MutableSequence", "MutableSet", "AbstractSet",
		"Iterable", "Collection", "deque", "Deque":
		return true
	}
	return false
}

func isDict(short string) bool {
	switch short {
	case "dict", "Dict", "Mapping", "MutableMapping", "OrderedDict", "defaultdict", "DefaultDict":
		return true
	}
	return false
}

// generic is what name[arguments] says.
func generic(short string, arguments []expression, depth int) node {
	switch {
	case len(arguments) == 0:
		return named(short)
	case short == "Literal":
		return constants(arguments)
	case short == "Optional":
		return union([]node{meaning(arguments[0], depth), {types: []string{"null"}}})
	case short == "Union":
		return union(meanings(arguments, depth))
	case short == "Annotated", short == "Final", short == "Required", short == "NotRequired", short == "ReadOnly":
		return meaning(arguments[0], depth)
	case short == "tuple", short == "Tuple":
		return tuple(arguments, depth)
	case isList(short):
		items := meaning(arguments[0], depth)
		return node{types: []string{"array"}, items: &items}
	case isDict(short) && len(arguments) == 2:
		values := meaning(arguments[1], depth)
		return node{types: []string{"object"}, values: &values}
	}
	return node{}
}

// constants is what Literal[arguments] says.
func constants(arguments []expression) node {
	var n node
	for _, e := range arguments {
		value, ok := constant(e)
		if !ok {
			return node{}
		}
		n.enum = append(n.enum, value)
	}
	n.enum = unique(n.enum)
	return n
}

// tuple is what tuple[arguments] says.
func tuple(arguments []expression, depth int) node {
	last := arguments[len(arguments)-1]
	switch {
	case last.kind == kindEllipsis && len(arguments) == 2:
		items := meaning(arguments[0], depth)
		return node{types: []string{"array"}, items: &items}
	case slices.ContainsFunc(arguments, func(e expression) bool { return e.kind == kindEllipsis || e.kind == kindStarred }):
		return node{types: []string{"array"}}
	case len(arguments) == 1 && last.kind == kindTuple && len(last.items) == 0:
		return node{types: []string{"array"}, exact: true}
	}
	return node{types: []string{"array"}, tuple: meanings(arguments, depth), exact: true}
}
